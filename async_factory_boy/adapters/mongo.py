"""Stores documents in MongoDB collections, of PyMongo's async API or of Motor, without an ODM."""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
import re
import sys
import types
import typing
from abc import ABC, abstractmethod
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Collection,
    Hashable,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeGuard, TypeVar, cast
from weakref import WeakKeyDictionary

from async_factory_boy.adapters import missing
from async_factory_boy.adapters.base import PersistenceAdapter, fields_option
from async_factory_boy.exceptions import (
    AdapterError,
    ConfigurationError,
    MissingOptionError,
    OptionError,
)
from async_factory_boy.options import CallOption

try:
    import bson
    from bson import CodecOptions, ObjectId, Regex
    from pymongo.asynchronous.client_session import AsyncClientSession
    from pymongo.client_session import ClientSession
    from pymongo.collection import Collection as SyncCollection
    from pymongo.errors import BulkWriteError, DuplicateKeyError, OperationFailure
except ModuleNotFoundError as error:  # pragma: no cover (tested where it is not installed)
    raise ImportError(missing("PyMongo", "mongo")) from error

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = ["ClientSessionAdapter", "MongoAdapter"]

M = TypeVar("M")

# https://github.com/mongodb/mongo/blob/master/src/mongo/base/error_codes.yml
_NO_SUCH_TRANSACTION = 251
_DUPLICATE_KEY = 11000

# Lookups per query: MongoDB takes one of 16 MB.
_PAGE = 1000

# By whether the driver is Motor; None: either.
_DRIVERS = {
    False: "PyMongo's AsyncMongoClient",
    True: "Motor",
    None: "PyMongo's AsyncMongoClient or of Motor",
}
_HOW_TO_START = {
    False: "async with client.start_session() as session, await session.start_transaction(): ...",
    True: "async with await client.start_session() as session, session.start_transaction(): ...",
}


class AsyncCollection(Protocol):
    """What is asked of a collection, PyMongo's or Motor's, as far as both have it annotated."""

    def insert_one(self, document: Any, *, session: Any = ...) -> Awaitable[Any]: ...
    def insert_many(self, documents: Any, *, session: Any = ...) -> Awaitable[Any]: ...
    def delete_many(self, filter: Any, *, session: Any = ...) -> Awaitable[Any]: ...
    def find_one(self, filter: Any, *, session: Any = ...) -> Awaitable[Any]: ...
    def find(self, filter: Any, *, session: Any = ...) -> Any: ...


class AsyncSession(Protocol):
    """What is asked of a client session, PyMongo's or Motor's, as far as both have it annotated."""

    @property
    def client(self) -> Any: ...
    def abort_transaction(self) -> Awaitable[None]: ...


def client_of(collection: AsyncCollection) -> Any:
    """Return the client that `collection` belongs to."""
    return cast("Any", collection).database.client


def is_motor(value: object) -> bool:
    """Tell whether `value` is an object of Motor's, which may not be installed."""
    return type(value).__module__.partition(".")[0] == "motor"


def check_session(option: str, value: object, *, motor: bool | None = None) -> None:
    """Raise if `value` is not a client session of an async driver.

    Args:
        option: The call-time option that it was given for.
        value: What was given.
        motor: Whether the driver has to be Motor, or (``False``) PyMongo; ``None``: either.

    Raises:
        OptionError: When it is something else.
    """
    is_session = isinstance(value, AsyncClientSession) or (
        is_motor(value) and type(value).__name__ == "AsyncIOMotorClientSession"
    )
    if is_session and motor in (None, is_motor(value)):
        return
    if is_session:
        problem = f"one of {'Motor' if is_motor(value) else 'PyMongo'}"
    elif isinstance(value, ClientSession):
        problem = "one of the synchronous MongoClient"
    elif inspect.isawaitable(value):
        problem = "one that has yet to be awaited"
    else:
        problem = f"an object of type {type(value).__name__}"
    likely_motor = (inspect.isawaitable(value) or is_motor(value)) if motor is None else motor
    raise OptionError(
        f"{option} takes a client session of {_DRIVERS[motor]}; got {problem}. "
        f"Start one around the calls: {_HOW_TO_START[likely_motor]}"
    )


