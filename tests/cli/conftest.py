from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from tests.cli.project import Project


@pytest.fixture
def project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Generator[Project]:
    """A folder that is the current one, and that modules are imported from."""
    project = Project(tmp_path, monkeypatch, capsys)
    yield project
    project.forget()
