"""`Meta.auto_declarations`: what a factory takes from its model, and what it leaves."""

from __future__ import annotations

import enum
import re
from collections.abc import AsyncGenerator, Generator
from typing import Any

import factory
import pytest
from sqlalchemy import (
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    event,
    select,
)
from sqlalchemy.dialects.postgresql import INET
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    MappedAsDataclass,
    mapped_column,
    relationship,
)

from async_factory_boy import auto, bind
from async_factory_boy.adapters import PersistenceAdapter
from async_factory_boy.auto.chosen import factory_name
from async_factory_boy.exceptions import AbstractFactoryError, AdapterError, ConfigurationError
from async_factory_boy.factory import AsyncFactory
from async_factory_boy.factory.databases import AsyncDatabasesFactory
from async_factory_boy.factory.helpers import create_async, make_factory
from async_factory_boy.factory.sqlalchemy import AsyncSQLAlchemyModelFactory


class Base(DeclarativeBase):
    pass


class Plan(enum.Enum):
    FREE = "free"
    PAID = "paid"


class Company(Base):
    __tablename__ = "company"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(40), unique=True)
    plan: Mapped[Plan]


class User(Base):
    __tablename__ = "user"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    email: Mapped[str] = mapped_column(String(30), unique=True)
    age: Mapped[int | None]
    language: Mapped[str] = mapped_column(default="en")
    company_id: Mapped[int] = mapped_column(ForeignKey(Company.id))
    company: Mapped[Company] = relationship()
    boss_id: Mapped[int | None] = mapped_column(ForeignKey("user.id"))
    boss: Mapped[User | None] = relationship(remote_side=id)


class Visit(Base):
    """It refers to a user by a foreign key alone."""

    __tablename__ = "visit"
    __table_args__ = (UniqueConstraint("page", "day"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey(User.id))
    page: Mapped[str]
    day: Mapped[int]


class Chicken(Base):
    __tablename__ = "chicken"

    id: Mapped[int] = mapped_column(primary_key=True)
    egg_id: Mapped[int] = mapped_column(ForeignKey("egg.id", use_alter=True))
    egg: Mapped[Egg] = relationship(foreign_keys=egg_id)


class Egg(Base):
    __tablename__ = "egg"

    id: Mapped[int] = mapped_column(primary_key=True)
    chicken_id: Mapped[int] = mapped_column(ForeignKey(Chicken.id))
    chicken: Mapped[Chicken] = relationship(foreign_keys=chicken_id)


class Page(Base):
    __tablename__ = "page"

    book: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)


class Bookmark(Base):
    """It refers to a page by a foreign key of two columns alone."""

    __tablename__ = "bookmark"
    __table_args__ = (ForeignKeyConstraint(["book", "page"], ["page.book", "page.number"]),)

    id: Mapped[int] = mapped_column(primary_key=True)
    book: Mapped[int]
    page: Mapped[int]


class Shelf(Base):
    """There are few of them."""

    __tablename__ = "shelf"

    mark: Mapped[str] = mapped_column(String(1), primary_key=True)


class Badge(Base):
    """Its user is stored before it, and its shelf too."""

    __tablename__ = "badge"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey(User.id))
    shelf_mark: Mapped[str] = mapped_column(ForeignKey(Shelf.mark))


class Automatic(AsyncSQLAlchemyModelFactory[Any]):
    """What a suite would derive its factories from."""

    class Meta:
        abstract = True
        auto_declarations = True


@pytest.fixture
async def engine() -> AsyncGenerator[AsyncEngine]:
    engine = create_async_engine("sqlite+aiosqlite://")
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield engine
    await engine.dispose()


@pytest.fixture
async def session(engine: AsyncEngine) -> AsyncGenerator[AsyncSession]:
    async with AsyncSession(engine, expire_on_commit=False) as session:
        with bind(sqlalchemy_session=session):
            yield session


@pytest.fixture
def statements(engine: AsyncEngine) -> Generator[list[str]]:
    """The first words of the statements that are executed, for one row or many."""
    seen: list[str] = []

    def note(_: Any, statement: Any, *__: Any) -> None:
        seen.append(" ".join(str(statement).split()[:3]))

    event.listen(engine.sync_engine, "before_execute", note)
    yield seen
    event.remove(engine.sync_engine, "before_execute", note)


