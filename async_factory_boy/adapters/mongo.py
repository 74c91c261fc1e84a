"""Stores documents in MongoDB collections, of PyMongo's async API or of Motor, without an ODM."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, TypeGuard, TypeVar, cast

from async_factory_boy.adapters.configuration import check_names, configured, fields_option
from async_factory_boy.adapters.fields import Field
from async_factory_boy.adapters.matching import ASK, answered
from async_factory_boy.exceptions import ConfigurationError, MissingOptionError, OptionError
from async_factory_boy.options import CallOption
from async_factory_boy.stores import missing

try:
    from pymongo.collection import Collection as SyncCollection
    from pymongo.database import Database as SyncDatabase
except ModuleNotFoundError as error:  # pragma: no cover (tested where it is not installed)
    raise ImportError(missing("PyMongo", "mongo")) from error

if TYPE_CHECKING:
    pass

from async_factory_boy.adapters._mongo.kinds import class_of, document_of, kind_of
from async_factory_boy.adapters._mongo.sessions import (
    AsyncCollection,
    AsyncSession,
    ClientSessionAdapter,
    check_session,
    equal_to,
)

__all__ = ["ClientSessionAdapter", "MongoAdapter"]

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True

M = TypeVar("M")


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


def _check_database(value: object) -> None:
    if isinstance(value, SyncDatabase) or not hasattr(type(value), "get_collection"):
        raise OptionError(
            "mongo_database takes a database of PyMongo's AsyncMongoClient or of Motor's "
            f'AsyncIOMotorClient, such as client["shop"]; got an object of type '
            f"{type(value).__module__}.{type(value).__qualname__}."
        )


def _check_returned(value: object) -> None:
    if not _is_collection(value):
        raise OptionError(
            f"The callable that is set as Meta.mongo_collection has to return {_COLLECTION}; it "
            f"returned {_collection_problem(value)}."
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
    `async_factory_boy.bind`, `collection`. If that is a name, it is one in the ``mongo_database``
    of the call or of `bind`. Other than most call-time options, what a call is given as a
    collection holds for the objects that the call asks for only, since a SubFactory's company does
    not belong among the users; ``company__mongo_collection`` gives one for that.

    A model may be

    - ``dict``, a subclass of it, or a ``TypedDict``;
    - a dataclass, whose field ``_id``, or else ``id``, is stored as ``_id``;
    - a pydantic model, stored as ``model_dump(by_alias=True)``.

    A new object that has no ``_id``, or has ``None`` there, is given an ``ObjectId``, as the driver
    would; the object has it too, if it has a place for it: the key ``_id`` of a dict, the field of
    a dataclass, the field of a pydantic model whose alias is ``_id``. The objects of a batch are
    stored by one ``insert_many``.

    Args:
        collection: The name of a collection; or an async collection of PyMongo or Motor; or a
            callable without arguments that returns one. A client belongs to an event loop, so
            prefer a name or a callable.
        get_or_create: Fields that identify an object. One that has their values is looked up
            before a new one is stored. Give the collection a unique index over them, and losing a
            race finds the winner's document.

    Raises:
        ConfigurationError: When an argument is not of the kind described.
    """

    mongo_collection: CallOption[AsyncCollection] = CallOption(_check_collection, inherited=False)
    mongo_database: CallOption[Any] = CallOption(_check_database)
    mongo_session: CallOption[AsyncSession] = CallOption(
        lambda value: check_session("mongo_session", value)
    )
    session_option: ClassVar[str] = "mongo_session"

    def __init__(
        self,
        *,
        collection: str | AsyncCollection | Callable[[], AsyncCollection] | None = None,
        get_or_create: Sequence[str] = (),
    ) -> None:
        owner = type(self).__name__
        # A database and a client are callable, and raise when they are called.
        is_function = callable(collection) and not hasattr(type(collection), "__getitem__")
        is_name = isinstance(collection, str) and "://" not in collection  # a URL is none
        if collection is not None and not (is_name or is_function or _is_collection(collection)):
            raise ConfigurationError(
                "collection",
                f"takes {_COLLECTION}, a callable that returns one, such as lambda: "
                f'database["users"], or the name of one; got {_collection_problem(collection)}.',
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
        given = self.mongo_collection
        if given is not None:
            return given
        if isinstance(self.collection, str):
            return self._named(self.collection)
        collection: AsyncCollection = configured(
            self.collection,
            is_value=_is_collection,
            check=_check_returned,
            missing="No collection provided. Set Meta.mongo_collection to a collection, or to "
            'a callable that returns one, such as lambda: database["users"]; or pass one to '
            'the call, create_async(mongo_collection=database["users"]); or bind one for many '
            "calls, with async_factory_boy.bind(mongo_collection=...): ...",
        )
        return collection

    def _named(self, name: str) -> AsyncCollection:
        database = self.mongo_database
        if database is None:
            raise MissingOptionError(
                f"Meta.mongo_collection is {name!r}, a name, and no database is provided. Bind one "
                "for many calls, with async_factory_boy.bind(mongo_database=...): ...; or pass one "
                'to the call, create_async(mongo_database=client["shop"]).'
            )
        collection: AsyncCollection = database[name]
        return collection

    def collection_of(self, model: type[M]) -> AsyncCollection:
        return self.current_collection()

    def check(self, model: type[M]) -> None:
        model = class_of(model)
        fields = kind_of(model).fields(model)
        if fields is not None:
            owner = type(self).__name__
            check_names("get_or_create", self.get_or_create, fields, owner=owner, model=model)
        self.check_usable(self.current_collection(), "mongo_collection")

    def fields(self, model: type[M]) -> Sequence[Field]:
        of_class = class_of(model)
        return kind_of(of_class).described(of_class)

    def primary_key(self, data: M, /) -> Mapping[str, Any]:
        return kind_of(type(data)).id_of(data)

    async def save(self, data: M) -> M:
        document = document_of(data)
        await self.current_collection().insert_one(document, session=self.session)
        return data

    async def find(self, model: type[M], lookup: Mapping[str, Any]) -> M | None:
        model = class_of(model)
        kind = kind_of(model)
        query = equal_to(kind.stored(model, lookup))
        document = await self.find_document(self.current_collection(), query, model, lookup)
        return None if document is None else cast("M", kind.load(model, document))

    async def find_many(
        self, model: type[M], lookups: Sequence[Mapping[str, Any]]
    ) -> Sequence[M | None]:
        of_class = class_of(model)
        kind = kind_of(of_class)
        wanted = [kind.stored(of_class, lookup) for lookup in lookups]
        found = await self.find_documents(self.current_collection(), wanted)
        answers = [one if one in (None, ASK) else kind.load(of_class, one) for one in found]
        return await answered(lookups, answers, partial(self.find, model))

    async def store(self, instances: Sequence[M], stored: list[Any]) -> Sequence[M]:
        documents = [document_of(instance) for instance in instances]
        await self.insert_many(self.current_collection(), documents, stored)
        return instances
