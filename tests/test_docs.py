"""The documentation, executed: a reader who copies a page's files gets a green test run.

In README.md and docs/, every block of Python begins with a comment that names its file. The
blocks of one name make one file, and the files of a page are tested together, in a folder of their
own. A block of TOML or INI may name its file too, and is then part of the page's project.

In docstrings, every block of Python of the modules that need no more than SQLite is executed.
"""

from __future__ import annotations
import __future__

import ast
import builtins
import importlib
import inspect
import os
import re
import shutil
import sysconfig
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from operator import attrgetter
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, TypeVar
from xml.etree import ElementTree

import factory
import pytest
from markdown_it import MarkdownIt
from sqlalchemy import ForeignKey
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

import async_factory_boy
from async_factory_boy.adapters import PersistenceAdapter
from async_factory_boy.adapters.sqlalchemy import SQLAlchemyAdapter
from async_factory_boy.factory import AsyncFactory
from async_factory_boy.factory.sqlalchemy import AsyncSQLAlchemyModelFactory
from async_factory_boy.options import CallOption
from tests.forks import Forks
from tests.servers import Servers

pytestmark = [pytest.mark.unmeasured, pytest.mark.versionless]

ROOT = Path(__file__).parent.parent
# The servers that a page may need, with databases that are empty.
SERVERS = {
    "POSTGRES_URL": Servers.new_postgres,
    "MYSQL_URL": Servers.new_mysql,
    "MONGODB_URL": lambda servers: servers.mongodb,
}

# What a page need not repeat of getting-started.md.
PYTEST_ASYNCIO = ["-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=function"]


class Block(NamedTuple):
    """A fenced block of code."""

    language: str
    code: str
    line: int


def blocks(markdown: str, first_line: int = 1) -> Iterator[Block]:
    """Yield the fenced blocks of a page, with those that are within a MyST directive."""
    for token in MarkdownIt("commonmark").parse(markdown):
        if token.type == "fence":
            assert token.map is not None
            block = Block(token.info.strip(), token.content, first_line + token.map[0])
            if block.language.startswith("{"):
                yield from blocks(block.code, block.line + 1)
            else:
                yield block


# Pages.


def page_files(markdown: str) -> dict[str, str]:
    """Return the files that a page describes: what is in each, by name.

    Raises:
        ValueError: When a block of Python names no file, or one outside of the page's folder.
    """
    files: dict[str, str] = {}
    for language, code, line in blocks(markdown):
        if language not in ("python", "toml", "ini"):
            continue
        comment = re.match(r"# (\S+\.(?:py|toml|ini))\n", code)
        if comment is None:
            if language == "python":
                raise ValueError(
                    f"line {line}: a block of Python has to begin with a comment that names its "
                    "file, such as # test_users.py; use ```pycon or ```text for what is no file"
                )
            continue
        path = PurePosixPath(comment[1])
        if path.is_absolute() or ".." in path.parts:
            raise ValueError(f"line {line}: {path} is not in the folder of the page")
        files[str(path)] = files.get(str(path), "") + code
    return files