def user_factory(**attributes: Any) -> Any:
    """Return an automatic factory of users, with some declarations."""
    meta = type("Meta", (), {"model": User, **attributes.pop("meta", {})})
    # As if it were defined within a function: no other test takes it for that of the model.
    name = {"__qualname__": "user_factory.<locals>.UserFactory"}
    return type(Automatic)("UserFactory", (Automatic,), {"Meta": meta, **name, **attributes})


async def test_required_fields_are_filled(session: AsyncSession) -> None:
    """True fills what the store requires, relations included, and nothing else."""
    user = await user_factory().create_async()
    assert user.name
    assert user.email.endswith("@example.com")
    assert user.company.id == user.company_id
    assert user.company.plan in Plan
    assert (user.age, user.boss, user.language) == (None, None, "en")


async def test_all_fields(session: AsyncSession) -> None:
    """``"all"`` fills what is optional as well, but neither keys nor optional relations."""
    factory = user_factory(meta={"auto_declarations": "all"})
    user = await factory.create_async()
    assert type(user.age) is int
    assert user.language != ""
    assert user.boss is None
    assert factory.build().id is None


async def test_named_fields(session: AsyncSession) -> None:
    """A tuple fills what it names, and nothing else; a relation may be optional."""
    names = ("email", "boss", "name", "company")
    user = await user_factory(meta={"auto_declarations": names}).create_async(boss__boss=None)
    assert user.boss.email != user.email


def test_nothing_but_what_is_named() -> None:
    """What a tuple does not name is left out, though it is required, or unique."""
    for names in ((), ("name",)):
        user = user_factory(meta={"auto_declarations": names}).build()
        assert (user.email, user.company) == (None, None)
        assert (user.name is None) is (names == ())


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("company_id", "the key of company. Name company."),
        ("id", "made by the store. Leave it out, or declare it."),
    ],
)
def test_keys_are_not_named(name: str, problem: str) -> None:
    """No number is made up for a key: to name one is refused."""
    users = user_factory(meta={"auto_declarations": ("name", name)})
    with pytest.raises(ConfigurationError) as caught:
        users.build()
    assert str(caught.value) == (
        f"UserFactory.Meta.auto_declarations names {name!r}, which is {problem}"
    )


async def test_declared_wins(session: AsyncSession) -> None:
    """What is declared, given to the call, set by a trait or excluded is not chosen."""
    users = user_factory(
        name="declared",
        Params=type("Params", (), {"admin": factory.Trait(email="root@example.org")}),
    )
    user = await users.create_async(email="given@example.org")
    assert (user.name, user.email) == ("declared", "given@example.org")
    assert (await users.create_async(admin=True)).email == "root@example.org"
    assert (await users.create_async(admin=False)).email.endswith("@example.com")
    excluded = user_factory(meta={"exclude": ("name",)})
    assert excluded.build().name is None


async def test_nested_traits_fall_back(session: AsyncSession) -> None:
    """A field that two traits set is chosen where neither of them is on."""
    users = user_factory(
        Params=type(
            "Params", (), {"one": factory.Trait(name="one"), "two": factory.Trait(name="two")}
        )
    )
    names = [users.build(**on).name for on in ({}, {"one": True}, {"two": True})]
    assert names[1:] == ["one", "two"]
    assert names[0] not in (None, "one", "two")


async def test_declarations_read_what_is_chosen(session: AsyncSession) -> None:
    """A declaration sees chosen values as it sees declared ones, parts of parts too."""
    users = user_factory(
        name=factory.LazyAttribute(lambda user: f"{user.email} of {user.company.name}")
    )
    user = await users.create_async(company__name="ACME")
    assert user.name == f"{user.email} of ACME"


async def test_a_key_that_is_given(session: AsyncSession) -> None:
    """A relation whose key is given, or declared, is not chosen: no row is stored for it."""
    company = await make_factory(
        Company, FACTORY_CLASS=AsyncSQLAlchemyModelFactory, auto_declarations=True
    ).create_async()
    users = user_factory()
    assert (await users.create_async(company_id=company.id)).company_id == company.id
    declared = user_factory(company_id=company.id)
    assert (await declared.create_async()).company_id == company.id
    assert len((await session.scalars(select(Company))).all()) == 1


async def test_a_statement_per_level(session: AsyncSession, statements: list[str]) -> None:
    """A batch of automatic factories costs what a batch of declared ones does."""
    await user_factory().create_batch_async(50)
    assert [one for one in statements if one.startswith("INSERT")] == [
        "INSERT INTO company",
        'INSERT INTO "user"',
    ]


