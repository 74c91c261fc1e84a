"""The database of a run, for Tortoise ORM."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from types import ModuleType
from typing import Any

from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.config import TortoiseConfig
from tortoise.connection import ConnectionToken
from tortoise.context import TortoiseContext
from tortoise.exceptions import ConfigurationError
from tortoise.fields.relational import ManyToManyFieldInstance
from tortoise.models import Model
from tortoise.transactions import in_transaction

from async_factory_boy.exceptions import FixtureError
from async_factory_boy.isolation._tortoise.clients import ClientServer
from async_factory_boy.isolation._tortoise.copies import Copies
from async_factory_boy.isolation._tortoise.transactions import Transactions
from async_factory_boy.isolation.base import Connection, Database, Opened, Run
from async_factory_boy.isolation.servers import Place, emptying, make_schema

__all__ = ["TortoiseDatabase"]

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True

Modules = Mapping[str, Iterable["str | ModuleType"]]
Config = Mapping[str, Any]
Schema = Callable[[dict[str, Any]], "Awaitable[object] | object"]

_CALL = "tortoise_database"


class TortoiseDatabase(Database):
    """The databases of a run, whose tests work within a transaction that is rolled back.

    There is one for each connection of the configuration.

    Args:
        url: The URL of a database. It need not exist: the run gets one that is named after it.
        modules: The modules of each app's models.
        config: In place of `url` and `modules`, what ``Tortoise.init(config=...)`` takes.
        schema: What creates the tables, in place of ``generate_schemas()``: a function, async or
            not, that is called with the configuration of the new databases.
        allow_existing: Whether the URL may be of a database that does not look like one for tests.
        init_options: Further options of ``Tortoise.init()``, such as ``use_tz``.
    """

    fixtures = {
        "connection": "The connection that models use, in the transaction of the test.",
    }
    options = ("tortoise_using_db",)

    def __init__(
        self,
        url: str | None = None,
        modules: Modules | None = None,
        *,
        config: Config | TortoiseConfig | None = None,
        schema: Schema | None = None,
        allow_existing: bool = False,
        init_options: Mapping[str, Any] | None = None,
    ) -> None:
        self._given = _resolved(url, modules, config)
        self._schema = schema
        self._init_options = dict(init_options or {})
        self._servers = {
            name: ClientServer(_CALL, connection, allow_existing)
            for name, connection in self._given["connections"].items()
        }
        self._places: dict[str, Place] = {}

    @property
    def names(self) -> list[str]:
        """The names of the connections."""
        return [*self._servers]

    @property
    def config(self) -> dict[str, Any]:
        """The configuration of the run's databases, for ``Tortoise.init(config=...)``."""
        if len(self._places) < len(self._servers):
            raise FixtureError(
                "The database is created when the first test asks for it: name the fixture "
                f"{self.own_fixture!r} in yours."
            )
        connections = {
            name: server.connection_to(self._places[name]) for name, server in self._servers.items()
        }
        return {**self._given, "connections": connections}

    def create(self, run: Run) -> None:
        for name, server in self._servers.items():
            suffix = run.suffix if len(self._servers) == 1 else f"{name}_{run.suffix}"
            server.client_class()
            self._places[name] = asyncio.run(server.create(run._replace(suffix=suffix)))
            self.name = ", ".join(place.name for place in self._places.values())
        if self._schema is not None:
            make_schema(self._schema, self.config)
        else:
            asyncio.run(self._generate_schemas())

    async def _generate_schemas(self) -> None:
        async with TortoiseContext() as context:
            await self.init(context)
            await context.generate_schemas(safe=False)

    def drop(self) -> None:
        for name, place in self._places.items():
            asyncio.run(self._servers[name].drop(place))

    async def connect(self) -> TortoiseConnection:
        context = TortoiseContext()
        # In a task: this is not the context of a test yet.
        await asyncio.create_task(self.init(context))
        return TortoiseConnection(self, context)

    async def init(self, context: TortoiseContext) -> None:
        """Initialise a context, in which the running task is afterwards.

        Raises:
            FixtureError: When Tortoise cannot use the models.
        """
        context.__enter__()
        for app, described in self._given["apps"].items():
            for module in described["models"]:
                _check_module(app, module)
        try:
            await context.init(self.config, **self._init_options)
        except ConfigurationError as error:
            raise FixtureError(
                f"{_CALL}(): Tortoise ORM cannot use these models: {error} Models refer to each "
                "other by the name of an app, which is the key in "
                f'{_CALL}(url, modules={{"models": ["app.models"]}}).'
            ) from error

    async def empty(self, context: TortoiseContext) -> None:
        """Remove all rows, in the connections of a context."""
        context.__enter__()
        for name, tables in _tables(context).items():
            server = self._servers[name]
            quote = "`" if server.dialect == "mysql" else '"'
            quoted = [".".join(f"{quote}{part}{quote}" for part in table) for table in tables]
            async with in_transaction(name) as connection:
                for statement in emptying(server.dialect, quoted):
                    await connection.execute_query(statement)


