"""Creates and drops databases on the servers for which SQLAlchemy has an async driver."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from sqlalchemy import URL, Connection, event, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, InvalidRequestError, NoSuchModuleError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from async_factory_boy.exceptions import FixtureError
from async_factory_boy.isolation.base import Run
from async_factory_boy.isolation.naming import name_of, refuse_used

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True

# An async driver for each kind of database, for URLs that name none or another.
DRIVERS = {
    "postgresql": "asyncpg",
    "mysql": "asyncmy",
    "mariadb": "asyncmy",
    "sqlite": "aiosqlite",
}


# How many seconds to wait for a lock that another connection holds.
PATIENCE = 5


class Place(NamedTuple):
    """Where the tables of a run are."""

    url: URL

    schema: str | None = None
    """The schema that they are in, of a database that is not the run's own."""

    @property
    def name(self) -> str:
        if self.schema is not None:
            return f"{self.url.database}, schema {self.schema}"
        return str(self.url.database)


class Server:
    """The server of a URL.

    Args:
        call: What defines the fixtures, such as ``sqlalchemy_database``: for errors.
        url: The URL that it was given.
        allow_existing: Whether a database that does not look like one for tests is meant.
    """

    def __init__(self, call: str, url: str | URL, allow_existing: bool) -> None:
        self.call = call
        self.allow_existing = allow_existing
        try:
            self.url = make_url(url)
        except ArgumentError as error:
            raise FixtureError(
                f"{call}() takes the URL of a database, such as "
                f"'postgresql+asyncpg://localhost/app_test' or 'sqlite+aiosqlite://'. {error}"
            ) from None
        self._dialect = self.url.get_backend_name()

    @property
    def shown(self) -> str:
        """The URL, without its password."""
        return self.url.render_as_string(hide_password=True)

    def engine(self, url: URL, options: Mapping[str, Any] | None = None) -> AsyncEngine:
        """Return an engine that keeps no connection: each belongs to the event loop of a test.

        Raises:
            FixtureError: When the driver is missing, or synchronous.
        """
        try:
            engine = create_async_engine(url, **{"poolclass": NullPool, **(options or {})})
        except (InvalidRequestError, NoSuchModuleError) as error:
            self._wrong_driver(error)
        except ModuleNotFoundError as error:
            raise FixtureError(
                f"{self.call}({self.shown!r}): the driver of this URL is not installed. Install it "
                f"with: pip install {error.name}"
            ) from error
        if self._dialect == "sqlite":
            _begin_for_real(engine)
        return engine

    def _wrong_driver(self, error: Exception) -> NoReturn:
        driver = DRIVERS.get(self._dialect)
        instead = (
            f"Write '{self._dialect}+{driver}' in place of {self.url.drivername!r}."
            if driver
            else f"Databases are created on {', '.join(DRIVERS)}."
        )
        raise FixtureError(
            f"{self.call}({self.shown!r}) takes a URL with an async driver. {instead}"
        ) from error

    async def create(self, run: Run) -> Place:
        """Create a database for a run.

        Returns:
            Where the tables are to be made.

        Raises:
            FixtureError: When there is no such server, or none that lets it be created.
        """
        if self._dialect not in DRIVERS:
            self._wrong_driver(NotImplementedError(self._dialect))
        if self._dialect == "sqlite":
            return await self._create_file(run)
        name = name_of(self.url.database or "", run.suffix)
        tables = await self._tables()
        if not self.allow_existing and tables is not None:
            refuse_used(self.shown, self.url.database or "", tables, self.call)
        # With one that exists, if there is such a one: an account may have no other.
        outer = self.url.database if tables is not None else self._maintenance
        place = Place(self.url.set(database=name))
        try:
            quoted = _quoted(self._dialect, name)
            await self._execute(self.url.set(database=outer), f"CREATE DATABASE {quoted}")
        except DBAPIError as error:
            if not _lacks_right(error):
                raise
            return await self._create_schema(name, tables, error)
        return place

    @property
    def _maintenance(self) -> str:
        """The database to be connected to, where the one that is given does not exist."""
        return "postgres" if self._dialect == "postgresql" else ""

    async def _create_file(self, run: Run) -> Place:
        given = Path(self.url.database or "")
        if not self.allow_existing and given.is_file():  # noqa: ASYNC240 (nothing else runs)
            refuse_used(self.shown, given.name, await self._tables() or (), self.call)
        path = run.folder / f"{name_of(given.stem.strip(':'), run.suffix)}.sqlite"
        return Place(self.url.set(database=str(path)))

    async def _create_schema(
        self, name: str, tables: list[str] | None, refused: DBAPIError
    ) -> Place:
        """Create a schema in the database that is given, where no database may be created."""
        user = self.url.username or "the user"
        given = self.url.database
        begin = f"{self.call}({self.shown!r}): {user} may create no database"
        if self._dialect != "postgresql":
            raise FixtureError(
                f"{begin}. Have an administrator write: "
                f"GRANT ALL ON `{given or 'test'}\\_%`.* TO '{user}'@'%'"
            ) from refused
        if tables is None:
            raise FixtureError(
                f"{begin}, and {given!r} does not exist. Have an administrator write: ALTER ROLE "
                f"{user} CREATEDB; or create {given!r}, in which each worker then has a schema."
            ) from refused
        try:
            await self._execute(self.url, f"CREATE SCHEMA {_quoted(self._dialect, name)}")
        except DBAPIError as error:
            if not _lacks_right(error):
                raise
            raise FixtureError(
                f"{begin}, and no schema in {given!r}. Have an administrator write: ALTER ROLE "
                f"{user} CREATEDB; or: GRANT CREATE ON DATABASE {given} TO {user}"
            ) from error
        return Place(self.url, name)

    async def drop(self, place: Place) -> None:
        """Drop what `create` has made, if it is there."""
        name = place.url.database or ""
        if self._dialect == "sqlite":
            for path in Path(name).parent.glob(f"{Path(name).name}*"):
                path.unlink()
        elif place.schema is not None:
            quoted = _quoted(self._dialect, place.schema)
            await self._execute(self.url, f"DROP SCHEMA IF EXISTS {quoted} CASCADE")
        else:
            force = " WITH (FORCE)" if self._dialect == "postgresql" else ""
            statement = f"DROP DATABASE IF EXISTS {_quoted(self._dialect, name)}{force}"
            outer = self.url.database if await self._tables() is not None else self._maintenance
            await self._execute(self.url.set(database=outer), statement)

    async def _tables(self) -> list[str] | None:
        """Return the tables of the database that is given, or ``None`` if it does not exist."""
        if not self.url.database:
            return None
        engine = self.engine(self.url)
        try:
            async with engine.connect() as connection:
                return await connection.run_sync(table_names)
        except Exception as error:  # drivers raise errors of their own while they connect
            if _does_not_exist(error):
                return None
            raise self.unreachable(error) from error
        finally:
            await engine.dispose()

    async def _execute(self, url: URL, statement: str) -> None:
        engine = self.engine(url, {"isolation_level": "AUTOCOMMIT"})
        try:
            async with engine.connect() as connection:
                await connection.execute(text(statement))
        except OSError as error:
            raise self.unreachable(error) from error
        finally:
            await engine.dispose()

    def unreachable(self, error: Exception) -> FixtureError:
        """Return an error for a server that cannot be connected to."""
        host = self.url.host or "localhost"
        what = str(getattr(error, "orig", None) or error).strip().rstrip(".")
        return FixtureError(
            f"{self.call}({self.shown!r}): cannot connect to {host}: {what}. "
            "Start the server, or correct host, port, user and password of the URL."
        )


