"""The laws of the house: what may import what, who prints and knows options, what stays small."""

import ast
import re
from pathlib import Path

import pytest

import rasgan
import train_rasgan

PACKAGE = Path(rasgan.__file__).parent
MODULES = {path.relative_to(PACKAGE).with_suffix("").as_posix(): path for path in PACKAGE.rglob("*.py")}
METHOD = ("networks", "losses", "gating", "voxels", "blocks")
COMMANDS = ("generate", "evaluate", "demo", "__main__", "cli", "startup")
CORE = ("networks", "losses", "gating", "blocks", "training/step", "training/state", "training/loop")
WINGS = [name for name in MODULES if name.startswith(("data/", "export/"))]
OPTION = re.compile(r"(?<![\w-])(--[a-z][a-z_-]+|-[a-z]{1,3})(?![\w-])")


def nodes_of(name):
    return list(ast.walk(ast.parse(MODULES[name].read_text(encoding="utf-8"))))


def imports_of(name):
    found = {a.name for node in nodes_of(name) if isinstance(node, ast.Import) for a in node.names}
    for node in nodes_of(name):
        if isinstance(node, ast.ImportFrom):
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


@pytest.mark.parametrize("name", METHOD)
def test_the_method_imports_nothing_of_the_package_but_blocks(name):
    own = [module for module in imports_of(name) if module.startswith("rasgan.")]
    assert all(module.startswith("rasgan.blocks") for module in own)


@pytest.mark.parametrize("name", WINGS)
def test_data_and_export_need_neither_torch_nor_training(name):
    assert not [module for module in imports_of(name) if re.match(r"torch\b|rasgan\.training\b", module)]


@pytest.mark.parametrize("name", sorted(set(MODULES) - {"export/canvas"}))
def test_matplotlib_is_imported_where_no_machine_can_stop_it(name):
    assert not [module for module in imports_of(name) if re.match(r"matplotlib\b|mpl_toolkits\b", module)]


@pytest.mark.parametrize("name", sorted(set(MODULES) - set(COMMANDS)))
def test_only_commands_know_options_and_print(name):
    assert "argparse" not in imports_of(name)
    nodes = nodes_of(name)
    assert not [node for node in nodes if isinstance(node, ast.Name) and node.id == "print"]
    docstrings = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    described = "training/config"  # describes the options themselves
    texts = [node.value for node in nodes if isinstance(node, ast.Constant) and id(node) not in docstrings]
    sentences = [text for text in texts if isinstance(text, str) and " " in text]
    assert name == described or not [text for text in sentences if OPTION.search(text)]


@pytest.mark.parametrize("name", sorted(MODULES))
def test_no_function_is_longer_than_sixty_lines(name):
    functions = [node for node in nodes_of(name) if isinstance(node, ast.FunctionDef)]
    long = [node.name for node in functions if node.end_lineno - node.lineno >= 60]
    assert set(long) <= {"build_parser"}


def size(*paths):
    return sum(len(path.read_text(encoding="utf-8").splitlines()) for path in paths)


def test_the_project_stays_small():
    root = PACKAGE.parent
    options = [action for action in train_rasgan.build_parser()._actions if action.option_strings]
    found = {
        "lines of source": size(*root.glob("*.py"), *MODULES.values(), *root.glob("render/*.py")),
        "lines of tests": size(*root.glob("tests/**/*.py")),
        "lines of benchmarks": size(*root.glob("benchmarks/**/*.py")),
        "lines of the core": size(*(MODULES[name] for name in CORE)),
        "options of train_rasgan.py": len(options) - 1,  # without --help
        "bytes of README.md": len((root / "README.md").read_bytes()),
    }
    limits = {  # today's numbers: lower them whenever they fall, until the goals are reached
        "lines of source": 11_769,  # goal 10,500
        "lines of tests": 13_240,  # goal 13,700
        "lines of benchmarks": 2_317,  # goal 2,500
        "lines of the core": 918,  # goal 800
        "options of train_rasgan.py": 29,  # goal 30
        "bytes of README.md": 13_285,  # goal 12,000
    }
    assert {name: number for name, number in found.items() if number > limits[name]} == {}
