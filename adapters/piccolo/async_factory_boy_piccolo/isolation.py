"""The database of a run, for Piccolo: each test in a transaction that is rolled back."""

from __future__ import annotations

import asyncio
import copy
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

from piccolo.conf.apps import Finder
from piccolo.engine import Engine
from piccolo.engine.postgres import PostgresEngine, PostgresTransaction
from piccolo.engine.sqlite import SQLiteEngine, SQLiteTransaction
from piccolo.querystring import QueryString
from piccolo.table import Table, create_db_tables

from async_factory_boy.exceptions import FixtureError
from async_factory_boy.isolation import Connection, Database, Opened, Run
from async_factory_boy.isolation.naming import name_of, refuse_used

__all__ = ["PiccoloDatabase"]

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True

_SAVEPOINT = "async_factory_boy"


class PiccoloDatabase(Database):
    """A database of a run, whose tests work within a transaction that is rolled back.

    While the run lasts, the engine of the tables is one for this database: code that imports it
    works there as well.

    Args:
        tables: The tables to create. Default: those of the apps in ``APP_REGISTRY``.
        allow_existing: Whether the engine may be one for a database that does not look like one
            for tests.
    """

    fixtures = {
        "engine": "The engine of the tables. What it does is part of the test's transaction.",
    }
    options = ("piccolo_transaction",)

    def __init__(
        self, tables: Sequence[type[Table]] | None = None, *, allow_existing: bool = False
    ) -> None:
        self._given = tables
        self._allow_existing = allow_existing
        self._server: _Server | None = None

    @property
    def tables(self) -> Sequence[type[Table]]:
        """The tables.

        Raises:
            FixtureError: When there are none.
        """
        tables = self._given
        if tables is None:
            try:
                tables = Finder().get_table_classes()
            except ModuleNotFoundError as error:
                _fail(f"piccolo_database() finds no tables: {error}. {_HOW_TO_NAME_TABLES}")
        if not tables:
            _fail(f"piccolo_database() finds no tables. {_HOW_TO_NAME_TABLES}")
        return tables

    @property
    def engine(self) -> Engine[Any]:
        """The engine of the tables.

        Raises:
            FixtureError: When they have none, or several.
        """
        engines = dict[Engine[Any], type[Table]]()
        for table in self.tables:
            try:
                engines.setdefault(table._meta.db, table)
            except Exception as error:  # Piccolo has no type for it
                _fail(
                    f"piccolo_database(): {table.__name__} has no engine: {error} Define DB in "
                    "piccolo_conf.py, or in the module that PICCOLO_CONF names."
                )
        engine, *others = engines
        if others:
            one, another = engines[engine].__name__, engines[others[0]].__name__
            _fail(
                f"piccolo_database() takes tables of one engine, and {one} and {another} have "
                "different ones: call it for each, with tables=[...], and with a prefix for one "
                'of them, as in piccolo_database(tables=[...], prefix="audit_").'
            )
        return engine

    def create(self, run: Run) -> None:
        engine = self.engine
        kind = next((kind for kind in _SERVERS if isinstance(engine, kind.engine_class)), None)
        if kind is None:
            _fail(
                f"piccolo_database() creates databases of PostgreSQL and SQLite; the engine is a "
                f"{type(engine).__name__}."
            )
        self._server = kind(engine)
        self.name = asyncio.run(self._server.create(run, self._allow_existing))
        asyncio.run(create_db_tables(*self.tables))

    def drop(self) -> None:
        if self._server is not None:
            asyncio.run(self._server.drop())

    async def connect(self) -> PiccoloConnection:
        assert self._server is not None
        return PiccoloConnection(self._server, self.tables, await self._server.connect())


_HOW_TO_NAME_TABLES = (
    "Write piccolo_database(tables=[Company, User]); or have APP_REGISTRY in piccolo_conf.py name "
    "the apps that they are in."
)


