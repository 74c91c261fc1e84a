"""The database of a run, for SQLAlchemy and SQLModel."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Callable, Mapping
from os import PathLike
from typing import Any, cast

from sqlalchemy import URL, MetaData
from sqlalchemy import inspect as inspection
from sqlalchemy.ext.asyncio import (
    AsyncConnection,
    AsyncEngine,
    AsyncSession,
    AsyncTransaction,
    async_sessionmaker,
)
from sqlalchemy.ext.mutable import MutableBase
from sqlalchemy.orm import InstanceState, attributes

from async_factory_boy.exceptions import FixtureError
from async_factory_boy.isolation import engines, servers
from async_factory_boy.isolation.base import (
    Connection,
    Database,
    Opened,
    Run,
    TransactionEndedError,
)
from async_factory_boy.isolation.servers import Place, make_schema

__all__ = ["SQLAlchemyDatabase", "alembic"]

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True

Schema = Callable[[URL], "Awaitable[object] | object"]


class SQLAlchemyDatabase(Database):
    """A database of a run, whose tests work within a transaction that is rolled back.

    Args:
        url: The URL of a database, with an async driver. It need not exist: the run gets one that
            is named after it.
        metadata: The tables to create.
        schema: In place of `metadata`, what creates the tables: a function, async or not, that is
            called with the URL of the new database.
        allow_existing: Whether the URL may be of a database that does not look like one for tests.
        engine_options: For ``create_async_engine()``.
        session_options: For ``async_sessionmaker()``, such as ``class_``.
        configure: Called with each engine, to listen to its events.
    """

    fixtures = {
        "session": "A session in the test's transaction, which the factories use as well.",
        "engine": "The engine of the run's database; what its connections commit stays.",
    }
    options = ("sqlalchemy_session",)

    def __init__(
        self,
        url: str | URL,
        *,
        metadata: MetaData | None = None,
        schema: Schema | None = None,
        allow_existing: bool = False,
        engine_options: Mapping[str, Any] | None = None,
        session_options: Mapping[str, Any] | None = None,
        configure: Callable[[AsyncEngine], object] | None = None,
    ) -> None:
        if (metadata is None) == (schema is None):
            raise FixtureError(
                "sqlalchemy_database() takes metadata=, whose tables it creates, or schema=, a "
                "function that creates them: one of both, as in sqlalchemy_database(url, "
                "metadata=Base.metadata)."
            )
        self.metadata = metadata
        self._schema = schema
        self._engine_options = dict(engine_options or {})
        self._session_options = {"expire_on_commit": False, **(session_options or {})}
        self._configure = configure
        self._server = engines.EngineServer("sqlalchemy_database", url, allow_existing)
        self._place: Place | None = None
        self._engine: AsyncEngine | None = None

    @property
    def url(self) -> URL:
        """The URL of the run's database."""
        return self._server.url_of(self._created)

    @property
    def _created(self) -> Place:
        if self._place is None:
            raise FixtureError(
                "The database is created when the first test asks for it: name the fixture "
                f"{self.own_fixture!r} in yours."
            )
        return self._place

    @property
    def engine(self) -> AsyncEngine:
        """An engine for the run's database, which keeps no connection."""
        if self._engine is None:
            engine = self._server.engine(self._created, self._engine_options)
            if self._configure is not None:
                self._configure(engine)
            self._engine = engine
        return self._engine

    @property
    def sessionmaker(self) -> async_sessionmaker[Any]:
        """Makes sessions in the transaction of the test, for code that opens its own."""
        if not isinstance(self.opened, _OpenedSession):
            raise FixtureError(
                f"{self.own_fixture}.sessionmaker makes sessions in the transaction of a test, and "
                f"there is none: name the fixture {self._first_fixture()!r} in the test."
            )
        return self.opened.sessionmaker

    def create(self, run: Run) -> None:
        self._place = asyncio.run(self._server.create(run))
        self.name = self._place.name
        if self._schema is not None:
            make_schema(self._schema, self.url)
        else:
            asyncio.run(self._create_all())

    async def _create_all(self) -> None:
        async with self.engine.begin() as connection:
            await connection.run_sync(cast("MetaData", self.metadata).create_all)

    def drop(self) -> None:
        if self._place is not None:
            asyncio.run(self._server.drop(self._place))

    async def connect(self) -> SQLAlchemyConnection:
        return SQLAlchemyConnection(self, await self.engine.connect())

    def explain(self, error: BaseException) -> str | None:
        if not isinstance(self.opened, _OpenedSession) or not servers.lacks_savepoint(error):
            return None
        return (
            "The sessions of a test are savepoints in one transaction, and one is gone. Two "
            "sessions have ended in another order than that in which they began (the last has to "
            "end first), or were used at the same time; or a statement has committed, as DDL does "
            "on MySQL and MariaDB. Mark such a test with "
            "@pytest.mark.factory_database(rollback=False)."
        )

    def sessionmaker_for(self, bind: AsyncConnection | AsyncEngine) -> async_sessionmaker[Any]:
        """Return what makes sessions that join the transaction of a connection."""
        return async_sessionmaker(
            bind, **{"join_transaction_mode": "create_savepoint", **self._session_options}
        )


