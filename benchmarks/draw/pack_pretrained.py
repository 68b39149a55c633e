"""Save the generator of a run as a pretrained model, for `--pretrained` of generate and evaluate.

    python -m benchmarks.draw.pack_pretrained -n chairs-64 my-chairs
    python -m rasgan.generate --pretrained my-chairs --count 16

It writes a checkpoint without discriminator and history to the folder rasgan/pretrained of the project. If
the run has an averaged generator, that one is saved.
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
    parser.add_argument("model", type=_model_name, metavar="NAME", help="its name for --pretrained")
    parser.add_argument("-n", "--name", required=True, metavar="RUN", help="the training run")
    cli.add_load_epoch(parser)
    parser.add_argument("--replace", action="store_true", help="replace an existing model of this name")
    return parser


def _model_name(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9-]{1,40}", text):
        raise argparse.ArgumentTypeError(f"use lower-case letters, digits and '-': {text}")
    return text


@cli.ends_cleanly
def main(argv: Sequence[str] | None = None) -> int:
    """Write the model; replace another one only with --replace."""
    args = build_parser().parse_args(argv)
    project = runs.PRETRAINED.parents[1]
    if not (project / "pyproject.toml").is_file():
        raise UserError(f"{project}: an installed package, which is not changed; run this in a git clone.")
    if args.model in runs.pretrained_names() and not args.replace:
        raise UserError(f"--pretrained {args.model} already exists; choose another name, or add --replace.")
    run = runs.RunFolder(args.name).trained()
    position = checkpoints.choose_position(run.checkpoints, args.load_epoch)
    checkpoint = checkpoints.load_checkpoint(run.checkpoints, position)
    path = checkpoints.save_generator(runs.PRETRAINED / args.model, checkpoint)
    for older in checkpoints.saved_positions(path.parent):
        if older != position:
            checkpoints.weights_path(path.parent, older).unlink()
    cli.say(f"{run.name}, epoch {position}, is now --pretrained {args.model}: {path}, "
            f"{path.stat().st_size / 1e6:.1f} MB")  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
