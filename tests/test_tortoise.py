"""What is Tortoise ORM's own; what all adapters promise is in test_conformance.py."""

from __future__ import annotations

import asyncio
import logging
import pickle
import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, suppress
from types import ModuleType
from typing import Any
from uuid import UUID, uuid4

import factory
import pytest
from tortoise import Tortoise, fields
from tortoise.context import TortoiseContext, tortoise_test_context
from tortoise.exceptions import IntegrityError, OperationalError
from tortoise.fields.db_defaults import Now
from tortoise.manager import Manager
from tortoise.models import Model
from tortoise.queryset import QuerySet
from tortoise.signals import post_save, pre_save
from tortoise.transactions import in_transaction

from async_factory_boy import (
    AdapterError,
    ConfigurationError,
    MissingOptionError,
    OptionError,
    bind,
)
from async_factory_boy.adapters.tortoise import TortoiseAdapter
from async_factory_boy.factory import AsyncFactory
from async_factory_boy.factory.tortoise import AsyncTortoiseModelFactory
from tests.servers import Servers
from tests.stores import tortoise as stores
from tests.stores.base import params


class Company(Model):
    id = fields.IntField(primary_key=True)
    name = fields.CharField(50, unique=True)
    users: fields.ReverseRelation[User]

    class Meta:
        table = "own_company"


class User(Model):
    id = fields.UUIDField(primary_key=True)
    name = fields.CharField(50)
    company: fields.ForeignKeyRelation[Company] = fields.ForeignKeyField("own.Company", "users")
    boss: fields.ForeignKeyNullableRelation[User] = fields.ForeignKeyField(
        "own.User", "staff", null=True
    )
    tags: fields.ManyToManyRelation[Tag] = fields.ManyToManyField("own.Tag", related_name="users")
    profile: fields.BackwardOneToOneRelation[Profile]
    badge: fields.BackwardOneToOneRelation[Badge]
    staff: fields.ReverseRelation[User]

    class Meta:
        table = "own_user"


class Tag(Model):
    slug = fields.CharField(20, primary_key=True)
    users: fields.ManyToManyRelation[User]

    class Meta:
        table = "own_tag"


class Profile(Model):
    id = fields.IntField(primary_key=True)
    bio = fields.CharField(50)
    user: fields.OneToOneRelation[User] = fields.OneToOneField("own.User", "profile")

    class Meta:
        table = "own_profile"


class Badge(Model):
    """A one-to-one relation that is the key, and one to another field than a key."""

    user: fields.OneToOneRelation[User] = fields.OneToOneField(
        "own.User", "badge", primary_key=True
    )
    issuer: fields.ForeignKeyRelation[Company] = fields.ForeignKeyField(
        "own.Company", "badges", to_field="name"
    )

    class Meta:
        table = "own_badge"


async def computed_default() -> str:
    await asyncio.sleep(0)
    return "computed"


class Defaults(Model):
    id = fields.IntField(primary_key=True)
    status = fields.CharField(20, db_default="new")
    stamp = fields.DatetimeField(db_default=Now())
    code = fields.CharField(20, default=computed_default)

    class Meta:
        table = "own_defaults"


class Unfetched(Model):
    id = fields.IntField(primary_key=True)
    status = fields.CharField(20, db_default="new")

    class Meta:
        table = "own_unfetched"
        fetch_db_defaults = False


class Token(Model):
    code = fields.CharField(20, primary_key=True, db_default="made up")

    class Meta:
        table = "own_token"


class Active(Manager):
    def get_queryset(self) -> QuerySet[Any]:
        return super().get_queryset().filter(active=True)


class Account(Model):
    id = fields.IntField(primary_key=True)
    email = fields.CharField(50, unique=True)
    active = fields.BooleanField(default=True)
    status = fields.CharField(20, db_default="new")
    everything = Manager()

    class Meta:
        table = "own_account"
        manager = Active()


class Audited(Model):
    id = fields.IntField(primary_key=True)
    name = fields.CharField(50)
    saves = fields.IntField(default=0)

    class Meta:
        table = "own_audited"

    async def save(self, *args: Any, **kwargs: Any) -> None:
        self.saves += 1
        self.saved_with = args, kwargs
        await super().save(*args, **kwargs)


class Abstract(Model):
    class Meta:
        abstract = True


class CompanyFactory(AsyncTortoiseModelFactory[Company]):
    class Meta:
        model = Company

    name = factory.Sequence(lambda n: f"company{n}")


class NamedCompanyFactory(CompanyFactory):
    class Meta:
        tortoise_get_or_create = ("name",)


class UserFactory(AsyncTortoiseModelFactory[User]):
    class Meta:
        model = User

    name = factory.Sequence(lambda n: f"user{n}")
    company = factory.SubFactory(CompanyFactory)


class TagFactory(AsyncTortoiseModelFactory[Tag]):
    class Meta:
        model = Tag
        tortoise_get_or_create = ("slug",)

    slug = factory.Sequence(lambda n: f"tag{n}")


class ProfileFactory(AsyncTortoiseModelFactory[Profile]):
    class Meta:
        model = Profile

    bio = "bio"
    user = factory.SubFactory(UserFactory)


class BadgeFactory(AsyncTortoiseModelFactory[Badge]):
    class Meta:
        model = Badge

    user = factory.SubFactory(UserFactory)
    issuer = factory.SubFactory(CompanyFactory)


