"""The folders in `examples/`: the tests of each are green, as its README has them run."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.conftest import DOCUMENTED_SKIPS
from tests.forks import Forks
from tests.servers import Servers
from tests.test_docs import without_ours

EXAMPLES = Path(__file__).parent.parent / "examples"
FOLDERS = sorted(path.parent for path in EXAMPLES.glob("*/pytest.ini"))
SERVERS = {
    "POSTGRES_URL": Servers.new_postgres,
    "MONGODB_URL": lambda servers: servers.mongodb,
}


def uses(folder: Path, variable: str) -> bool:
    return any(variable in file.read_text() for file in folder.glob("*.py"))


def cases() -> list[object]:
    """Each folder without a server if it can do so, and with each of those that it can use."""
    return [
        pytest.param(folder, variable, id=f"{folder.name}{f'-{variable}' if variable else ''}")
        for folder in FOLDERS
        for variable in [None, *SERVERS]
        if uses(folder, variable or "") and (variable or not uses(folder, "MONGODB_URL"))
    ]


@pytest.mark.unmeasured
@pytest.mark.versionless  # an example says in its requirements.txt what it needs
@pytest.mark.parametrize(("folder", "variable"), cases())
def test_example(
    folder: Path, variable: str | None, servers: Servers, tmp_path: Path, forks: Forks
) -> None:
    """The tests of the example pass, with warnings as errors, and no server is lacking."""
    # Copied, so that nothing is written into the checkout.
    copy = tmp_path / folder.name
    shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("__pycache__", ".pytest_cache"))
    environment = {} if variable is None else {variable: SERVERS[variable](servers)}
    done = forks.run(
        *("-m", "pytest", "--rootdir=.", "-c", "pytest.ini", "-q", "-ra"),
        cwd=copy,
        env=without_ours(os.environ) | environment,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
    skipped = [line for line in done.stdout.splitlines() if line.startswith("SKIPPED")]
    assert all(DOCUMENTED_SKIPS.search(line) for line in skipped)


def test_every_example_is_run() -> None:
    """No folder of examples is left out, and each says how to run it and what it needs."""
    folders = [path for path in EXAMPLES.iterdir() if path.is_dir() and path.name[0] not in "_."]
    assert sorted(folders) == FOLDERS
    for folder in folders:
        readme = (folder / "README.md").read_text()
        assert "pip install -r requirements.txt" in readme
        assert (folder / "requirements.txt").read_text().startswith("async-factory-boy")