def alembic(path: str | PathLike[str], revision: str = "head") -> Schema:
    """Return a function that creates tables by the migrations of Alembic.

    ```python
    from async_factory_boy.pytest_plugin import alembic, sqlalchemy_database

    sqlalchemy_database("sqlite+aiosqlite://", schema=alembic("alembic.ini"))
    ```

    The migrations find the URL of the new database where Alembic's own templates of ``env.py`` read
    it: ``config.get_main_option("sqlalchemy.url")``.

    Args:
        path: The path of the configuration file.
        revision: The revision to upgrade to.
    """

    def upgrade(url: URL) -> None:
        from alembic import command
        from alembic.config import Config

        config = Config(path)
        shown = url.render_as_string(hide_password=False)
        config.set_main_option("sqlalchemy.url", shown.replace("%", "%%"))
        command.upgrade(config, revision)

    return upgrade


class SQLAlchemyConnection(Connection):
    """A connection of SQLAlchemy's."""

    def __init__(self, database: SQLAlchemyDatabase, connection: AsyncConnection) -> None:
        self._database = database
        self._connection = connection
        self._begun: list[AsyncTransaction] = []

    async def begin(self) -> None:
        begin = self._connection.begin_nested if self._begun else self._connection.begin
        self._begun.append(await begin())

    async def rollback(self) -> None:
        transaction = self._begun.pop()
        if not transaction.is_active:
            raise TransactionEndedError(
                "The test has ended the transaction that is rolled back after it: it has called "
                "commit(), rollback() or close() of the connection of its session. Call those of "
                "the session; or, to commit for real, mark the test with "
                "@pytest.mark.factory_database(rollback=False)."
            )
        await transaction.rollback()

    async def empty(self) -> None:
        await engines.empty(self._connection, self._database.metadata)

    async def open(self) -> _OpenedSession:
        # Outside of a transaction, each session has a connection of its own, as it usually has.
        bind = self._connection if self._begun else self._database.engine
        return _OpenedSession(self._database, bind)

    async def close(self) -> None:
        self._begun.clear()
        await self._connection.close()


class _OpenedSession(Opened):
    def __init__(self, database: SQLAlchemyDatabase, bind: AsyncConnection | AsyncEngine) -> None:
        self.sessionmaker = database.sessionmaker_for(bind)
        self._session: AsyncSession = self.sessionmaker()
        self.values = {"engine": database.engine, "session": self._session}
        self.options = {"sqlalchemy_session": self._session}

    async def keep(self) -> None:
        await self._session.commit()  # that of a savepoint

    async def close(self) -> None:
        await self._session.close()

    def anew(self, instance: Any) -> Any:
        state = inspection(instance, raiseerr=False)
        if not isinstance(state, InstanceState) or state.transient:
            return NotImplemented
        # This copies what is loaded, and sends nothing.
        merged = self._session.sync_session.merge(instance, load=False)
        _copy_values(inspection(merged))
        return merged


def _copy_values(state: InstanceState[Any]) -> None:
    """Have a merged object, and those it leads to, own their values, such as a dict of JSON."""
    reached = (one for _, _, one, _ in state.mapper.cascade_iterator("merge", state))
    for one in (state, *reached):
        for key in one.mapper.column_attrs.keys() & one.dict.keys():
            value = copy.deepcopy(one.dict[key])
            if value is not one.dict[key]:
                attributes.set_committed_value(one.object, key, value)
                if isinstance(value, MutableBase):
                    value._parents[one] = key  # whom it tells of changes