class AccountFactory(AsyncTortoiseModelFactory[Account]):
    class Meta:
        model = Account
        tortoise_get_or_create = ("email",)

    email = factory.Sequence(lambda n: f"account{n}@example.org")


class AuditedFactory(AsyncTortoiseModelFactory[Audited]):
    class Meta:
        model = Audited

    name = "audited"


@asynccontextmanager
async def opened(
    servers: Servers, kind: type[stores.TortoiseStore]
) -> AsyncGenerator[TortoiseContext]:
    url = kind.url(servers, __name__)
    async with stores.opened_context(kind.id, url, __name__, app="own") as context:
        yield context


@pytest.fixture
async def sqlite(servers: Servers) -> AsyncGenerator[TortoiseContext]:
    """Tortoise initialised on SQLite, for what does not depend on the database."""
    async with opened(servers, stores.SQLite) as context:
        yield context


@pytest.fixture(params=params(stores.STORES))
async def database(
    request: pytest.FixtureRequest, servers: Servers
) -> AsyncGenerator[TortoiseContext]:
    """Tortoise initialised on each backend in turn."""
    async with opened(servers, request.param) as context:
        yield context


SERVERS = [store for store in stores.STORES if store.concurrent]


@pytest.fixture(params=params(SERVERS))
async def server(
    request: pytest.FixtureRequest, servers: Servers
) -> AsyncGenerator[TortoiseContext]:
    """Tortoise initialised on each backend that has more than one connection."""
    async with opened(servers, request.param) as context:
        yield context


# --- where objects are stored ----------------------------------------------------------------


async def test_tortoise_init() -> None:
    """Objects are stored under Tortoise.init()."""
    await Tortoise.init(db_url="sqlite://:memory:", modules={"own": [__name__]})
    try:
        await Tortoise.generate_schemas()
        company = await CompanyFactory.create_async()
        assert await Company.all() == [company]
    finally:
        await Tortoise.close_connections()


async def test_tortoise_test_context() -> None:
    """Objects are stored in the innermost TortoiseContext."""
    async with tortoise_test_context([__name__], app_label="own"):
        await CompanyFactory.create_async(name="outer")
        async with tortoise_test_context([__name__], app_label="own"):
            await CompanyFactory.create_async(name="inner")
            assert await Company.all().values_list("name", flat=True) == ["inner"]
        assert await Company.all().values_list("name", flat=True) == ["outer"]


async def test_in_transaction(database: TortoiseContext) -> None:
    """Objects are stored in the transaction that the call is made in, and rolled back with it."""
    async with in_transaction() as connection:
        await UserFactory.create_async()
        await NamedCompanyFactory.create_async(name="acme")
        assert await Company.all().count() == 2
        await connection.rollback()
    assert await Company.all().count() == await User.all().count() == 0


