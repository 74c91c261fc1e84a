"""The pictures of the documentation, for readers in the dark and for those who cannot see them."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

pytestmark = pytest.mark.versionless

DOCS = Path(__file__).parent.parent / "docs"
PICTURES = sorted((DOCS / "_static").glob("*.svg"))
NAMESPACE = {"svg": "http://www.w3.org/2000/svg"}


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.name)
def test_picture(picture: Path) -> None:
    """It is described in words, leaves its colours to the style sheet, and is on a page."""
    root = ElementTree.parse(picture).getroot()
    assert root.get("role") == "img"
    described_by = (root.get("aria-labelledby") or "").split()
    words = {node.get("id"): node.text or "" for node in root.findall("*[@id]", NAMESPACE)}
    assert all(words[name] for name in described_by)
    assert len(described_by) == 2

    for node in root.iter():
        assert not {"fill", "stroke", "style"} & node.attrib.keys()

    pages = [page.read_text() for page in DOCS.rglob("*.md")]
    assert any(f":file: _static/{picture.name}" in page for page in pages)


def test_there_are_pictures() -> None:
    assert PICTURES
