"""Call-time options: what a call may be given, and where an adapter finds it.

A session belongs to a test and an event loop, never to a class. So it is given to a call
(``create_async(sqlalchemy_session=session)``) or bound around many calls (`bind`), and holds for
everything created from there. An adapter declares the options it reads with `CallOption`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Hashable, Iterable, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, Token
from functools import lru_cache, wraps
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from async_factory_boy.exceptions import ConfigurationError, OptionError, closest, shown, similar
from async_factory_boy.stores import STORES

if TYPE_CHECKING:
    # For the signature of `bind` only: an ORM that is not installed counts as Any.
    from databases import Database
    from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session
    from tortoise.backends.base.client import BaseDBAsyncClient

    from async_factory_boy.adapters._mongo.sessions import AsyncCollection as Collection
    from async_factory_boy.adapters._mongo.sessions import AsyncSession as ClientSession

__all__ = ["CallOption", "bind"]

V = TypeVar("V")


class InForce(dict[str, Any]):
    """The options that hold for some code; each change makes another."""

    by_bind: Mapping[str, Any] = {}
    """Those of them that `bind` gave. They hold where a value that was given to one object alone
    does not reach."""

    is_of_call = False
    """Whether a call of a factory asks an adapter for something, which it completes later."""

    # Not cached_property: until Python 3.12 that takes a lock, and these are read for each object.
    _of_call: InForce | None = None
    _identity: Hashable = None

    @property
    def of_call(self) -> InForce:
        """The same options, for what a call asks an adapter for."""
        if self.is_of_call:
            return self
        same = self._of_call
        if same is None:
            same = self._of_call = InForce(self)
            same.by_bind, same.is_of_call = self.by_bind, True
        return same

    @property
    def identity(self) -> Hashable:
        """What is equal for options that are the very same objects."""
        if self._identity is None:
            self._identity = frozenset([(name, id(value)) for name, value in self.items()])
        return self._identity

    def over(self, options: Mapping[str, Any], *, by_bind: bool = False) -> InForce:
        """Return these with `options` put over them, or these if that changes nothing."""
        if not by_bind:
            for name, value in options.items():
                if name not in self or self[name] is not value:
                    break
            else:
                return self
        new = InForce({**self, **options})
        new.by_bind = {**self.by_bind, **options} if by_bind else self.by_bind
        return new


_in_force: ContextVar[InForce] = ContextVar("async_factory_boy_options", default=InForce())  # noqa: B039

# The names of the options whose values are not inherited.
_own: set[str] = set()

# The options of the adapters in this distribution are known before those are imported: a graph
# may reach a store through SubFactory("path.to.Factory") only after `bind` named its option.
_built_in = {option: store.adapter for store in STORES for option in store.options}
_known: dict[str, CallOption[Any] | None] = dict.fromkeys(_built_in)


class CallOption(Generic[V]):
    """Declares, as a class attribute of an adapter, an option that calls and `bind` take.

    The attribute's name is the option's name; prefix it with the name of the store, since it
    shares a call's keywords with the fields of the model. Read on an adapter instance, it is the
    value in force, or ``None``. It is never set there: one instance serves many calls at once.

    ```python
    class RedisAdapter(PersistenceAdapter[M]):
        redis_client: CallOption[Redis] = CallOption()

        async def save(self, instance: M) -> M:
            await self.redis_client.set(...)
    ```

    Args:
        check: Called with each value given for the option; raises `OptionError` if the adapter
            could not use it.
        inherited: Whether a value that a call is given holds for all that the call creates, or
            only for the objects that it asks for: not for those of its SubFactories and hooks.
            What `bind` gives holds for all of them in either case.
    """

    def __init__(
        self, check: Callable[[Any], object] | None = None, *, inherited: bool = True
    ) -> None:
        self._check = check
        self.inherited = inherited
        self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name
        self.owner = f"{owner.__module__}.{owner.__qualname__}"

    @overload
    def __get__(self, instance: None, owner: type) -> CallOption[V]: ...
    @overload
    def __get__(self, instance: object, owner: type) -> V | None: ...
    def __get__(self, instance: object | None, owner: type) -> CallOption[V] | V | None:
        if instance is None:
            return self
        return _in_force.get().get(self.name)

    def __set__(self, instance: object, value: object) -> None:
        raise ConfigurationError(
            self.name,
            "cannot be set, since it would hide what calls and bind() give. Keep a value to fall "
            "back on in another attribute, and read that where this one is None.",
            owner=self.owner,
        )

    def check(self, value: Any) -> None:
        """Raise `OptionError` if the adapter could not use `value`."""
        if self._check is not None:
            self._check(value)

    def accepts(self, value: Any) -> bool:
        """Tell whether `value` is what this option is for, and nothing else can be meant by it."""
        if self._check is None or value is None:
            return False
        try:
            self._check(value)
        except OptionError:
            return False
        return True


def _check_progress(value: object) -> None:
    if not callable(value):
        raise OptionError(
            f"progress takes a callable; got {shown(value)}. It is called with the number of "
            "objects of a batch that are stored, and the size of the batch: bind(progress=print)."
        )


def declare(options: Iterable[CallOption[Any]]) -> None:
    """Make the options of an adapter known to calls and to `bind`: all of them, or none.

    Raises:
        ConfigurationError: When the name of one has no prefix, or belongs to another option.
    """
    options = list(options)
    for option in options:
        _check_name(option)
    for option in options:
        _known[option.name] = option
        if not option.inherited:
            _own.add(option.name)
    misspelt.cache_clear()


def _check_name(option: CallOption[Any]) -> None:
    name = option.name
    if hasattr(Batching, name):
        owner = "the library itself"
    elif not re.fullmatch(r"[^_]+(_[^_]+)+", name):
        raise ConfigurationError(
            name,
            "shares a call's keywords with the fields of models, so its name has to begin with "
            "that of its store and one underscore, as redis_client does.",
            owner=option.owner,
        )
    else:
        other = _known.get(name)
        owner = other.owner if other is not None else _built_in.get(name, option.owner)
    if owner != option.owner:
        raise ConfigurationError(
            name,
            f"is an option of {owner} already; give yours another name, prefixed with the name of "
            "its store.",
            owner=option.owner,
        )


class Batching:
    """The options of the library itself, which say how batches are created."""

    progress: CallOption[Callable[[int, int], object]] = CallOption(_check_progress)


# They are given to `bind` only: without a prefix, a keyword of a call is a field of the model.
_of_bind: dict[str, CallOption[Any] | None] = {"progress": Batching.progress}
_known.update(_of_bind)
batching = Batching()


_NOT_GIVEN: Any = type("_NotGiven", (), {"__repr__": lambda self: "<not given>"})()


@contextmanager
def bind(
    *,
    sqlalchemy_session: AsyncSession | async_scoped_session[AsyncSession] | None = _NOT_GIVEN,
    tortoise_using_db: BaseDBAsyncClient | None = _NOT_GIVEN,
    beanie_session: ClientSession | None = _NOT_GIVEN,
    mongo_collection: Collection | None = _NOT_GIVEN,
    mongo_database: Any = _NOT_GIVEN,
    mongo_session: ClientSession | None = _NOT_GIVEN,
    databases_database: Database | None = _NOT_GIVEN,
    progress: Callable[[int, int], object] | None = _NOT_GIVEN,
    **others: Any,
) -> Generator[None]:
    """Give call-time options to every call made inside the ``with`` block.

    An autouse fixture that yields inside it is all the wiring a test suite needs:

    ```python
    @pytest.fixture(autouse=True)
    async def factories(session):
        with async_factory_boy.bind(sqlalchemy_session=session):
            yield
    ```

    What is bound lives in a context variable: it is seen by this task and the tasks it starts,
    not by others. A `bind` within another adds to it; a call's own keyword beats both.

    ``None`` hides what an outer `bind` gave.

    Args:
        sqlalchemy_session: The session of the factories for SQLAlchemy and SQLModel.
        tortoise_using_db: The connection of those for Tortoise ORM.
        beanie_session: The client session of those for Beanie.
        mongo_collection: The collection of those for PyMongo and Motor.
        mongo_database: The database that has the collections of those for PyMongo and Motor, if
            they name them.
        mongo_session: The client session of those for PyMongo and Motor.
        databases_database: The database of those for databases.
        progress: Called with the number of objects stored and the size of the batch, after each
            ``Meta.batch_size`` objects of a batch.
        **others: The options of further adapters.

    Raises:
        OptionError: When an option is unknown, or its value is not what its adapter needs.
    """
    # Named in the signature for type checkers and editors, which could not know them otherwise.
    named = {
        "sqlalchemy_session": sqlalchemy_session,
        "tortoise_using_db": tortoise_using_db,
        "beanie_session": beanie_session,
        "mongo_collection": mongo_collection,
        "mongo_database": mongo_database,
        "mongo_session": mongo_session,
        "databases_database": databases_database,
        "progress": progress,
    }
    options = {name: value for name, value in named.items() if value is not _NOT_GIVEN} | others
    refuse_unknown(options, owner="bind()")
    before = _in_force.get()
    _in_force.set(before.over(_checked(options), by_bind=True))
    try:
        yield
    finally:
        # Not reset(token): pytest's plugins may tear a fixture down in a copy of the context it
        # was set up in, where a token is refused.
        _in_force.set(before)


def refuse_unknown(names: Iterable[str], *, owner: str, further: Iterable[str] = ()) -> None:
    """Raise OptionError for what is no call-time option.

    Args:
        names: What was given.
        owner: What it was given to.
        further: The keywords that may have been meant besides.
    """
    for name in names:
        if name not in _known:
            raise OptionError(
                f"{owner} got an unknown option {name!r}.{closest(name, {*_known, *further})} "
                f"Known options: {', '.join([*further, *sorted(_known)])}. Those of an adapter are "
                "known once its module is imported."
            )


def _by_name(function: Callable[..., Any]) -> Callable[..., Any]:
    """Have the session that somebody gives without a name refused in words of ours."""

    @wraps(function)
    def call(*values: object, **options: Any) -> Any:
        if values:
            raise OptionError(
                "bind() takes each option by its name, such as bind(sqlalchemy_session=session); "
                f"got an object of type {type(values[0]).__name__} without one."
            )
        return function(**options)

    return call


if not TYPE_CHECKING:  # which know the signature
    bind = _by_name(bind)


def take_back(token: Token[Any]) -> None:
    """Give a context variable the value it had, unless this is another context.

    The garbage collector may close a coroutine anywhere: what that has set was set elsewhere.
    """
    try:  # suppress() takes longer, and this runs several times for each object
        token.var.reset(token)
    except ValueError:
        return


class restored:  # noqa: N801 (used like a function; a generator would take twice as long)
    """Have those options hold that were in force elsewhere, in place of those in force."""

    __slots__ = ("_in_force", "_token")

    def __init__(self, in_force: InForce) -> None:
        self._in_force = in_force

    def __enter__(self) -> None:
        self._token = _in_force.set(self._in_force)

    def __exit__(self, *error: object) -> None:
        try:  # as take_back() does; this runs several times for each object
            _in_force.reset(self._token)
        except ValueError:
            return


def scope(options: Mapping[str, Any]) -> restored:
    """Put `options`, already checked, over those in force."""
    return restored(_in_force.get().over(options))


# Return the options that hold for the code that asks, and have others hold for what follows. They
# are called for each object, so they are not functions that call these.
in_force = _in_force.get
put_in_force = _in_force.set


def for_object(in_force: InForce, given: Mapping[str, Any]) -> InForce:
    """Return the options that hold for an object.

    Args:
        in_force: Those that hold where it is asked for.
        given: Those that it is given. What another object was given for itself alone is hidden.
    """
    hidden: dict[str, Any] = {}
    for name in _own:
        by_bind = in_force.by_bind.get(name)
        if in_force.get(name) is not by_bind:
            hidden[name] = by_bind
    return in_force.over({**hidden, **given}) if hidden or given else in_force


def take(keywords: dict[str, Any], *, inherited_only: bool = False) -> dict[str, Any]:
    """Remove the call-time options from a call's keywords, and return those that were given.

    Args:
        keywords: The call's keywords.
        inherited_only: Leave those in that are for each object itself.

    Raises:
        OptionError: When a value is not what the option's adapter needs.
    """
    taken = {}
    for name in [*keywords]:
        if name in _known and name not in _of_bind and not (inherited_only and name in _own):
            value = keywords.pop(name)
            if value is not None:
                taken[name] = value
    return _checked(taken)


def check_for_part(name: str, value: object) -> None:
    """Raise `OptionError` if `name` is an option, and its `value` of no use.

    A part of an object takes it when it is built, after others may have been stored.
    """
    option = None if name in _of_bind else _known.get(name)
    if option is not None and value is not None:
        option.check(value)


@lru_cache(maxsize=1024)
def misspelt(name: str) -> str:
    """Return a suggestion if `name` looks like a call-time option spelt wrongly, or nothing."""
    if name in _known:
        return ""  # a part of the object is given it, and takes it when it is built
    return similar(name, [one for one in _known if one not in _of_bind])


def unprefixed(name: str, value: object) -> str:
    """Return a suggestion if `name` lacks only the prefix of an option that takes `value`.

    Or if it is an option that only `bind` takes.
    """
    of_bind = _of_bind.get(name)
    if of_bind is not None and of_bind.accepts(value):
        return f" It is an option of bind(): with async_factory_boy.bind({name}=...): ..."
    meant = [
        option.name
        for option in _known.values()
        if option is not None and option.name.endswith(f"_{name}") and option.accepts(value)
    ]
    return closest(name, meant)


def _checked(options: dict[str, Any]) -> dict[str, Any]:
    for name, value in options.items():
        option = _known[name]
        if option is not None and value is not None:
            option.check(value)
    return options