async def test_using_db(server: TortoiseContext) -> None:
    """All that a call stores goes through the connection that it is given, and so does the rest."""

    class Fetching(UserFactory):
        class Meta:
            tortoise_fetch = ("company", "tags")

        profile = factory.RelatedFactory(ProfileFactory, "user")
        company = factory.SubFactory(NamedCompanyFactory, name="acme")

        @factory.post_generation
        async def tagged(user: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
            tag = await TagFactory.create_async(slug="red")
            await user.tags.add(tag, using_db=client)

    async def create() -> User:
        await asyncio.wait_for(begun.wait(), 20)
        await CompanyFactory.create_async(name="acme", tortoise_using_db=client)
        return await Fetching.create_async(tortoise_using_db=client)

    pool = server.db()
    begun = asyncio.Event()
    # Started before the transaction, so for this task it is not Tortoise's current connection.
    creating = asyncio.create_task(create())
    await asyncio.sleep(0)
    async with in_transaction() as client:
        begun.set()
        user = await creating
        assert (user.company.name, [tag.slug for tag in user.tags]) == ("acme", ["red"])
        for table in ("own_user", "own_company", "own_profile", "own_tag", "own_user_own_tag"):
            assert len(await client.execute_query_dict(f"SELECT * FROM {table}")) == 1
            assert await pool.execute_query_dict(f"SELECT * FROM {table}") == []


async def test_bind(database: TortoiseContext) -> None:
    """A connection can be bound for many calls."""
    async with in_transaction() as connection:
        with bind(tortoise_using_db=connection):
            company = await CompanyFactory.create_async()
        await connection.rollback()
    assert company.id is not None
    assert await Company.all() == []


@asynccontextmanager
async def two_databases() -> AsyncGenerator[TortoiseContext]:
    """Initialise Tortoise with this module's models in one database, and the store's in another."""
    config = {
        "connections": {"first": "sqlite://:memory:", "second": "sqlite://:memory:"},
        "apps": {
            "own": {"models": [__name__], "default_connection": "first"},
            "models": {"models": [stores.__name__], "default_connection": "second"},
        },
    }
    async with TortoiseContext() as context:
        await context.init(config)
        await context.generate_schemas()
        yield context


async def test_two_databases() -> None:
    """Objects of one graph are stored in the databases that their models belong to."""

    class Both(CompanyFactory):
        class Params:
            other = factory.SubFactory(stores.CompanyFactory, name="elsewhere")

        name = factory.LazyAttribute(lambda company: f"{company.other.name}{company.other.id}")

    async with two_databases() as context:
        async with in_transaction("first"), in_transaction("second"):
            await asyncio.gather(*(Both.create_async(other__name=f"{n}-") for n in range(5)))
        names = await Company.all().values_list("name", flat=True)
        assert names == [f"{n}-{n + 1}" for n in range(5)]
        assert await stores.Company.all().using_db(context.db("second")).count() == 5


# --- relations -------------------------------------------------------------------------------


async def test_relations(database: TortoiseContext) -> None:
    """Foreign keys, one-to-one relations and backward ones work, whatever the keys are."""

    class Whole(UserFactory):
        boss = factory.SubFactory(UserFactory, name="boss")
        profile = factory.RelatedFactory(ProfileFactory, "user", bio="mine")
        badge = factory.RelatedFactory(BadgeFactory, "user", issuer__name="issuer")

    user = await Whole.create_async(name="me", company__name="acme")
    assert isinstance(user.id, UUID)
    found = await User.get(name="me").select_related("company", "boss", "profile", "badge")
    assert (found.company.name, found.boss.name, found.profile.bio) == ("acme", "boss", "mine")
    badge = await found.badge
    assert (badge.pk, badge.issuer_id) == (user.id, "issuer")
    assert [one.name for one in await found.boss.staff] == ["me"]


async def test_many_to_many(database: TortoiseContext) -> None:
    """A hook adds to a many-to-many relation: an async one, or a sync one that returns it."""

    class Tagged(UserFactory):
        class Meta:
            tortoise_fetch = ("tags",)

        @factory.post_generation
        def sync(user: Any, create: bool, extracted: Any, **kwargs: Any) -> Any:
            return user.tags.add(TagFactory(slug=f"sync {user.name}"), TagFactory(slug="all"))

        @factory.post_generation
        async def later(user: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
            for slug in extracted:
                await user.tags.add(await TagFactory.create_async(slug=slug))

    red = await TagFactory.create_async(slug="red")
    users = await Tagged.create_batch_async(2, later=["red", "blue"])
    for user in users:
        assert sorted(tag.slug for tag in user.tags) == ["all", "blue", "red", f"sync {user.name}"]
    assert await red.users.all().count() == 2


async def test_fetch(database: TortoiseContext) -> None:
    """tortoise_fetch loads relations of every kind as they are when the call ends."""

    class Fetching(UserFactory):
        class Meta:
            tortoise_fetch = ("company__users", "boss", "staff", "tags", "profile", "badge__issuer")

        badge = factory.RelatedFactory(BadgeFactory, "user", issuer__name="issuer")
        profile = factory.RelatedFactory(ProfileFactory, "user")
        staff = factory.RelatedFactoryList(UserFactory, "boss", size=2)

        @factory.post_generation
        async def tag(user: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
            await user.tags.add(await TagFactory.create_async(slug="red"))

    user = await Fetching.create_async(boss=None, company__name="acme", staff__name="staff")
    assert (user.company.name, user.boss, user.profile.bio) == ("acme", None, "bio")
    assert [one.id for one in user.company.users] == [user.id]
    assert user.badge.issuer.name == "issuer"
    assert [one.name for one in user.staff] == ["staff"] * 2
    assert [tag.slug for tag in user.tags] == ["red"]


async def test_fetch_for_what_was_found(database: TortoiseContext) -> None:
    """tortoise_fetch loads the relations of an object that get_or_create has found, too."""

    class Named(UserFactory):
        class Meta:
            tortoise_get_or_create = ("name",)
            tortoise_fetch = ("company",)

    await UserFactory.create_async(name="me", company__name="acme")
    user = await Named.create_async(name="me", company__name="unused")
    assert user.company.name == "acme"


async def test_fetch_in_nested_calls(database: TortoiseContext) -> None:
    """Each object of a graph is returned with the relations that its own factory fetches."""

    class Owner(CompanyFactory):
        class Meta:
            tortoise_fetch = ("users",)

    user = await UserFactory.create_async(company=factory.SubFactory(Owner))
    assert [one.id for one in user.company.users] == [user.id]


# --- keys and values that are made up --------------------------------------------------------


async def test_given_keys(database: TortoiseContext) -> None:
    """A key that the call gives is kept, be it one that the database would have made."""
    key = uuid4()
    user = await UserFactory.create_async(id=key, company__id=1000)
    assert (user.id, user.company.id) == (key, 1000)
    assert await User.get(id=key).values_list("company_id", flat=True) == 1000
    tag = await TagFactory.create_async(slug="red")
    assert (await Tag.get(pk="red")) == tag


class DefaultsFactory(AsyncTortoiseModelFactory[Defaults]):
    class Meta:
        model = Defaults


class UnfetchedFactory(AsyncTortoiseModelFactory[Unfetched]):
    class Meta:
        model = Unfetched


async def test_defaults(database: TortoiseContext) -> None:
    """What the database or an async default makes up can be read on what is returned."""
    made = await DefaultsFactory.create_async()
    stored = await Defaults.get(id=made.id)
    assert (made.status, made.stamp, made.code) == ("new", stored.stamp, "computed")
    given = await DefaultsFactory.create_async(status="given", code="given", id=50)
    stored = await Defaults.get(id=50)
    assert (given.status, stored.status, given.code, stored.code) == ("given",) * 4


class TokenFactory(AsyncTortoiseModelFactory[Token]):
    class Meta:
        model = Token


async def test_key_by_default(database: TortoiseContext) -> None:
    """A key that is a default of the database can be read, where the database tells it."""
    token = await TokenFactory.create_async()
    stored = await Token.get()
    if database.default_connection == stores.MariaDB.id:
        assert stored.code == "made up"  # Tortoise does not ask MariaDB for what it has inserted
    else:
        assert stored.code == token.code == "made up"


async def test_defaults_that_tortoise_does_not_fetch(database: TortoiseContext) -> None:
    """What is returned is whole even if the model says fetch_db_defaults = False."""
    assert (await UnfetchedFactory.create_async()).status == "new"


# --- signals, save(), managers ---------------------------------------------------------------


@pytest.fixture
def signals() -> Generator[list[Any]]:
    """What the signals of Audited have been sent with."""
    sent: list[Any] = []

    @pre_save(Audited)
    async def before(sender: Any, instance: Any, using_db: Any, update_fields: Any) -> None:
        sent.append(("pre", instance.id, using_db))

    @post_save(Audited)
    async def after(
        sender: Any, instance: Any, created: bool, using_db: Any, update_fields: Any
    ) -> None:
        sent.append(("post", instance.id, created, using_db))

    yield sent
    forget_listeners()


def forget_listeners(model: type[Model] = Audited) -> None:
    for listeners in model._listeners.values():
        listeners.pop(model, None)


async def test_signals(database: TortoiseContext, signals: list[Any]) -> None:
    """Signals are sent as for Model.create()."""
    async with in_transaction() as connection:
        audited = await AuditedFactory.create_async(tortoise_using_db=connection)
    assert signals == [("pre", None, connection), ("post", audited.id, True, connection)]
    signals.clear()
    by_hand = await Audited.create(name="by hand")
    assert signals == [("pre", None, database.db()), ("post", by_hand.id, True, database.db())]


async def test_overridden_save(database: TortoiseContext) -> None:
    """An overridden save() is called, once, with what Model.create() calls it with."""
    audited = await AuditedFactory.create_async()
    assert (await Audited.get(id=audited.id)).saves == audited.saves == 1
    assert audited.saved_with == (await Audited.create(name="by hand")).saved_with


async def test_signal_that_creates(database: TortoiseContext) -> None:
    """A signal listener may create objects through a factory, in the same transaction."""

    @post_save(Audited)
    async def create_company(sender: Any, instance: Any, *args: Any) -> None:
        await NamedCompanyFactory.create_async(name=f"company of {instance.id}")

    try:
        async with in_transaction():
            creating = asyncio.gather(*(AuditedFactory.create_async() for _ in range(3)))
            await asyncio.wait_for(creating, 20)
            assert await Company.all().count() == 3
    finally:
        forget_listeners()


async def test_custom_manager(database: TortoiseContext) -> None:
    """What the model's manager hides can be created, and is returned whole."""
    hidden = await AccountFactory.create_async(email="hidden", active=False)
    assert (hidden.status, await Account.all()) == ("new", [])
    assert await Account.everything.all() == [hidden]


async def test_get_or_create_by_the_manager(database: TortoiseContext) -> None:
    """get_or_create looks an object up by the model's manager, as Model.get_or_create() does."""
    seen = await AccountFactory.create_async(email="seen")
    assert await AccountFactory.create_async(email="seen") == seen
    await AccountFactory.create_async(email="hidden", active=False)
    with pytest.raises(IntegrityError):
        await AccountFactory.create_async(email="hidden")


# --- building without storing ----------------------------------------------------------------


def test_build(sqlite: TortoiseContext) -> None:
    """A graph of objects that are not stored can be read, in both directions."""

    class Whole(UserFactory):
        boss = factory.SubFactory(
            UserFactory, name="boss", company=factory.SelfAttribute("..company")
        )
        profile = factory.RelatedFactory(ProfileFactory, "user")

    user = Whole.build(name="me", company__name="acme")
    assert user.company.name == user.boss.company.name == "acme"
    assert [one.name for one in user.company.users] == ["boss", "me"]
    assert [one.name for one in user.boss.staff] == ["me"]
    assert user.profile.user is user
    assert user.company.id is user.company_id is None
    assert BadgeFactory.build(issuer__name="issuer").issuer_id == "issuer"


async def test_build_stores_nothing(database: TortoiseContext) -> None:
    """Neither build() nor build_async() stores anything."""
    UserFactory.build()
    await UserFactory.build_async()
    assert await Company.all().count() == await User.all().count() == 0


async def test_saving_what_was_built(database: TortoiseContext) -> None:
    """Objects of a built graph that are saved by hand refer to each other."""
    badge = await BadgeFactory.build_async(user__name="me", user__company__name="acme")
    for one in (badge.user.company, badge.user, badge.issuer, badge):
        await one.save()
    found = await Badge.get(user__name="me").select_related("user__company", "issuer")
    assert (found.user.company.name, found.issuer_id) == ("acme", badge.issuer.name)
    assert badge.user.company_id == badge.user.company.id
    assert await badge.user.company.users == [badge.user]


async def test_saving_before_what_is_referred_to(database: TortoiseContext) -> None:
    """An object that refers to one that is not saved cannot be saved, as by Tortoise's rule."""
    user = UserFactory.build()
    with pytest.raises(OperationalError, match=r"first call \.save\(\) on <Company>.*of a User"):
        await user.save()
    await user.company.save()
    await user.save()
    assert (await User.get(id=user.id)).company_id == user.company.id


async def test_creating_with_what_is_not_stored(database: TortoiseContext) -> None:
    """create_async refuses a related object that is not stored, as Model.create() does."""
    company = CompanyFactory.build()
    with pytest.raises(OperationalError, match="should first call"):
        await UserFactory.create_async(company=company)
    with pytest.raises(OperationalError, match="should first call"):
        await UserFactory.create_async(boss=UserFactory.build())  # which may be null
    assert await User.all() == []


async def test_changing_what_was_built(database: TortoiseContext) -> None:
    """A relation of a built object that is assigned anew is stored as assigned."""
    company = await CompanyFactory.create_async()
    by_object, by_key = UserFactory.build_batch(2)
    by_object.company = company
    by_key.company_id = company.id
    for user in (by_object, by_key):
        await user.save()
    assert await company.users.all().count() == 2


def test_pickling_what_was_built(sqlite: TortoiseContext) -> None:
    """A built graph can be pickled."""
    user = pickle.loads(pickle.dumps(UserFactory.build(company__name="acme")))
    assert user.company.name == "acme"


async def test_building_before_tortoise_is_initialised(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A graph can be built before Tortoise knows the models, and read and saved afterwards."""

    class Parent(Model):
        name = fields.CharField(20)

    class Child(Model):
        parent: Any = fields.ForeignKeyField("models.Parent", "children")

    class ParentFactory(AsyncTortoiseModelFactory[Parent]):
        class Meta:
            model = Parent

        name = "parent"

    class ChildFactory(AsyncTortoiseModelFactory[Child]):
        class Meta:
            model = Child

        parent = factory.SubFactory(ParentFactory)

    child = ChildFactory.build()
    assert child.parent.name == "parent"
    module = ModuleType("models_of_a_test")
    vars(module).update(Parent=Parent, Child=Child)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    async with tortoise_test_context([module.__name__]):
        assert child.parent.name == "parent"
        await child.parent.save()
        await child.save()
        assert await Child.get(parent__name="parent") == child


# --- get_or_create, transactions and tasks ---------------------------------------------------


async def test_refused_in_a_transaction(database: TortoiseContext) -> None:
    """When get_or_create is refused, what the transaction has stored before stays stored."""

    class ByKey(AccountFactory):
        class Meta:
            tortoise_get_or_create = ("id",)

    async with in_transaction():
        await AccountFactory.create_async(email="first")
        with pytest.raises(IntegrityError):
            await ByKey.create_async(id=1000, email="first")
        await AccountFactory.create_async(email="second")
    assert await Account.all().count() == 2


async def test_lost_races(server: TortoiseContext) -> None:
    """All who lose a race for a unique value to another transaction find the winner's row."""
    looked, won = 0, asyncio.Event()

    async def name_of_who_looked() -> str:
        """Have the transaction begin, then wait for the others."""
        nonlocal looked
        await Company.all().count()
        looked += 1
        if looked == 3:
            won.set()
        await asyncio.wait_for(won.wait(), 20)
        return "acme"

    class Slow(NamedCompanyFactory):
        name = factory.LazyFunction(name_of_who_looked)

    async def create() -> Any:
        async with in_transaction():
            user = await UserFactory.create_async(company=factory.SubFactory(Slow))
            assert (await User.get(id=user.id)).company_id == user.company.id
            return user.company

    companies = await asyncio.gather(*(create() for _ in range(3)))
    assert await Company.all().values_list("name", flat=True) == ["acme"]
    assert {company.id for company in companies} == {(await Company.get()).id}
    assert await User.all().count() == 3


async def test_lost_races_in_a_batch(server: TortoiseContext) -> None:
    """All who lose a race for some values of a batch find the winner's rows, and keep the rest."""
    begun, won = 0, asyncio.Event()

    async def create(number: int) -> list[Company]:
        # The last sorts after the others: InnoDB locks what is before a row that was refused.
        names = iter(["acme", "other", f"zeta {number}"])

        async def name() -> str:
            """Have the transaction begin, then wait for the others."""
            nonlocal begun
            if (name := next(names)) == "acme":
                await Company.all().count()
                begun += 1
                if begun == 3:
                    won.set()
                await asyncio.wait_for(won.wait(), 20)
            return name

        async with in_transaction():
            return await NamedCompanyFactory.create_batch_async(3, name=factory.LazyFunction(name))

    batches = await asyncio.gather(*(create(number) for number in range(3)))
    stored = {company.name: company.id for company in await Company.all()}
    assert stored.keys() == {"acme", "other", "zeta 0", "zeta 1", "zeta 2"}
    for number, batch in enumerate(batches):
        assert [company.name for company in batch] == ["acme", "other", f"zeta {number}"]
        assert [company.id for company in batch] == [stored[company.name] for company in batch]


async def test_lost_race_outside_of_a_transaction(database: TortoiseContext) -> None:
    """Without a transaction, too, tasks that race for a unique value end up with one row."""
    users = await asyncio.gather(
        *(
            UserFactory.create_async(company=factory.SubFactory(NamedCompanyFactory, name="acme"))
            for _ in range(10)
        )
    )
    assert {user.company.id for user in users} == {(await Company.get()).id}


async def test_gather_in_a_transaction(database: TortoiseContext) -> None:
    """Tasks share a transaction: nobody's savepoint takes away what others have stored."""

    class Tagged(UserFactory):
        class Meta:
            tortoise_fetch = ("tags", "company")

        company = factory.SubFactory(NamedCompanyFactory, name=factory.Iterator(["one", "two"]))

        @factory.post_generation
        async def tag(user: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
            await user.tags.add(await TagFactory.create_async(slug=user.company.name))
            await user.refresh_from_db()

    async with in_transaction():
        users = await asyncio.gather(*(Tagged.create_async() for _ in range(20)))
    assert await User.all().count() == 20
    assert await Company.all().count() == await Tag.all().count() == 2
    assert all([tag.slug for tag in user.tags] == [user.company.name] for user in users)


async def test_refused_while_others_store(database: TortoiseContext) -> None:
    """What one task stores in a transaction stays stored when another one's object is refused."""

    class ByKey(AccountFactory):
        class Meta:
            tortoise_get_or_create = ("id",)

    async def give_others_time(sender: Any, instance: Any, *args: Any) -> None:
        entered.set()
        await asyncio.sleep(0.05)

    entered = asyncio.Event()
    await AccountFactory.create_async(email="taken")
    pre_save(Account)(give_others_time)
    companies = []
    try:
        async with in_transaction() as outer, in_transaction() as nested:
            for connection in (outer, nested):
                entered.clear()
                refused = asyncio.create_task(
                    ByKey.create_async(id=1000, email="taken", tortoise_using_db=connection)
                )
                await entered.wait()
                companies.append(await CompanyFactory.create_async())
                with pytest.raises(IntegrityError):
                    await refused
    finally:
        forget_listeners(Account)
    assert await Company.all() == companies


async def test_own_statements_in_between(database: TortoiseContext) -> None:
    """Savepoints are set and released in between the statements of other tasks."""

    async def count() -> None:
        for _ in range(50):
            await Company.all().count()

    async with in_transaction():
        creating = (NamedCompanyFactory.create_async() for _ in range(20))
        await asyncio.gather(count(), count(), *creating)
    assert await Company.all().count() == 20


async def test_cancelled_while_waiting_its_turn(sqlite: TortoiseContext) -> None:
    """A call that is cancelled while another one uses the transaction does not stop a third."""

    async def wait(sender: Any, instance: Any, *args: Any) -> None:
        entered.set()
        await asyncio.wait_for(leave.wait(), 20)

    entered, leave = asyncio.Event(), asyncio.Event()
    pre_save(Audited)(wait)
    try:
        async with in_transaction():
            first = asyncio.create_task(AuditedFactory.create_async())
            await entered.wait()
            second, third = (asyncio.create_task(CompanyFactory.create_async()) for _ in "23")
            await asyncio.sleep(0.01)
            assert not third.done()
            second.cancel()
            leave.set()
            await asyncio.wait_for(asyncio.gather(first, third), 20)
            with pytest.raises(asyncio.CancelledError):
                await second
        assert await Company.all() == [third.result()]
    finally:
        forget_listeners()


async def test_cancelled_while_waiting_for_one_of_two_databases() -> None:
    """A call that waits for its turn in one transaction, and is cancelled, holds up no other."""

    async def wait(sender: Any, instance: Any, *args: Any) -> None:
        entered.set()
        await asyncio.wait_for(leave.wait(), 20)

    class NamedFactory(stores.CompanyFactory):
        before = factory.SubFactory(CompanyFactory)

        class Meta:
            tortoise_get_or_create = ("name",)
            exclude = ("before",)

    entered, leave = asyncio.Event(), asyncio.Event()
    pre_save(stores.Company)(wait)
    try:
        async with two_databases(), in_transaction("first"), in_transaction("second"):
            in_second = asyncio.create_task(stores.CompanyFactory.create_async())
            await entered.wait()
            in_both = asyncio.create_task(NamedFactory.create_async())
            await asyncio.sleep(0.05)
            in_both.cancel()
            await asyncio.wait_for(CompanyFactory.create_async(), 20)
            leave.set()
            await in_second
            assert in_both.cancelled()
    finally:
        forget_listeners(stores.Company)


async def test_nested_transactions(database: TortoiseContext) -> None:
    """A hook may begin a nested transaction of its own, and roll it back."""

    class Nesting(CompanyFactory):
        @factory.post_generation
        async def nest(company: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
            with suppress(LookupError):
                async with in_transaction():
                    await NamedCompanyFactory.create_async(name="undone")
                    raise LookupError
            await NamedCompanyFactory.create_async(name="done")

    async with in_transaction():
        await Nesting.create_async(name="outer")
    assert set(await Company.all().values_list("name", flat=True)) == {"outer", "done"}


async def test_nested_transactions_in_a_batch(server: TortoiseContext) -> None:
    """What the hooks of a batch store in transactions of their own is undone with these."""

    class Nesting(CompanyFactory):
        @factory.post_generation
        async def nest(company: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
            async with in_transaction() as connection:
                await CompanyFactory.create_async(name=f"undone {company.id}")
                await connection.rollback()

    await asyncio.wait_for(Nesting.create_batch_async(3), 20)
    assert await Company.all().count() == 3


class CancelOnInsert(logging.Handler):
    """Cancels a task that has an INSERT sent, while it waits for the answer."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.task: asyncio.Task[Any] | None = None

    def emit(self, record: logging.LogRecord) -> None:
        if "INSERT" in record.getMessage() and self.task is not None:
            asyncio.get_running_loop().call_soon(self.task.cancel)
            self.task = None


@pytest.fixture
def cancel_on_insert() -> Generator[CancelOnInsert]:
    handler = CancelOnInsert()
    with stores.logging_to(handler):
        yield handler


async def test_cancelled_while_the_database_works(
    database: TortoiseContext, cancel_on_insert: CancelOnInsert
) -> None:
    """What a cancelled call has stored can be rolled back, and other calls go on."""
    expected: tuple[type[BaseException], ...] = (asyncio.CancelledError,)
    if database.default_connection == stores.MariaDB.id:
        # Its driver closes a connection that is waiting for an answer, so that there is nothing
        # left to roll back, and Tortoise's attempt to do so fails.
        expected += (Exception,)

    async def cancel_in_a_transaction() -> None:
        async with in_transaction():
            call = asyncio.create_task(NamedCompanyFactory.create_batch_async(1000))
            cancel_on_insert.task = call
            await call

    with pytest.raises(expected):
        await cancel_in_a_transaction()
    assert await Company.all() == []
    await UserFactory.create_async()
    assert await User.all().count() == 1


# --- configuration, and mistakes -------------------------------------------------------------


@pytest.mark.parametrize("adapter", ["tortoise", TortoiseAdapter, TortoiseAdapter()])
async def test_meta_adapter(sqlite: TortoiseContext, adapter: Any) -> None:
    """Meta.adapter takes the adapter's name, its class, or an instance."""
    given = adapter

    class Adapted(AsyncFactory[Company]):
        class Meta:
            model = Company
            adapter = given

        name = "acme"

    assert (await Adapted.create_async()).id is not None


async def test_inferred_adapter(sqlite: TortoiseContext) -> None:
    """C7: without an adapter, a Tortoise model's is inferred, with a DeprecationWarning."""

    class Inferred(AsyncFactory[Company]):
        class Meta:
            model = Company

        name = "acme"

    with pytest.warns(DeprecationWarning, match="AsyncTortoiseModelFactory"):
        company = await Inferred.create_async()
    assert company.id is not None


@pytest.mark.parametrize(
    ("option", "value", "text"),
    [
        ("tortoise_get_or_create", "name", r"takes a sequence of field names; write \('name',\)"),
        ("tortoise_fetch", "users", r"takes a sequence of field names; write \('users',\)"),
        ("tortoise_fetch", 5, "takes a sequence of field names"),
        ("tortoise_get_or_creat", ("name",), "Did you mean 'tortoise_get_or_create'"),
    ],
)
def test_bad_option(option: str, value: object, text: str) -> None:
    """A Meta option that is not of its kind, or unknown, is refused where it is written."""
    with pytest.raises(ConfigurationError, match=text) as caught:
        type(CompanyFactory)("Bad", (CompanyFactory,), {"Meta": type("Meta", (), {option: value})})
    assert f"Bad.Meta.{option}" in str(caught.value)


async def test_option_that_names_no_field(sqlite: TortoiseContext) -> None:
    """tortoise_get_or_create with something that is not a field says which fields there are."""

    class Bad(CompanyFactory):
        class Meta:
            tortoise_get_or_create = ("nmae",)

        nmae = "acme"

    text = r"names 'nmae', which is not a field of Company\. Did you mean 'name'\? It has: id, name"
    with pytest.raises(ConfigurationError, match=text):
        await Bad.create_async()


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("compny", "'compny' is not a relation of User; it has: badge, boss, company, profile"),
        ("name", "'name' is not a relation of User"),
        ("company__owner", "'company__owner', but 'owner' is not a relation of Company"),
    ],
)
async def test_option_that_names_no_relation(sqlite: TortoiseContext, path: str, text: str) -> None:
    """tortoise_fetch with something that is not a relation says which ones there are."""
    given = (path,)

    class Bad(UserFactory):
        class Meta:
            tortoise_fetch = given

    with pytest.raises(ConfigurationError, match=text):
        await Bad.create_async()
    assert await Company.all() == []


async def test_not_initialised() -> None:
    """Without Tortoise.init(), create_async says what to write, and where."""
    with pytest.raises(MissingOptionError, match="not initialised here") as caught:
        await CompanyFactory.create_async()
    text = str(caught.value)
    assert f'await Tortoise.init(db_url=..., modules={{"own": ["{__name__}"]}})' in text
    assert "Asked for by CompanyFactory" in text
    CompanyFactory.build()


async def test_context_that_is_not_initialised() -> None:
    """The same goes for a context that is not initialised yet, or whose connections are closed."""
    async with TortoiseContext() as context:
        with pytest.raises(MissingOptionError, match="not initialised here"):
            await CompanyFactory.create_async()
        await context.init(db_url="sqlite://:memory:", modules={"own": [__name__]})
        await context.close_connections()
        with pytest.raises(MissingOptionError, match="not initialised here"):
            await CompanyFactory.create_async()


async def test_model_that_tortoise_does_not_know() -> None:
    """A model whose module was not named to Tortoise is refused with what to write."""
    async with tortoise_test_context([stores.__name__]):
        with pytest.raises(MissingOptionError, match=f"Company is not among.*{__name__}"):
            await CompanyFactory.create_async()

        class Never(Model):
            pass

        class NeverFactory(AsyncTortoiseModelFactory[Never]):
            class Meta:
                model = Never

        async with in_transaction() as connection:
            with pytest.raises(MissingOptionError, match="Never is not among the models"):
                await NeverFactory.create_async(tortoise_using_db=connection)


async def test_namesake_of_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model is not taken for another one of the same name that Tortoise does know."""
    module = ModuleType("module_of_a_namesake")
    vars(module).update(Company=type("Company", (Model,), {"__module__": module.__name__}))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    async with tortoise_test_context([__name__], app_label="own"):
        await CompanyFactory.create_async()
    async with tortoise_test_context([module.__name__], app_label="own"):
        with pytest.raises(MissingOptionError, match="Company is not among"):
            await CompanyFactory.create_async()


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (dict, "dict is not a model of Tortoise ORM.*derives from tortoise.models.Model"),
        (Abstract, "Abstract is an abstract model"),
    ],
)
async def test_not_a_model(sqlite: TortoiseContext, given: type, text: str) -> None:
    """A model that is none of Tortoise's, or has no table, is refused."""

    class Bad(AsyncTortoiseModelFactory[Any]):
        class Meta:
            model = given

    with pytest.raises(AdapterError, match=text):
        await Bad.create_async()


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda context: "default", "got the name 'default'.*get_connection"),
        (lambda context: context, "got a TortoiseContext, which has connections"),
        (lambda context: in_transaction(), "got a transaction that is not entered"),
        (lambda context: 5, "got an object of type int"),
    ],
)
async def test_not_a_connection(sqlite: TortoiseContext, make: Any, text: str) -> None:
    """tortoise_using_db with something other than a connection says how to get one."""
    value = make(sqlite)
    with pytest.raises(OptionError, match=f"tortoise_using_db takes a connection.*{text}"):
        await CompanyFactory.create_async(tortoise_using_db=value)
    with pytest.raises(OptionError, match=text), bind(tortoise_using_db=value):
        pass
    assert await Company.all() == []


async def test_ended_transaction(database: TortoiseContext) -> None:
    """The connection of a transaction that has ended is refused."""
    async with in_transaction() as connection:
        pass
    with pytest.raises(OptionError, match=r"transaction that has ended.*in_transaction\(\)"):
        await CompanyFactory.create_async(tortoise_using_db=connection)


async def test_connection_of_another_loop(database: TortoiseContext) -> None:
    """A connection that another event loop has opened is refused."""
    await Company.all().count()
    async with in_transaction() as transaction:
        for connection in (database.db(), transaction, transaction._parent):

            async def create(connection: Any = connection) -> None:
                await CompanyFactory.create_async(tortoise_using_db=connection)

            with pytest.raises(OptionError, match="another event loop has opened"):
                await asyncio.to_thread(asyncio.run, create())


async def test_transaction_of_another_loop(database: TortoiseContext) -> None:
    """A call in a transaction that was begun in another event loop is refused."""

    async def create(size: int) -> None:
        await NamedCompanyFactory.create_batch_async(size)

    async with in_transaction():
        for size in (1, 2):
            with pytest.raises(
                OptionError,
                match=r"^The transaction that this code is in was begun in another event loop\. "
                r".*the same loop_scope\)",
            ):
                await asyncio.to_thread(asyncio.run, create(size))
        await CompanyFactory.create_async()
    assert await Company.all().count() == 1


async def test_refused_by_the_database(database: TortoiseContext) -> None:
    """What the database refuses is Tortoise's error, untouched: a taken value, a missing table."""
    await CompanyFactory.create_async(name="taken")
    for size in (1, 2):
        with pytest.raises(IntegrityError) as caught:
            await CompanyFactory.create_batch_async(size, name="taken")
        assert type(caught.value) is IntegrityError
    assert await Company.all().count() == 1
    await database.db().execute_script("DROP TABLE own_audited")
    for size in (1, 2):
        with pytest.raises(OperationalError, match="own_audited") as refused:
            await AuditedFactory.create_batch_async(size)
        assert type(refused.value) is OperationalError


async def test_misspelt_call_option(sqlite: TortoiseContext) -> None:
    """tortoise_usingdb is not taken for a field of the model."""
    with pytest.raises(OptionError, match="Did you mean 'tortoise_using_db'"):
        await CompanyFactory.create_async(tortoise_usingdb=sqlite.db())
    assert await Company.all() == []


async def test_key_that_is_given(database: TortoiseContext) -> None:
    """The key of a relation by another field, or one-to-one, leaves out what is declared for it."""
    user = await UserFactory.create_async()
    issuer = user.company.name
    badges = [
        await BadgeFactory.create_async(issuer_id=issuer, user_id=user.id),
        *await BadgeFactory.create_batch_async(2, issuer_id=issuer),
    ]
    assert [(await badge.issuer).name for badge in badges] == [issuer] * 3
    assert badges[0].pk == user.id
    with pytest.raises(ConfigurationError, match="for its name; give issuer_id or issuer, not"):
        await BadgeFactory.create_async(issuer=user.company, issuer_id="other")
    profile = await ProfileFactory.create_async(user_id=user.id)
    assert await profile.user == user
    # Those of the batch have made their users, and these their companies.
    assert (await Company.all().count(), await User.all().count()) == (3, 3)
