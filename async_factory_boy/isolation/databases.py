"""The database of a run, for encode/databases."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import quote

import databases
from databases.core import Connection as DatabasesOwnConnection
from databases.core import Transaction
from databases.interfaces import TransactionBackend
from sqlalchemy import MetaData, make_url
from sqlalchemy import inspect as inspection
from sqlalchemy.orm import InstanceState
from sqlalchemy.orm.attributes import set_committed_value

from async_factory_boy.exceptions import FixtureError
from async_factory_boy.isolation import engines
from async_factory_boy.isolation.base import Connection, Database, Opened, Run
from async_factory_boy.isolation.servers import Place, make_schema

__all__ = ["DatabasesDatabase"]

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True

Schema = Callable[[str], "Awaitable[object] | object"]

_CALL = "databases_database"

# The driver of SQLAlchemy's for each scheme of a URL: the one that databases connects by.
_DRIVERS = {
    "postgresql": "postgresql+asyncpg",
    "postgres": "postgresql+asyncpg",
    "postgresql+asyncpg": "postgresql+asyncpg",
    "mysql": "mysql+aiomysql",
    "mysql+aiomysql": "mysql+aiomysql",
    "mysql+asyncmy": "mysql+asyncmy",
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
}

# What a URL may tell databases of its pool; no driver takes it.
_OF_POOL = ("min_size", "max_size", "pool_recycle")


class DatabasesDatabase(Database):
    """A database of a run, whose tests work within a transaction that is rolled back.

    Args:
        url: The URL of a database, as ``databases.Database`` takes it. It need not exist: the run
            gets one that is named after it.
        metadata: The tables to create.
        schema: In place of `metadata`, what creates the tables: a function, async or not, that is
            called with the URL of the new database.
        allow_existing: Whether the URL may be of a database that does not look like one for tests.
        database_options: For ``databases.Database()``.
    """

    fixtures = {
        "database": "A databases.Database, all of it in the transaction of the test.",
    }
    own_fixture = "database_of_run"
    options = ("databases_database",)

    def __init__(
        self,
        url: str | databases.DatabaseURL,
        *,
        metadata: MetaData | None = None,
        schema: Schema | None = None,
        allow_existing: bool = False,
        database_options: Mapping[str, Any] | None = None,
    ) -> None:
        if (metadata is None) == (schema is None):
            raise FixtureError(
                f"{_CALL}() takes metadata=, whose tables it creates, or schema=, a function that "
                f"creates them: one of both, as in {_CALL}(url, metadata=metadata)."
            )
        self.metadata = metadata
        self._schema = schema
        self._options = dict(database_options or {})
        self._given = databases.DatabaseURL(url)
        self._server = _server(self._given, allow_existing)
        self._place: Place | None = None

    @property
    def url(self) -> str:
        """The URL of the run's database."""
        # In one of SQLite, a query would be part of the path.
        query = "" if self._server.dialect == "sqlite" else self._given.components.query
        return str(self._given.replace(database=quote(self._created.database), query=query))

    @property
    def _created(self) -> Place:
        if self._place is None:
            raise FixtureError(
                "The database is created when the first test asks for it: name the fixture "
                f"{self._first_fixture()!r} in yours."
            )
        return self._place

    def create(self, run: Run) -> None:
        self._place = asyncio.run(self._server.create(run))
        self.name = self._place.name
        if self._schema is not None:
            make_schema(self._schema, self.url)
        else:
            asyncio.run(self._create_all(self.metadata or MetaData()))

    async def _create_all(self, metadata: MetaData) -> None:
        async with self._server.engine(self._created).begin() as connection:
            await connection.run_sync(metadata.create_all)

    def drop(self) -> None:
        if self._place is not None:
            asyncio.run(self._server.drop(self._place))

    async def connect(self) -> DatabasesConnection:
        connection = DatabasesConnection(self, _OneConnection(self.url, **self._options_of(1)))
        await connection.connect()
        return connection

    def new(self) -> databases.Database:
        """Return a database whose tasks have connections of their own, as they usually have."""
        return databases.Database(self.url, **self._options_of(10))

    def _options_of(self, size: int) -> dict[str, Any]:
        if self._server.dialect == "sqlite":
            return self._options
        options = {**self._options, "min_size": 1, "max_size": size}
        if self._created.schema is not None:
            settings = options.get("server_settings", {})
            options["server_settings"] = {**settings, "search_path": self._created.schema}
        return options

    async def empty(self) -> None:
        """Remove all rows."""
        async with self._server.engine(self._created).connect() as connection:
            await engines.empty(connection, self.metadata)


