"""What the tests of README and docs read from the pages: commands, links, headings and tables."""

import re
import shlex
import unicodedata
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
PAGES = [README, CONTRIBUTING, *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def shell_lines(text: str, shell: str = "bash") -> list[str]:
    """List the lines of a page's blocks for one shell, in order."""
    return [line for kind, block in FENCE.findall(text) if kind == shell for line in block.splitlines()]


def python_commands(text: str) -> list[list[str]]:
    """List the words of every command of Python or torchrun on a page, in blocks and within sentences."""
    lines = [line for _, block in FENCE.findall(text) for line in block.splitlines()]
    spans = re.findall(r"`((?:python3?|torchrun|py) [^`]+)`", FENCE.sub("", text))
    return [
        shlex.split(line) for line in [*lines, *spans] if re.match(r"(?:python3?|torchrun|py) ", line.strip())
    ]


def links(text: str) -> list[str]:
    """List the targets of a page's links and pictures, but for addresses on the web."""
    targets = re.findall(r"\]\(([^()\s]+)\)", FENCE.sub("", text))
    return [target for target in targets if not target.startswith(("http://", "https://"))]


def anchors(text: str) -> set[str]:
    """Write the headings of a page as GitHub does at the end of a link."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.MULTILINE)
    return {_anchor(heading) for heading in headings}


def _anchor(heading: str) -> str:
    kept = (
        letter
        for letter in heading.lower()
        if letter in "-_ " or unicodedata.category(letter)[0] in "LM" or unicodedata.category(letter) == "Nd"
    )
    return "".join(kept).replace(" ", "-")


def tables(text: str) -> list[list[list[str]]]:
    """List the tables of a page as rows of cells, without the line of dashes."""
    found = re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE)
    rows = [[re.split(r"(?<!\\)\|", line)[1:-1] for line in table.splitlines()] for table in found]
    return [[[cell.strip() for cell in row] for row in table[:1] + table[2:]] for table in rows]