class _Server(ABC):
    """Where the database of an engine is."""

    engine_class: type[Engine[Any]]
    transaction_class: type[Any]

    def __init__(self, engine: Any) -> None:
        self.engine = engine

    @abstractmethod
    async def create(self, run: Run, allow_existing: bool) -> str:
        """Create a database for a run, have the engine use it, and return its name."""

    @abstractmethod
    async def drop(self) -> None:
        """Drop it, and have the engine use the one that it is for."""

    @abstractmethod
    async def connect(self) -> Any:
        """Return a connection of the driver."""

    @abstractmethod
    def emptying(self, tables: Sequence[str]) -> Sequence[str]:
        """Return statements that remove the rows of tables, whatever refers to them."""


class _PostgresServer(_Server):
    engine_class = PostgresEngine

    def __init__(self, engine: Any) -> None:
        super().__init__(engine)
        self._given = engine.config
        self._outer: str | None = None
        self._name = ""

    async def create(self, run: Run, allow_existing: bool) -> str:
        given = self._given.get("database") or _path_of(self._given.get("dsn"))
        tables = await self._tables()
        if tables is None:
            self._outer = "postgres"
        elif not allow_existing:
            _refuse_used(given, tables)
        name = name_of(given, run.suffix)
        await self._execute(f'CREATE DATABASE "{name}"')
        self._name = name
        self.engine.config = {**self._given, "database": name}
        await self.engine.prep_database()  # its extensions
        return name

    async def _tables(self) -> Collection[str] | None:
        """Return the tables of the database that the engine is for, or nothing without it."""
        from asyncpg import InvalidCatalogNameError  # type: ignore[import-untyped]

        try:
            connection = await self._connected()
        except InvalidCatalogNameError:
            return None
        try:
            rows = await connection.fetch(
                "SELECT tablename FROM pg_tables "
                "WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
            )
        finally:
            await connection.close()
        return [name for (name,) in rows]

    async def _connected(self) -> Any:
        from asyncpg import InterfaceError, InvalidCatalogNameError, PostgresError, connect

        config = {**self._given, "database": self._outer} if self._outer else self._given
        try:
            return await connect(**config)
        except InvalidCatalogNameError:
            raise
        except (OSError, PostgresError, InterfaceError) as error:
            raise FixtureError(
                f"piccolo_database() cannot connect to PostgreSQL: {str(error).rstrip('.')}. Start "
                "the server, or correct host, port, user and password of the engine in "
                "piccolo_conf.py."
            ) from error

    async def _execute(self, statement: str) -> None:
        from asyncpg import InsufficientPrivilegeError

        connection = await self._connected()
        try:
            await connection.execute(statement)
        except InsufficientPrivilegeError as error:
            raise FixtureError(
                "piccolo_database(): the user of the engine may create no database. Have an "
                "administrator write: ALTER ROLE ... CREATEDB"
            ) from error
        finally:
            await connection.close()

    async def drop(self) -> None:
        self.engine.config = self._given
        if self._name:
            await self._execute(f'DROP DATABASE IF EXISTS "{self._name}" WITH (FORCE)')

    async def connect(self) -> Any:
        return await self.engine.get_new_connection()

    def emptying(self, tables: Sequence[str]) -> Sequence[str]:
        return [f"TRUNCATE {', '.join(tables)} RESTART IDENTITY CASCADE"]


def _path_of(dsn: str | None) -> str:
    return urlsplit(dsn or "").path.strip("/")


class _SQLiteFile(_Server):
    engine_class = SQLiteEngine

    def __init__(self, engine: Any) -> None:
        super().__init__(engine)
        self._given = engine.path

    async def create(self, run: Run, allow_existing: bool) -> str:
        given = Path(self._given)
        if not allow_existing and given.is_file():  # noqa: ASYNC240 (nothing else runs)
            connection = await self.connect()
            rows = await connection.execute_fetchall(
                "SELECT name FROM sqlite_master WHERE type = 'table'"
            )
            await connection.close()
            _refuse_used(given.name, [row["name"] for row in rows])
        self.engine.path = str(run.folder / f"{name_of(given.stem, run.suffix)}.sqlite")
        return str(self.engine.path)

    async def drop(self) -> None:
        created, self.engine.path = self.engine.path, self._given
        if created != self._given:
            Path(created).unlink(missing_ok=True)  # noqa: ASYNC240 (nothing else runs)

    async def connect(self) -> Any:
        return await self.engine.get_connection()

    def emptying(self, tables: Sequence[str]) -> Sequence[str]:
        return ["PRAGMA defer_foreign_keys = ON", *(f"DELETE FROM {table}" for table in tables)]


