"""The database of a run, for MongoDB, by PyMongo's async API or by Motor."""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import is_dataclass
from typing import Any, ClassVar
from urllib.parse import urlsplit, urlunsplit

from bson import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo import AsyncMongoClient, WriteConcern
from pymongo.errors import PyMongoError
from pymongo.uri_parser import parse_uri

from async_factory_boy.exceptions import FixtureError
from async_factory_boy.isolation.base import Connection, Database, Opened, Run
from async_factory_boy.isolation.copies import Copies
from async_factory_boy.isolation.naming import name_of, refuse_used

__all__ = ["MongoDatabase"]

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True

# How long a server is looked for, in milliseconds: PyMongo would look for half a minute.
PATIENCE = 3000

# Collections per query. MongoDB takes 1,000 stages.
_PAGE = 200

# The documents of collections, as they are stored, by the name of the collection.
Documents = Mapping[str, Sequence[RawBSONDocument]]


class MongoDatabase(Database):
    """A database of a run, whose collections are emptied after each test.

    Args:
        url: The URL of a server. The new database is named after the one in it.
        setup: An async function that is called with the new database, to create indexes.
        transaction: Whether each test has a session in a transaction, which is aborted.
        allow_existing: Whether the URL may be of a database that does not look like one for tests.
        client_class: The class of clients: PyMongo's ``AsyncMongoClient``, or Motor's.
        client_options: For that class.
    """

    call: ClassVar[str] = "mongo_database"
    own_fixture = "database_of_run"
    options: ClassVar[Sequence[str]] = ("mongo_database", "mongo_session", "mongo_collection")

    def __init__(
        self,
        url: str,
        *,
        setup: Callable[[Any], Awaitable[object]] | None = None,
        transaction: bool = False,
        allow_existing: bool = False,
        client_class: Callable[..., Any] | None = None,
        client_options: Mapping[str, Any] | None = None,
    ) -> None:
        if not str(url).startswith(("mongodb://", "mongodb+srv://")):
            raise FixtureError(
                f"{self.call}() takes the URL of a MongoDB server, such as "
                f"'mongodb://localhost:27017/app_test'; got {_without_password(str(url))!r}."
            )
        self.fixtures = {
            "database": "The database, on the event loop of the test.",
            "mongo_client": "The client that it belongs to.",
        }
        if transaction:
            self.fixtures["session"] = "The client session of the test, in its transaction."
        self.transaction = transaction
        self._url = url
        self._setup = setup
        self._allow_existing = allow_existing
        self._client_class = client_class or AsyncMongoClient
        self._client_options = {"serverSelectionTimeoutMS": PATIENCE, **(client_options or {})}
        self.at_first = frozenset[str]()

    @property
    def url(self) -> str:
        """The URL of the run's database."""
        if not self.name:
            raise FixtureError(
                "The database is created when the first test asks for it: name the fixture "
                f"{self.own_fixture!r} in yours."
            )
        parts = urlsplit(self._url)
        query = parts.query
        if parts.username and "authSource=" not in query:
            # Which is, if it is not given, the database of the URL.
            given = parts.path.strip("/") or "admin"
            query = f"{query}&authSource={given}".lstrip("&")
        return urlunsplit(parts._replace(path=f"/{self.name}", query=query))

    @property
    def _shown(self) -> str:
        return f"{self.call}({_without_password(self._url)!r})"

    def client(self) -> Any:
        """Return a new client, for the event loop that runs."""
        return self._client_class(self._url, **self._client_options)

    @asynccontextmanager
    async def _client(self) -> AsyncGenerator[Any]:
        try:
            client = self.client()
        except (PyMongoError, ValueError) as error:
            raise FixtureError(
                f"{self._shown}: this URL, or an option, is not one that "
                f"{self._client_class.__name__} takes: {error}"
            ) from error
        try:
            yield client
        finally:
            await awaited(client.close())

    def create(self, run: Run) -> None:
        asyncio.run(self._create(run))

    async def _create(self, run: Run) -> None:
        async with self._client() as client:
            try:
                hello = await client.admin.command("hello")
                given = parse_uri(self._url)["database"] or ""
                names = await client[given].list_collection_names() if given else []
            except PyMongoError as error:
                raise self._unreachable(error) from error
            if not self._allow_existing:
                where = _without_password(self._url)
                refuse_used(where, given, names, self.call, "collections")
            if self.transaction and "setName" not in hello and hello.get("msg") != "isdbgrid":
                raise FixtureError(
                    f"{self._shown}: transaction=True takes a replica set, and this server is in "
                    "none. Start it with --replSet, and have it initiate the set (one member is "
                    "enough); or leave transaction=True out, which empties the collections instead."
                )
            self.name = name_of(given, run.suffix)
            database = client[self.name]
            await self.set_up(database)
            self.at_first = frozenset(await database.list_collection_names())

    def _unreachable(self, error: PyMongoError) -> FixtureError:
        what = str(error).partition(", Timeout:")[0].partition(" (configured timeouts")[0]
        what = what.partition(", full error:")[0].rstrip(".")
        return FixtureError(
            f"{self._shown}: cannot connect to the server: {what}. Start it, or correct host, "
            "port, user and password of the URL."
        )

    def drop(self) -> None:
        if self.name:
            asyncio.run(self._drop())

    async def _drop(self) -> None:
        async with self._client() as client:
            await client.drop_database(self.name)

    async def set_up(self, database: Any) -> None:
        """Make what is in the database before the first test, in an empty one."""
        if self._setup is not None:
            await self._setup(database)

    async def make_again(self, database: Any) -> None:
        """Make again what was in the database before the first test, and nothing else."""
        await database.client.drop_database(self.name)
        await self.set_up(database)

    async def use(self, database: Any) -> None:
        """Have models that belong to one client at a time belong to that of a database."""

    async def connect(self) -> MongoConnection:
        client = self.client()
        return MongoConnection(self, client, client[self.name])

    def options_of(self, database: Any, session: Any) -> Mapping[str, Any]:
        """Return the call-time options to be bound for a test."""
        given = {"mongo_database": database, "mongo_session": session}
        return {name: value for name, value in given.items() if value is not None}

    def key_of(self, instance: Any) -> Hashable:
        """Return what tells a stored object from others; ``None`` for what is none."""
        if isinstance(instance, dict):
            # Those of two collections may have the same key.
            key = instance if "_id" in instance else None
        elif is_dataclass(instance) or hasattr(type(instance), "model_fields"):
            key = getattr(instance, "_id", getattr(instance, "id", None))
        else:
            key = None
        return None if key is None else (type(instance), repr(key))


