"""Put a run's generator into the box: into the project itself, for `--pretrained` of generate and evaluate.

Example::

    python -m benchmarks.draw.pretrained -n chairs-64 chairs
    python -m rasgan.generate --pretrained chairs --count 16

What is written is a checkpoint without discriminator and history; where the run kept an averaged generator,
that is the one.
"""

import argparse
import re
import sys
from collections.abc import Sequence

from rasgan import cli
from rasgan.runs import MODELS, RunFolder
from rasgan.training import checkpoints


def build_parser() -> argparse.ArgumentParser:
    """Describe the options."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.draw.pretrained",
        description="Keep the generator of a training run as a model that comes with the project.",
        allow_abbrev=False,
    )
    parser.add_argument("model", type=_model_name, metavar="NAME", help="what --pretrained will call it")
    parser.add_argument("-n", "--name", required=True, metavar="RUN", help="the training run")
    cli.add_load_epoch(parser)
    return parser


def _model_name(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9-]{1,40}", text):
        raise argparse.ArgumentTypeError(f"use small letters, digits and '-': {text}")
    return text


@cli.ends_cleanly
def main(argv: Sequence[str] | None = None) -> int:
    """Write the model in place of the one of that name."""
    args = build_parser().parse_args(argv)
    run = RunFolder(args.name)
    position = checkpoints.choose_position(run.checkpoints, args.load_epoch)
    checkpoint = checkpoints.load_checkpoint(run.checkpoints, position)
    path = checkpoints.save_generator(MODELS / args.model, checkpoint)
    for older in checkpoints.saved_positions(path.parent):
        if older != position:
            checkpoints.weights_path(path.parent, older).unlink()
    cli.say(f"{run.name}, epoch {position}, is --pretrained {args.model} now: {path}, "
            f"{path.stat().st_size / 1e6:.1f} MB")  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
