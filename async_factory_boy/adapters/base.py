"""The protocol between a factory and a store."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Collection, Hashable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple, TypeVar

from async_factory_boy.adapters.fields import Field
from async_factory_boy.adapters.validation import check_attributes, check_complete, check_methods
from async_factory_boy.exceptions import AdapterError
from async_factory_boy.options import CallOption, declare, in_force

__all__ = ["ForEachUse", "PersistenceAdapter"]

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True

M = TypeVar("M")


class ForEachUse(NamedTuple):
    """A key that a call takes anew for each use, and does not keep until it ends.

    For `PersistenceAdapter.connection_key`, where nothing that is left open between two uses could
    be disturbed: a database that takes one writer at a time, say.
    """

    key: Hashable


class PersistenceAdapter(ABC, Generic[M]):
    """Stores the objects that factories build.

    Write `save`, and the adapter works: every other method has a default. The methods are in three
    tiers, of which each gives more, and none needs one above it:

    - **store**: `save`; if you like `save_many`, `build`, `check`, `takes`, `keys_of`,
      `fields`, `primary_key` and `handles`. Gives create, build, and batches.
    - **find**: `find`; if you like `find_many`, `save_new` with `conflicts`, and `find_afresh`.
      Gives ``get_or_create``, and an answer to its races.
    - **transact**: `connection_key`, `flush`, `refresh`, `commit`, `undo` and `ambient_options`,
      each by itself. They give one session to many tasks, whole objects after hooks, commits, and
      lint. For a unit of work there are `postpones`, `add` and `concerns` as well.

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

    To create an object, a factory calls in this order:

    1. `check`, before it evaluates its first declaration, unless it has in this call;
    2. with ``get_or_create``: `find`, and if there is nothing, `save_new`, which calls `build` and
       `save_many`; without it: `build` and `save`. For objects of a batch that are ready at the
       same time, these are `find_many` and `save_new`, or `build` and `save_many`;
    3. `refresh`, when the call that was made of the factory is over, hooks included;
    4. `commit`, when that call is not part of another.

    From 2 on, the outermost call keeps `connection_key` to itself.

    One instance serves many calls, tasks and event loops, often at once. So what belongs to one of
    them, a session or a connection, is never kept on the adapter: declare a `CallOption` for it,
    and read that. Each method is called with the options of one call in force. (What an adapter
    is configured with, like ``get_or_create``, its constructor takes and keeps.)

    Errors of the store pass untouched. For mistakes of the caller there are `OptionError`,
    `MissingOptionError` (no session), `ConfigurationError` (wrong arguments of the constructor),
    and `AdapterError`: that is also how an adapter says that it lacks a capability.

    See each method for what it is called with and has to return. Arguments are passed by
    position. polyfactory, which has `save` and `save_many` in its ``AsyncPersistenceProtocol``,
    passes ``data`` by name: if you call the parameter so in both, one adapter serves both
    libraries.

    Raises:
        ConfigurationError: When a subclass declares a call-time option whose name is taken, or has
            no prefix.
        AdapterError: When a subclass has a method of the protocol that cannot be called as such,
            and when one without `save` is instantiated.
    """

    get_or_create: tuple[str, ...] = ()
    """Fields that identify an object: `find` is asked for one with their values before a new one
    is built. Empty: every call stores a new object. Usually set by the constructor."""

    refreshes: bool = True
    """Whether `refresh` has anything to do: false where the adapter's options leave nothing."""

    conflicts: ClassVar[tuple[type[Exception], ...]] = ()
    """What `save_new` raises when the store has an object with the same unique values. Empty: such
    an error is the caller's, and `find_afresh` is never asked."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        check_methods(cls, PersistenceAdapter)
        check_attributes(cls)
        # Of its bases too: one that is no adapter, a mixin, has not been seen to.
        declare(
            attribute
            for base in cls.__mro__
            for attribute in vars(base).values()
            if isinstance(attribute, CallOption)
        )

    if not TYPE_CHECKING:  # where the arguments are those of __init__

        def __new__(cls, *args: Any, **kwargs: Any) -> Any:
            check_complete(cls)
            if (args or kwargs) and cls.__init__ is object.__init__:
                # Python leaves that to whoever overrides __new__.
                raise TypeError(f"{cls.__name__}() takes no arguments")
            return super().__new__(cls)

    # Tier 1: store.

    @classmethod
    def handles(cls, model: type) -> bool:
        """Tell whether `model` belongs to this adapter's store.

        Asked only for a factory that names no adapter, and of adapters that are imported already.

        Args:
            model: Any class, or what else ``Meta.model`` takes.

        Returns:
            Whether an object of `model` can be stored without asking any other adapter. Default:
            ``False``.
        """
        return False

    def check(self, model: type[M]) -> None:
        """Raise if an object of `model` could not be stored now.

        Called when a factory is about to create, before it evaluates its first declaration: the
        place to find that a session is missing, that the ORM is not initialised, or that the
        adapter is not for models of this kind. A call asks once for each factory, unless other
        options come into force. Default: nothing.

        Args:
            model: The factory's ``Meta.model``.

        Raises:
            AsyncFactoryError: A `MissingOptionError`, `AdapterError` or `ConfigurationError` that
                says what to write instead. The name of the factory is added to a
                `MissingOptionError`.
        """

    def takes(self, model: type[M], name: str) -> bool | None:
        """Return whether an object can be constructed with a name, or ``None`` if that is unknown.

        Asked about a name that only a call has, where the constructor takes any: so that one which
        is misspelt is refused before anything is stored. Default: ``None``.

        Args:
            model: The factory's ``Meta.model``.
            name: The name of the keyword.
        """
        return None

    def keys_of(self, model: type[M]) -> Mapping[str, Mapping[str, str]]:
        """Return which relations are stored as keys, in attributes of the object's own.

        Where a call gives all keys of a relation, and not the relation, what a factory declares
        for the relation is left out: ``create_async(company_id=3)`` makes no company. Asked when a
        factory is called with names it was not called with before, so keep what takes long to find
        out. Default: none.

        Args:
            model: The factory's ``Meta.model``.

        Returns:
            For each relation, its keys: the names of the attributes that hold them, each with the
            attribute of the related object that it is equal to. For example
            ``{"company": {"company_id": "id"}}``.
        """
        return {}

    def fields(self, model: type[M]) -> Sequence[Field]:
        """Return what the fields of a model are, for ``Meta.auto_declarations``.

        Asked when a factory is first used, and the answer is kept. Default: raises, as a missing
        capability.

        Args:
            model: The factory's ``Meta.model``.

        Returns:
            The fields that the constructor of the model takes, in the order of the model.

        Raises:
            AdapterError: When the model cannot be asked yet: its ORM is not initialised, say. It
                says what to do first.
        """
        raise AdapterError(
            f"{type(self).__name__} has no fields() method, which Meta.auto_declarations asks for "
            "what a model is made of. Write the declarations in the factory, or add the method to "
            "the adapter."
        )

    def primary_key(self, instance: M, /) -> Mapping[str, Any]:
        """Return the key that an object is stored under, without any I/O. Default: not known.

        Asked when a call is over, also one that has failed, so that what pytest tells of a test
        can name its objects.

        Args:
            instance: An object that factories have made.

        Returns:
            The names of the attributes that hold the key, each with its value; or with ``None``
            where the object is known not to be stored. Empty if nothing is known.
        """
        return {}

    def build(self, model: type[M], args: Sequence[Any], kwargs: Mapping[str, Any]) -> M:
        """Construct an object, without any I/O. Default: ``model(*args, **kwargs)``.

        Called for ``build_async`` as well, where no session is given.

        Args:
            model: The factory's ``Meta.model``.
            args: Positional arguments: the values that ``Meta.inline_args`` names.
            kwargs: The other values, by the names that the model has for them.

        Returns:
            The object, which is what `save` is given.
        """
        return model(*args, **kwargs)

    @abstractmethod
    async def save(self, instance: M, /) -> M:
        """Store one new object, and return it with what the store filled in (its key, say).

        When this returns, the object is stored: what it depends on can refer to it by its key, and
        a hook finds it in the store. The one method that an adapter has to write.

        Args:
            instance: The object, as `build` made it.

        Returns:
            The very same object, since others may refer to it already.

        Raises:
            Exception: What the store raises, untouched. Nothing is stored then.
        """

    async def save_many(self, instances: Sequence[M], /) -> Sequence[M]:
        """Store new objects of one model. Default: `save` for each.

        Called for the objects of a batch, to store them by one statement or request. Where the
        store's bulk path skips something that `save` does, do it here, or call `save` for each.

        Args:
            instances: The objects, one or more.

        Returns:
            The same objects in the same order, each as from `save`.

        Raises:
            Exception: What the store raises, untouched.
        """
        return [await self.save(instance) for instance in instances]

    # Tier 2: find.

    async def find(self, model: type[M], lookup: Mapping[str, Any]) -> M | None:
        """Look one object up, for ``get_or_create``. Default: raises, as a missing capability.

        Args:
            model: The factory's ``Meta.model``.
            lookup: The values of the fields that ``get_or_create`` names; all have to match.

        Returns:
            The stored object, whole, or ``None`` where there is none; never a new one.

        Raises:
            MultipleFoundError: When several objects match.
            Exception: What the store raises, untouched; but not for want of an object.
        """
        raise _cannot_find(self)

    async def find_many(
        self, model: type[M], lookups: Sequence[Mapping[str, Any]]
    ) -> Sequence[M | None]:
        """Answer a `find` for each of several distinct lookups. Default: `find` for each.

        Called for the objects of a batch.

        Args:
            model: As for `find`.
            lookups: One or more, all of the same fields.

        Returns:
            An object or ``None`` for each, in order.

        Raises:
            MultipleFoundError: As for `find`.
        """
        return [await self.find(model, lookup) for lookup in lookups]

    async def find_afresh(self, model: type[M], lookup: Mapping[str, Any]) -> M | None:
        """Answer `find` after `save_new` raised one of `conflicts`. Default: `find`.

        Differs where a transaction does not see by a plain lookup what another one has committed
        since it began. For ``None``, the conflict is raised to the caller.
        """
        return await self.find(model, lookup)

    async def save_new(self, build: Callable[[], Awaitable[Sequence[M]]]) -> Sequence[M]:
        """Store the objects that `build` constructs, since `find` did not find them.

        Default: ``return await self.save_many(await build())``.

        Another task or process may have stored one of the same in between. Then this raises one
        of `conflicts`, none of the objects is stored, and all that was done before in the caller's
        transaction stays as it was. With savepoints, set one before calling `build`.

        Args:
            build: Await it once for the objects, one or more of one model.

        Returns:
            What `save_many` returns.

        Raises:
            Exception: One of `conflicts`, or what else the store raises.
        """
        return await self.save_many(await build())

    # Tier 3: transact.

    def ambient_options(self, model: type[M]) -> Mapping[str, Any]:
        """Return call-time options that nobody gave, but that hold where the call is made.

        For a store whose connection goes by a context variable: that of the transaction which the
        calling hook is in, say. Other methods may be called from elsewhere, where they read
        what this has returned. Default: none.

        Args:
            model: The class of the object that is about to be stored.

        Returns:
            Names of options that the adapter declares, each with its value.
        """
        return {}

    def connection_key(self, model: type[M]) -> Hashable:
        """Return what objects of a model are stored through now, if one task at a time may use it.

        Such as a session, or a connection that is in a transaction: something hashable that is
        the same each time. The outermost call keeps it to itself, from before it constructs the
        first object until it ends, so that calls of several tasks may share it. What the call
        runs itself, such as a hook, or an adapter's `save` that creates further objects, stores
        through it meanwhile.

        Adapters for which it is the same share a transaction: `undo` of one of them undoes
        what any of them has stored. Default: ``None``, for what many tasks may use at once.

        Args:
            model: The class of the objects.
        """
        return None

    async def flush(self) -> None:
        """Write what hooks have changed of objects that are stored; called once, when all is done.

        Called at the end of the outermost call, for each adapter that it has used, before any is
        asked to `refresh`. Default: nothing.
        """

    async def refresh(self, instances: Sequence[M]) -> None:
        """Make objects whole before a call returns them. Default: nothing.

        Called at the end of each call, after its last hook: hooks may have left what an earlier
        `save` loaded out of date. At the end of the outermost call, it is called for all that the
        call has made.

        Args:
            instances: Every object that this adapter stored or found in the call, of any model.
        """

    @property
    def commits_later(self) -> bool:
        """Whether `commit` will be called, so that an adapter that commits has to wait for it.

        False where something else than a factory of this library uses the adapter.
        """
        return in_force().is_of_call

    async def commit(self) -> None:
        """Commit, if the adapter is to; called at the end of an outermost call that succeeds.

        Most adapters leave that to the caller, and this out: nobody is to commit who was not asked
        to. Default: nothing.
        """

    def undo(self, model: type[M]) -> AbstractAsyncContextManager[Mapping[str, Any]]:
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
            'implement undo(model). Or write lint(..., strategy="build"), which stores '
            "nothing; or lint(..., rollback=False) on a store that is thrown away afterwards."
        )

    # For the report of the pytest plugin.

    def listen(
        self, heard: Callable[[Callable[[object], bool]], object], /
    ) -> Callable[[], object] | None:
        """Have a callable called each time that this process asks the store for something.

        So that ``--factory-report`` can tell which objects nobody asks the store for. Not only
        what the adapter sends counts: what an application does by itself, on whatever connection,
        does as well, and so does what an ORM answers without asking the store. Default: ``None``,
        for a store that nobody can listen to.

        Args:
            heard: Is called, before that, with a function that tells whether it may change what is
                stored of an object. It may be called more often.

        Returns:
            What ends it.
        """
        return None

    # For a unit of work, which orders by itself what it is given.

    def postpones(self, model: type[M], names: Collection[str]) -> bool:
        """Return whether new objects of a model may be stored together with what comes later.

        For a store that orders what it is given by itself, as a unit of work does. Objects for
        which this is true are constructed and given to `add`; `save` or `save_many` follows before
        anybody could tell: before code of the user's sees the object, or the call ends. So a graph
        whose declarations look at nothing is stored at once. Default: ``False``.

        Args:
            model: The class of the objects.
            names: The names of the values that they are constructed with. The constructor may be
                given objects that are not stored yet, so it must not look at their values.
        """
        return False

    def add(self, instances: Sequence[M], /) -> None:
        """Take new objects, without any I/O, that `save` or `save_many` is to store later.

        Called for objects that `postpones`. Default: nothing.
        """

    def concerns(self, error: Exception, model: type[M]) -> bool:
        """Return whether an error may be about objects of a model. Default: ``True``.

        Asked when objects that `postpones` have been refused together, to say in a note which
        factories it may be from.

        Args:
            error: What `save` or `save_many` has raised.
            model: The class of some of the objects.
        """
        return True


def _cannot_find(adapter: PersistenceAdapter[Any]) -> AdapterError:
    return AdapterError(
        f"{type(adapter).__name__} cannot look objects up, so get_or_create is not available with "
        "it; implement find(model, lookup), or leave get_or_create empty."
    )


def check_capable(adapter: PersistenceAdapter[Any]) -> None:
    """Raise AdapterError if `adapter` is configured for what it has no method for."""
    if adapter.get_or_create and type(adapter).find is PersistenceAdapter.find:
        raise _cannot_find(adapter)