class ClientSessionAdapter(PersistenceAdapter[M]):
    """What the adapters that store through a MongoDB driver share.

    A transaction belongs to a client session, which one operation at a time may use. MongoDB has
    no savepoints: when an insert is refused, the server aborts the whole transaction.
    https://www.mongodb.com/docs/manual/core/transactions/
    """

    conflicts: ClassVar[tuple[type[Exception], ...]] = (DuplicateKeyError,)

    session_option: ClassVar[str]
    """The name of the call-time option that takes a session."""

    @abstractmethod
    def collection_of(self, model: type[M]) -> AsyncCollection:
        """Return the collection that objects of `model` are stored in now."""

    @property
    def session(self) -> AsyncSession | None:
        """The client session to use now, if any."""
        session: AsyncSession | None = getattr(self, self.session_option)
        return session

    def check_usable(self, collection: AsyncCollection, subject: str) -> None:
        """Raise if an object could not be stored in `collection` by this task, or in the session.

        Args:
            collection: Where it would be stored.
            subject: What the collection belongs to or comes from, for the error.

        Raises:
            OptionError: When collection or session cannot be used, or not together.
        """
        client = client_of(collection)
        # The only way to tell without an operation; tests/test_mongo.py notices if it changes.
        loop = client.get_io_loop() if is_motor(client) else getattr(client, "_loop", None)
        if isinstance(loop, asyncio.AbstractEventLoop) and loop is not asyncio.get_running_loop():
            raise OptionError(
                f"The client of {subject} was first used in another event loop, and cannot be "
                "used in this one. Make the client in a fixture that runs in the loop of the test "
                "(with pytest-asyncio: give fixture and test the same loop_scope)."
            )
        session: Any = self.session
        if session is None:
            return
        check_session(self.session_option, session, motor=is_motor(client))
        if session.has_ended:
            raise OptionError(
                f"{self.session_option} is a client session that has ended; use the factory inside "
                f"of {_HOW_TO_START[is_motor(session)]}"
            )
        if session.client is not client:
            raise OptionError(
                f"{self.session_option} is a session of another client than the one that {subject} "
                "belongs to; start it from that client: collection.database.client.start_session()."
            )

    def exclusive(self) -> AbstractAsyncContextManager[object]:
        session = self.session
        if session is None:
            return nullcontext()
        # Motor's own are not hashable; each wraps one that is.
        return _locks.setdefault(getattr(session, "delegate", session), asyncio.Lock())

    @abstractmethod
    async def store(self, instances: Sequence[M], stored: list[Any]) -> Sequence[M]:
        """Store several instances, and return them.

        In order, and none after the first that is refused.

        Args:
            instances: What to store.
            stored: Is added the ``_id`` of each that is stored, also if a later one is refused.
        """

    async def insert_many(
        self, collection: AsyncCollection, documents: Sequence[Mapping[str, Any]], stored: list[Any]
    ) -> None:
        """Insert several documents, and add the ``_id`` of each that is stored to `stored`."""
        try:
            await collection.insert_many(documents, session=self.session)
        except BulkWriteError as error:
            inserted = documents[: error.details["nInserted"]]
            stored += [document["_id"] for document in inserted]
            raise
        stored += [document["_id"] for document in documents]

    async def save_many(self, data: Sequence[M]) -> list[M]:
        return list(await self.store(data, [])) if data else []

    async def save_new(self, build: Callable[[], Awaitable[Sequence[M]]]) -> Sequence[M]:
        instances = await build()
        if len(instances) == 1:
            return [await self.save(instances[0])]
        stored: list[Any] = []
        try:
            return await self.store(instances, stored)
        except (BulkWriteError, DuplicateKeyError) as error:
            conflict = _conflict(error)
            session = cast("Any", self.session)
            # A transaction is aborted, and with it all that was done in it, by whomever.
            if conflict is None or (session is not None and session.in_transaction):
                raise
            if stored:
                collection = self.collection_of(type(instances[0]))
                await collection.delete_many({"_id": {"$in": stored}}, session=session)
            if conflict is error:
                raise
            raise conflict from error

    async def find_documents(
        self,
        collection: AsyncCollection,
        wanted: Sequence[Mapping[str, Any]],
        *,
        query: Callable[[Mapping[str, Any]], Mapping[str, Any]] = lambda condition: condition,
        encode: Callable[[Mapping[str, Any]], Mapping[str, Any]] = lambda values: values,
    ) -> Sequence[Mapping[str, Any] | None] | None:
        """Return the document that has the values of each of `wanted`, by few queries.

        Args:
            collection: Where to look.
            wanted: Names of fields with their values; the same names in each.
            query: Makes a query of the condition that a document has the values of any of them.
            encode: Makes what is stored of some values.

        Returns:
            The documents, in order, ``None`` where there is none; or ``None`` if it cannot be told
            which document belongs to which, so that each has to be asked for by itself.
        """
        if any("." in name or name.startswith("$") for name in wanted[0]):
            return None  # inside of a field: the values are not to be had by that name
        options = cast("Any", collection).codec_options
        found: list[Mapping[str, Any] | None] = []
        for start in range(0, len(wanted), _PAGE):
            page = wanted[start : start + _PAGE]
            cursor = collection.find(query(_any_of(page)), session=self.session)
            documents = await cursor.to_list(None)
            matched = _matched([encode(values) for values in page], documents, options)
            if matched is None:
                return None
            found += matched
        return found

    def stored_through(self, model: type[M]) -> Hashable:
        session: Any = self.session
        if session is not None:
            return _hashable(session)
        # Each option has a session of its own begun, by rolled_back().
        return _hashable(client_of(self.collection_of(model))), self.session_option

    @asynccontextmanager
    async def rolled_back(self, model: type[M]) -> AsyncGenerator[Mapping[str, Any]]:
        client = client_of(self.collection_of(model))
        hello = await client.admin.command("hello")
        if "setName" not in hello and hello.get("msg") != "isdbgrid":
            raise AdapterError(
                "This MongoDB server has no transactions, which take a replica set, so lint() "
                "cannot undo what it stores. Start the server with --replSet; or write "
                'lint(..., strategy="build"), which stores nothing; or lint(..., rollback=False) '
                "on a database that is thrown away afterwards."
            )
        async with AsyncExitStack() as stack:
            session: Any = self.session
            if session is None:
                started = client.start_session()
                if inspect.isawaitable(started):  # Motor
                    started = await started
                session = await stack.enter_async_context(started)
            elif session.in_transaction:
                raise OptionError(
                    f"{self.session_option} is in a transaction, of which MongoDB cannot undo a "
                    "part, as lint() does after each object; give lint() a session that is in "
                    "none, or no session."
                )
            begun = session.start_transaction()
            if inspect.isawaitable(begun):  # PyMongo
                await begun
            try:
                yield {self.session_option: session}
            finally:
                if session.in_transaction:
                    await session.abort_transaction()

    async def find_winner(self, model: type[M], lookup: Mapping[str, Any]) -> M | None:
        try:
            return await self.find(model, lookup)
        except OperationFailure as error:
            if error.code == _NO_SUCH_TRANSACTION:
                return None  # aborted by the refusal, which is what the caller wants to see
            raise


