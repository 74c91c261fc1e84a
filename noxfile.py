"""One command for each check: ``nox -s tests``, ``nox -s lint``, … ``nox -l`` lists them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nox

nox.options.default_venv_backend = "uv"
nox.options.sessions = ["tests", "coverage", "lint", "typing", "docs"]

PROJECT = ("-e", ".[all]")

# The distributions that are in this repository besides the library itself.
ADAPTERS = sorted(
    path.parent.name for path in Path(__file__).parent.glob("adapters/*/pyproject.toml")
)


# A worker that has run its own share of the tests takes some of another's.
PYTEST = ("pytest", "-n", "auto", "--dist", "worksteal")

# Many tests start Python anew, which compiles what it imports each time if it may not keep that.
CACHED = {"PYTHONDONTWRITEBYTECODE": None}
COMPILED = {"UV_COMPILE_BYTECODE": "1"}


@contextmanager
def in_memory() -> Iterator[dict[str, str]]:
    """Give an environment whose temporary files are in memory, if there is room.

    Nothing there is synced: most of the time of a small database goes into waiting for disks.
    """
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > 4 * 2**30
    with tempfile.TemporaryDirectory(prefix="afb-", dir=memory if roomy else None) as folder:
        yield {"TMPDIR": folder}


@nox.session
def quickstart(session: nox.Session) -> None:
    """Create a small shop in an SQLite file, and print it."""
    session.install("-e", ".[sqlalchemy]", "aiosqlite", "asyncpg", "asyncmy")
    session.run("python", "examples/quickstart.py", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests, on SQLite, PostgreSQL, MongoDB, and with MYSQL_URL set on MariaDB."""
    session.install(*PROJECT, "--group", "test", env=COMPILED)
    session.run(*PYTEST, *session.posargs, env=CACHED)


@nox.session
def coverage(session: nox.Session) -> None:
    """Measure coverage by the tests that are not marked as unmeasured."""
    session.install(*PROJECT, "--group", "test", env=COMPILED)
    session.run(*PYTEST, "-m", "not unmeasured", "--cov", *session.posargs, env=CACHED)


@nox.session
def lowest(session: nox.Session) -> None:
    """Run the tests with the lowest versions that are allowed of each direct dependency."""
    session.install(*PROJECT, "--group", "test", "--resolution", "lowest-direct", env=COMPILED)
    # Random cases are many where the newest versions are tested, and fewer here.
    fewer = {"GRAPHS": "15", "FIDELITY": "15", **CACHED}
    session.run(*PYTEST, "-m", "not versionless", *session.posargs, env=fewer)


@nox.session
def nightly(session: nox.Session) -> None:
    """Compare with loops, with factory_boy and with Faker, and store random models: 500 of each."""
    session.install(*PROJECT, "--group", "test")
    more = {"GRAPHS": "500", "FIDELITY": "500", "MODELS": "500", "FAKER_LOCALES": "all", **CACHED}
    files = [
        "tests/test_equality.py", "tests/factory/test_fidelity.py", "tests/factory/test_faking.py",
        "tests/auto/test_random_models.py", "tests/auto/test_random_documents.py",
    ]  # fmt: skip
    session.run(*PYTEST, *files, *session.posargs, env=more)


@nox.session
def compat(session: nox.Session) -> None:
    """Run factory_boy's own tests with every create() going through create_async()."""
    session.install("-e", ".", "pytest", "pip")
    session.run("python", "tests/compat/run.py", *session.posargs)


@nox.session
def motor(session: nox.Session) -> None:
    """Run the tests of Beanie and MongoDB with Beanie 1.30 on Motor."""
    session.install("-e", ".[all,motor]", "beanie==1.30.*", "--group", "test")
    names = [
        "beanie",
        "mongo",
        "polyfactory",
        "waves_mongodb",
        "behaviour",
        "conformance",
        "equality",
    ]
    files = [f"tests/test_{name}.py" for name in names]
    select = ("-k", "beanie or mongo")
    session.run(*PYTEST, *files, *select, *session.posargs, env=CACHED)


@nox.session
def bare(session: nox.Session) -> None:
    """Check what has to work where no ORM is installed."""
    session.install("-e", ".")
    session.run("python", "tests/without_orm/check.py")


@nox.session
@nox.parametrize("folder", ADAPTERS, ids=ADAPTERS)
def adapters(session: nox.Session, folder: str) -> None:
    """Run the tests of each of adapters/, in an environment with nothing else."""
    session.install("-e", ".", "-e", f"adapters/{folder}")
    session.chdir(f"adapters/{folder}")
    session.install("--group", "test")
    with in_memory() as environment:
        session.run("pytest", *session.posargs, env=environment)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and formatting, and the workflows of GitHub Actions."""
    session.install("--group", "lint")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    github = Path(".github")
    for schema, files in {
        "vendor.github-workflows": sorted(github.glob("workflows/*.yml")),
        "custom.github-workflows-require-timeout": sorted(github.glob("workflows/*.yml")),
        "vendor.github-issue-config": [github / "ISSUE_TEMPLATE" / "config.yml"],
        "vendor.github-issue-forms": sorted(github.glob("ISSUE_TEMPLATE/[!c]*.yml")),
        "vendor.dependabot": [github / "dependabot.yml"],
    }.items():
        session.run("check-jsonschema", "--builtin-schema", schema, *files)
    session.run("zizmor", "--offline", "--quiet", "--persona=pedantic", github)


@nox.session
def typing(session: nox.Session) -> None:
    """Check types with mypy (strict) and pyright."""
    folders = [argument for folder in ADAPTERS for argument in ("-e", f"adapters/{folder}")]
    session.install(*PROJECT, *folders, "--group", "typing")
    session.run("mypy")
    session.run("pyright")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation; a warning is an error."""
    session.install("-e", ".[all]", "--group", "docs")
    session.run("sphinx-build", "-W", "--keep-going", "-b", "html", "docs", "docs/_build/html")


@nox.session
def build(session: nox.Session) -> None:
    """Make sdist and wheel in dist/, check both, and use the wheel in an empty environment."""
    session.install("--group", "build")
    shutil.rmtree("dist", ignore_errors=True)
    session.run("python", "-m", "build", "--installer", "uv")  # the wheel is made of the sdist
    files = sorted(Path("dist").iterdir())
    session.run("twine", "check", "--strict", *files)
    session.run("check-wheel-contents", "dist")
    session.run("python", "tests/distribution/check.py", "dist")


@nox.session
def benchmarks(session: nox.Session) -> None:
    """Measure what factories cost over the same by hand; --docs writes it to the pages."""
    session.install(*PROJECT, "--group", "benchmark")
    session.run("python", "-m", "benchmarks", *session.posargs)
