"""The links between the files of this repository lead somewhere.

Sphinx checks those of the pages in docs/ among each other, when it builds the site with -W. This is
for the pages as they are read on GitHub, the README and its siblings among them.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest
from markdown_it import MarkdownIt

pytestmark = [pytest.mark.unmeasured, pytest.mark.versionless]

ROOT = Path(__file__).parent.parent
OURS = "https://github.com/kuzxnia/async_factory_boy/blob/main/"
LEFT_OUT = {"_build", "node_modules"}

PAGES = [
    path
    for path in [
        *ROOT.glob("*.md"),
        *ROOT.glob(".github/**/*.md"),
        *ROOT.glob(".github/**/*.yml"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("examples/**/*.md"),
        ROOT / "pyproject.toml",
    ]
    if not LEFT_OUT & set(path.relative_to(ROOT).parts)
]


def links(page: Path) -> Iterator[tuple[str, int]]:
    """Yield where a page leads to, with the number of a line near by."""
    text = page.read_text()
    if page.suffix != ".md":
        for number, line in enumerate(text.splitlines(), start=1):
            for found in re.findall(rf"{re.escape(OURS)}[^\s)\"]+", line):
                yield found, number
        return
    # With tables, in which CommonMark sees nothing but lines.
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        for child in token.children or ():
            address = child.attrGet("href") or child.attrGet("src")
            if address is not None:
                yield str(address), (token.map or [0])[0] + 1


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub, and MyST after its model, give the headings of a page."""
    tokens = MarkdownIt("commonmark").parse(page.read_text())
    seen: Counter[str] = Counter()
    found = set()
    for token, inline in itertools.pairwise(tokens):
        if token.type == "heading_open":
            title = "".join(child.content for child in inline.children or ())
            slug = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
            found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
            seen[slug] += 1
    return found


def problem(page: Path, link: str) -> str | None:
    """Say what is wrong with a link, or return ``None``."""
    if link.startswith(OURS):
        page, link = ROOT / "pyproject.toml", link.removeprefix(OURS)
    elif re.match(r"[a-z]+:", link):
        return None
    path, _, anchor = link.partition("#")
    target = (page.parent / unquote(path)).resolve() if path else page
    if not target.is_relative_to(ROOT.resolve()) or not target.exists():
        return "there is no such file"
    if anchor and target.suffix == ".md" and anchor not in anchors(target):
        return f"there is no such heading; there are {sorted(anchors(target))}"
    return None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links(page: Path) -> None:
    """Each link to a file of this repository finds the file, and the heading in it."""
    wrong = {
        f"{page.name}:{line}: {link}": trouble
        for link, line in links(page)
        if (trouble := problem(page, link)) is not None
    }
    assert wrong == {}


def test_links_are_found(tmp_path: Path) -> None:
    """In lists, tables and images, but not in code; and the wrong ones are told from the right."""
    page = tmp_path / "page.md"
    page.write_text(
        "# One `title`\n\n## One title\n\n- [a](#one-title-1)\n\n| |\n|---|\n| [b](gone.md#x) |\n\n"
        "![c](page.md)\n\n```text\n[d](code.md)\n```\n\n`[e](code.md)` <https://example.org>\n"
    )
    assert [link for link, _ in links(page)] == [
        *("#one-title-1", "gone.md#x", "page.md", "https://example.org")
    ]
    assert anchors(page) == {"one-title", "one-title-1"}
    assert "no such heading" in (problem(ROOT / "README.md", "CONTRIBUTING.md#nowhere") or "")
    for link in ("docs/nowhere.md", "../outside.md", f"{OURS}docs/nowhere.md"):
        assert problem(ROOT / "README.md", link) == "there is no such file"
    for link in ("docs/options.md#bind", "docs", f"{OURS}docs/options.md#bind", "mailto:a@b.org"):
        assert problem(ROOT / "README.md", link) is None