async def test_all_members_occur() -> None:
    """The members of an enum occur in turn."""
    companies = make_factory(
        Company, FACTORY_CLASS=AsyncSQLAlchemyModelFactory, auto_declarations=True
    )
    assert {one.plan for one in companies.build_batch(4)} == set(Plan)


async def test_every_strategy() -> None:
    """Objects are built, and stubbed, by the same declarations."""
    users = user_factory()
    for user in (users.build(), users.stub(), await users.build_async()):
        assert user.email.endswith("@example.com")
        assert user.company.name
    assert len({user.email for user in users.build_batch(5)}) == 5


async def test_the_factory_of_the_related_model(session: AsyncSession) -> None:
    """A relation is made by the factory that is defined for its model."""

    class CompanyFactory(Automatic):
        class Meta:
            model = Company

        name = "the factory's"

    class UserFactory(Automatic):
        class Meta:
            model = User

    user = await UserFactory.create_async()
    assert user.company.name == "the factory's"
    assert isinstance(user.company.plan, Plan)


def test_the_usual_name_decides() -> None:
    """Of several factories for a model, the one that is called after it is taken."""

    class CompanyFactory(Automatic):
        class Meta:
            model = Company

        name = "usual"

    class OtherCompanyFactory(CompanyFactory):
        name = "other"

    class UserFactory(Automatic):
        class Meta:
            model = User

    assert UserFactory.build().company.name == "usual"


def test_several_factories_for_a_relation() -> None:
    """Where the name does not decide, the error lists the factories, and says what to declare."""

    class FirstFactory(Automatic):
        class Meta:
            model = Company

    class SecondFactory(Automatic):
        class Meta:
            model = Company

    class UserFactory(Automatic):
        class Meta:
            model = User

    with pytest.raises(ConfigurationError) as caught:
        UserFactory.build()
    text = str(caught.value)
    assert text.startswith("UserFactory.company refers to Company, which several factories make: ")
    assert "FirstFactory, tests.auto.test_automatic" in text
    assert text.endswith(
        "SecondFactory. Declare which: company = factory.SubFactory(FirstFactory)."
    )


async def test_a_foreign_key_by_itself(session: AsyncSession) -> None:
    """A required foreign key that no relation goes with is the key of a stored object."""
    visit_factory = make_factory(
        Visit, FACTORY_CLASS=AsyncSQLAlchemyModelFactory, auto_declarations=True
    )
    visits = await visit_factory.create_batch_async(3)
    users = {user.id for user in await session.scalars(select(User))}
    assert {visit.user_id for visit in visits} == users
    assert len(users) == 3


async def test_a_foreign_key_of_two_columns_by_itself(
    session: AsyncSession, statements: list[str]
) -> None:
    """Its columns are not taken from two objects: it is refused, with what to declare."""
    bookmarks = make_factory(
        Bookmark, FACTORY_CLASS=AsyncSQLAlchemyModelFactory, auto_declarations=True
    )
    with pytest.raises(ConfigurationError) as caught:
        await bookmarks.create_async()
    assert str(caught.value).startswith(
        "BookmarkFactory.book refers to Page by book and page together, and Bookmark has no "
        "relation for them."
    )
    assert statements == []
    page_factory = make_factory(
        Page, FACTORY_CLASS=AsyncSQLAlchemyModelFactory, auto_declarations=True
    )

    class BookmarkFactory(Automatic):
        class Meta:
            model = Bookmark
            exclude = ("related",)

        related = factory.SubFactory(page_factory)
        book = factory.SelfAttribute("related.book")
        page = factory.SelfAttribute("related.number")

    made = await BookmarkFactory.create_batch_async(3)
    pages = {(one.book, one.number) for one in await session.scalars(select(Page))}
    assert {(one.book, one.page) for one in made} == pages


def test_several_factories_for_a_key() -> None:
    """For a key alone, the error says how to declare the key of an object."""

    class FirstFactory(Automatic):
        class Meta:
            model = User

    class SecondFactory(Automatic):
        class Meta:
            model = User

    class VisitFactory(Automatic):
        class Meta:
            model = Visit

    with pytest.raises(ConfigurationError) as caught:
        VisitFactory.build()
    assert str(caught.value).endswith(
        'Declare which: user_id = KeyOf(FirstFactory, "id") (needs: from async_factory_boy.factory '
        "import KeyOf)."
    )


