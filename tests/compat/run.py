"""Runs factory_boy's own tests with every ``create`` going through ``create_async``.

    python tests/compat/run.py [pytest arguments]

The tests are those of the factory_boy that is installed. They come from its source distribution,
which pip downloads; `plugin` puts async-factory-boy in the place of factory_boy's ``Factory``.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tarfile
import tempfile
from importlib.metadata import version
from pathlib import Path, PurePosixPath

MODULES = (
    "using",
    "declarations",
    "regression",
    "transformer",
    "helpers",
    "base",
    "dev_experience",
    "fuzzy",
    "faker",
)

WARNINGS = (
    "error",
    "ignore:Setting a specific random seed:UserWarning",
    "ignore::pytest.PytestCollectionWarning",
)
"""All are errors, but for those that upstream's tests bring up by themselves."""


def download(directory: Path) -> Path:
    """Download the source distribution of the installed factory_boy, and return its path."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    # Not ":all:", which would have pip build the build backend from source as well.
    command += ["--no-binary=factory_boy", f"--dest={directory}"]
    subprocess.run([*command, f"factory_boy=={version('factory_boy')}"], check=True)
    (archive,) = directory.glob("*.tar.gz")
    return archive


def unpack(archive: Path, directory: Path) -> None:
    """Unpack the tests, and nothing else: the package in there would shadow the installed one."""
    with tarfile.open(archive) as tar:
        tests = [m for m in tar if PurePosixPath(m.name).parts[1:2] == ("tests",)]
        for member in tests:
            member.name = str(PurePosixPath(*PurePosixPath(member.name).parts[1:]))
        tar.extractall(directory, members=tests, filter="data")


def run_tests(directory: Path, arguments: list[str]) -> int:
    """Run the unpacked tests in a pytest that loads no plugin but ours; return its exit code."""
    command = [sys.executable, "-m", "pytest", "-p", "plugin", "-p", "no:cacheprovider"]
    for warning in WARNINGS:
        command += ["-W", warning]
    tests = [f"tests/test_{module}.py" for module in MODULES]
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parent),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }
    command += [*arguments, *tests]
    return subprocess.run(command, cwd=directory, env=environment, check=False).returncode


def main() -> int:
    parser = argparse.ArgumentParser(allow_abbrev=False, description=__doc__.partition("\n")[0])
    parser.add_argument("--sdist", type=Path, help="use this archive instead of downloading it")
    options, arguments = parser.parse_known_args()
    with tempfile.TemporaryDirectory(prefix="factory_boy-") as name:
        directory = Path(name)
        unpack(options.sdist or download(directory), directory)
        return run_tests(directory, arguments)


if __name__ == "__main__":
    sys.exit(main())
