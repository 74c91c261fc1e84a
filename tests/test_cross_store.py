"""Objects of one graph in several stores, and every adapter on a plain AsyncFactory."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any

import factory
import pytest
from beanie import Document, init_beanie
from databases import Database
from sqlalchemy import Column, Integer, MetaData, String, Table, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from tortoise import fields
from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.exceptions import IntegrityError
from tortoise.models import Model
from tortoise.transactions import in_transaction

from async_factory_boy import ConfigurationError, MissingOptionError, bind
from async_factory_boy.adapters import PersistenceAdapter
from async_factory_boy.adapters.beanie import BeanieAdapter
from async_factory_boy.adapters.databases import DatabasesAdapter
from async_factory_boy.adapters.mongo import MongoAdapter
from async_factory_boy.adapters.sqlalchemy import SQLAlchemyAdapter
from async_factory_boy.adapters.tortoise import TortoiseAdapter
from async_factory_boy.factory import AsyncFactory
from async_factory_boy.factory.beanie import AsyncBeanieDocumentFactory
from async_factory_boy.factory.databases import AsyncDatabasesFactory, TableRow
from async_factory_boy.factory.mongo import AsyncMongoFactory
from async_factory_boy.factory.sqlalchemy import AsyncSQLAlchemyModelFactory
from async_factory_boy.factory.tortoise import AsyncTortoiseModelFactory
from tests.servers import Servers
from tests.stores import beanie, databases, mongo, sqlalchemy, tortoise
from tests.stores.base import Store

pytestmark = pytest.mark.unmeasured


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "user"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    profile_key: Mapped[str]


class Profile(Document):
    nickname: str


class AuditRow(Model):
    id = fields.IntField(primary_key=True)
    user_id = fields.IntField()
    user_name = fields.CharField(50, unique=True)
    profile_key = fields.CharField(50)


ledger = Table(
    "ledger",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("audit_id", Integer, nullable=False),
    Column("profile_key", String(50), nullable=False),
)


class ProfileFactory(AsyncBeanieDocumentFactory[Profile]):
    class Meta:
        model = Profile

    nickname = factory.Sequence(lambda n: f"nick{n}")


class AuditRowFactory(AsyncTortoiseModelFactory[AuditRow]):
    class Meta:
        model = AuditRow

    class Params:
        user = None

    user_id = factory.SelfAttribute("user.id")
    user_name = factory.SelfAttribute("user.name")
    profile_key = factory.LazyAttribute(lambda row: row.user.profile_key)


class UserFactory(AsyncSQLAlchemyModelFactory[User]):
    class Meta:
        model = User
        exclude = ("profile",)

    name = factory.LazyAttribute(lambda user: f"user of {user.profile.nickname}")
    profile = factory.SubFactory(ProfileFactory)
    profile_key = factory.LazyAttribute(lambda user: str(user.profile.id))
    audit = factory.RelatedFactory(AuditRowFactory, factory_related_name="user")


@dataclass
class Stores:
    """The stores of these tests, each in a transaction."""

    session: AsyncSession
    connection: BaseDBAsyncClient
    documents: Any
    client_session: Any
    database: Database

    @property
    def options(self) -> Mapping[str, Any]:
        return {
            "sqlalchemy_session": self.session,
            "tortoise_using_db": self.connection,
            "beanie_session": self.client_session,
            "databases_database": self.database,
        }

    async def users(self) -> list[dict[str, Any]]:
        connection = await self.session.connection()
        found = await connection.execute(select(User.__table__).order_by("id"))
        return [dict(row) for row in found.mappings()]

    async def profiles(self) -> list[dict[str, Any]]:
        found = self.documents["Profile"].find(session=self.client_session).sort("_id")
        return [document async for document in found]

    async def audit(self) -> list[dict[str, Any]]:
        rows = await self.connection.execute_query_dict("SELECT * FROM auditrow ORDER BY id")
        return [dict(row) for row in rows]


@pytest.fixture
async def stores(servers: Servers) -> AsyncGenerator[Stores]:
    """All stores, with nothing in them, their options bound by one `bind`."""
    url = sqlalchemy.SQLiteMemory.url(servers)
    audit_url = f"sqlite://{servers.folder / 'audit.sqlite'}"
    async with (
        sqlalchemy.opened_engine(url, Base.metadata) as engine,
        AsyncSession(engine) as session,
        tortoise.opened_context("cross-store", audit_url, __name__),
        in_transaction() as connection,
        beanie.DRIVER.database(servers.mongodb) as documents,
        beanie.DRIVER.session(documents) as client_session,
        databases.sqlite(servers) as (database_url, _),
        Database(database_url, force_rollback=True) as database,
    ):
        await databases.create(database, ledger.metadata)
        await init_beanie(database=documents, document_models=[Profile])
        await beanie.DRIVER.begin(client_session)
        stores = Stores(session, connection, documents, client_session, database)
        with bind(**stores.options):
            yield stores


async def test_one_call(stores: Stores) -> None:
    """One call stores a user, its profile and its audit row, each where it belongs."""
    user = await UserFactory.create_async(profile__nickname="ada")
    (profile,) = await stores.profiles()
    assert profile["nickname"] == "ada"
    assert await stores.users() == [
        {"id": user.id, "name": "user of ada", "profile_key": str(profile["_id"])}
    ]
    assert await stores.audit() == [
        {
            "id": 1,
            "user_id": user.id,
            "user_name": "user of ada",
            "profile_key": str(profile["_id"]),
        }
    ]
    assert user in stores.session


async def test_a_batch(stores: Stores) -> None:
    """A batch keeps together what belongs together."""
    users = await UserFactory.create_batch_async(5)
    nicknames = {str(profile["_id"]): profile["nickname"] for profile in await stores.profiles()}
    assert len(nicknames) == 5
    assert [user.name for user in users] == [
        f"user of {nicknames[user.profile_key]}" for user in users
    ]
    assert [(row["user_id"], row["profile_key"]) for row in await stores.audit()] == [
        (user.id, user.profile_key) for user in users
    ]


async def test_each_has_its_own_transaction(stores: Stores) -> None:
    """What is rolled back in one store stays in the others."""
    await UserFactory.create_async()
    await stores.session.rollback()
    assert await stores.users() == []
    assert len(await stores.audit()) == len(await stores.profiles()) == 1
    await stores.client_session.abort_transaction()
    assert await stores.profiles() == []
    assert len(await stores.audit()) == 1


async def test_an_error_in_one_of_them(stores: Stores) -> None:
    """The refusal of one store reaches the caller untouched, and the others can be rolled back."""
    await UserFactory.create_async(name="ada")
    await stores.session.commit()
    with pytest.raises(IntegrityError):
        await UserFactory.create_async(name="ada")
    await stores.session.rollback()
    assert [user["name"] for user in await stores.users()] == ["ada"]


async def test_an_option_of_a_store_that_is_missing(stores: Stores) -> None:
    """The error that an option is missing names the factory that needs it, not the outermost."""
    with bind(sqlalchemy_session=None):

        class OutermostFactory(AsyncTortoiseModelFactory[AuditRow]):
            class Meta:
                model = AuditRow
                exclude = ("user",)

            user = factory.SubFactory(UserFactory, audit=None)
            user_id = factory.SelfAttribute("user.id")
            user_name = factory.SelfAttribute("user.name")
            profile_key = factory.SelfAttribute("user.profile_key")

        with pytest.raises(MissingOptionError, match=r"\(Asked for by UserFactory\.\)$"):
            await OutermostFactory.create_async()
    assert await stores.audit() == await stores.profiles() == []


async def test_options_of_the_call(stores: Stores) -> None:
    """One call takes the options of several stores, and they hold for what it creates there."""
    with bind(**dict.fromkeys(stores.options)):
        await UserFactory.create_async(**stores.options)
    assert len(await stores.users()) == len(await stores.audit()) == 1


async def test_five_stores(stores: Stores) -> None:
    """A graph may reach through every store there is, in hooks and declarations alike."""

    class EventFactory(AsyncMongoFactory[dict[str, Any]]):
        class Meta:
            model = dict
            exclude = ("entry",)
            mongo_collection = staticmethod(lambda: stores.documents["events"])

        entry_id = factory.SelfAttribute("entry.id")
        profile_key = factory.LazyAttribute(lambda event: event.entry.profile_key)

    class LedgerFactory(AsyncDatabasesFactory[TableRow]):
        class Meta:
            model = ledger
            exclude = ("row",)

        audit_id = factory.SelfAttribute("row.id")
        profile_key = factory.SelfAttribute("row.profile_key")
        event = factory.RelatedFactory(EventFactory, factory_related_name="entry")

    class AuditedFactory(AuditRowFactory):
        @factory.post_generation
        async def entry(row: AuditRow, create: bool, extracted: Any, **kwargs: Any) -> None:
            await LedgerFactory.create_async(row=row)

    class Factory(UserFactory):
        audit = factory.RelatedFactory(AuditedFactory, factory_related_name="user")

    user = await Factory.create_async()
    (profile,) = await stores.profiles()
    (row,) = await stores.audit()
    (entry,) = await stores.database.fetch_all(ledger.select())
    (event,) = [found async for found in stores.documents["events"].find()]
    assert row["user_id"] == user.id
    assert entry.audit_id == row["id"]
    assert event["entry_id"] == entry.id
    keys = {user.profile_key, row["profile_key"], entry.profile_key, event["profile_key"]}
    assert keys == {str(profile["_id"])}


# Meta.adapter -------------------------------------------------------------------------------------


ADAPTERS: dict[str, tuple[type[Store], type[PersistenceAdapter[Any]]]] = {
    "sqlalchemy": (sqlalchemy.SQLite, SQLAlchemyAdapter),
    "tortoise": (tortoise.SQLite, TortoiseAdapter),
    "beanie": (beanie.Beanie, BeanieAdapter),
    "mongo": (mongo.PyMongo, MongoAdapter),
    "databases": (databases.SQLiteTables, DatabasesAdapter),
}

each_adapter = pytest.mark.parametrize(
    ("store", "name"),
    [(store, name) for name, (store, _) in ADAPTERS.items()],
    indirect=["store"],
    ids=ADAPTERS,
)


def options_for(store: Store) -> dict[str, Any]:
    """What a plain factory's call needs that `bind` does not give."""
    if isinstance(store, mongo.MongoStore):
        return {"mongo_collection": store.collection(store.CompanyFactory)}
    return {}