def test_a_table_has_a_factory_too() -> None:
    """The factory of a table is usually called as that of a class of the name would be."""
    assert factory_name(Visit.__table__) == "VisitFactory"
    assert factory_name(Table("app_user", MetaData())) == "AppUserFactory"
    assert factory_name(Visit) == "VisitFactory"


def test_an_optional_relation_that_the_constructor_requires() -> None:
    """It is given None: an object of the model itself could not end."""

    class Base(MappedAsDataclass, DeclarativeBase):
        pass

    class Node(Base):
        __tablename__ = "node"

        id: Mapped[int] = mapped_column(primary_key=True, init=False)
        parent_id: Mapped[int | None] = mapped_column(ForeignKey("node.id"), init=False)
        parent: Mapped[Node | None] = relationship(remote_side=id)

    nodes = make_factory(Node, FACTORY_CLASS=AsyncSQLAlchemyModelFactory, auto_declarations=True)
    assert nodes.build().parent is None
    assert ("parent", "chosen", "an optional relation", "None") in nodes.explain()


async def test_unique_together(session: AsyncSession) -> None:
    """Of fields that are unique together, one is made to differ."""
    visit_factory = make_factory(
        Visit, FACTORY_CLASS=AsyncSQLAlchemyModelFactory, auto_declarations=True
    )
    visits = await visit_factory.create_batch_async(200)
    assert len({(visit.page, visit.day) for visit in visits}) == 200


async def test_a_required_cycle(session: AsyncSession, statements: list[str]) -> None:
    """Relations that require each other are refused, with the way, before anything is done."""
    egg_factory = make_factory(
        Egg, FACTORY_CLASS=AsyncSQLAlchemyModelFactory, auto_declarations=True
    )
    with pytest.raises(ConfigurationError) as caught:
        await egg_factory.create_async()
    assert "Chicken.egg → Egg.chicken → Chicken" in str(caught.value)
    assert str(caught.value).endswith(
        "No declaration ends that, unless one of their keys takes null; then write "
        "egg = factory.SubFactory(EggFactory, chicken=None). Or declare an object that is stored "
        "already. (Asked for by EggFactory.chicken → ChickenFactory.egg.)"
    )
    assert statements == []


def test_a_required_cycle_of_tables() -> None:
    """What ends a circle of keys can be written as the error says, where one takes null."""
    metadata = MetaData()
    hen, egg = (
        Table(
            f"app_{name}",
            metadata,
            Column("id", Integer, primary_key=True),
            Column("other_id", ForeignKey(f"app_{other}.id"), nullable=False),
        )
        for name, other in (("hen", "egg"), ("egg", "hen"))
    )
    eggs = make_factory(egg, FACTORY_CLASS=AsyncDatabasesFactory, auto_declarations=True)
    with pytest.raises(ConfigurationError) as caught:
        eggs.build()
    match = re.search(r" then write other_id = (.+) \(needs: (.+)\)\. Or", str(caught.value))
    assert match is not None
    scope: dict[str, Any] = {}
    exec(match[2], scope)
    assert match[1] == 'KeyOf(AppEggFactory, "id", other_id=None)'
    hens = make_factory(hen, FACTORY_CLASS=AsyncDatabasesFactory, id=3, other_id=None)
    key = eval(match[1], {**scope, "AppEggFactory": hens})
    declared = make_factory(egg, FACTORY_CLASS=AsyncDatabasesFactory, other_id=key)
    assert declared.build()["other_id"] == 3


async def test_too_few_values(session: AsyncSession, statements: list[str]) -> None:
    """A batch for which a part has too few values is refused before anything is stored."""
    badges = make_factory(Badge, FACTORY_CLASS=AsyncSQLAlchemyModelFactory, auto_declarations=True)
    with pytest.raises(ConfigurationError) as caught:
        await badges.create_batch_async(37)
    assert str(caught.value).startswith(
        "Shelf.mark is unique and at most 1 characters long: after 36 values there is no other. "
    )
    assert statements == []
    shelf = await create_async(
        Shelf, FACTORY_CLASS=AsyncSQLAlchemyModelFactory, auto_declarations=True, mark="?"
    )
    await badges.create_batch_async(37, shelf_mark=shelf.mark)
    await badges.create_batch_async(36)
    with pytest.raises(ConfigurationError, match="after 36 values"):
        await badges.create_async()


