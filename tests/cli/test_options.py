"""docs/options.md and the README's option tables are what the parsers say, and what the tutorial says."""

import argparse
import re

import pytest

from benchmarks.draw import options
from rasgan.training.config import recipe_presets
from tests.pages import README, ROOT, tables, text_of

# The tutorial's tables, the contract: its options, and its defaults where it names any.
TUTORIAL = {
    "convert_data.py": {"-m --model_dir": "required", "-b --binvox_binary": ""},  # Binvox is not needed here
    "train_rasgan.py": {
        "-n --name": "required",
        "-d --data": "required",
        "-v --validation_data": "",
        "-e --epochs": "2500",
        "-b --batchsize": "24",
        "-sample": "10",
        "-save": "10",
        "-graph": "10",
        "-l --load": "",
        "-le --load_epoch": "",
        "-glr --generator_learning_rate": "0.002",
        "-dlr --discriminator_learning_rate": "0.00005",
        "-graph3d": "10",
    },
    "convert_to_graph.py": {"-n --name": "this or -f", "-f --file": "this or -n", "-c --colormap": "1"},
    "convert_to_obj.py": {"-n --name": "this or -f", "-f --file": "this or -n"},
    "render_class_view.py": {
        "-m --model_file": "",  # required there; here a run will do
        "-b --blender_path": "required",
        "-a --azimuth": "50",
        "-e --elevation": "30",
        "-t --tilt": "0",
        "-d --distance": "2.0",
        "-o --output_img": "demo_img.png",
    },
}
# The same, in the parser's word and in the help's.
DIFFER = {"--device": ("auto", "CUDA if available, else the CPU")}


def readme_tables(text: str) -> dict[str, dict[str, str]]:
    """Return the option tables by the script of their section's last command: option strings to default."""
    found = {}
    for section in re.split(r"^#+ ", text, flags=re.MULTILINE):
        programs = re.findall(r"^python (?:\S*/)?(\w+\.py)", section, re.MULTILINE)
        for head, *rows in tables(section):
            if head[0] == "Option":
                found[programs[-1]] = {
                    " ".join(re.findall(r"`(-[\w-]+)`", row[0])): row[-1].replace("`", "") for row in rows
                }
    return found


def mistakes(text: str) -> list[str]:
    """List what is wrong with the README's tables."""
    found = readme_tables(text)
    wrong = [f"{program}: no table" for program in TUTORIAL.keys() - found.keys()]
    for program, rows in found.items():
        parser = options.parser_of(program)
        wanted = TUTORIAL.get(program, {})
        wrong += [f"{program}: {names} is missing" for names in wanted.keys() - rows.keys()]
        wrong += [f"{program}: {names} is not the tutorial's" for names in rows.keys() - wanted.keys()]
        for names, cell in rows.items():
            if wanted.get(names) and cell != wanted[names]:
                wrong.append(f"{program}: {names} is {cell}, not the tutorial's {wanted[names]}")
            owners = [a for a in options.actions_of(parser) if {*names.split()} <= {*a.option_strings}]
            if len(owners) != 1:
                wrong.append(f"{program}: {names} is no option of its parser")
            elif not means(cell, program, parser, owners[0]):
                wrong.append(f"{program}: {names} is not {cell} by default")
    return wrong


def means(cell: str, program: str, parser: argparse.ArgumentParser, action: argparse.Action) -> bool:
    """Return whether a cell of the README says what the parser does, in as few words."""
    default = options.default_of(program, parser, action)
    if default.startswith("one of"):
        others = {text for a in options.actions_of(parser) if f"`{options.name_of(a)}`" in default
                  and a is not action for text in a.option_strings}  # fmt: skip
        return cell.removeprefix("this or ") in others
    return cell == default or default.startswith((f"{cell},", f"{cell}:"))


def test_the_page_is_what_the_command_prints(tmp_path):
    assert options.main([str(tmp_path / "options.md")]) == 0
    printed = (tmp_path / "options.md").read_text(encoding="utf-8")
    assert text_of(ROOT / "docs" / "options.md") == printed, "type: make docs"


def test_the_readmes_tables_are_the_tutorials_and_their_own_parsers():
    assert mistakes(text_of(README)) == []


@pytest.mark.parametrize("program", options.COMMANDS)
def test_the_help_names_the_default_that_holds(program):
    parser = options.parser_of(program)
    for action in options.actions_of(parser):
        said = options.said_default(parser, action)
        value = options.CONFIG.get(action.dest) if action.default is argparse.SUPPRESS else action.default
        if said and action.nargs != 0 and value not in (None, ()):
            pair = options.plain(value), said
            assert pair[0] == pair[1] or DIFFER.get(options.name_of(action)) == pair, options.name_of(action)


@pytest.mark.parametrize("program", options.COMMANDS)
def test_the_help_fits_80_columns_and_is_plain_text(program, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    text = options.parser_of(program).format_help()
    assert [line for line in text.splitlines() if len(line) > 80] == []
    assert re.findall(r"::|``|\de-\d|default:? (?:False|True|None)|\b\w+_\w+_\w+\b(?=.*default)", text) == []


def test_the_help_of_a_recipe_is_what_it_presets(capsys):
    parser = options.parser_of("train_rasgan.py")
    recipe = next(action for action in options.actions_of(parser) if action.dest == "recipe")
    words = re.search(r"64³, (.+) and others", recipe.help)[1].split()
    given, presets = vars(parser.parse_args(words)), recipe_presets("stable", 64)
    names = {action.dest for action in parser._actions} & presets.keys()
    assert {name: given[name] for name in names} == {name: presets[name] for name in names}
