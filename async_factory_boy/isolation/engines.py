"""Servers for which SQLAlchemy has an async driver, and engines for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import URL, Connection, MetaData, event, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, InvalidRequestError, NoSuchModuleError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from async_factory_boy.exceptions import FixtureError
from async_factory_boy.isolation.base import Run
from async_factory_boy.isolation.servers import Place, Server, emptying, is_locked

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True

# An async driver for each kind of database, for URLs that name none or another.
DRIVERS = {
    "postgresql": "asyncpg",
    "mysql": "asyncmy",
    "mariadb": "asyncmy",
    "sqlite": "aiosqlite",
}


class EngineServer(Server):
    """The server of a URL as SQLAlchemy has them.

    Args:
        call: What defines the fixtures, such as ``sqlalchemy_database``: for errors.
        url: The URL that it was given.
        allow_existing: Whether a database that does not look like one for tests is meant.
        shown: The URL without its password, if it was given in another form.
    """

    def __init__(
        self, call: str, url: str | URL, allow_existing: bool, shown: str | None = None
    ) -> None:
        try:
            self.url = make_url(url)
        except ArgumentError as error:
            raise FixtureError(
                f"{call}() takes the URL of a database, such as "
                f"'postgresql+asyncpg://localhost/app_test' or 'sqlite+aiosqlite://'. {error}"
            ) from None
        super().__init__(
            call,
            shown=shown or self.url.render_as_string(hide_password=True),
            dialect=self.url.get_backend_name(),
            database=self.url.database,
            user=self.url.username,
            host=self.url.host,
            allow_existing=allow_existing,
        )

    def engine(self, place: Place, options: Mapping[str, Any] | None = None) -> AsyncEngine:
        """Return an engine that keeps no connection: each belongs to the event loop of a test.

        Raises:
            FixtureError: When the driver is missing, or synchronous.
        """
        url = self.url_of(place)
        try:
            engine = create_async_engine(url, **{"poolclass": NullPool, **(options or {})})
        except (InvalidRequestError, NoSuchModuleError) as error:
            raise self._wrong_driver() from error
        except ModuleNotFoundError as error:
            raise FixtureError(
                f"{self.call}({self.shown!r}): the driver of this URL is not installed. Install it "
                f"with: pip install {error.name}"
            ) from error
        if self.dialect == "sqlite":
            _begin_for_real(engine)
        if place.schema is not None:
            _search_in(engine, place.schema)
        return engine

    def url_of(self, place: Place) -> URL:
        """Return the URL of a database on this server."""
        return self.url.set(database=place.database)

    def _wrong_driver(self) -> FixtureError:
        driver = DRIVERS.get(self.dialect)
        instead = (
            f"Write '{self.dialect}+{driver}' in place of {self.url.drivername!r}."
            if driver
            else f"Databases are created on {', '.join(DRIVERS)}."
        )
        return FixtureError(
            f"{self.call}({self.shown!r}) takes a URL with an async driver. {instead}"
        )

    async def create(self, run: Run) -> Place:
        if self.dialect not in DRIVERS:
            raise self._wrong_driver()
        return await super().create(run)

    async def table_names(self) -> list[str]:
        engine = self.engine(Place(self._given))
        try:
            async with engine.connect() as connection:
                return await connection.run_sync(_table_names)
        finally:
            await engine.dispose()

    async def execute(self, database: str, statement: str) -> None:
        engine = self.engine(Place(database), {"isolation_level": "AUTOCOMMIT"})
        try:
            async with engine.connect() as connection:
                await connection.execute(text(statement))
        finally:
            await engine.dispose()


def _table_names(connection: Connection) -> list[str]:
    return inspect(connection).get_table_names()


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


def _search_in(engine: AsyncEngine, schema: str) -> None:
    """Have each connection of an engine use a schema for what is given without one."""

    @event.listens_for(engine.sync_engine, "connect", insert=True)
    def set_search_path(connection: Any, record: object) -> None:
        # https://docs.sqlalchemy.org/en/20/dialects/postgresql.html#setting-alternate-search-paths-on-connect
        outer, connection.autocommit = connection.autocommit, True
        cursor = connection.cursor()
        cursor.execute(f'SET search_path TO "{schema}"')
        cursor.close()
        connection.autocommit = outer


async def empty(connection: AsyncConnection, metadata: MetaData | None) -> None:
    """Remove all rows of tables in a transaction of its own, on a connection without one.

    Args:
        connection: The connection.
        metadata: The tables; ``None`` for all but that in which Alembic keeps its revision.

    Raises:
        FixtureError: When another connection holds a lock for too long.
    """
    quote = connection.dialect.identifier_preparer
    if metadata is not None:
        tables = [quote.format_table(table) for table in metadata.tables.values()]
    else:
        names = await connection.run_sync(_table_names)
        await connection.rollback()
        tables = [quote.quote(name) for name in names if name != "alembic_version"]
    if not tables:
        return
    try:
        async with connection.begin():
            for statement in emptying(connection.dialect.name, tables):
                await connection.exec_driver_sql(statement)
    except DBAPIError as error:
        if not is_locked(error):
            raise
        raise FixtureError(
            "The tables cannot be emptied after a test that commits for real: another connection "
            "has a transaction in which it uses them. Close what the test, or the code that it "
            "tests, opens: async with engine.connect() as connection."
        ) from error
