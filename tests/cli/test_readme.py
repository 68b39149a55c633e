"""README, docs and CONTRIBUTING: every command parses; every link, picture and test named is there."""

import importlib
import re
from pathlib import Path

import pytest

from rasgan.training.config import SHORT_TIME
from tests.pages import CONTRIBUTING, PAGES, README, ROOT, anchors, links, python_commands, text_of

FOREIGN = {"pip", "venv", "pytest"}  # programs of others
COMMANDS = sorted({(page.name, *words) for page in PAGES for words in python_commands(text_of(page))})
OTHERS = [ROOT / "CHANGELOG.md", *(ROOT / "benchmarks").rglob("*.md")]
LINKS = sorted({(page, target) for page in [*PAGES, *OTHERS] for target in links(text_of(page))})
PICTURES = {path.name for path in (ROOT / "docs" / "img").iterdir()}


def program_and_options(words: list[str]) -> tuple[str, list[str]]:
    """Split a command into the module that it runs and the module's options."""
    place = next(i for i, word in enumerate(words) if word == "-m" or word.endswith(".py"))
    if words[place] == "-m":
        return words[place + 1], words[place + 2 :]
    name = Path(words[place]).stem
    return f"render.{name}" if name == "render_class_view" else name, words[place + 1 :]


def test_the_readme_shows_a_command_of_every_step():
    shown = {program_and_options(words)[0] for words in python_commands(text_of(README))}
    scripts = {path.stem for path in ROOT.glob("*.py")}
    assert shown >= scripts | {"render.render_class_view", "rasgan.generate", "rasgan.evaluate"}


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_parses(command):
    program, options = program_and_options(list(command[1:]))
    if program not in FOREIGN:
        importlib.import_module(program).build_parser().parse_args(options)


def test_every_run_of_the_readme_has_a_name_of_its_own():
    commands = "\n".join(map(" ".join, python_commands(text_of(README))))
    trained = re.findall(r"train_rasgan\.py .*-n (\S+)", commands)
    assert len(trained) == len({*trained}) == 3


@pytest.mark.parametrize(("page", "target"), LINKS, ids=lambda value: getattr(value, "name", value))
def test_every_link_leads_somewhere(page, target):
    name, _, anchor = target.partition("#")
    aim = page.parent / name if name else page
    assert aim.exists()
    if anchor:
        assert anchor in anchors(text_of(aim))


def test_every_picture_is_shown_small_and_has_its_command():
    shown = {Path(target).name for _, target in LINKS if target.endswith((".png", ".gif"))}
    told = set(re.findall(r"`(\w+\.(?:png|gif))`", text_of(CONTRIBUTING)))
    assert told == PICTURES
    assert shown == PICTURES
    assert all(0 < (ROOT / "docs" / "img" / name).stat().st_size < 300_000 for name in PICTURES)


def test_every_test_that_the_departures_name_is_there():
    named = set(re.findall(r"\| `(test_\w+\.py)` \|", text_of(ROOT / "docs" / "departures.md")))
    assert named <= {path.name for path in (ROOT / "tests").rglob("test_*.py")}
    assert len(named) > 8


def test_pages_and_makefile_name_the_checkpoint_of_the_pretrained_model():
    (checkpoint,) = (ROOT / "rasgan" / "pretrained" / "chairs").glob("*.pt")
    text = "".join(map(text_of, [*PAGES, ROOT / "Makefile"]))
    assert {*re.findall(r"pretrained-chairs/generated/(\w+)", text)} == {checkpoint.stem}


def test_the_training_without_a_gpu_takes_the_same_time_everywhere():
    (minutes,) = re.findall(r"\d+", SHORT_TIME)
    assert f"two cores | {minutes} min |" in text_of(ROOT / "docs" / "time-and-disk.md")
    places = [README, ROOT / "docs" / "own-meshes.md", ROOT / "rasgan" / "demo.py"]
    assert all(f"{minutes} minutes on two CPU cores" in text_of(place) for place in places)
