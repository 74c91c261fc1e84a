"""What has to hold for the sdist and the wheel before they are published.

Ends with a traceback where it does not. Needs nothing but packages that pip can install:

    python -m build && python tests/distribution/check.py dist
"""

from __future__ import annotations

import argparse
import email
import email.message
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parent.parent.parent
PACKAGE = "async_factory_boy"

WHERE = f"import {PACKAGE}; print({PACKAGE}.__file__, {PACKAGE}.__version__)"


def contents(dist: Path) -> tuple[Path, Path]:
    """Return the one wheel and the one sdist in a folder."""
    wheels, sdists = list(dist.glob("*.whl")), list(dist.glob("*.tar.gz"))
    assert (len(wheels), len(sdists)) == (1, 1), f"not one of each: {sorted(dist.iterdir())}"
    return wheels[0], sdists[0]


def check_wheel(wheel: Path) -> email.message.Message:
    """The wheel has the package, whole, with its types and its licence, and nothing else.

    Returns:
        Its metadata.
    """
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (info,) = {name.partition("/")[0] for name in names if ".dist-info/" in name}
        metadata = email.message_from_bytes(archive.read(f"{info}/METADATA"))
    files = {name for name in names if not name.startswith(f"{info}/")}
    expected = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / PACKAGE).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert files == expected, files ^ expected
    assert f"{PACKAGE}/py.typed" in files
    assert f"{info}/licenses/LICENSE" in names, names
    return metadata


def check_sdist(sdist: Path) -> None:
    """The sdist has what it takes to build and to test, and nothing that a checkout has left."""
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for name in ("LICENSE", "README.md", "CHANGELOG.md", "pyproject.toml", "noxfile.py"):
        assert name in names, name
    for folder in (PACKAGE, "docs", "examples", "tests", "typing_tests"):
        assert any(name.startswith(f"{folder}/") for name in names), folder
    left = {name for name in names if set(PurePosixPath(name).parts) & LEFTOVERS}
    left |= {name for name in names if name.endswith((".pyc", ".sqlite"))}
    assert not left, left


LEFTOVERS = {"__pycache__", "_build", ".venv", ".nox", ".pytest_cache", ".hypothesis", ".git"}


def check_metadata(metadata: email.message.Message, wheel: Path) -> None:
    """What PyPI shows is there, and the core depends on factory_boy and greenlet only."""
    assert metadata["Name"] == "async-factory-boy"
    assert metadata["Version"] == wheel.name.split("-")[1]
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Requires-Python"] == ">=3.10"
    required = metadata.get_all("Requires-Dist", [])
    core = {re.split(r"[<>=!~ ;\[]", one)[0] for one in required if "extra ==" not in one}
    assert {name.replace("_", "-") for name in core} == {"factory-boy", "greenlet"}, core
    extras = set(metadata.get_all("Provides-Extra", []))
    promised = {"sqlalchemy", "tortoise", "beanie", "motor", "mongo", "databases", "all"}
    assert extras >= promised, promised - extras
    labels = {url.partition(",")[0] for url in metadata.get_all("Project-URL", [])}
    assert labels >= {"Changelog", "Documentation", "Issues", "Source"}, labels
    assert metadata["Description-Content-Type"] == "text/markdown"
    readme = str(metadata.get_payload())
    assert readme.startswith("# async-factory-boy"), readme[:80]
    # Of what is in a block of code, nothing is a link.
    links = re.findall(r"\]\(([^)]*)\)", re.sub(r"(?s)```.*?```", "", readme))
    assert links
    relative = [link for link in links if not link.startswith(("https://", "#"))]
    assert not relative, relative


def check_installed(wheel: Path, sdist: Path) -> None:
    """In an empty environment, the wheel runs without an ORM, the quickstart, and a test suite."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        with tarfile.open(sdist) as archive:
            archive.extractall(folder, filter="data")
        unpacked = folder / sdist.name.removesuffix(".tar.gz")
        venv.create(folder / "venv", with_pip=True)
        python = folder / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
        elsewhere = folder / "elsewhere"
        elsewhere.mkdir()

        # Without the servers of the tests, whose drivers are not installed there.
        environment = {name: os.environ[name] for name in os.environ if name[-4:] != "_URL"}

        def run(*arguments: str | Path) -> str:
            print("+", *arguments, flush=True)
            command = [python, *arguments]
            return subprocess.run(
                command,
                cwd=elsewhere,
                env=environment,
                check=True,
                stdout=subprocess.PIPE,
                text=True,
            ).stdout

        install = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        run(*install, wheel.resolve())
        run("-I", unpacked / "tests" / "without_orm" / "check.py")
        run(*install, f"{wheel.resolve()}[sqlalchemy]", "aiosqlite")
        run("-m", "pip", "check")
        printed = run("-I", "-W", "error", unpacked / "examples" / "quickstart.py")
        assert "5 rows in quickstart_order\n" in printed, printed
        run(*install, "pytest", "pytest-asyncio", "fastapi", "httpx")
        example = unpacked / "examples" / "fastapi_sqlalchemy"
        printed = run("-m", "pytest", f"--rootdir={example}", "-c", example / "pytest.ini", example)
        assert re.search(r"\d passed", printed), printed
        where, version = run("-I", "-c", WHERE).split()
        assert "site-packages" in where, where
        assert version == wheel.name.split("-")[1], version


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dist", type=Path, help="the folder that both are in")
    wheel, sdist = contents(parser.parse_args().dist)
    metadata = check_wheel(wheel)
    check_metadata(metadata, wheel)
    check_sdist(sdist)
    check_installed(wheel, sdist)
    print(f"{wheel.name} and {sdist.name} are in order", file=sys.stderr)
