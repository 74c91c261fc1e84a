"""The protocol between a factory and a store."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Generator, Hashable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any, ClassVar, Generic, TypeVar

from async_factory_boy.exceptions import AdapterError, ConfigurationError
from async_factory_boy.options import CallOption

__all__ = ["PersistenceAdapter"]

M = TypeVar("M")


class PersistenceAdapter(ABC, Generic[M]):
    """Stores the objects that factories build.

    Write `save`, and the adapter works; every other method has a default. Methods are called with
    the call-time options of one call in force, so that an option declared with `CallOption` reads
    as this call's value.

    ```python
    class ListAdapter(PersistenceAdapter[M]):
        def __init__(self, rows: list[M]) -> None:
            self.rows = rows

        async def save(self, instance: M) -> M:
            self.rows.append(instance)
            return instance


    class UserFactory(AsyncFactory[User]):
        class Meta:
            model = User
            adapter = ListAdapter([])
    ```

    `save` and `save_many` have the shape of polyfactory's ``AsyncPersistenceProtocol``, so one
    adapter serves both libraries.
    """

    get_or_create: tuple[str, ...] = ()
    """Fields that identify an object: `find` is asked for one with their values before a new one
    is built. Empty: every call stores a new object."""

    conflicts: ClassVar[tuple[type[Exception], ...]] = ()
    """What `save_new` raises when the store has an object with the same unique values."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for attribute in vars(cls).values():
            if isinstance(attribute, CallOption):
                attribute.declare()

    @classmethod
    def handles(cls, model: type) -> bool:
        """Tell whether `model` belongs to this adapter's store.

        Asked only for a factory that names no adapter.
        """
        return False

    def check(self, model: type[M]) -> None:
        """Raise if an object of `model` could not be stored now.

        Called when a factory is about to create, before it evaluates its first declaration: the
        place to find that a session is missing or the ORM is not initialised.
        """

    def ambient(self, model: type[M]) -> Mapping[str, Any]:
        """Return call-time options that nobody gave, but that hold where the call is made.

        For a store whose connection goes by a context variable: that of the transaction which the
        calling hook is in, say. Other methods may be called from elsewhere, where they read
        what this has returned. Default: none.
        """
        return {}

    def build(self, model: type[M], args: Sequence[Any], kwargs: Mapping[str, Any]) -> M:
        """Construct an object, without any I/O. Default: ``model(*args, **kwargs)``."""
        return model(*args, **kwargs)

    @abstractmethod
    async def save(self, instance: M) -> M:
        """Store `instance`, and return it with what the store filled in (its key, say)."""

    async def save_many(self, instances: Sequence[M]) -> Sequence[M]:
        """Store instances of one model, and return as many, in order. Default: `save` for each."""
        return [await self.save(instance) for instance in instances]

    async def find(self, model: type[M], lookup: Mapping[str, Any]) -> M | None:
        """Return the stored object whose fields have the values of `lookup`, or ``None``.

        Enables ``get_or_create``.
        """
        raise AdapterError(
            f"{type(self).__name__} cannot look objects up, so get_or_create is not available "
            "with it; implement find(model, lookup), or leave get_or_create empty."
        )

    async def find_many(
        self, model: type[M], lookups: Sequence[Mapping[str, Any]]
    ) -> Sequence[M | None]:
        """Answer a `find` for each of several distinct lookups, in order. Default: `find` each."""
        return [await self.find(model, lookup) for lookup in lookups]

    async def find_winner(self, model: type[M], lookup: Mapping[str, Any]) -> M | None:
        """Answer `find` after `save_new` raised a conflict. Default: `find`.

        Differs where a transaction does not see by a plain lookup what another one has committed
        since it began.
        """
        return await self.find(model, lookup)

    async def save_new(self, build: Callable[[], Awaitable[Sequence[M]]]) -> Sequence[M]:
        """Store the objects that `build` constructs, since `find` did not find them.

        Default: ``return await self.save_many(await build())``.

        Another task or process may have stored one of the same in between. Then this raises one
        of `conflicts`, none of the objects is stored, and all that was done before in the caller's
        transaction stays as it was. With savepoints, set one before calling `build`.
        """
        return await self.save_many(await build())

    @property
    def commits_later(self) -> bool:
        """Whether `complete` will be called, so that an adapter that commits has to wait for it."""
        return _commits_later.get()

    async def complete(self) -> None:
        """Commit, if the adapter is to; called at the end of each batch that did not fail."""

    async def finish(self, instances: Sequence[M]) -> None:
        """Make instances whole before a call returns them.

        Called once at the end of each call, after its last hook, with every instance this adapter
        stored or found in it: hooks may have left what an earlier `save` loaded out of date.
        """

    def stored_through(self, model: type[M]) -> Hashable:
        """Return what objects of `model` are stored through now: a session, a connection.

        Adapters for which it is the same share a transaction, so `rolled_back` of one of them
        undoes what any of them has stored. Default: each adapter stores by itself.
        """
        return id(self)

    def rolled_back(self, model: type[M]) -> AbstractAsyncContextManager[Mapping[str, Any]]:
        """Return a context manager that undoes at its end what has been stored inside of it.

        What was stored before stays as it was, also if the store has refused something inside.
        With savepoints, set one; what waits to be written, write it before undoing it. Entering
        returns call-time options to put in force inside: a transaction that was begun, say.

        Enables `async_factory_boy.lint`. Default: unsupported.

        Raises:
            AdapterError: When the store cannot undo anything.
        """
        raise AdapterError(
            f"{type(self).__name__} cannot undo what it stores, as lint() does after each object; "
            'implement rolled_back(model). Or write lint(..., strategy="build"), which stores '
            "nothing; or lint(..., rollback=False) on a store that is thrown away afterwards."
        )

    def exclusive(self) -> AbstractAsyncContextManager[object]:
        """Return a context manager that is held around each use of the store. Default: none.

        For a connection or session that only one task at a time may use: return its lock.
        """
        return nullcontext()


_commits_later: ContextVar[bool] = ContextVar("async_factory_boy_commits_later", default=False)


@contextmanager
def deferred_commits() -> Generator[None]:
    """Have adapters leave committing to `PersistenceAdapter.complete` inside the block."""
    before = _commits_later.get()
    _commits_later.set(True)
    try:
        yield
    finally:
        _commits_later.set(before)


def fields_option(name: str, value: object, *, owner: str) -> tuple[str, ...]:
    """Return `value`, an option that takes names of fields, as a tuple.

    Raises:
        ConfigurationError: When it is anything but a sequence of strings.
    """
    if isinstance(value, str):
        raise ConfigurationError(
            name, f"takes a sequence of field names; write ({value!r},).", owner=owner
        )
    if not isinstance(value, Sequence | set | frozenset) or not all(
        isinstance(field, str) for field in value
    ):
        raise ConfigurationError(
            name,
            f'takes a sequence of field names, such as ("email",); got {value!r}.',
            owner=owner,
        )
    return tuple(value)