async def test_rules_hold_from_now_on() -> None:
    """A rule that is registered after a factory was used changes what is chosen."""
    users = user_factory()
    before = users.build().name
    with auto.rules_kept():
        auto.rule((User, "name"), factory.LazyFunction(lambda: "by the rule"))
        assert users.build().name == "by the rule"
    assert users.build().name != "by the rule" != before


async def test_a_rule_for_what_is_filled_anyway(session: AsyncSession) -> None:
    """A rule for a field itself holds though the field has a default, one for its name does not."""
    with auto.rules_kept():
        auto.rule("language", factory.LazyFunction(lambda: "fr"))
        assert user_factory().build().language is None
        auto.rule((User, "language"), factory.LazyFunction(lambda: "de"))
        assert user_factory().build().language == "de"
        assert user_factory(language="it").build().language == "it"
        assert user_factory(meta={"exclude": ("language",)}).build().language is None
        boss = await user_factory().create_async()
        auto.rule((User, "boss"), factory.LazyFunction(lambda: boss))
        assert (await user_factory().create_async()).boss is boss


async def test_a_rule_for_a_relation(session: AsyncSession) -> None:
    """A rule for the field of a model is for relations as well."""
    company = Company(name="shared", plan=Plan.FREE)
    with auto.rules_kept():
        auto.rule((User, "company"), factory.LazyFunction(lambda: company))
        users = await user_factory().create_batch_async(2)
    assert {user.company for user in users} == {company}


async def test_no_class_needed(session: AsyncSession) -> None:
    """`create_async` takes the model alone."""
    user = await create_async(
        User, FACTORY_CLASS=AsyncSQLAlchemyModelFactory, auto_declarations=True, name="Ada"
    )
    assert (user.name, user.id is not None) == ("Ada", True)


async def test_renamed_fields() -> None:
    """A field that is declared by another name is not chosen."""
    users = user_factory(mail="m@example.org", meta={"rename": {"mail": "email"}})
    assert users.build().email == "m@example.org"


async def test_found_by_a_chosen_field(session: AsyncSession) -> None:
    """get_or_create may look objects up by a field that is chosen."""
    meta = {"sqlalchemy_get_or_create": ("email",)}
    user = await user_factory(meta=meta).create_async()
    assert user.email


def test_explain(capsys: pytest.CaptureFixture[str]) -> None:
    """`explain` says of each field what fills it, or why nothing does."""
    users = user_factory(name="Ada", nickname=factory.Faker("name"))
    rows = {row.name: row for row in users.explain()}
    assert rows["name"][1:] == ("declared", "", "'Ada'")
    assert rows["email"].origin == "chosen"
    assert rows["email"].source.startswith("factory.Sequence(")
    assert rows["company"].source == "factory.SubFactory(CompanyFactory)"
    reasons = {name: row.rule for name, row in rows.items() if row.origin == "left out"}
    assert reasons == {
        "id": "made by the store",
        "age": "takes None",
        "language": "has a default",
        "company_id": "the key of company",
        "boss_id": "the key of boss",
        "boss": "an optional relation",
    }
    assert rows["nickname"][1:] == ("declared", "not a field of the model", "Faker")
    printed = capsys.readouterr().out
    assert printed.splitlines()[0].split() == ["field", "by", "declaration"]
    assert "factory.SubFactory(CompanyFactory)" in printed


def test_explain_names_imports() -> None:
    """Below the table stands what has to be imported for the declarations in it."""
    visits = make_factory(Visit, FACTORY_CLASS=AsyncSQLAlchemyModelFactory, auto_declarations=True)
    text = str(visits.explain())
    assert text.endswith("\n\nThese declarations need:\n" + "\n".join(visits.explain().imports))
    scope: dict[str, Any] = {"factory": factory, "UserFactory": user_factory()}
    exec("\n".join(visits.explain().imports), scope)
    sources = [row.source for row in visits.explain() if row.origin == "chosen"]
    assert len([eval(source, scope) for source in sources]) == 3


def test_explain_without_the_option() -> None:
    """Without the option, or with a field excluded, nothing is said to be chosen."""
    plain = user_factory(meta={"auto_declarations": False})
    rows = {row.name: row for row in plain.explain()}
    assert rows["email"][1:] == ("left out", "Meta.auto_declarations is not set", "")
    excluded = user_factory(meta={"exclude": ("email",)})
    rows = {row.name: row for row in excluded.explain()}
    assert rows["email"][1:] == ("left out", "in Meta.exclude", "")
    assert excluded.build().email is None


