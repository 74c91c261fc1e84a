"""Creates and drops the database of a run on a server, by whatever connects to it."""

from __future__ import annotations

import asyncio
import inspect
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from async_factory_boy.exceptions import FixtureError
from async_factory_boy.isolation.base import Run
from async_factory_boy.isolation.naming import name_of, refuse_used

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True


# How many seconds to wait for a lock that another connection holds.
PATIENCE = 5


class Place(NamedTuple):
    """Where the tables of a run are."""

    database: str
    """The name of the database; of SQLite, the path of its file."""

    schema: str | None = None
    """The schema that they are in, of a database that is not the run's own."""

    @property
    def name(self) -> str:
        return self.database if self.schema is None else f"{self.database}, schema {self.schema}"


class Server(ABC):
    """The server of a URL.

    Args:
        call: What defines the fixtures, such as ``sqlalchemy_database``: for errors.
        shown: The URL, without its password.
        dialect: ``"postgresql"``, ``"mysql"``, ``"mariadb"`` or ``"sqlite"``.
        database: The name of the database that is given, or the path of its file.
        user: The user that is given.
        host: The host that is given.
        allow_existing: Whether a database that does not look like one for tests is meant.
    """

    def __init__(
        self,
        call: str,
        *,
        shown: str,
        dialect: str,
        database: str | None,
        user: str | None,
        host: str | None,
        allow_existing: bool,
    ) -> None:
        self.call = call
        self.shown = shown
        self.dialect = dialect
        self._given = database or ""
        self._user = user or "the user"
        self._host = host or "localhost"
        self._allow_existing = allow_existing

    @abstractmethod
    async def table_names(self) -> list[str]:
        """Return the names of the tables of the database that is given."""

    @abstractmethod
    async def execute(self, database: str, statement: str) -> None:
        """Execute a statement outside of a transaction.

        Args:
            database: The database to connect to; empty for none, on MySQL.
            statement: The statement.
        """

    async def create(self, run: Run) -> Place:
        """Create a database for a run.

        Returns:
            Where the tables are to be made.

        Raises:
            FixtureError: When there is no such server, or none that lets it be created.
        """
        if self.dialect == "sqlite":
            return await self._create_file(run)
        name = name_of(self._given, run.suffix)
        tables = await self._tables()
        if not self._allow_existing and tables is not None:
            refuse_used(self.shown, self._given, tables, self.call)
        # With one that exists, if there is such a one: an account may have no other.
        outer = self._maintenance if tables is None else self._given
        try:
            await self._execute(outer, f"CREATE DATABASE {self._quoted(name)}")
        except Exception as error:
            if not _lacks_right(error):
                raise
            return await self._create_schema(name, tables, error)
        return Place(name)

    @property
    def _maintenance(self) -> str:
        """The database to be connected to, where the one that is given does not exist."""
        return "postgres" if self.dialect == "postgresql" else ""

    async def _create_file(self, run: Run) -> Place:
        given = Path(self._given)
        if not self._allow_existing and given.is_file():  # noqa: ASYNC240 (nothing else runs)
            refuse_used(self.shown, given.name, await self._tables() or (), self.call)
        return Place(str(run.folder / f"{name_of(given.stem.strip(':'), run.suffix)}.sqlite"))

    async def _create_schema(
        self, name: str, tables: list[str] | None, refused: Exception
    ) -> Place:
        """Create a schema in the database that is given, where no database may be created."""
        user, given = self._user, self._given
        begin = f"{self.call}({self.shown!r}): {user} may create no database"
        if self.dialect != "postgresql":
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
            await self._execute(given, f"CREATE SCHEMA {self._quoted(name)}")
        except Exception as error:
            if not _lacks_right(error):
                raise
            raise FixtureError(
                f"{begin}, and no schema in {given!r}. Have an administrator write: ALTER ROLE "
                f"{user} CREATEDB; or: GRANT CREATE ON DATABASE {given} TO {user}"
            ) from error
        return Place(given, name)

    async def drop(self, place: Place) -> None:
        """Drop what `create` has made, if it is there."""
        name = place.database
        if self.dialect == "sqlite":
            for path in Path(name).parent.glob(f"{Path(name).name}*"):
                path.unlink()
        elif place.schema is not None:
            quoted = self._quoted(place.schema)
            await self._execute(self._given, f"DROP SCHEMA IF EXISTS {quoted} CASCADE")
        else:
            force = " WITH (FORCE)" if self.dialect == "postgresql" else ""
            outer = self._maintenance if await self._tables() is None else self._given
            await self._execute(outer, f"DROP DATABASE IF EXISTS {self._quoted(name)}{force}")

    async def _tables(self) -> list[str] | None:
        """Return the tables of the database that is given, or ``None`` if it does not exist."""
        if not self._given:
            return None
        try:
            return await self.table_names()
        except FixtureError:
            raise
        except Exception as error:  # drivers raise errors of their own while they connect
            if _does_not_exist(error):
                return None
            raise self.unreachable(error) from error

    async def _execute(self, database: str, statement: str) -> None:
        try:
            await self.execute(database, statement)
        except OSError as error:
            raise self.unreachable(error) from error

    def unreachable(self, error: Exception) -> FixtureError:
        """Return an error for a server that cannot be connected to."""
        what = str(getattr(error, "orig", None) or error).strip().rstrip(".")
        return FixtureError(
            f"{self.call}({self.shown!r}): cannot connect to {self._host}: {what}. "
            "Start the server, or correct host, port, user and password of the URL."
        )

    def _quoted(self, name: str) -> str:
        return f'"{name}"' if self.dialect == "postgresql" else f"`{name}`"