def _server(url: databases.DatabaseURL, allow_existing: bool) -> engines.EngineServer:
    """Return the server of a URL.

    Raises:
        FixtureError: When databases has no driver for it.
    """
    drivername = _DRIVERS.get(url.scheme)
    if drivername is None:
        usual = url.dialect if url.dialect in _DRIVERS else None
        instead = (
            f"databases does not use {url.driver!r}; write {usual!r} in place of {url.scheme!r}."
            if usual
            else "It begins with postgresql, mysql, mysql+asyncmy or sqlite."
        )
        raise FixtureError(
            f"{_CALL}({url.obscure_password!r}) takes a URL as databases.Database() does. {instead}"
        )
    shown = url.obscure_password
    bare = make_url(str(url.replace(scheme=drivername, query="")))
    if bare.get_backend_name() != "sqlite":
        bare = bare.update_query_dict(
            {name: value for name, value in url.options.items() if name not in _OF_POOL}
        )
    return engines.EngineServer(_CALL, bare, allow_existing, shown)


class _OneConnection(databases.Database):
    """Gives every task the same connection: the transaction of a test is that of all its tasks.

    So does ``force_rollback=True``, but with one transaction, which is for one context.
    """

    _one: DatabasesOwnConnection | None = None

    def connection(self) -> DatabasesOwnConnection:
        if self._one is None:
            self._one = DatabasesOwnConnection(self, self._backend)
        return self._one


class _Begun(Transaction):
    """A transaction that may be ended in another context than the one it was begun in."""

    _kept: TransactionBackend | None = None

    # databases keeps it in a context variable.
    @property
    def _transaction(self) -> TransactionBackend | None:
        return self._kept

    @_transaction.setter
    def _transaction(self, transaction: TransactionBackend | None) -> None:
        self._kept = transaction


class DatabasesConnection(Connection):
    """A connection of databases.

    Args:
        run: The database of the run.
        database: What has the connection.
    """

    def __init__(self, run: DatabasesDatabase, database: databases.Database) -> None:
        self._run = run
        self._database = database
        self._begun: list[Transaction] = []

    async def connect(self) -> None:
        try:
            await self._database.connect()
        except ModuleNotFoundError as error:  # pragma: no cover (told while it is created)
            raise FixtureError(f"{_CALL}(): {error}") from error

    async def begin(self) -> None:
        self._begun.append(await _Begun(self._database.connection, force_rollback=True))

    async def rollback(self) -> None:
        begun = self._begun.pop()
        connection = self._database.connection()
        # Those that a test has left open are undone with it, but are not for us to end.
        open_ = connection._transaction_stack
        while open_[-1] is not begun:
            open_.pop()
            await connection.__aexit__()
        await begun.rollback()

    async def empty(self) -> None:
        await self._run.empty()

    async def open(self) -> _OpenedDatabase:
        if self._begun:
            return _OpenedDatabase(self._database)
        database = self._run.new()
        await database.connect()
        return _OpenedDatabase(database, closes=True)

    async def close(self) -> None:
        while self._begun:
            await self.rollback()
        await self._database.disconnect()


class _OpenedDatabase(Opened):
    def __init__(self, database: databases.Database, closes: bool = False) -> None:
        self._database = database
        self._closes = closes
        self._copies: dict[object, Any] = {}
        self.values = {"database": database}
        self.options = {"databases_database": database}

    async def keep(self) -> None:
        """Nothing is kept back."""

    async def close(self) -> None:
        if self._closes:
            await self._database.disconnect()

    def anew(self, instance: Any) -> Any:
        state = inspection(instance, raiseerr=False)
        if not isinstance(state, InstanceState):
            return NotImplemented  # a TableRow is copied as any other value
        return self._copied(instance, set())

    def _copied(self, instance: Any, under_way: set[int]) -> Any:
        """Return a copy of a mapped object, one for each row, with the relations that are set."""
        state: InstanceState[Any] = inspection(instance)
        mapper = state.mapper
        row = mapper.class_, *mapper.primary_key_from_instance(instance)
        copied = self._copies.get(row)
        if copied is None:
            copied = self._copies[row] = mapper.class_manager.new_instance()
        if id(instance) in under_way:
            return copied
        under_way.add(id(instance))
        for name, value in state.dict.items():
            if name in mapper.relationships:
                set_committed_value(copied, name, self._related(value, under_way))
            elif name in mapper.attrs:
                set_committed_value(copied, name, copy.deepcopy(value))
            elif name != "_sa_instance_state":
                copied.__dict__[name] = copy.deepcopy(value)
        return copied

    def _related(self, value: Any, under_way: set[int]) -> Any:
        if value is None:
            return None
        if isinstance(value, dict):
            return {key: self._copied(one, under_way) for key, one in value.items()}
        if isinstance(value, (list, set)):
            return type(value)(self._copied(one, under_way) for one in value)
        return self._copied(value, under_way)