def _quoted(dialect: str, name: str) -> str:
    return f'"{name}"' if dialect == "postgresql" else f"`{name}`"


def table_names(connection: Connection) -> list[str]:
    return inspect(connection).get_table_names()


def _codes(error: BaseException | None) -> set[object]:
    """Return the SQLSTATE of an error and the number of MySQL's, of what it was raised from too."""
    codes = set[object]()
    while error is not None:
        codes |= {getattr(error, "sqlstate", None), *error.args[:1]}
        error = getattr(error, "orig", None) or error.__cause__
    return codes


def _lacks_right(error: BaseException) -> bool:
    return bool(_codes(error) & {"42501", 1044, 1142})


def _does_not_exist(error: BaseException) -> bool:
    # psycopg tells no SQLSTATE of a connection that was refused.
    return bool(_codes(error) & {"3D000", 1049}) or "does not exist" in str(error)


def lacks_savepoint(error: BaseException) -> bool:
    """Tell whether an error is that of a savepoint that is gone."""
    return bool(_codes(error) & {"3B001", 1305}) or "no such savepoint" in str(error)


def _is_locked(error: BaseException) -> bool:
    return bool(_codes(error) & {"55P03", 1205}) or "database is locked" in str(error)


def _begin_for_real(engine: AsyncEngine) -> None:
    """Have SQLite begin a transaction where SQLAlchemy does, so that savepoints are in one.

    https://docs.sqlalchemy.org/en/20/dialects/sqlite.html#sqlite-transactions
    """

    @event.listens_for(engine.sync_engine, "connect")
    def leave_it_to_sqlalchemy(connection: Any, record: object) -> None:
        connection.isolation_level = None

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")


def search_in(engine: AsyncEngine, schema: str) -> None:
    """Have each connection of an engine use a schema for what is given without one."""

    @event.listens_for(engine.sync_engine, "connect", insert=True)
    def set_search_path(connection: Any, record: object) -> None:
        # https://docs.sqlalchemy.org/en/20/dialects/postgresql.html#setting-alternate-search-paths-on-connect
        outer, connection.autocommit = connection.autocommit, True
        cursor = connection.cursor()
        cursor.execute(f'SET search_path TO "{schema}"')
        cursor.close()
        connection.autocommit = outer


async def empty(connection: AsyncConnection, tables: Sequence[str]) -> None:
    """Remove all rows of tables, whatever refers to them, in a transaction of its own.

    Args:
        connection: A connection without a transaction.
        tables: The names of the tables, as SQL has them, in any order.

    Raises:
        FixtureError: When another connection holds a lock, for longer than `PATIENCE`.
    """
    if not tables:
        return
    deletes = [f"DELETE FROM {table}" for table in tables]
    if connection.dialect.name == "postgresql":
        statements = [
            f"SET LOCAL lock_timeout = '{PATIENCE}s'",
            f"TRUNCATE {', '.join(tables)} RESTART IDENTITY CASCADE",
        ]
    elif connection.dialect.name == "sqlite":
        statements = ["PRAGMA defer_foreign_keys = ON", *deletes]
    else:
        statements = [
            f"SET FOREIGN_KEY_CHECKS = 0, innodb_lock_wait_timeout = {PATIENCE}",
            *deletes,
            "SET FOREIGN_KEY_CHECKS = 1, innodb_lock_wait_timeout = DEFAULT",
        ]
    try:
        async with connection.begin():
            for statement in statements:
                await connection.exec_driver_sql(statement)
    except DBAPIError as error:
        if not _is_locked(error):
            raise
        raise FixtureError(
            "The tables cannot be emptied after a test that commits for real: another connection "
            "has a transaction in which it uses them. Close what the test, or the code that it "
            "tests, opens: async with engine.connect() as connection."
        ) from error