def test_explain_what_is_refused() -> None:
    """A field that nothing can be chosen for has a row that says why, beside the others."""
    eggs = make_factory(Egg, FACTORY_CLASS=AsyncSQLAlchemyModelFactory, auto_declarations=True)
    rows = {row.name: row for row in eggs.explain()}
    assert rows["chicken"].origin == "refused"
    assert "leads back to Chicken" in rows["chicken"].rule
    assert rows["id"].origin == "left out"


def test_explain_without_a_model() -> None:
    """A factory that has no model has nothing to explain."""
    with pytest.raises(AbstractFactoryError, match=r"^Automatic has no Meta\.model, whose fields"):
        Automatic.explain()


# What is wrong, and what the error says.


def test_a_rule_for_no_field() -> None:
    """A rule for a field that the model does not have is refused when a factory is used."""
    with auto.rules_kept():
        auto.rule((User, "nmae"), factory.LazyFunction(str))
        with pytest.raises(ConfigurationError) as caught:
            user_factory().build()
    assert str(caught.value).startswith(
        "async_factory_boy.auto.rule((User, 'nmae')) names 'nmae', which is not a field of User. "
        "Did you mean 'name'?"
    )
    for wrong in (("User", "name"), ""):
        with pytest.raises(ConfigurationError, match="is for none of a type, a pattern of names"):
            auto.rule(wrong, factory.LazyFunction(str))


def test_who_has_asked() -> None:
    """An error about a related model names the factory that has asked for it, and the way."""

    class Base(DeclarativeBase):
        pass

    class Place(Base):
        __tablename__ = "place"

        id: Mapped[int] = mapped_column(primary_key=True)
        point: Mapped[Any] = mapped_column(INET)

    class Shop(Base):
        __tablename__ = "shop"

        id: Mapped[int] = mapped_column(primary_key=True)
        place_id: Mapped[int] = mapped_column(ForeignKey(Place.id))
        place: Mapped[Place] = relationship()

    shops = make_factory(Shop, FACTORY_CLASS=AsyncSQLAlchemyModelFactory, auto_declarations=True)
    with pytest.raises(ConfigurationError) as caught:
        shops.build()
    assert str(caught.value).startswith("Place.point is of the type INET")
    assert str(caught.value).endswith("(Asked for by ShopFactory.place.)")


@pytest.mark.parametrize("value", [1, "email", None, (1,), {"email"}])
def test_a_wrong_option(value: object) -> None:
    """Another value for the option is refused when the class is made."""
    with pytest.raises(ConfigurationError, match=r'takes True .*, "all" .*, or a tuple of names'):
        user_factory(meta={"auto_declarations": value})


def test_unknown_names() -> None:
    """A name that the model does not have is refused when the factory is used."""
    users = user_factory(meta={"auto_declarations": ("emial",)})
    with pytest.raises(ConfigurationError) as caught:
        users.build()
    assert str(caught.value).startswith(
        "UserFactory.Meta.auto_declarations names 'emial', which is not a field of User. "
        "Did you mean 'email'?"
    )


class Silent(PersistenceAdapter[Any]):
    """An adapter that tells nothing of fields."""

    async def save(self, instance: Any) -> Any:
        return instance


def test_an_adapter_that_tells_nothing() -> None:
    """An adapter without fields() is named, with what to do."""

    class ThingFactory(AsyncFactory[Any]):
        class Meta:
            model = dict
            adapter = Silent()
            auto_declarations = True

    with pytest.raises(AdapterError, match=r"Silent has no fields\(\) method"):
        ThingFactory.build()


def test_an_adapter_that_tells_something_else() -> None:
    """What fields() returns is checked."""

    class Chatty(Silent):
        def fields(self, model: Any) -> Any:
            return ["name"]

    class ThingFactory(AsyncFactory[Any]):
        class Meta:
            model = dict
            adapter = Chatty()
            auto_declarations = True

    with pytest.raises(AdapterError, match=r"Chatty.fields\(\) returned"):
        ThingFactory.build()


def test_no_adapter_at_all() -> None:
    """Where no adapter is known for the model, the error says to set one."""

    class ThingFactory(AsyncFactory[Any]):
        class Meta:
            model = dict
            auto_declarations = True

    with pytest.raises(AdapterError, match="needs an adapter that can tell what dict is made of"):
        ThingFactory.build()