def make_schema(schema: Callable[[Any], Awaitable[object] | object], given: Any) -> None:
    """Call a function of the user's, async or not, that creates tables.

    Args:
        schema: The function.
        given: What it is called with.
    """
    made = schema(given)
    if inspect.isawaitable(made):
        asyncio.run(_awaited(made))


async def _awaited(awaitable: Awaitable[object]) -> object:
    return await awaitable


def _codes(error: BaseException | None) -> set[object]:
    """Return the SQLSTATE of an error and the number of MySQL's, of what it was raised from too."""
    codes, told = set[object](), list[BaseException]()
    while error is not None and error not in told:
        told.append(error)
        codes |= {getattr(error, "sqlstate", None), *error.args[:1]}
        error = getattr(error, "orig", None) or error.__cause__ or error.__context__
    return codes


def _lacks_right(error: BaseException) -> bool:
    return bool(_codes(error) & {"42501", 1044, 1142})


def _does_not_exist(error: BaseException) -> bool:
    # psycopg tells no SQLSTATE of a connection that was refused.
    return bool(_codes(error) & {"3D000", 1049}) or "does not exist" in str(error)


def lacks_savepoint(error: BaseException) -> bool:
    """Tell whether an error is that of a savepoint that is gone."""
    return bool(_codes(error) & {"3B001", 1305}) or "no such savepoint" in str(error)


def is_locked(error: BaseException) -> bool:
    """Tell whether an error is that of a lock that another connection holds for too long."""
    return bool(_codes(error) & {"55P03", 1205}) or "database is locked" in str(error)


def emptying(dialect: str, tables: Sequence[str]) -> list[str]:
    """Return statements that remove all rows of tables, whatever refers to them.

    Args:
        dialect: As of a `Server`.
        tables: The names of the tables, as SQL has them, in any order; at least one.
    """
    deletes = [f"DELETE FROM {table}" for table in tables]
    if dialect == "postgresql":
        return [
            f"SET LOCAL lock_timeout = '{PATIENCE}s'",
            f"TRUNCATE {', '.join(tables)} RESTART IDENTITY CASCADE",
        ]
    if dialect == "sqlite":
        return ["PRAGMA defer_foreign_keys = ON", *deletes]
    return [
        f"SET FOREIGN_KEY_CHECKS = 0, innodb_lock_wait_timeout = {PATIENCE}",
        *deletes,
        "SET FOREIGN_KEY_CHECKS = 1, innodb_lock_wait_timeout = DEFAULT",
    ]
