"""Pack a run's generator as a model that comes with the project, for `--pretrained` of generate and evaluate.

    python -m benchmarks.draw.pack_pretrained -n chairs-64 my-chairs
    python -m rasgan.generate --pretrained my-chairs --count 16

It writes a checkpoint without discriminator and history into the project's own folder rasgan/pretrained.
Where the run kept an averaged generator, that is the one.
"""

import argparse
import re
import sys
from collections.abc import Sequence

from rasgan import cli, runs
from rasgan.errors import UserError
from rasgan.training import checkpoints


def build_parser() -> argparse.ArgumentParser:
    """Describe the options."""
    parser = cli.Parser(__doc__)
    parser.add_argument("model", type=_model_name, metavar="NAME", help="what --pretrained will call it")
    parser.add_argument("-n", "--name", required=True, metavar="RUN", help="the training run")
    cli.add_load_epoch(parser)
    parser.add_argument("--replace", action="store_true", help="delete the model that has this name already")
    return parser


def _model_name(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9-]{1,40}", text):
        raise argparse.ArgumentTypeError(f"use small letters, digits and '-': {text}")
    return text


@cli.ends_cleanly
def main(argv: Sequence[str] | None = None) -> int:
    """Write the model; only with --replace in the place of another."""
    args = build_parser().parse_args(argv)
    project = runs.PRETRAINED.parents[1]
    if not (project / "pyproject.toml").is_file():
        raise UserError(f"{project}: an installed package, which stays as it is; run this from a git clone.")
    if args.model in runs.pretrained_names() and not args.replace:
        raise UserError(f"--pretrained {args.model} is there already; choose another name, or add --replace.")
    run = runs.RunFolder(args.name).trained()
    position = checkpoints.choose_position(run.checkpoints, args.load_epoch)
    checkpoint = checkpoints.load_checkpoint(run.checkpoints, position)
    path = checkpoints.save_generator(runs.PRETRAINED / args.model, checkpoint)
    for older in checkpoints.saved_positions(path.parent):
        if older != position:
            checkpoints.weights_path(path.parent, older).unlink()
    cli.say(f"{run.name}, epoch {position}, is --pretrained {args.model} now: {path}, "
            f"{path.stat().st_size / 1e6:.1f} MB")  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