def plain_factory(store: Store, **meta: Any) -> type[AsyncFactory[Any]]:
    """An AsyncFactory for the store's company."""

    class Plain(AsyncFactory[Any]):
        Meta = type("Meta", (), {"model": store.CompanyFactory._meta.model, **meta})

        name = factory.Sequence(lambda n: f"plain{n}")
        size = 1

    return Plain


@each_adapter
@pytest.mark.parametrize("form", ["instance", "class", "name"])
async def test_adapter(store: Store, name: str, form: str) -> None:
    """Meta.adapter takes an instance of each adapter, its class, and its registered name."""
    _, adapter = ADAPTERS[name]
    chosen = {"instance": adapter(), "class": adapter, "name": name}[form]
    plain = plain_factory(store, adapter=chosen)
    company = await plain.create_async(**options_for(store))
    used = plain._meta.adapter_for_storing()
    assert used is chosen if form == "instance" else type(used) is adapter
    assert await store.rows(store.CompanyFactory) == [
        {"key": store.key(company), "name": "plain0", "size": 1}
    ]


@each_adapter
async def test_configured_adapter(store: Store, name: str) -> None:
    """An instance is configured in its constructor."""
    _, adapter = ADAPTERS[name]
    configured: Any = adapter
    plain = plain_factory(store, adapter=configured(get_or_create=("name",)))
    first = await plain.create_async(name="acme", **options_for(store))
    again = await plain.create_async(name="acme", **options_for(store))
    assert store.key(first) == store.key(again)