def _hashable(session_or_client: Any) -> Hashable:
    key: Hashable = getattr(session_or_client, "delegate", session_or_client)  # Motor's are not
    return key


def _conflict(error: BulkWriteError | DuplicateKeyError) -> DuplicateKeyError | None:
    """Return what insert_one() would have raised for a duplicate; None if it was not for one."""
    if isinstance(error, DuplicateKeyError):
        return error
    details: Mapping[str, Any] = error.details
    for refusal in details["writeErrors"]:
        if refusal["code"] == _DUPLICATE_KEY:
            return DuplicateKeyError(refusal["errmsg"], refusal["code"], refusal)
    return None


def equal_to(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the condition that fields have `values`."""
    # $eq: else a value that is a pattern, or a document with operators, would be taken for one.
    return {name: {"$eq": value} for name, value in values.items()}


def _any_of(wanted: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    if len(wanted[0]) == 1:
        (name,) = wanted[0]
        values = [one[name] for one in wanted]
        if not any(isinstance(value, re.Pattern | Regex) for value in values):  # $in matches by it
            return {name: {"$in": values}}
    return {"$or": [equal_to(one) for one in wanted]}


def _matched(
    wanted: Sequence[Mapping[str, Any]],
    documents: Iterable[Mapping[str, Any]],
    options: CodecOptions[Any],
) -> Sequence[Mapping[str, Any] | None] | None:
    """Return the document for each of `wanted`, or None if that cannot be told.

    What is the same BSON is equal to the server. More is: 1 and 1.0, by a collation "acme" and
    "ACME", a value and an array that contains it. A document that has been found for such a
    reason may be the answer to any of `wanted`.
    """
    names = list(wanted[0])

    def encoded(values: Mapping[str, Any]) -> bytes:
        return bson.encode({name: values.get(name) for name in names}, codec_options=options)

    places = {encoded(one): place for place, one in enumerate(wanted)}
    if len(places) != len(wanted):
        return None
    found: list[Mapping[str, Any] | None] = [None] * len(wanted)
    for document in documents:
        place = places.get(encoded(document))
        if place is None or found[place] is not None:
            return None
        found[place] = document
    return found


# Shared by the adapters, since one session may be given to both.
_locks: WeakKeyDictionary[Any, asyncio.Lock] = WeakKeyDictionary()

_COLLECTION = "a collection of PyMongo's AsyncMongoClient or of Motor's AsyncIOMotorClient"


def _is_collection(value: object) -> TypeGuard[AsyncCollection]:
    # Asked of the type: a database has an attribute, and so a collection, of any name.
    return hasattr(type(value), "insert_one") and not isinstance(value, SyncCollection)


def _collection_problem(value: object) -> str:
    if isinstance(value, SyncCollection):
        return "one of the synchronous MongoClient"
    if hasattr(type(value), "get_collection"):
        return 'a database; write database["users"]'
    if inspect.isawaitable(value):
        return "an awaitable"
    return f"an object of type {type(value).__name__}"


def _check_collection(value: object) -> None:
    if not _is_collection(value):
        raise OptionError(
            f"mongo_collection takes {_COLLECTION}; got {_collection_problem(value)}. Pass one: "
            'create_async(mongo_collection=client["shop"]["users"]).'
        )


class MongoAdapter(ClientSessionAdapter[M]):
    """Stores dicts, dataclasses and pydantic models in a collection.

    ```python
    class UserFactory(AsyncFactory[dict[str, Any]]):
        class Meta:
            model = dict
            adapter = MongoAdapter(collection=lambda: database["users"])
    ```

    The collection is the first of: the call's keyword ``mongo_collection``, the innermost
    `async_factory_boy.bind`, `collection`. Other than most call-time options, what a call is given
    holds for the objects that the call asks for only, since a SubFactory's company does not belong
    among the users; ``company__mongo_collection`` gives one for that.

    A model may be

    - ``dict``, a subclass of it, or a ``TypedDict``;
    - a dataclass, whose field ``_id``, or else ``id``, is stored as ``_id``;
    - a pydantic model, stored as ``model_dump(by_alias=True)``.

    A new object that has no ``_id``, or has ``None`` there, is given an ``ObjectId``, as the driver
    would; the object has it too, if it has a place for it: the key ``_id`` of a dict, the field of
    a dataclass, the field of a pydantic model whose alias is ``_id``. The objects of a batch are
    stored by one ``insert_many``.

    Args:
        collection: An async collection of PyMongo or Motor; or a callable without arguments
            that returns one. A client belongs to an event loop, so prefer the callable.
        get_or_create: Fields that identify an object. One that has their values is looked up
            before a new one is stored. Give the collection a unique index over them, and losing a
            race finds the winner's document.

    Raises:
        ConfigurationError: When an argument is not of the kind described.
    """

    mongo_collection: CallOption[AsyncCollection] = CallOption(_check_collection, inherited=False)
    mongo_session: CallOption[AsyncSession] = CallOption(
        lambda value: check_session("mongo_session", value)
    )
    session_option: ClassVar[str] = "mongo_session"

    def __init__(
        self,
        *,
        collection: AsyncCollection | Callable[[], AsyncCollection] | None = None,
        get_or_create: Sequence[str] = (),
    ) -> None:
        owner = type(self).__name__
        # A database and a client are callable, and raise when they are called.
        is_function = callable(collection) and not hasattr(type(collection), "__getitem__")
        if collection is not None and not is_function and not _is_collection(collection):
            raise ConfigurationError(
                "collection",
                f"takes {_COLLECTION}, or a callable that returns one, such as "
                f'lambda: database["users"]; got {_collection_problem(collection)}.',
                owner=owner,
            )
        self.collection = collection
        self.get_or_create = fields_option("get_or_create", get_or_create, owner=owner)

    def current_collection(self) -> AsyncCollection:
        """Return the collection to use now: the call's, the bound one, or the configured one.

        Raises:
            MissingOptionError: When there is none.
            OptionError: When the configured callable returned something else.
        """
        given: object = self.mongo_collection
        if given is None:
            given = self.collection
        if given is None:
            raise MissingOptionError(
                "No collection provided. Set Meta.mongo_collection to a collection, or to a "
                'callable that returns one, such as lambda: database["users"]; or pass one to the '
                'call, create_async(mongo_collection=database["users"]); or bind one for many '
                "calls, with async_factory_boy.bind(mongo_collection=...): ..."
            )
        if _is_collection(given):
            return given
        returned = cast("Callable[[], object]", given)()
        if _is_collection(returned):
            return returned
        raise OptionError(
            f"The callable that is set as Meta.mongo_collection has to return {_COLLECTION}; it "
            f"returned {_collection_problem(returned)}."
        )

    def collection_of(self, model: type[M]) -> AsyncCollection:
        return self.current_collection()

    def check(self, model: type[M]) -> None:
        model = _class(model)
        fields = _kind(model).fields(model)
        for name in self.get_or_create:
            if fields is not None and name not in fields:
                raise ConfigurationError(
                    "get_or_create",
                    f"names {name!r}, which is not a field of {model.__name__}; it has: "
                    f"{', '.join(sorted(fields)) or 'none'}.",
                    owner=type(self).__name__,
                )
        self.check_usable(self.current_collection(), "mongo_collection")

    async def save(self, data: M) -> M:
        document = _document(data)
        await self.current_collection().insert_one(document, session=self.session)
        return data

    async def store(self, instances: Sequence[M], stored: list[Any]) -> Sequence[M]:
        documents = [_document(instance) for instance in instances]
        await self.insert_many(self.current_collection(), documents, stored)
        return instances

    async def find(self, model: type[M], lookup: Mapping[str, Any]) -> M | None:
        model = _class(model)
        kind = _kind(model)
        query = equal_to(kind.stored(model, lookup))
        document = await self.current_collection().find_one(query, session=self.session)
        return None if document is None else cast("M", kind.load(model, document))

    async def find_many(
        self, model: type[M], lookups: Sequence[Mapping[str, Any]]
    ) -> Sequence[M | None]:
        of_class = _class(model)
        kind = _kind(of_class)
        wanted = [kind.stored(of_class, lookup) for lookup in lookups]
        found = await self.find_documents(self.current_collection(), wanted)
        if found is None:
            return await super().find_many(model, lookups)
        return [None if document is None else kind.load(of_class, document) for document in found]


class _Kind(ABC):
    """How objects of a kind of model become documents, and documents become objects."""

    @abstractmethod
    def fields(self, model: Any) -> Collection[str] | None:
        """Return the names that `model` can be constructed with; ``None`` for any."""

    @abstractmethod
    def document(self, instance: Any) -> dict[str, Any]:
        """Return what to store of an object; without ``_id`` if it has none yet."""

    @abstractmethod
    def set_id(self, instance: Any, document: Mapping[str, Any]) -> None:
        """Set the ``_id`` of `document`, which was made of an object, on that object."""

    @abstractmethod
    def stored(self, model: Any, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return some of an object's fields as they are stored."""

    @abstractmethod
    def load(self, model: Any, document: Mapping[str, Any]) -> Any:
        """Return the object of a document."""


class _Dicts(_Kind):
    def fields(self, model: Any) -> Collection[str] | None:
        if not hasattr(model, "__required_keys__"):
            return None
        names: frozenset[str] = model.__required_keys__ | model.__optional_keys__
        return names

    def document(self, instance: Any) -> dict[str, Any]:
        return {k: v for k, v in instance.items() if not (k == "_id" and v is None)}

    def set_id(self, instance: Any, document: Mapping[str, Any]) -> None:
        instance["_id"] = document["_id"]

    def stored(self, model: Any, values: Mapping[str, Any]) -> Mapping[str, Any]:
        return values

    def load(self, model: Any, document: Mapping[str, Any]) -> Any:
        return model(document)


class _Dataclasses(_Kind):
    def fields(self, model: Any) -> Collection[str]:
        return {field.name for field in dataclasses.fields(model)}

    def document(self, instance: Any) -> dict[str, Any]:
        document: dict[str, Any] = dataclasses.asdict(instance, dict_factory=_with_id)
        return document

    def set_id(self, instance: Any, document: Mapping[str, Any]) -> None:
        name = _id_field(self.fields(instance))
        if name is not None:
            object.__setattr__(instance, name, document["_id"])  # it may be frozen

    def stored(self, model: Any, values: Mapping[str, Any]) -> Mapping[str, Any]:
        key = _id_field(self.fields(model))
        return {
            "_id" if name == key else name: self._plain(value) for name, value in values.items()
        }

    def _plain(self, value: object) -> object:
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return self.document(value)
        return value

    def load(self, model: Any, document: Mapping[str, Any]) -> Any:
        hints = _type_hints(model)
        key = _id_field(self.fields(model))
        given: dict[str, Any] = {}
        others: dict[str, Any] = {}
        for field in dataclasses.fields(model):
            stored_as = "_id" if field.name == key else field.name
            if stored_as in document:
                value = self._object(hints.get(field.name), document[stored_as])
                (given if field.init else others)[field.name] = value
        instance = model(**given)
        for name, value in others.items():
            object.__setattr__(instance, name, value)
        return instance

    def _object(self, hint: Any, value: Any) -> Any:
        """Return a value that was stored for a field, with dataclasses where `hint` has them."""
        if dataclasses.is_dataclass(hint) and isinstance(value, Mapping):
            return self.load(hint, value)
        origin, arguments = typing.get_origin(hint), typing.get_args(hint)
        if origin in (typing.Union, types.UnionType):
            objects = (self._object(argument, value) for argument in arguments)
            return next((one for one in objects if one is not value), value)
        if origin in (list, tuple) and isinstance(value, list):
            return origin(self._object(arguments[0], item) for item in value)
        return value


class _PydanticModels(_Kind):
    def fields(self, model: type[BaseModel]) -> Collection[str] | None:
        if model.model_config.get("extra") == "allow":
            return None
        aliases = (field.validation_alias for field in model.model_fields.values())
        return {*model.model_fields, *(alias for alias in aliases if isinstance(alias, str))}

    def document(self, instance: BaseModel) -> dict[str, Any]:
        document = self._dump(instance)
        if document.get("_id", ...) is None:
            del document["_id"]
        return document

    def _dump(self, instance: BaseModel, **options: Any) -> dict[str, Any]:
        dumped = instance.model_dump(by_alias=True, **options)
        name = self._id_field(type(instance))
        if name is not None:
            # The alias may be for validation only.
            key = type(instance).model_fields[name].serialization_alias or name
            if key != "_id" and key in dumped:
                dumped["_id"] = dumped.pop(key)
        return dumped

    def set_id(self, instance: BaseModel, document: Mapping[str, Any]) -> None:
        name = self._id_field(type(instance))
        if name is None:
            return
        if type(instance).model_fields[name].frozen:
            vars(instance)[name] = getattr(self.load(type(instance), document), name)
        else:
            # As under validate_assignment: the field's type may be str.
            validator = type(instance).__pydantic_validator__
            validator.validate_assignment(instance, name, document["_id"])

    def stored(self, model: type[BaseModel], values: Mapping[str, Any]) -> Mapping[str, Any]:
        some = model.model_construct(**values)
        names = some.model_fields_set.union(some.model_extra or ())
        stored = self._dump(some, include=names, warnings=False)
        if len(stored) != len(values):
            raise ConfigurationError(
                "get_or_create",
                f"names fields that {model.__name__} does not store: of {', '.join(values)}, its "
                f"model_dump() has {', '.join(stored) or 'none'}.",
                owner="MongoAdapter",
            )
        return stored

    def load(self, model: type[BaseModel], document: Mapping[str, Any]) -> BaseModel:
        values = dict(document)
        name = self._id_field(model)
        if name is None:
            del values["_id"]
        elif model.model_fields[name].validation_alias is None:
            values[name] = values.pop("_id")
        return model.model_validate(values)

    def _id_field(self, model: type[BaseModel]) -> str | None:
        for name, field in model.model_fields.items():
            if "_id" in (field.serialization_alias, field.validation_alias):
                return name
        return None


def _with_id(items: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Return the document of a dataclass, given its fields."""
    values = dict(items)
    key = _id_field(values)
    document = {"_id" if name == key else name: value for name, value in values.items()}
    if document.get("_id", ...) is None:
        del document["_id"]
    return document


def _id_field(names: Collection[str]) -> str | None:
    """Return the name of the field of a dataclass that is stored as ``_id``, if it has one."""
    return next((name for name in ("_id", "id") if name in names), None)


def _type_hints(model: type) -> Mapping[str, Any]:
    try:
        return typing.get_type_hints(model)
    except NameError:  # of a class that was defined in a function
        return {}


def _document(instance: Any) -> dict[str, Any]:
    """Return what to store of an object, which is given an ``_id`` if it has none."""
    kind = _kind(type(instance))
    document = kind.document(instance)
    if "_id" not in document:
        # Before anything is stored, in case the object's field cannot take it.
        document["_id"] = ObjectId()
        kind.set_id(instance, document)
    return document


def _class(model: Any) -> Any:
    """Return the class that `model`, which may be ``dict[str, Any]``, makes objects of."""
    return typing.get_origin(model) or model


def _kind(model: Any) -> _Kind:
    """Return how to store objects of `model`.

    Raises:
        AdapterError: When they cannot be stored.
    """
    if isinstance(model, type):
        if issubclass(model, dict):
            return _Dicts()
        if dataclasses.is_dataclass(model):
            return _Dataclasses()
        # What is not imported cannot have made the model.
        pydantic = sys.modules.get("pydantic")
        if pydantic is not None and issubclass(model, pydantic.BaseModel):
            return _PydanticModels()
    raise AdapterError(
        f"{getattr(model, '__name__', repr(model))} is no kind of model that can be stored in a "
        "collection; set Meta.model to dict, a TypedDict, a dataclass, or a pydantic model."
    )
