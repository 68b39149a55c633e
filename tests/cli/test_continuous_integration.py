"""The hosted workflow does what the README says."""

import re

from tests.pages import README, ROOT, shell_lines, text_of

WORKFLOW = text_of(ROOT / ".github" / "workflows" / "tests.yml")


def test_the_workflow_types_what_the_readme_says():
    typed = re.findall(r"- run: (python .+)", WORKFLOW)
    told = shell_lines(text_of(README))
    test = told.index("python -m pytest")
    assert typed[1:] == told[test - 1 : test + 1]
    assert typed[0] in told  # PyTorch for the CPU


def test_the_workflow_covers_the_systems_and_the_pythons():
    assert "system: [ubuntu-latest, macos-latest, windows-latest]" in WORKFLOW
    oldest = re.search(r'requires-python = ">=(.+)"', text_of(ROOT / "pyproject.toml"))[1]
    assert f'python: ["{oldest}", "3.13"]' in WORKFLOW