DEDICATED = {
    "sqlalchemy": "async_factory_boy.factory.sqlalchemy.AsyncSQLAlchemyModelFactory",
    "tortoise": "async_factory_boy.factory.tortoise.AsyncTortoiseModelFactory",
    "beanie": "async_factory_boy.factory.beanie.AsyncBeanieDocumentFactory",
    "databases": "async_factory_boy.factory.databases.AsyncDatabasesFactory",
}


@each_adapter
async def test_inferred_adapter(store: Store, name: str) -> None:
    """C7: without it, the adapter is inferred from the model, where that says which store it is."""
    plain = plain_factory(store)
    if name == "mongo":
        with pytest.raises(ConfigurationError, match=r"^Plain\.Meta\.adapter is not set, and none"):
            await plain.create_async(**options_for(store))
        assert await store.rows(store.CompanyFactory) == []
        return
    message = (
        f"Plain sets no Meta.adapter; {ADAPTERS[name][1].__name__} is inferred from its model. "
        f"Subclass {DEDICATED[name]} instead, or give it as FACTORY_CLASS to the function that "
        "makes the factory; or set Meta.adapter."
    )
    with pytest.warns(DeprecationWarning, match=f"^{re.escape(message)}$"):
        await plain.create_async()
    assert [row["name"] for row in await store.rows(store.CompanyFactory)] == ["plain0"]


@pytest.mark.parametrize(("name", "dedicated"), DEDICATED.items(), ids=DEDICATED)
def test_the_recommended_class(name: str, dedicated: str) -> None:
    """The class that the warning recommends can be imported, and is for this adapter."""
    module, _, attribute = dedicated.rpartition(".")
    recommended = getattr(sys.modules[module], attribute)
    assert recommended._options_class.adapter_class is ADAPTERS[name][1]


# Without an ORM -----------------------------------------------------------------------------------


def test_without_orm() -> None:
    """The library works where no ORM is installed; `nox -s bare` runs the same in truth."""
    check = [sys.executable, "-W", "error", "tests/without_orm/check.py", "--hide"]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ADAPTERS)
def test_a_dedicated_factory_imports_no_other_orm(name: str) -> None:
    """C1: a dedicated factory imports its own ORM, and no other."""
    # Not SQLAlchemy, which factory_boy imports by itself.
    packages = {
        "sqlalchemy": set(),
        "tortoise": {"tortoise"},
        "beanie": {"beanie", "pymongo"},
        "mongo": {"pymongo"},
        "databases": {"databases"},
    }
    code = f"import sys, async_factory_boy.factory.{name}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    imported = set(done.stdout.split())
    assert f"async_factory_boy.adapters.{name}" in imported
    orms = {"tortoise", "beanie", "pymongo", "databases"}
    assert {module.partition(".")[0] for module in imported} & orms == packages[name]
