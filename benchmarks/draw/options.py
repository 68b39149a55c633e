"""Write docs/options.md, the options of all commands, from the parsers of the commands.

python -m benchmarks.draw.options docs/options.md
"""

import argparse
import importlib
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from rasgan import cli
from rasgan.files import atomic_path
from rasgan.training.config import TrainConfig


class Command(NamedTuple):
    """The module of a command, what the command does, and what its parser does not describe."""

    module: str
    what: str
    unsaid: Mapping[str, str] = {}
    """Text in place of the default, by long name, for options that the command checks after parsing."""


sys.path.append(str(Path(__file__).resolve().parents[2] / "render"))  # its folder is not a package
ONE_OF_THREE = "one of `--name`, `--pretrained` and a folder"
COMMANDS = {
    "download_data.py": Command("download_data", "Get 3D models to train on."),
    "convert_data.py": Command("convert_data", "Convert 3D models to voxel grids."),
    "train_rasgan.py": Command(
        "train_rasgan", "Train.", dict.fromkeys(("--name", "--data"), "required, except with `--demo`")
    ),
    "rasgan.generate": Command("rasgan.generate", "Generate new shapes and films from a trained run."),
    "rasgan.evaluate": Command(
        "rasgan.evaluate",
        "Score shapes against real ones.",
        dict.fromkeys(("--name", "--pretrained", "generated"), ONE_OF_THREE),
    ),
    "convert_to_graph.py": Command("convert_to_graph", "Draw 3D graphs, sheets and films."),
    "convert_to_obj.py": Command("convert_to_obj", "Write meshes."),
    "render_class_view.py": Command("render_class_view", "Render meshes with Blender."),
}
CONFIG = {name: value for name, value in asdict(TrainConfig()).items() if name != "seed"}
SAID = re.compile(r"\s*\(default:? (?P<text>(?:[^()]|\([^()]*\))+)\)")
INTRODUCTION = """\
# Options

All options of all commands. This page is generated from their parsers by
`python -m benchmarks.draw.options docs/options.md`; do not edit it by hand. `--help` prints the same in the
terminal. Run scripts with `python`, and the modules of `rasgan` with `python` and `-m`.

All spellings of an option are equivalent. The default *off* means that the option has no value and turns
something on. The default *none* means that nothing happens without the option.
"""


def parser_of(program: str) -> argparse.ArgumentParser:
    """Return the parser of a command in `COMMANDS`."""
    return importlib.import_module(COMMANDS[program].module).build_parser()


def actions_of(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """List the options and positional arguments in the help of a parser, except --help."""
    return [
        action
        for action in parser._actions
        if action.help != argparse.SUPPRESS and not isinstance(action, argparse._HelpAction)
    ]


def groups_of(parser: argparse.ArgumentParser) -> Iterator[tuple[str, list[argparse.Action]]]:
    """Yield the titled groups of a parser, after all ungrouped options under the title ""."""
    shown = actions_of(parser)
    untitled = [parser._positionals, parser._optionals]
    yield "", [action for group in untitled for action in group._group_actions if action in shown]
    for group in parser._action_groups:
        if group not in untitled:
            yield group.title or "", [action for action in group._group_actions if action in shown]


def name_of(action: argparse.Action) -> str:
    """Return the first long name of an option, or the name of a positional argument."""
    longs = [text for text in action.option_strings if text.startswith("--")]
    return longs[0] if longs else action.dest


def default_of(program: str, parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    """Return the default of an option, from the parser, `TrainConfig` or the help, as a cell of the table."""
    if needed := _needed(parser, action, COMMANDS[program].unsaid):
        return needed
    value = CONFIG.get(action.dest) if action.default is argparse.SUPPRESS else action.default
    said = said_default(parser, action)
    if action.nargs == 0 and not (said and value is None):
        is_on = isinstance(action, argparse.BooleanOptionalAction) and value
        return "on" if is_on else "off"
    if value is None or value == ():
        return said or "none"
    return plain(value) if said in ("", plain(value)) else f"{plain(value)}: {said}"


def said_default(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    """Return the default that the help of an option names, or ""."""
    found = SAID.search(_help(parser, action))
    return found["text"] if found and action.nargs != "?" else ""  # there, it is the default of the value


def plain(value: object) -> str:
    """Format a value as `rasgan.cli.plain` does, but the folder "." as "here"."""
    return "here" if value == Path() else cli.plain(value)


def _needed(parser: argparse.ArgumentParser, action: argparse.Action, unsaid: Mapping[str, str]) -> str:
    """Return how an option is required, or ""."""
    for group in parser._mutually_exclusive_groups:
        if group.required and action in group._group_actions:
            return "one of " + " and ".join(f"`{name_of(other)}`" for other in group._group_actions)
    if name_of(action) in unsaid:
        return unsaid[name_of(action)]
    return "required" if action.required else ""


def _help(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    return parser._get_formatter()._expand_help(action) if action.help else ""


def row(program: str, parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    """Format an option as a row of the table: spellings, meaning, default."""
    names = [f"`{text}`" for text in action.option_strings] or [f"`{action.dest}`"]
    value = _value(action)
    if value and action.option_strings:
        names[-1] = f"{names[-1][:-1]} {value}`"
    meaning = _help(parser, action).replace("\n", " ")
    if said_default(parser, action):
        meaning = SAID.sub("", meaning)
    cells = ", ".join(names), meaning, default_of(program, parser, action)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _value(action: argparse.Action) -> str:
    """Return the name of the value of an option, if the parser has one."""
    if isinstance(action.metavar, tuple):
        return " ".join(action.metavar)
    if action.metavar is None and action.choices:
        return "|".join(map(str, action.choices))
    return action.metavar or getattr(action.type, "metavar", "")


def page() -> str:
    """Return the complete page."""
    parts = [INTRODUCTION]
    for program, command in COMMANDS.items():
        parser = parser_of(program)
        parts.append(f"## {program}\n\n{command.what}\n")
        for title, actions in groups_of(parser):
            if actions:
                heading = f"### {title[0].upper()}{title[1:]}\n\n" if title else ""
                rows = "\n".join(row(program, parser, action) for action in actions)
                parts.append(f"{heading}| Option | Meaning | Default |\n| --- | --- | --- |\n{rows}\n")
    return "\n".join(parts)


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = cli.Parser(__doc__)
    parser.add_argument("path", type=Path, help="the page to write, for example docs/options.md")
    return parser


@cli.ends_cleanly
def main(argv: Sequence[str] | None = None) -> int:
    """Write the page."""
    target = build_parser().parse_args(argv).path
    with atomic_path(target) as temporary:
        temporary.write_text(page(), encoding="utf-8")
    cli.say(str(target))
    return 0


if __name__ == "__main__":
    sys.exit(main())