class MongoConnection(Connection):
    """A client, and what its database is to be again.

    MongoDB undoes no more than one transaction, and cannot keep several apart. So what a
    transaction would undo is read before, and stored again.
    """

    def __init__(self, database: MongoDatabase, client: Any, connected: Any) -> None:
        self._database = database
        self._client = client
        self._connected = connected
        # What was stored at each begin().
        self._begun: list[Documents] = []
        # What is stored now; None where that has to be read.
        self._stored: Documents | None = {}

    async def begin(self) -> None:
        if self._stored is None:
            names = await self._with_documents(await self._names())
            self._stored = {name: await self._read(name) for name in names}
        self._begun.append(self._stored)

    async def rollback(self) -> None:
        await self._restore(self._begun.pop())

    async def empty(self) -> None:
        await self._restore({})

    async def _restore(self, wanted: Documents) -> None:
        names = await self._names()
        if self._database.at_first - names.keys():  # a test has dropped one
            await self._database.make_again(self._connected)
            names = await self._names()
        for name in {*await self._with_documents(names), *wanted}:
            await self._restore_one(name, wanted.get(name, ()), names.get(name) == "timeseries")
        self._stored = wanted

    async def _restore_one(
        self, name: str, wanted: Sequence[RawBSONDocument], is_timeseries: bool
    ) -> None:
        collection = self._raw(name)
        found = await self._read(name) if wanted else []
        as_wanted = bool(wanted) and _bytes(found[: len(wanted)]) == _bytes(wanted)
        if as_wanted and not is_timeseries:  # which cannot delete by key
            added = [document["_id"] for document in found[len(wanted) :]]
            if added:
                await collection.delete_many({"_id": {"$in": added}})
        elif not as_wanted or len(found) > len(wanted):
            # In their order, which is that of a query that does not ask for one.
            await collection.delete_many({})
            if wanted:
                await collection.insert_many(wanted)

    async def _names(self) -> Mapping[str, str]:
        """Return the kind of each collection and view, by its name."""
        found = await self._connected.list_collections(nameOnly=True)
        return {one["name"]: one.get("type", "collection") async for one in found}

    async def _with_documents(self, names: Mapping[str, str]) -> list[str]:
        """Return which collections have documents."""
        stored = [name for name, kind in names.items() if kind != "view"]
        stored = [name for name in stored if not name.startswith("system.")]
        found: list[str] = []
        for start in range(0, len(stored), _PAGE):
            first, *others = stored[start : start + _PAGE]
            pipeline = _one_of(first) + [
                {"$unionWith": {"coll": name, "pipeline": _one_of(name)}} for name in others
            ]
            cursor = await awaited(self._connected[first].aggregate(pipeline))
            found += [one["name"] for one in await cursor.to_list(None)]
        return found

    async def _read(self, name: str) -> Sequence[RawBSONDocument]:
        documents: list[RawBSONDocument] = await self._raw(name).find().to_list(None)
        return documents

    def _raw(self, name: str) -> Any:
        """Return a collection whose documents are as they are stored."""
        return self._connected.get_collection(
            name,
            codec_options=CodecOptions(document_class=RawBSONDocument),
            write_concern=WriteConcern(1),  # nobody needs it to be safe from a crash
        )

    async def open(self) -> OpenedMongo:
        # Whatever is stored from now on.
        self._stored = None
        await self._database.use(self._connected)
        session = None
        if self._database.transaction:
            session = await awaited(self._client.start_session())
            if self._begun:
                await awaited(session.start_transaction())
        return OpenedMongo(self._database, self._connected, session)

    async def close(self) -> None:
        try:
            if self._begun:
                self._begun.clear()
                await self.empty()
        finally:
            await awaited(self._client.close())


