"""What tables and mapped classes have of their own, what is given, and how much at once."""

from __future__ import annotations

import datetime
import logging
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import Any

import factory
import pytest
from databases import Database
from sqlalchemy import (
    JSON,
    Column,
    DateTime,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    event,
    func,
)
from sqlalchemy.dialects.mysql import MEDIUMTEXT
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, reconstructor, validates

from async_factory_boy import bind
from async_factory_boy.adapters.databases import DatabasesAdapter
from async_factory_boy.factory.databases import AsyncDatabasesFactory, TableRow
from tests.forks import Forks
from tests.servers import Servers
from tests.stores import databases as stores
from tests.stores.base import named_params
from tests.test_docs import ROOT, run_page

pytestmark = pytest.mark.unmeasured

metadata = MetaData()


class Loud(TypeDecorator[str]):
    """Stored in upper case, and read in lower case."""

    impl = String(50)
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        return value and value.upper()

    def process_result_value(self, value: Any, dialect: Any) -> Any:
        return value and value.lower()


def from_context(context: Any) -> str:
    return f"of {context.get_current_parameters()['name']}"


THEN = datetime.datetime(2020, 1, 2, 3, 4, 5)

hooked = Table(
    "hooked",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(50), nullable=False),
    Column("scalar", Integer, default=7, onupdate=8),
    Column("called", String(50), default=lambda: "called"),
    Column("contextual", String(50), default=from_context),
    Column("computed", String(50), default=func.lower("LOW")),
    Column("served", Integer, server_default="42"),
    Column("at", DateTime, server_default=func.now()),
    Column("loud", Loud, default="ab"),
)

long = Table(
    "long_values",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("text", Text().with_variant(MEDIUMTEXT(), "mysql", "mariadb")),
    Column("data", JSON),
)

broad = Table(
    "broad",
    metadata,
    Column("id", Integer, primary_key=True),
    *(Column(f"c{n}", Integer) for n in range(80)),
)


class Base(DeclarativeBase):
    metadata = metadata


class Mapping(Base):
    __tablename__ = "mapping"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(50))
    served: Mapped[int] = mapped_column(server_default="42")

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seen = ["__init__"]

    @validates("name")
    def stripped(self, key: str, name: str) -> str:
        return name.strip()

    @reconstructor
    def reconstructed(self) -> None:
        raise AssertionError("nothing is loaded by a session")


@event.listens_for(Mapping, "before_insert")
@event.listens_for(Mapping, "after_insert")
def inserted(*args: Any) -> None:
    raise AssertionError("nothing is inserted by a session")


class HookedFactory(AsyncDatabasesFactory[TableRow]):
    class Meta:
        model = hooked

    name = "x"


class MappingFactory(AsyncDatabasesFactory[Mapping]):
    class Meta:
        model = Mapping

    name = " x "


class LongFactory(AsyncDatabasesFactory[TableRow]):
    class Meta:
        model = long


class BroadFactory(AsyncDatabasesFactory[TableRow]):
    class Meta:
        model = broad


NAMESPACES = {
    "sqlite": stores.sqlite,
    "postgresql": stores.postgresql,
    "mariadb-aiomysql": stores.mariadb,
    "mariadb-asyncmy": stores.mariadb_asyncmy,
}


@pytest.fixture(params=named_params(NAMESPACES))
async def database(request: pytest.FixtureRequest, servers: Servers) -> AsyncGenerator[Database]:
    """A database with empty tables, connected, and bound."""
    async with (
        request.param(servers) as (url, options),
        Database(url, **options) as database,
    ):
        await stores.create(database, metadata)
        with bind(databases_database=database):
            yield database


