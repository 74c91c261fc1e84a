"""Servers for which Tortoise ORM has a client that creates databases for a run."""

from __future__ import annotations

import importlib
import re
import sqlite3
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.backends.base.config_generator import expand_db_url
from tortoise.exceptions import ConfigurationError, DBConnectionError

from async_factory_boy.exceptions import FixtureError
from async_factory_boy.isolation.servers import Place, Server

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True

_PSYCOPG = "tortoise.backends.psycopg"

_DIALECTS = {
    "tortoise.backends.sqlite": "sqlite",
    "tortoise.backends.asyncpg": "postgresql",
    _PSYCOPG: "postgresql",
    "tortoise.backends.mysql": "mysql",
}

# What to install, for what a client imports in vain.
_DRIVERS = {"pymysql": "asyncmy", "aiomysql": "asyncmy", "psycopg_pool": "'psycopg[binary,pool]'"}

_TABLES = {
    "postgresql": "SELECT table_name AS name FROM information_schema.tables "
    "WHERE table_schema = current_schema()",
    "mysql": "SELECT table_name AS name FROM information_schema.tables "
    "WHERE table_schema = database()",
    "sqlite": "SELECT name FROM sqlite_master WHERE type = 'table'",
}


class ClientServer(Server):
    """The server of a connection of Tortoise's.

    Args:
        call: What defines the fixtures: for errors.
        connection: The URL, or the engine with its credentials.
        allow_existing: Whether a database that does not look like one for tests is meant.

    Raises:
        FixtureError: When Tortoise has no such client, or no databases are created on such a
            server.
    """

    def __init__(
        self, call: str, connection: str | Mapping[str, Any], allow_existing: bool
    ) -> None:
        shown = _without_password(connection) if isinstance(connection, str) else None
        try:
            expanded = expand_db_url(connection) if isinstance(connection, str) else connection
        except ConfigurationError as error:
            raise FixtureError(
                f"{call}({shown!r}): Tortoise ORM knows no such URL: {error}. {_HOW}"
            ) from error
        self._engine = str(expanded["engine"])
        self._credentials = dict(expanded["credentials"])
        given = self._credentials.get("database") or self._credentials.get("file_path")
        host = self._credentials.get("host")
        shown = shown or f"{self._engine.rpartition('.')[2]}://{host or ''}/{given or ''}"
        if self._engine not in _DIALECTS:
            raise FixtureError(
                f"{call}({shown!r}): no database is created on such a server. {_HOW}"
            )
        super().__init__(
            call,
            shown=shown,
            dialect=_DIALECTS[self._engine],
            database=given,
            user=self._credentials.get("user"),
            host=host,
            allow_existing=allow_existing,
        )

    def connection_to(self, place: Place) -> dict[str, Any]:
        """Return what Tortoise takes for a connection to a database on this server."""
        if self.dialect == "sqlite":
            return self._with(file_path=place.database)
        if place.schema is not None:
            return self._with(database=place.database, schema=place.schema)
        return self._with(database=place.database)

    def _with(self, **credentials: Any) -> dict[str, Any]:
        return {"engine": self._engine, "credentials": {**self._credentials, **credentials}}

    async def table_names(self) -> list[str]:
        statement = _TABLES[self.dialect]
        if self.dialect == "sqlite":
            # Tortoise's client would change the file, to another mode of its journal.
            uri = f"{Path(self._given).absolute().as_uri()}?mode=ro"  # noqa: ASYNC240
            with closing(sqlite3.connect(uri, uri=True)) as connection:
                return [row[0] for row in connection.execute(statement)]
        async with self._connected(self._given) as client:
            return [row["name"] for row in await client.execute_query_dict(statement)]

    async def execute(self, database: str, statement: str) -> None:
        async with self._connected(database) as client:
            await client.execute_query(statement)

    @asynccontextmanager
    async def _connected(self, database: str) -> AsyncGenerator[BaseDBAsyncClient]:
        connection = self._with(database=database, minsize=1, maxsize=1)
        client: BaseDBAsyncClient = self.client_class()(
            **connection["credentials"], connection_name="default"
        )
        if self._engine == _PSYCOPG:
            await self._try_psycopg(connection["credentials"])
        refused: BaseException | None = None
        try:
            await client.create_connection(with_db=bool(database))
        except DBConnectionError as error:
            refused = error.__cause__ or error.__context__ or error
        if refused is not None:
            raise refused  # that of the driver, which says more
        try:
            yield client
        finally:
            await client.close()

    def client_class(self) -> Any:
        """Return the class of Tortoise's clients.

        Raises:
            FixtureError: When the driver is missing.
        """
        try:
            return importlib.import_module(self._engine).client_class
        except ModuleNotFoundError as error:
            name = str(error.name)
            raise FixtureError(
                f"{self.call}({self.shown!r}): the driver of this connection is not installed. "
                f"Install it with: pip install {_DRIVERS.get(name, name)}"
            ) from error

    async def _try_psycopg(self, credentials: Mapping[str, Any]) -> None:
        """Raise what is wrong, which its pool tries for half a minute, and does not tell."""
        import psycopg

        connection = await psycopg.AsyncConnection.connect(
            host=credentials["host"],
            port=credentials["port"],
            user=credentials["user"],
            password=credentials["password"],
            dbname=credentials["database"],
        )
        await connection.close()


_HOW = "It takes sqlite, asyncpg, psycopg or mysql, as in 'asyncpg://localhost:5432/app_test'."


def _without_password(url: str) -> str:
    return re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", url)