class OpenedMongo(Opened):
    """What a test is given of a `MongoConnection`."""

    def __init__(self, database: MongoDatabase, connected: Any, session: Any) -> None:
        self._session = session
        self.values = {
            "database": connected,
            "mongo_client": connected.client,
            "session": session,
        }
        self.options = database.options_of(connected, session)
        self._copies = Copies(database.key_of)

    async def keep(self) -> None:
        if self._session is not None and self._session.in_transaction:
            await self._session.commit_transaction()

    async def close(self) -> None:
        if self._session is not None:
            await self._session.end_session()  # which aborts

    def anew(self, instance: Any) -> Any:
        return self._copies.anew(instance)


async def awaited(value: Any) -> Any:
    """Return a value, or what it leads to: PyMongo and Motor do not await the same."""
    return await value if inspect.isawaitable(value) else value


def _one_of(name: str) -> list[Mapping[str, Any]]:
    """Return a pipeline that tells the name of a collection, if it has a document."""
    return [{"$limit": 1}, {"$project": {"_id": 0, "name": {"$literal": name}}}]


def _bytes(documents: Sequence[RawBSONDocument]) -> list[bytes]:
    return [bytes(document.raw) for document in documents]


def _without_password(url: str) -> str:
    return re.sub(r"(?<=://)([^/@:]*):[^/@]*@", r"\1:***@", url)