def _refuse_used(name: str, tables: Collection[str]) -> None:
    refuse_used(name, name, tables, "piccolo_database")


class PiccoloConnection(Connection):
    """A connection of the driver, which the tests of an event loop use one after the other."""

    def __init__(self, server: _Server, tables: Sequence[type[Table]], connection: Any) -> None:
        self._server = server
        self._tables = tables
        self._connection = connection
        self._begun = 0

    async def begin(self) -> None:
        await self._execute(f"SAVEPOINT {_SAVEPOINT}_{self._begun}" if self._begun else "BEGIN")
        self._begun += 1

    async def rollback(self) -> None:
        self._begun -= 1
        if self._begun:
            await self._execute(f"ROLLBACK TO SAVEPOINT {_SAVEPOINT}_{self._begun}")
            await self._execute(f"RELEASE SAVEPOINT {_SAVEPOINT}_{self._begun}")
        else:
            await self._execute("ROLLBACK")

    async def empty(self) -> None:
        names = [table._meta.get_formatted_tablename() for table in self._tables]
        for statement in ["BEGIN", *self._server.emptying(names), "COMMIT"]:
            await self._execute(statement)

    async def open(self) -> _OpenedEngine:
        opened = _OpenedEngine(self._server.engine)
        if self._begun:
            await self._execute(f"SAVEPOINT {_SAVEPOINT}")
            opened.work_in(self._server.transaction_class, self._connection)
        return opened

    async def _execute(self, statement: str) -> None:
        await self._connection.execute(statement)

    async def close(self) -> None:
        await self._connection.close()


class _InTest:
    """A transaction of Piccolo that is that of a test: what is committed in it can be undone."""

    connection: Any

    async def commit(self) -> None:
        await self.connection.execute(f"RELEASE SAVEPOINT {_SAVEPOINT}")
        await self.connection.execute(f"SAVEPOINT {_SAVEPOINT}")

    async def rollback(self) -> None:
        await self.connection.execute(f"ROLLBACK TO SAVEPOINT {_SAVEPOINT}")


class _PostgresInTest(_InTest, PostgresTransaction):
    pass


class _SQLiteInTest(_InTest, SQLiteTransaction):
    pass


_PostgresServer.transaction_class = _PostgresInTest
_SQLiteFile.transaction_class = _SQLiteInTest
_SERVERS: Sequence[type[_Server]] = (_PostgresServer, _SQLiteFile)


class _OpenedEngine(Opened):
    def __init__(self, engine: Any) -> None:
        self.values = {"engine": engine}
        self._engine = engine
        self._before = engine.current_transaction
        self._copies: dict[object, Table] = {}

    def work_in(self, transaction_class: type[Any], connection: Any) -> None:
        """Have all queries be part of the transaction of a connection."""
        transaction = transaction_class(self._engine)
        transaction.connection = connection
        # Its value is the same in each context: in that of a fixture, of the test, of a task that
        # has begun before.
        self._engine.current_transaction = ContextVar(_SAVEPOINT, default=transaction)

    async def keep(self) -> None:
        """Piccolo writes at once."""

    async def close(self) -> None:
        self._engine.current_transaction = self._before

    def anew(self, instance: Any) -> Any:
        if not isinstance(instance, Table):
            return NotImplemented
        key = instance[instance._meta.primary_key._meta.name]
        same = id(instance) if key is None or isinstance(key, QueryString) else key
        if (type(instance), same) not in self._copies:
            new = self._copies[type(instance), same] = copy.copy(instance)
            for name, value in vars(instance).items():
                copied = self.anew(value)
                vars(new)[name] = copy.deepcopy(value) if copied is NotImplemented else copied
        return self._copies[type(instance), same]


def _fail(message: str) -> NoReturn:
    raise FixtureError(message)
