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
from async_factory_boy.testing._nesting import Nesting
from async_factory_boy.testing._saving import Saving
from async_factory_boy.testing._subject import Another, Conflict, Factory, Rows, Subject
from async_factory_boy.testing._telling import Telling
from async_factory_boy.testing._undoing import Undoing

__all__ = ["AdapterConformance"]

_RUNNERS = ("asyncio", "anyio")


# pytest runs the tests of the last base first.
class AdapterConformance(Telling, Undoing, Nesting, Connections, Factories, Calls, Finding, Saving):
    """Tests that an adapter keeps every promise of `PersistenceAdapter`.

    Subclass it, override its fixtures, and run pytest:

    ```python
    from dataclasses import dataclass
    from typing import Any

    import factory
    import pytest

    from async_factory_boy.adapters import CallOption, PersistenceAdapter
    from async_factory_boy.factory import AsyncFactory
    from async_factory_boy.testing import AdapterConformance


    class MemoryAdapter(PersistenceAdapter[Any]):
        memory_objects: CallOption[list[Any]] = CallOption()

        async def save(self, instance):
            self.memory_objects.append(instance)
            instance.id = len(self.memory_objects)
            return instance


    @dataclass
    class Company:
        name: str
        size: int
        id: int | None = None


    @dataclass
    class User:
        name: str
        company: Company
        id: int | None = None


    class CompanyFactory(AsyncFactory[Company]):
        class Meta:
            model = Company
            adapter = MemoryAdapter

        name = factory.Sequence(lambda n: f"company{n}")
        size = 1


    class UserFactory(AsyncFactory[User]):
        class Meta:
            model = User
            adapter = MemoryAdapter

        name = factory.Sequence(lambda n: f"user{n}")
        company = factory.SubFactory(CompanyFactory)


    class TestMemoryAdapter(AdapterConformance):
        @pytest.fixture
        def parent(self):
            return CompanyFactory

        @pytest.fixture
        def child(self):
            return UserFactory

        @pytest.fixture
        def relation(self):
            return "company"

        @pytest.fixture
        def options(self):
            return {"memory_objects": []}

        @pytest.fixture
        def rows(self, options):
            async def rows(factory):
                if factory is CompanyFactory:
                    return [
                        {"key": one.id, "name": one.name, "size": one.size}
                        for one in options["memory_objects"]
                        if isinstance(one, Company)
                    ]
                return [
                    {"key": one.id, "name": one.name, "company": one.company.id}
                    for one in options["memory_objects"]
                    if isinstance(one, User)
                ]

            return rows
    ```

    These have to be given: `parent`, `child` and `rows`; `options`, if the adapter has call-time
    options; `relation` and `key`, if yours have other names. The others say what the store can do:
    `rollback`, `another`, `conflict`, `survives_conflict`, `committing`, `new_key`. What it cannot
    do is skipped, and the reason names the fixture. What needs `find`, `flush`, `undo`, `fields` or
    `primary_key` is skipped without that method.

    Each test begins with an empty store, which your fixtures have to see to. A test that fails
    says which promise was broken, and what to change. Begin with the first: the later ones rest on
    what the earlier ones check.

    The tests run under pytest-asyncio, in either mode. Where that is not installed, or where the
    class has ``pytestmark = pytest.mark.anyio``, they run under anyio's plugin, on asyncio.
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
    def conflict(self) -> Conflict | None:
        """What the driver or ORM raises when a parent's name is taken. Default: none.

        A class of exceptions, or a tuple of them, if the store has another one for batches.
        """
        return None

    @pytest.fixture
    def survives_conflict(self) -> bool:
        """Whether a transaction can go on after ``save_new`` raised a conflict. Default: yes."""
        return True

    @pytest.fixture
    def committing(self) -> Factory | None:
        """A factory like `parent`, whose adapter was told to commit. Default: none.

        For an adapter that has an option for that.
        """
        return None

    @pytest.fixture
    def new_key(self) -> Callable[[], Any] | None:
        """A function that returns a key for a new parent, another one each time. Default: none.

        For a store that takes keys from the caller. Parents are constructed with it under the name
        that the fixture `key` has. The store must not come to give that key by itself: where it
        counts, return a number that is far from what it has counted to.
        """
        return None

    @pytest.fixture
    def anyio_backend(self) -> str:
        """Where anyio's plugin runs the tests: not on trio. Not to be overridden."""
        return "asyncio"

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
        conflict: Conflict | None,
        survives_conflict: bool,
        committing: Factory | None,
        new_key: Callable[[], Any] | None,
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
                committing=committing,
                new_key=new_key,
            )
