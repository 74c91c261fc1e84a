"""`AdapterConformance`: what every adapter promises, as a class of tests."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Mapping
from importlib.util import find_spec
from typing import Any

import pytest

from async_factory_boy import bind
from async_factory_boy.testing._calls import Calls
from async_factory_boy.testing._connections import Connections
from async_factory_boy.testing._factories import Factories
from async_factory_boy.testing._finding import Finding
from async_factory_boy.testing._saving import Saving
from async_factory_boy.testing._subject import Another, Factory, Rows, Subject

__all__ = ["AdapterConformance"]

_RUNNERS = ("asyncio", "anyio")


class AdapterConformance(Saving, Finding, Calls, Factories, Connections):
    """Tests that an adapter keeps every promise of `PersistenceAdapter`.

    Subclass it, override its fixtures, and run pytest. Three fixtures have to be given: `parent`,
    `child` and `rows`; `options`, if the adapter has call-time options. The others say what the
    store can do; what it cannot is skipped, and the reason names the fixture.

    ```python
    class ParentFactory(AsyncFactory[Parent]):
        class Meta:
            model = Parent
            adapter = MyAdapter

        name = factory.Sequence(lambda n: f"parent{n}")  # unique in the store
        size = 1


    class ChildFactory(AsyncFactory[Child]):
        class Meta:
            model = Child
            adapter = MyAdapter

        class Params:
            parent = factory.SubFactory(ParentFactory)

        name = factory.Sequence(lambda n: f"child{n}")
        parent_id = factory.SelfAttribute("parent.id")


    class TestMyAdapter(AdapterConformance):
        @pytest.fixture
        async def connection(self):
            async with aiosqlite.connect(":memory:") as connection:
                await connection.executescript(TABLES)
                yield connection

        @pytest.fixture
        def options(self, connection):
            return {"my_connection": connection}

        @pytest.fixture
        def parent(self):
            return ParentFactory

        @pytest.fixture
        def child(self):
            return ChildFactory

        @pytest.fixture
        def rows(self, connection):
            async def rows(factory):
                if factory is ParentFactory:
                    query = "SELECT id AS key, name, size FROM parent"
                else:
                    query = "SELECT id AS key, name, parent_id AS parent FROM child"
                cursor = await connection.execute(query)
                names = [column[0] for column in cursor.description]
                return [dict(zip(names, row)) for row in await cursor.fetchall()]

            return rows

        @pytest.fixture
        def rollback(self, connection):
            return connection.rollback

        @pytest.fixture
        def conflict(self):
            return sqlite3.IntegrityError
    ```

    Each test begins with an empty store: have your fixtures see to that. The tests run under
    pytest-asyncio, in either mode; where that is not installed, or the class has
    ``pytestmark = pytest.mark.anyio``, under anyio's plugin (on asyncio).
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        marks = vars(cls).get("pytestmark", [])
        marks = list(marks) if isinstance(marks, list | tuple) else [marks]
        if not any(mark.name in _RUNNERS for mark in marks):
            # Not all of them: each plugin would run the tests, and a mark that no plugin has
            # registered is an error with --strict-markers.
            runner = "asyncio" if find_spec("pytest_asyncio") else "anyio"
            marks.append(getattr(pytest.mark, runner))
        cls.pytestmark = marks

    pytestmark: Any

    @pytest.fixture
    def parent(self) -> Factory:
        """A factory of objects that refer to no others.

        It declares ``name``, a string, as a Sequence; and ``size``, an integer. The store refuses a
        name that is taken, if it can (see `conflict`).
        """
        raise NotImplementedError("Override the fixture `parent`: return a factory.")

    @pytest.fixture
    def child(self) -> Factory:
        """A factory of objects that refer to a parent.

        It declares ``name``, and the parent as a SubFactory of the other factory under the name
        that the fixture `relation` has.
        """
        raise NotImplementedError("Override the fixture `child`: return a factory.")

    @pytest.fixture
    def rows(self) -> Rows:
        """An async function that reads what is stored, by other means than the adapter.

        It is called with the factory, `parent` or `child`, and returns a dict for each object, in
        any order: its ``key``, its ``name``; a parent's ``size``; and for a child the key of its
        parent, under the name that the fixture `relation` has. It uses the connection that
        `options` has, so that it sees what is not committed.
        """
        raise NotImplementedError("Override the fixture `rows`: return an async function.")

    @pytest.fixture
    def options(self) -> Mapping[str, Any]:
        """The call-time options of this test: its connection or session. Default: none.

        They are bound around the test.
        """
        return {}

    @pytest.fixture
    def relation(self) -> str:
        """The name under which `child` declares its parent. Default: ``"parent"``."""
        return "parent"

    @pytest.fixture
    def key(self) -> str:
        """The name of the attribute, or of the item of a dict, with the key. Default: ``"id"``."""
        return "id"

    @pytest.fixture
    def rollback(self) -> Callable[[], Awaitable[object]] | None:
        """An async function that undoes what was stored with `options`. Default: none.

        It rolls the caller's transaction back. Afterwards, `options` and `rows` can be used again.
        """
        return None

    @pytest.fixture
    def another(self) -> Another | None:
        """A function that opens a second, independent connection. Default: none.

        It returns an async context manager, which gives the call-time options of that connection,
        and commits on exit. Leave it out if that one cannot write while the transaction of the
        first is open but has only read.
        """
        return None

    @pytest.fixture
    def conflict(self) -> type[Exception] | None:
        """What the driver or ORM raises when a parent's name is taken. Default: none."""
        return None

    @pytest.fixture
    def survives_conflict(self) -> bool:
        """Whether a transaction can go on after ``save_new`` raised a conflict. Default: yes."""
        return True

    @pytest.fixture
    def subject(
        self,
        parent: Factory,
        child: Factory,
        rows: Rows,
        options: Mapping[str, Any],
        relation: str,
        key: str,
        rollback: Callable[[], Awaitable[object]] | None,
        another: Another | None,
        conflict: type[Exception] | None,
        survives_conflict: bool,
    ) -> Generator[Subject]:
        """All of the above, with `options` bound. Not to be overridden."""
        with bind(**options):
            yield Subject(
                parent=parent,
                child=child,
                rows=rows,
                options=options,
                relation=relation,
                key=key,
                rollback=rollback,
                another=another,
                conflict=conflict,
                survives_conflict=survives_conflict,
            )
