"""The database of a run, for Beanie."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

from beanie import Document, UnionDoc, View, init_beanie

from async_factory_boy.exceptions import FixtureError
from async_factory_boy.isolation.mongo import MongoDatabase

__all__ = ["BeanieDatabase"]

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True

# Beanie 2 replaced Motor by PyMongo's async API, and renamed what returns a collection.
_ON_MOTOR = not hasattr(Document, "get_pymongo_collection")
_COLLECTION_OF = "get_motor_collection" if _ON_MOTOR else "get_pymongo_collection"

# Indexes are built once: to ask for them again takes most of the time.
_WITHOUT_INDEXES: Mapping[str, Any] = (
    {"skip_indexes": True} if "skip_indexes" in inspect.signature(init_beanie).parameters else {}
)


class BeanieDatabase(MongoDatabase):
    """A database of a run, for which Beanie is initialised on the event loop of each test.

    Args:
        url: The URL of a server. The new database is named after the one in it.
        document_models: What ``init_beanie()`` takes: documents, views and unions, or their paths.
        transaction: Whether each test has a session in a transaction, which is aborted.
        allow_existing: Whether the URL may be of a database that does not look like one for tests.
        client_class: The class of clients; that which this version of Beanie works with.
        client_options: For that class.
    """

    call = "beanie_database"
    options = ("beanie_session",)

    def __init__(
        self,
        url: str,
        document_models: Sequence[type | str],
        *,
        transaction: bool = False,
        allow_existing: bool = False,
        client_class: Callable[..., Any] | None = None,
        client_options: Mapping[str, Any] | None = None,
    ) -> None:
        if client_class is None and _ON_MOTOR:
            from motor.motor_asyncio import AsyncIOMotorClient

            client_class = AsyncIOMotorClient
        super().__init__(
            url,
            transaction=transaction,
            allow_existing=allow_existing,
            client_class=client_class,
            client_options=client_options,
        )
        self._models = _checked(document_models)
        # The database that they belong to.
        self._used: Any = None

    async def set_up(self, database: Any) -> None:
        await self._initialise(database)
        if self.transaction:
            # To create a collection in each transaction takes longer than all else.
            there = await database.list_collection_names()
            for name in {self._collection(one).name for one in self._classes()} - {*there}:
                await database.create_collection(name)

    async def _initialise(self, database: Any, **options: Any) -> None:
        await init_beanie(database=database, document_models=self._models, **options)

    def _classes(self) -> list[Any]:
        """Return the models that have a collection of their own."""
        return [one for one in self._models if isinstance(one, type) and issubclass(one, Document)]

    def _collection(self, model: Any) -> Any:
        return getattr(model, _COLLECTION_OF)()

    async def use(self, database: Any) -> None:
        # The application may have initialised them as well.
        elsewhere = any(self._collection(one).database is not database for one in self._classes())
        if elsewhere or self._used is not database:
            await self._initialise(database, **_WITHOUT_INDEXES)
            self._used = database

    def options_of(self, database: Any, session: Any) -> Mapping[str, Any]:
        return {} if session is None else {"beanie_session": session}

    def key_of(self, instance: Any) -> Hashable:
        if isinstance(instance, Document) and instance.id is not None:
            return (type(instance), repr(instance.id))
        return None


def _checked(models: object) -> list[Any]:
    call = "beanie_database(url, document_models=[User, ...])"
    if isinstance(models, str | type) or not isinstance(models, Sequence):
        raise FixtureError(f"{call} takes a list of documents; got {_shown(models)}.")
    if not models:
        raise FixtureError(
            f"{call} takes the documents that the tests use, and got none: write those that "
            "init_beanie() is given in your application."
        )
    for model in models:
        is_model = isinstance(model, type) and issubclass(model, Document | View | UnionDoc)
        if not is_model and not isinstance(model, str):
            raise FixtureError(
                f"{call} takes subclasses of beanie's Document, View and UnionDoc, or the paths of "
                f"such, 'app.models.User'; got {_shown(model)}."
            )
    return [*models]


def _shown(value: object) -> str:
    return f"the class {value.__name__}" if isinstance(value, type) else repr(value)