def _resolved(
    url: str | None, modules: Modules | None, config: Config | TortoiseConfig | None
) -> dict[str, Any]:
    if (url is None or modules is None) if config is None else (url or modules):
        raise FixtureError(
            f"{_CALL}() takes the URL of a database and modules=, or config=, what "
            f"Tortoise.init(config=...) takes: one of both, as in {_CALL}(url, "
            'modules={"models": ["app.models"]}).'
        )
    for app, names in (modules or {}).items():
        if isinstance(names, str):
            raise FixtureError(
                f"{_CALL}(modules={{{app!r}: {names!r}}}) takes a list of modules for each app: "
                f"modules={{{app!r}: [{names!r}]}}."
            )
    try:
        if isinstance(config, TortoiseConfig):
            return config.to_dict()
        if config is not None:
            return TortoiseConfig.resolve_args(config=dict(config)).to_dict()
        listed: Any = {app: [*names] for app, names in (modules or {}).items()}
        return {
            "connections": {"default": url},
            "apps": {
                app: {"models": names, "default_connection": "default"}
                for app, names in listed.items()
            },
        }
    except ConfigurationError as error:
        raise FixtureError(f"{_CALL}(config=...): {error}.") from error


def _check_module(app: str, module: str | ModuleType) -> None:
    if isinstance(module, str):
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise FixtureError(
                f"{_CALL}(): the module {module!r} of the app {app!r} cannot be imported: {error}. "
                "Write it as in an import statement of the conftest.py."
            ) from error


def _tables(context: TortoiseContext) -> dict[str, list[tuple[str, ...]]]:
    """Return the tables of models, and those between them, by the names of connections."""
    tables: dict[str, dict[tuple[str, ...], None]] = {}
    for models in (context.apps or {}).values():
        for model in models.values():
            if model.__module__ != "aerich.models":  # which tell the version of the schema
                own = tables.setdefault(str(model._meta.default_connection), {})
                own |= dict.fromkeys(_tables_of(model))
    return {name: [*own] for name, own in tables.items()}


def _tables_of(model: type[Model]) -> list[tuple[str, ...]]:
    meta = model._meta
    tables = [(meta.schema, meta.db_table)]
    for name in meta.m2m_fields:
        field: Any = meta.fields_map[name]
        assert isinstance(field, ManyToManyFieldInstance)
        tables.append((field.through_schema, field.through))
    return [tuple(part for part in table if part) for table in tables]


class TortoiseConnection(Connection):
    """The connections of a context of Tortoise's."""

    def __init__(self, database: TortoiseDatabase, context: TortoiseContext) -> None:
        self._database = database
        self._context = context
        self._transactions: Transactions | None = None
        self._savepoints: list[str] = []

    async def begin(self) -> None:
        if self._transactions is None:
            transactions = Transactions(self._context, self._database.names)
            await transactions.begin()
            self._transactions = transactions
        else:
            name = f"async_factory_boy_{len(self._savepoints)}"
            await self._transactions.execute(f"SAVEPOINT {name}")
            self._savepoints.append(name)

    async def rollback(self) -> None:
        assert self._transactions is not None
        if self._savepoints:
            name = self._savepoints.pop()
            await self._transactions.execute(f"ROLLBACK TO SAVEPOINT {name}")
            await self._transactions.execute(f"RELEASE SAVEPOINT {name}")
        else:
            transactions, self._transactions = self._transactions, None
            await transactions.rollback()

    async def empty(self) -> None:
        await asyncio.create_task(self._database.empty(self._context))

    async def open(self) -> _OpenedContext:
        clients = {} if self._transactions is None else self._transactions.clients
        return _OpenedContext(self._context, clients, self._database.names[0])

    async def close(self) -> None:
        self._savepoints.clear()
        if self._transactions is not None:
            await self.rollback()
        await self._context.close_connections()


class _OpenedContext(Opened):
    """A context that the running code is in, until it is closed.

    Args:
        context: The context.
        clients: Those of transactions, by the names of their connections, if there are any.
        first: The name of the first connection.
    """

    def __init__(
        self, context: TortoiseContext, clients: Mapping[str, BaseDBAsyncClient], first: str
    ) -> None:
        self._context = context
        context.__enter__()
        self._tokens: list[ConnectionToken] = [
            context.connections.set(name, client) for name, client in clients.items()
        ]
        self._copies = Copies()
        self.values = {"connection": context.db(context.default_connection or first)}

    async def keep(self) -> None:
        """Nothing is kept back."""

    async def close(self) -> None:
        for token in reversed(self._tokens):
            self._context.connections.reset(token)
        self._context.__exit__(None, None, None)

    def anew(self, instance: Any) -> Any:
        return self._copies.of(instance) if isinstance(instance, Model) else NotImplemented
