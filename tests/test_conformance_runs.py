"""The conformance suite as its users run it: subclassed in a file of their own."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from async_factory_boy.testing import AdapterConformance
from tests.forks import Forks

pytestmark = pytest.mark.unmeasured

ASYNCIO = ("-p", "pytest_asyncio.plugin", "-o", "asyncio_default_fixture_loop_scope=function")
# To load all plugins that there are takes as long as all else.
ENVIRONMENT = {
    "PYTHONPATH": str(Path(__file__).parent.parent),
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
}


Run = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path, forks: Forks) -> Run:
    """Runs a file of tests by pytest, in a process of its own, and returns what it printed."""

    def run(example: str, *arguments: str) -> str:
        (tmp_path / "test_example.py").write_text(example)
        done = forks.run(
            *("-m", "pytest", "-p", "no:cacheprovider", "-rs"),
            *("-c", os.devnull, "--rootdir", str(tmp_path), "-W", "error", "--strict-markers"),
            *(*arguments, "test_example.py"),
            cwd=tmp_path,
            env=os.environ | ENVIRONMENT,
        )
        return done.stdout + done.stderr

    return run


@pytest.fixture
def example() -> str:
    """The example in the docstring of the class."""
    found = re.search(r"```python\n(.*?)```", inspect.getdoc(AdapterConformance) or "", re.DOTALL)
    assert found is not None
    return found[1]


@pytest.mark.parametrize("mode", ["auto", "strict"])
def test_asyncio(run: Run, example: str, mode: str) -> None:
    """The example in the docstring is green in either mode of pytest-asyncio."""
    printed = run(example, *ASYNCIO, "-o", f"asyncio_mode={mode}")
    assert re.search(r"\d+ passed, \d+ skipped in", printed), printed
    assert "MemoryAdapter cannot look objects up: it does not implement find()" in printed
    assert "the store has no transactions: the fixture `rollback` is not given" in printed


def test_anyio(run: Run, example: str) -> None:
    """A class with anyio's mark runs under its plugin, without pytest-asyncio."""
    marked = example.replace(
        "class TestMemoryAdapter(AdapterConformance):\n",
        "class TestMemoryAdapter(AdapterConformance):\n    pytestmark = pytest.mark.anyio\n\n",
    )
    printed = run(marked, "-p", "anyio.pytest_plugin")
    assert re.search(r"\d+ passed, \d+ skipped in", printed), printed


def test_missing_fixture(run: Run) -> None:
    """A fixture that has to be given, and is not, is named by the error."""
    printed = run(
        "from async_factory_boy.testing import AdapterConformance\n"
        "class TestNothing(AdapterConformance): pass\n",
        *ASYNCIO,
        *("-k", "test_save_is_async"),
    )
    assert "NotImplementedError: Override the fixture `parent`: return a factory." in printed


def test_message(run: Run, example: str) -> None:
    """What is printed of a failure ends with the promise that was broken, and what to do."""
    broken = example.replace("        instance.id = len(self.memory_objects)\n", "")
    printed = run(broken, *ASYNCIO, "-k", "test_save_sets_the_key")
    assert (
        "BrokenPromise: save() must set the key under which the object is stored. Ask the store "
        "for the key (lastrowid, RETURNING), and set it on the instance."
    ) in printed
    assert "AssertionError: id is None on Company(name='name0', size=0, id=None)" in printed


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            '"name": one.name, "size": one.size}',
            '"name": one.name}',
            "for CompanyFactory, without 'size'; each row has to have 'key', 'name', 'size'.",
        ),
        (
            "        model = Company\n        adapter = MemoryAdapter\n",
            "        model = Company\n        adapter = Finding()\n",
            "WrongFixtureError: The fixture `parent` returns CompanyFactory, whose adapter has "
            "get_or_create; return one without: the suite makes its own of it.",
        ),
    ],
    ids=["rows", "parent"],
)
def test_wrong_fixture(run: Run, example: str, old: str, new: str, message: str) -> None:
    """A fixture that is wrong is told apart from an adapter that is."""
    finding = (
        "class Finding(MemoryAdapter):\n    get_or_create = ('name',)\n"
        "    async def find(self, model, lookup): return None\n\n\n"
    )
    changed = example.replace("@dataclass\nclass Company", f"{finding}@dataclass\nclass Company")
    assert old in changed
    printed = run(changed.replace(old, new), *ASYNCIO, "-k", "test_save_keeps_the_values")
    assert message in printed, printed
    assert "BrokenPromise" not in printed