def without_ours(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without the servers, and without what is for this test run only."""
    reader = {
        name: value
        for name, value in environ.items()
        if name not in SERVERS and not name.startswith("PYTEST_")
    }
    # Of the plugins of this test run, readers have pytest-asyncio and ours.
    return reader | {
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTEST_PLUGINS": "pytest_asyncio.plugin,async_factory_boy.pytest_plugin",
    }


def run_page(markdown: str, folder: Path, environment: dict[str, str], forks: Forks) -> str | None:
    """Run pytest on the files of a page; return what is wrong, or ``None``."""
    files = page_files(markdown)
    for name, code in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(code)
    pytest_command = shutil.which("pytest", path=sysconfig.get_path("scripts"))
    assert pytest_command is not None
    configured = {"pyproject.toml", "pytest.ini", "pytest.toml"} & files.keys()
    options = [] if configured else PYTEST_ASYNCIO
    report = folder / "report.xml"
    done = forks.run(
        *(pytest_command, "--rootdir=.", "-p", "no:cacheprovider", "-W", "error", "-ra"),
        *(f"--junitxml={report}", *options),
        cwd=folder,
        env=without_ours(os.environ) | environment,
        timeout=300,
    )
    if done.returncode not in (0, pytest.ExitCode.NO_TESTS_COLLECTED):
        return done.stdout + done.stderr
    tests = list(ElementTree.parse(report).iter("testcase"))
    if not tests:
        return f"the page has Python, but no test\n{done.stdout}"
    if any(_CONFORMANCE not in (skipped.text or "") for skipped in _skipped(tests)):
        return f"a test of the page was skipped\n{done.stdout}"
    return None


# AdapterConformance skips what the store of a page cannot do.
_CONFORMANCE = str(Path("async_factory_boy", "testing", "_"))


def _skipped(tests: Iterable[ElementTree.Element]) -> list[ElementTree.Element]:
    return [skipped for test in tests if (skipped := test.find("skipped")) is not None]


PAGES = [
    path.relative_to(ROOT).as_posix()
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    if any(block.language == "python" for block in blocks(path.read_text()))
]


@pytest.mark.parametrize("page", PAGES)
def test_page(page: str, tmp_path: Path, servers: Servers, forks: Forks) -> None:
    """The files of the page are green, with warnings as errors."""
    markdown = (ROOT / page).read_text()
    environment = {
        variable: server(servers) for variable, server in SERVERS.items() if variable in markdown
    }
    problem = run_page(markdown, tmp_path, environment, forks)
    assert problem is None, problem


def test_readme_is_a_page() -> None:
    """The README has Python, which is executed."""
    assert "README.md" in PAGES


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        ("```python\n# test_a.py\ndef test() -> None:\n    pass\n```", None),
        ("```python\n# test_a.py\ndef test() -> None:\n    assert 1 > 2\n```", "assert 1 > 2"),
        ("```python\n# a.py\nx = 1\n```", "no test"),
        (
            "```python\n# test_a.py\nimport pytest\ndef test() -> None:\n    pytest.skip()\n```",
            "was skipped",
        ),
        (
            "```python\n# test_a.py\nimport warnings\ndef test() -> None:\n"
            "    warnings.warn('careful')\n```",
            "UserWarning: careful",
        ),
        (
            "```python\n# test_a.py\nasync def test() -> None:\n    assert 1 > 2\n```",
            "assert 1 > 2",
        ),
        (
            "```toml\n# pyproject.toml\n[tool.pytest.ini_options]\npython_files = ['check_*']\n"
            "asyncio_default_fixture_loop_scope = 'function'\n```\n\n"
            "```python\n# check_a.py\ndef test() -> None:\n    assert 1 > 2\n```",
            "assert 1 > 2",
        ),
    ],
    ids=["green", "red", "no-test", "skipped", "warning", "async", "configured"],
)
def test_run_page(markdown: str, expected: str | None, tmp_path: Path, forks: Forks) -> None:
    """A page fails for a red test, a warning, a skipped test, and for want of a test."""
    problem = run_page(markdown, tmp_path, {}, forks)
    assert problem is None if expected is None else expected in (problem or "")


def test_page_files() -> None:
    """Blocks of one name are one file; what is not Python needs no name; directives are entered."""
    markdown = (
        "```python\n# a.py\nx = 1\n```\n\n- a list:\n\n  ```python\n  # a.py\n  y = 2\n  ```\n\n"
        "````{note}\n```python\n# sub/b.py\nz = 3\n```\n````\n\n"
        "```pycon\n>>> no file\n```\n\n```toml\nnot = 'a file'\n```\n"
    )
    assert page_files(markdown) == {
        "a.py": "# a.py\nx = 1\n# a.py\ny = 2\n",
        "sub/b.py": "# sub/b.py\nz = 3\n",
    }


@pytest.mark.parametrize(
    ("code", "problem"),
    [("x = 1", "names its file"), ("# ../a.py\nx = 1", "not in the folder of the page")],
)
def test_page_files_refuses(code: str, problem: str) -> None:
    """A block of Python without the name of a file is an error, told with its line."""
    with pytest.raises(ValueError, match=rf"^line 3: .*{problem}"):
        page_files(f"# Title\n\n```python\n{code}\n```\n")


# Docstrings.


class Base(DeclarativeBase):
    pass


class Company(Base):
    __tablename__ = "company"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None]


class User(Base):
    __tablename__ = "user"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None]
    email: Mapped[str | None] = mapped_column(unique=True)
    company_id: Mapped[int | None] = mapped_column(ForeignKey(Company.id))
    company: Mapped[Company | None] = relationship()


class CompanyFactory(AsyncSQLAlchemyModelFactory[Company]):
    class Meta:
        model = Company

    name = factory.Faker("company")


class UserFactory(AsyncSQLAlchemyModelFactory[User]):
    class Meta:
        model = User

    name = factory.Faker("name")
    company = factory.SubFactory(CompanyFactory)


@pytest.fixture
async def session() -> AsyncGenerator[AsyncSession]:
    engine = create_async_engine("sqlite+aiosqlite://")
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with AsyncSession(engine) as session:
        yield session
    await engine.dispose()


# Not imported here: an ORM may be absent, or a module broken, which is for its own tests to say.
PACKAGE = ROOT / "async_factory_boy"
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}

# Their examples need a server, or an ORM that is set up: the pages in docs/stores/ run the like.
OTHER_STORES = ("tortoise", "beanie", "mongo", "databases")

# What an example may take as given, besides the names of its module and the installed packages.
GIVEN = {
    "Any": Any,
    "AsyncFactory": AsyncFactory,
    "AsyncSQLAlchemyModelFactory": AsyncSQLAlchemyModelFactory,
    "Base": Base,
    "CallOption": CallOption,
    "Company": Company,
    "CompanyFactory": CompanyFactory,
    "M": TypeVar("M"),
    "PersistenceAdapter": PersistenceAdapter,
    "Redis": object,
    "SQLAlchemyAdapter": SQLAlchemyAdapter,
    "User": User,
    "UserFactory": UserFactory,
    "async_factory_boy": async_factory_boy,
    "factory": factory,
    "pytest": pytest,
    "session": None,
}
GIVEN_ELSEWHERE = {"collection", "database", "metadata", "users"}


def docstrings(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield the docstrings of a module, its classes and functions, each with its owner's name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(node)
            if docstring:
                yield getattr(node, "name", ""), docstring


def examples() -> Iterator[Any]:
    for module, path in MODULES.items():
        for owner, docstring in docstrings(ast.parse(path.read_text())):
            for number, block in enumerate(blocks(docstring)):
                if block.language == "python":
                    yield pytest.param(module, block.code, id=f"{module}-{owner}-{number}")


def unknown_names(code: str) -> set[str]:
    """Return the names that `code` uses and does not define."""
    used: set[str] = set()
    defined = set(vars(builtins))
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Name):
            (used if isinstance(node.ctx, ast.Load) else defined).add(node.id)
        elif isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            defined.add(node.name)
        elif isinstance(node, ast.arg):
            defined.add(node.arg)
        elif isinstance(node, ast.alias):
            defined.add((node.asname or node.name).partition(".")[0])
    return used - defined


@pytest.mark.parametrize(("module", "code"), list(examples()))
async def test_docstring(module: str, code: str, session: AsyncSession) -> None:
    """The example runs; one that needs another store at least names nothing that is not there."""
    names = {**vars(importlib.import_module(module)), **GIVEN, "session": session}
    if "_database(" in code:
        del names["session"]  # of which this makes a fixture
    if any(part.lstrip("_") in OTHER_STORES for part in module.split(".")):
        assert unknown_names(code) - names.keys() - GIVEN_ELSEWHERE == set()
        return
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT | __future__.annotations.compiler_flag
    running = eval(compile(code, "<docstring>", "exec", flags=flags, dont_inherit=True), names)
    if running is not None:
        await running


def methods(exported: object) -> Iterator[str]:
    """Yield the public methods that a class of ours brings in."""
    if isinstance(exported, type):
        upstream = [
            base for base in exported.__mro__ if not base.__module__.startswith(PACKAGE.name)
        ]
        for name in vars(exported):
            if not name.startswith("_") and not any(name in vars(base) for base in upstream):
                yield name


@pytest.mark.parametrize("module", list(MODULES))
def test_public_objects_are_documented(module: str) -> None:
    """What a module exports has a docstring, its own or that of what it overrides."""
    imported = importlib.import_module(module)
    undocumented = []
    for name in getattr(imported, "__all__", ()):
        exported = getattr(imported, name)
        for path in [name, *(f"{name}.{method}" for method in methods(exported))]:
            found = attrgetter(path)(imported)
            if callable(found) and not inspect.getdoc(found):
                undocumented.append(path)
    assert undocumented == []
