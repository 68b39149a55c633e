"""Which models are rendered to which pictures."""

from collections.abc import Sequence
from pathlib import Path

from rasgan.errors import UserError
from rasgan.runs import SAVEPOINTS, RunFolder, by_epoch

PICTURES = (".png", ".gif")


def one_target(output: Path, suffix: str) -> Path:
    """Return the picture of one model: `output`, with `suffix` (``.png`` or ``.gif``) where it has none."""
    target = output if output.suffix else output.with_suffix(suffix)
    if target.suffix.lower() != suffix:
        kind = "a PNG" if suffix == ".png" else "a GIF with --turntable"
        raise UserError(f"{target}: the picture is {kind}; give a name that ends in {suffix}.")
    return target


def views_of(target: Path, count: int | None) -> list[Path]:
    """Return the picture itself, or the names of `count` numbered ones in its place."""
    if count is None:
        return [target]
    return [target.with_name(f"{target.stem}-{view:02d}{target.suffix}") for view in range(count)]


def folder_targets(models: Sequence[Path], folder: Path, suffix: str) -> dict[Path, Path]:
    """Map each of several models to its picture in a folder, which has the model's name."""
    if folder.suffix.lower() in PICTURES or folder.is_file():
        raise UserError(f"{folder}: there are several models, so give -o a folder for their pictures.")
    targets = {model: folder / f"{model.stem}{suffix}" for model in models}
    owners = {}
    for model, target in targets.items():
        other = owners.setdefault(target.name.casefold(), model)  # some systems take A and a for the same
        if other != model:
            raise UserError(f"{other} and {model} would share {target}; render them one after the other.")
    return targets


def run_targets(name: str, folder: Path | None, suffix: str) -> dict[Path, Path]:
    """Map the models of a run, by epoch, to their pictures, in `folder` or else in the run's own for renders.

    The run is looked for in the current folder, or, where that has no runs, in the one above: the tutorial
    renders from the folder ``render``. UserError if there is no such run or no model in it.
    """
    above = Path("..")
    is_above = not SAVEPOINTS.is_dir() and (above / SAVEPOINTS).is_dir()
    run = RunFolder(name, base=above if is_above else Path()).existing()
    models = [path for path in run.models.glob("*.obj") if not path.name.startswith(".")]
    if not models:
        raise UserError(f"{run.models}: holds no .obj file yet; run convert_to_obj.py -n {name} first.")
    return folder_targets(sorted(models, key=by_epoch), folder or run.renders, suffix)