class Statements(logging.Handler):
    """Keeps the first words of the statements that databases logs."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.sent: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        assert isinstance(record.args, tuple)
        self.sent.append(str(record.args[0]).split()[0])


@pytest.fixture
def statements(database: Database) -> Generator[Statements]:
    handler = Statements()
    logger = logging.getLogger("databases")
    logger.addHandler(handler)
    # Not passed on to pytest, which would format all values, and keep the text for its report.
    level, logger.propagate = logger.level, False
    logger.setLevel(logging.DEBUG)
    yield handler
    logger.propagate = True
    logger.setLevel(level)
    logger.removeHandler(handler)


async def by_calls(made_by: Any, **declarations: Any) -> list[Any]:
    return [await made_by.create_async(**declarations) for _ in range(3)]


async def in_a_batch(made_by: Any, **declarations: Any) -> list[Any]:
    made: list[Any] = await made_by.create_batch_async(3, **declarations)
    return made


both = pytest.mark.parametrize("make", [by_calls, in_a_batch])


@both
async def test_what_a_table_has(database: Database, make: Any) -> None:
    """Defaults and types of a table hold in a single call and in a batch alike."""
    made = await make(HookedFactory)
    expected = {
        "name": "x",
        "scalar": 7,
        "called": "called",
        "contextual": "of x",
        "computed": "low",
        "served": 42,
        "loud": "ab",
    }
    rows = await database.fetch_all(hooked.select().order_by(hooked.c.id))
    stored = [{column.key: row[column.name] for column in hooked.c} for row in rows]
    for row in (*map(dict, made), *stored):
        assert {name: row[name] for name in expected} == expected
        assert row["at"] is not None
    assert [row["id"] for row in rows] == [row.id for row in made]
    assert await database.fetch_val("SELECT loud FROM hooked") == "AB"


@both
async def test_what_is_given(database: Database, make: Any) -> None:
    """Values for what would be filled in are stored as given, keys and None among them."""
    keys = iter((30, 20, 10))
    given = {"scalar": None, "called": "given", "contextual": None, "computed": "given"}
    given |= {"served": None, "at": THEN, "loud": None}
    made = await make(HookedFactory, id=factory.LazyFunction(lambda: next(keys)), **given)
    rows = await database.fetch_all(hooked.select())
    stored = {row["id"]: dict(row._mapping) for row in rows}
    assert [row.id for row in made] == [30, 20, 10]
    for row in made:
        assert dict(row) == stored[row.id] == {"id": row.id, "name": "x", **given}


@both
async def test_what_a_class_has(database: Database, make: Any) -> None:
    """A mapped class is constructed, with its validators; events of a session do not apply."""
    made = await make(MappingFactory)
    assert [(one.name, one.served, one.seen) for one in made] == [("x", 42, ["__init__"])] * 3

    class FoundFactory(MappingFactory):
        class Meta:
            databases_get_or_create = ("id",)

    found = await make(FoundFactory, id=made[1].id)
    assert {(one.id, one.name, one.served) for one in found} == {(made[1].id, "x", 42)}


@both
@pytest.mark.parametrize("model", [HookedFactory, MappingFactory])
async def test_get_or_create_by_the_key(database: Database, make: Any, model: Any) -> None:
    """get_or_create by the key stores it as given, and finds it."""
    made_by: Any = type(model)(
        "ByKeyFactory", (model,), {"Meta": type("Meta", (), {"databases_get_or_create": ("id",)})}
    )
    made = await make(made_by, id=20) + await make(made_by, id=20)
    assert {one.id for one in made} == {20}


# The statements are the dialect's, whichever driver of MariaDB sends them.
ONE_OF_A_DIALECT = {id_: one for id_, one in NAMESPACES.items() if id_ != "mariadb-asyncmy"}


@pytest.mark.parametrize("database", named_params(ONE_OF_A_DIALECT), indirect=True)
async def test_lookups_by_many_columns(database: Database, statements: Statements) -> None:
    """Lookups by many columns take as many SELECTs as their parameters do not fit into one."""
    # 450 lookups are 36,000 parameters.
    size, expected = {"sqlite": (120, 3), "postgresql": (450, 2), "mysql": (450, 1)}[
        database.url.dialect
    ]
    lookups = [{f"c{n}": row for n in range(80)} for row in range(size)]
    made = await BroadFactory.create_batch_async(2, **lookups[-10])
    await database.execute(broad.delete().where(broad.c.id == made[1].id))
    statements.sent.clear()
    found = await DatabasesAdapter[TableRow]().find_many(broad, lookups)  # type: ignore[arg-type]
    assert [n for n, row in enumerate(found) if row is not None] == [size - 10]
    assert statements.sent == ["SELECT"] * expected


# In UTF-8, 24 are 19 MB; as JSON, so are 8. By default, MariaDB takes 16 MB.
@pytest.mark.parametrize(("name", "size"), [("text", 24), ("data", 8)], ids=["text", "data"])
async def test_long_values(
    database: Database, statements: Statements, name: str, size: int
) -> None:
    """Long values take several statements where a statement may not be as long as all of them."""
    values = [f"{n}" + "ä" * 400_000 for n in range(size)]
    made = await LongFactory.create_batch_async(
        size, **{name: factory.Iterator([value if name == "text" else [value] for value in values])}
    )
    limited = database.url.dialect == "mysql"
    assert statements.sent == ["INSERT"] * (size // 2 if limited else 1)
    stored = await database.fetch_all(long.select().order_by(long.c.id))
    assert [row[name] for row in stored] == [row[name] for row in made]


@pytest.mark.parametrize("server", ["mysql", "postgres"])
def test_the_page_on_a_server(server: str, servers: Servers, tmp_path: Path, forks: Forks) -> None:
    """The files of the page are green on a server, too, and leave nothing there."""
    url = servers.new_mysql() if server == "mysql" else servers.new_postgres()
    page = (ROOT / "docs" / "stores" / "databases.md").read_text()
    problem = run_page(page, tmp_path, {"DATABASE_URL": url}, forks)
    assert problem is None, problem
    if server == "mysql":
        from urllib.parse import urlsplit

        import pymysql

        parts = urlsplit(url)
        with (
            pymysql.connect(
                host=parts.hostname,
                port=parts.port or 3306,
                user=parts.username,
                password=parts.password or "",
                database=parts.path[1:],
            ) as connection,
            connection.cursor() as cursor,
        ):
            assert cursor.execute("SHOW TABLES") == 0
