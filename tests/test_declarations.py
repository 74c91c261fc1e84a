"""Every declaration of factory_boy's reference, under create_async and build_async.

What is created is read back by a SELECT. Where factory_boy takes a callable, a plain function and
a coroutine function have to do the same.
"""

from __future__ import annotations

import asyncio
import functools
import io
import itertools
import re
import sys
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Generator,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from typing import Any, NamedTuple

import factory
import factory.fuzzy
import factory.random
import pytest
from factory.errors import CyclicDefinitionError, InvalidDeclarationError, UnknownStrategy
from hypothesis import event, given, settings
from hypothesis import strategies as st
from sqlalchemy import JSON, ForeignKey, func, inspect, select
from sqlalchemy.ext.asyncio import (
    AsyncConnection,
    AsyncSession,
    async_object_session,
    create_async_engine,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from async_factory_boy import (
    AbstractFactoryError,
    ConfigurationError,
    SyncCallError,
    UnknownStrategyError,
    bind,
)
from async_factory_boy.factory import (
    AsyncFactory,
    build_async,
    build_batch_async,
    create_async,
    create_batch_async,
    generate_async,
    generate_batch_async,
    make_factory,
)
from async_factory_boy.factory.sqlalchemy import AsyncSQLAlchemyModelFactory


class Base(DeclarativeBase):
    pass


class Company(Base):
    __tablename__ = "company"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None]
    city: Mapped[str | None]
    number: Mapped[int | None]

    def __init__(self, name: str | None = None, city: str | None = None, **fields: Any) -> None:
        super().__init__(name=name, city=city, **fields)


class User(Base):
    __tablename__ = "app_user"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None]
    note: Mapped[str | None]
    number: Mapped[int | None]
    data: Mapped[Any | None] = mapped_column(JSON)
    company_id: Mapped[int | None] = mapped_column(ForeignKey(Company.id))
    company: Mapped[Company | None] = relationship()
    posts: Mapped[list[Post]] = relationship(back_populates="author", order_by="Post.id")

    def rename(self, name: str = "renamed", suffix: str = "") -> str:
        self.name = name + suffix
        return self.name

    async def rename_async(self, name: str = "renamed", suffix: str = "") -> str:
        await asyncio.sleep(0)
        return self.rename(name, suffix)


class Manager(User):
    pass


class Post(Base):
    __tablename__ = "post"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str | None]
    author_id: Mapped[int | None] = mapped_column(ForeignKey(User.id))
    author: Mapped[User | None] = relationship(back_populates="posts")


class CompanyFactory(AsyncSQLAlchemyModelFactory[Company]):
    class Meta:
        model = Company

    name = factory.Sequence(lambda n: f"company{n}")
    city = "Paris"


class UserFactory(AsyncSQLAlchemyModelFactory[User]):
    class Meta:
        model = User

    name = factory.Sequence(lambda n: f"user{n}")
    company = factory.SubFactory(CompanyFactory)


class PostFactory(AsyncSQLAlchemyModelFactory[Post]):
    class Meta:
        model = Post

    title = factory.Sequence(lambda n: f"post{n}")


class ArticleFactory(PostFactory):
    author = factory.SubFactory(f"{__name__}.AuthorFactory", posts=[])


class AuthorFactory(UserFactory):
    posts = factory.RelatedFactory(f"{__name__}.ArticleFactory", factory_related_name="author")


class EndlessFactory(UserFactory):
    company = factory.SubFactory(f"{__name__}.EndlessFactory")


@pytest.fixture(autouse=True)
def _sequences_start_at_0() -> None:
    for one in (CompanyFactory, UserFactory, PostFactory):
        one.reset_sequence(0)


@pytest.fixture(autouse=True)
def _random_state() -> Generator[None]:
    state = factory.random.get_random_state()
    yield
    factory.random.set_random_state(state)


def class_of(
    model: type,
    meta: dict[str, Any] | None = None,
    params: dict[str, Any] | None = None,
    base: type = AsyncSQLAlchemyModelFactory,
    **body: Any,
) -> Any:
    """Return a factory, as a class statement with this body makes it."""
    body["Meta"] = type("Meta", (), {"model": model, **(meta or {})})
    body["Params"] = type("Params", (), params or {})
    return type(base)("F", (base,), body)


def plain_class_of(model: type, **body: Any) -> Any:
    """Return the same factory as factory_boy has it, to compare with."""
    return class_of(model, base=factory.Factory, **body)


class Database:
    def __init__(self, connection: AsyncConnection, session: AsyncSession) -> None:
        self.connection = connection
        self.session = session

    async def rows(self, model: type) -> list[Any]:
        """Read objects by a SELECT, and not from the session that stored them."""
        await self.session.flush()
        async with AsyncSession(self.connection) as reader:
            found = list(await reader.scalars(select(model).order_by(model.id)))  # type: ignore[attr-defined]
            await reader.run_sync(lambda _: load_relationships(found))
            return found


def load_relationships(objects: Iterable[Any]) -> None:
    """Load all that can be reached from objects, so that a test can read it."""
    waiting, seen = list(objects), set()
    while waiting:
        one = waiting.pop()
        if one not in seen:
            seen.add(one)
            for name in inspect(type(one)).relationships.keys():  # noqa: SIM118 (no dict)
                related = getattr(one, name)
                waiting += related if isinstance(related, list) else filter(None, [related])


@pytest.fixture
async def database() -> AsyncGenerator[Database]:
    """An SQLite database, whose session is bound."""
    engine = create_async_engine("sqlite+aiosqlite://")
    async with engine.connect() as connection:
        await connection.run_sync(Base.metadata.create_all)
        async with AsyncSession(connection) as session:
            with bind(sqlalchemy_session=session):
                yield Database(connection, session)
    await engine.dispose()


class Make:
    """``await make(Factory, **kwargs)`` creates an object and reads it back, or builds it."""

    def __init__(self, database: Database | None) -> None:
        self.database = database
        self.creates = database is not None

    async def __call__(self, factory: Any, **kwargs: Any) -> Any:
        if not self.creates:
            return await factory.build_async(**kwargs)
        return await self.stored(await factory.create_async(**kwargs))

    async def batch(self, factory: Any, size: int, **kwargs: Any) -> list[Any]:
        if not self.creates:
            return await factory.build_batch_async(size, **kwargs)
        made = await factory.create_batch_async(size, **kwargs)
        return [await self.stored(one) for one in made]

    async def stored(self, made: Any) -> Any:
        assert self.database is not None
        rows = await self.database.rows(type(made))
        (row,) = (row for row in rows if row.id == made.id)
        for name in inspect(type(made)).column_attrs.keys():  # noqa: SIM118 (no dict)
            assert getattr(row, name) == getattr(made, name)
        return row


@pytest.fixture(params=["create", "build"])
def make(request: pytest.FixtureRequest) -> Make:
    """Both of the strategies that make an object."""
    return Make(request.getfixturevalue("database") if request.param == "create" else None)


def plain(function: Callable[..., Any]) -> Callable[..., Any]:
    return function


def asynchronous(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    async def call(*args: Any, **kwargs: Any) -> Any:
        await asyncio.sleep(0)
        return function(*args, **kwargs)

    return call


@pytest.fixture(params=[plain, asynchronous], ids=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Makes a plain function of a function, or a coroutine function."""
    chosen: Callable[..., Any] = request.param
    return chosen


Kind = Callable[[Callable[..., Any]], Callable[..., Any]]


async def fetch(value: Any) -> Any:
    await asyncio.sleep(0)
    return value


# Values


async def test_faker(make: Make) -> None:
    """Faker draws what factory_boy's draws after the same seed, in the locale asked for."""
    declarations = {
        "name": factory.Faker("name"),
        "note": factory.Faker("city", locale="fr_FR"),
        "number": factory.Faker("pyint", min_value=1000, max_value=9000),
    }
    factory.random.reseed_random(7)
    expected = plain_class_of(User, **declarations).build(name__locale="de_DE")
    factory.random.reseed_random(7)
    made = await make(class_of(User, **declarations), name__locale="de_DE")
    assert (made.name, made.note, made.number) == (expected.name, expected.note, expected.number)


async def test_reseeding(make: Make) -> None:
    """The same seed gives the same objects."""
    drawing = class_of(
        User, name=factory.Faker("name"), number=factory.fuzzy.FuzzyInteger(0, 10**6)
    )
    drawn = []
    for seed in (1, 2, 1):
        factory.random.reseed_random(seed)
        drawn.append([(made.name, made.number) for made in await make.batch(drawing, 3)])
    assert drawn[0] == drawn[2] != drawn[1]


async def test_faker_with_a_declaration(make: Make, kind: Kind) -> None:
    """What a declaration evaluates to can be an argument of a Faker."""
    drawing = class_of(
        User,
        note="7",
        number=factory.Faker(
            "pyint",
            min_value=factory.LazyAttribute(kind(lambda arguments: arguments.max_value)),
            max_value=factory.SelfAttribute("..half"),
        ),
        params={"half": factory.LazyFunction(kind(lambda: 21))},
    )
    assert (await make(drawing)).number == 21
    assert (await make(drawing, number__max_value=4)).number == 4
    assert (await make(drawing, number__max_value=fetch(5))).number == 5


async def test_fuzzy(make: Make, kind: Kind) -> None:
    """A FuzzyAttribute calls its function."""
    users = class_of(User, name=factory.fuzzy.FuzzyAttribute(kind(lambda: "fuzzy")))
    assert (await make(users)).name == "fuzzy"


async def test_sequence(make: Make, kind: Kind) -> None:
    """A Sequence counts up, from where it is reset to, and as told by ``__sequence``."""
    users = class_of(User, name=factory.Sequence(kind(lambda n: f"u{n}")))
    assert [made.name for made in await make.batch(users, 2)] == ["u0", "u1"]
    assert (await make(users, __sequence=40)).name == "u40"
    assert (await make(users)).name == "u2"
    users.reset_sequence(7)
    assert (await make(users)).name == "u7"
    users.reset_sequence()
    assert (await make(users)).name == "u0"


async def test_sequence_of_a_sub_factory(make: Make) -> None:
    """``company____sequence`` sets the number of the SubFactory's object."""
    made = await make(UserFactory, company____sequence=12)
    assert (made.name, made.company.name) == ("user0", "company12")


async def test_sequence_of_descendants(make: Make) -> None:
    """A factory shares the counter of the one it derives from, if its model does derive too."""

    class ManagerFactory(UserFactory):
        class Meta:
            model = Manager

    class OtherFactory(UserFactory):
        class Meta:
            model = Company
            exclude = ("company",)

    assert (await make(UserFactory)).name == "user0"
    assert (await make(ManagerFactory)).name == "user1"
    assert (await make(UserFactory)).name == "user2"
    assert (await make(OtherFactory)).name == "user0"
    with pytest.raises(ValueError, match="Can't reset a sequence on descendant factory"):
        ManagerFactory.reset_sequence(9)
    ManagerFactory.reset_sequence(9, force=True)
    assert (await make(UserFactory)).name == "user9"


async def test_setup_next_sequence(make: Make, kind: Kind) -> None:
    """_setup_next_sequence says where a sequence starts."""
    users = class_of(
        User,
        _setup_next_sequence=classmethod(kind(lambda cls: 100)),
        name=factory.Sequence(lambda n: f"u{n}"),
    )
    assert [made.name for made in await make.batch(users, 2)] == ["u100", "u101"]


async def test_lazy_function(make: Make, kind: Kind) -> None:
    """A LazyFunction is called once for each object."""
    calls = iter("abc")
    users = class_of(User, name=factory.LazyFunction(kind(lambda: next(calls))))
    assert [made.name for made in await make.batch(users, 3)] == ["a", "b", "c"]


async def test_callables_that_are_no_functions(make: Make) -> None:
    """A callable object and a partial may be async, and an async generator may be read."""

    class Answer:
        async def __call__(self) -> str:
            return await fetch("answer")

    async def numbers() -> AsyncIterator[int]:
        for number in (3, 4):
            yield await fetch(number)

    users = class_of(
        User,
        name=factory.LazyFunction(Answer()),
        note=factory.LazyFunction(functools.partial(fetch, "partial")),
        number=factory.LazyFunction(numbers().__anext__),
    )
    made = await make.batch(users, 2)
    assert [(one.name, one.note, one.number) for one in made] == [
        ("answer", "partial", 3),
        ("answer", "partial", 4),
    ]


async def test_lazy_attribute(make: Make, kind: Kind) -> None:
    """A LazyAttribute reads other fields: declared, overridden, and of the parent."""
    users = class_of(
        User,
        name=factory.LazyAttribute(kind(lambda user: "ada")),
        note=factory.LazyAttribute(kind(lambda user: f"{user.name}!")),
        company=factory.SubFactory(
            CompanyFactory,
            name=factory.LazyAttribute(kind(lambda company: company.factory_parent.note)),
        ),
    )
    made = await make(users)
    assert (made.note, made.company.name) == ("ada!", "ada!")
    made = await make(users, name="grace")
    assert (made.note, made.company.name) == ("grace!", "grace!")


async def test_reading_what_is_declared_later(make: Make, kind: Kind) -> None:
    """Reading a field evaluates it, wherever it is declared and however it is evaluated."""
    evaluated = []

    def note(o: Any) -> str:
        evaluated.append("note")
        return f"of {o.company.name}"

    users = class_of(
        User,
        name=factory.LazyAttribute(kind(lambda user: f"{user.note}!")),
        note=factory.LazyAttribute(kind(note)),
        data=factory.LazyAttribute(kind(lambda user: {"stored": user.company.id is not None})),
        company=factory.SubFactory(CompanyFactory, name=factory.LazyFunction(kind(lambda: "acme"))),
        number=factory.LazyAttribute(kind(lambda user: user.half * 2)),
        params={"half": factory.LazyFunction(kind(lambda: 4))},
    )
    made = await make(users)
    assert (made.name, made.number) == ("of acme!", 8)
    assert made.data == {"stored": make.creates}
    assert evaluated == ["note"]


async def test_lazy_attribute_sequence(make: Make, kind: Kind) -> None:
    """A LazyAttributeSequence gets the fields and the number."""
    users = class_of(
        User,
        name="ada",
        note=factory.LazyAttributeSequence(kind(lambda user, n: f"{user.name}{n}")),
    )
    assert [made.note for made in await make.batch(users, 2)] == ["ada0", "ada1"]


async def test_transformer(make: Make, kind: Kind) -> None:
    """A Transformer transforms its default and what is given, unless that is forced."""
    shout = kind(str.upper)
    users = class_of(
        User,
        name=factory.Transformer("ada", transform=shout),
        note=factory.Transformer(
            factory.LazyAttribute(kind(lambda user: f"of {user.name}")), transform=shout
        ),
    )
    lazily = factory.LazyFunction(kind(lambda: "lazy"))
    force = factory.Transformer.Force
    for overrides, name in [
        ({}, "ADA"),
        ({"name": "grace"}, "GRACE"),
        ({"name": lazily}, "LAZY"),
        ({"name": fetch("fetched")}, "FETCHED"),
        ({"name": force("grace")}, "grace"),
        ({"name": force(lazily)}, "lazy"),
        ({"name": force(fetch("fetched"))}, "fetched"),
        ({"name": factory.Transformer(lazily, transform=kind(lambda v: v + "!"))}, "LAZY!"),
        ({}, "ADA"),
    ]:
        made = await make(users, **overrides)
        assert (made.name, made.note) == (name, f"OF {name.upper()}")


async def test_transformer_in_a_batch(make: Make, kind: Kind) -> None:
    """Each object of a batch is given the value to transform."""
    users = class_of(User, name=factory.Transformer("ada", transform=kind(str.upper)))
    assert [made.name for made in await make.batch(users, 3, name="x")] == ["X", "X", "X"]


# Other objects


async def test_sub_factory(make: Make, kind: Kind) -> None:
    """A SubFactory makes the object, with its own overrides and those of the call."""
    users = class_of(
        User,
        name="ada",
        company=factory.SubFactory(
            CompanyFactory,
            city=factory.LazyFunction(kind(lambda: "Bern")),
            number=factory.SelfAttribute("..number"),
        ),
        number=factory.LazyFunction(kind(lambda: 5)),
    )
    company = (await make(users)).company
    assert (company.name, company.city, company.number) == ("company0", "Bern", 5)
    for city in ("Rome", factory.LazyFunction(kind(lambda: "Rome")), fetch("Rome")):
        company = (await make(users, company__city=city, company__number=None)).company
        assert (company.city, company.number) == ("Rome", None)


async def test_sub_factory_path(make: Make) -> None:
    """Double underscores reach through SubFactories named by import path, in a circle, too."""
    made = await make(
        ArticleFactory,
        author__company__name="acme",
        author__company__city=fetch("Rome"),
        author__name=factory.SelfAttribute("company.name"),
    )
    assert (made.author.name, made.author.company.city) == ("acme", "Rome")
    made = await make(AuthorFactory, posts__title="on cycles", posts__author__name="nobody")
    assert [post.title for post in made.posts] == ["on cycles"]
    assert made.posts[0].author is made


async def test_sub_factory_replaced(make: Make) -> None:
    """An object, None or an awaitable may be given in place of a SubFactory."""
    company = await CompanyFactory.build_async(name="given")
    assert (await make(UserFactory, company=company)).company.name == "given"
    assert (await make(UserFactory, company=None)).company is None
    assert (
        await make(UserFactory, company=CompanyFactory.build_async(name="b"))
    ).company.name == "b"


async def test_sub_factory_without_end() -> None:
    """SubFactories that never end are refused, with the way and what would end them."""
    with pytest.raises(ConfigurationError) as caught:
        await EndlessFactory.build_async()
    text = str(caught.value)
    assert text.startswith(
        "EndlessFactory.company calls for EndlessFactory for ever: EndlessFactory → … → "
    )
    assert "End it, with factory.Maybe('has_company', factory.SubFactory(...), None)" in text


async def test_creating_in_a_declaration(database: Database) -> None:
    """A declaration creates an object by any of the methods of a factory."""

    async def await_the_class() -> Company:
        return await CompanyFactory()

    creators: list[Callable[[], Any]] = [
        CompanyFactory,
        CompanyFactory.create,
        CompanyFactory.create_async,
        lambda: CompanyFactory.create_batch(2)[1],
        await_the_class,
    ]
    users = class_of(User, company=factory.Iterator(creators, getter=lambda create: create()))
    made = await users.create_batch_async(len(creators))
    stored = await database.rows(Company)
    assert len(stored) == len(creators) + 1
    names = [user.company.name for user in await database.rows(User)]
    assert names == [user.company.name for user in made] == [f"company{n}" for n in (0, 1, 2, 4, 5)]


async def test_building_in_a_declaration(database: Database) -> None:
    """What a declaration only builds is not stored."""
    users = class_of(
        User,
        params={"one": factory.LazyFunction(CompanyFactory.build)},
        note=factory.LazyFunction(lambda: CompanyFactory.build_batch(2)[1].name),
        name=factory.LazyAttribute(lambda user: user.one.name),
        number=factory.LazyFunction(lambda: len(CompanyFactory.stub_batch(3))),
    )
    made = await users.create_async()
    assert (made.name, made.note, made.number) == ("company2", "company1", 3)
    assert await database.rows(Company) == []


async def test_self_attribute(make: Make, kind: Kind) -> None:
    """A SelfAttribute copies a field: a sibling's, an object's, a parent's, a grandparent's."""
    posts = class_of(
        Post,
        title=factory.LazyFunction(kind(lambda: "title")),
        author=factory.SubFactory(
            UserFactory,
            name=factory.SelfAttribute("..title"),
            company__name=factory.SelfAttribute("...title"),
            note=factory.SelfAttribute("company.city"),
            number=factory.SelfAttribute("company.nothing", default=3),
        ),
    )
    author = (await make(posts)).author
    assert (author.name, author.company.name, author.note, author.number) == (
        "title",
        "title",
        "Paris",
        3,
    )


async def test_container_attribute(make: Make, kind: Kind) -> None:
    """A ContainerAttribute gets the objects around its own; a strict one asks for some."""

    def names(company: Any, containers: tuple[Any, ...]) -> str:
        return "/".join(container.name for container in containers)

    for strict in (True, False):
        companies = class_of(Company, name=factory.ContainerAttribute(kind(names), strict=strict))
        users = class_of(User, name="ada", company=factory.SubFactory(companies))
        assert (await make(users)).company.name == "ada"
        if not strict:
            assert (await make(companies)).name == ""
            continue
        with pytest.raises(TypeError, match="A ContainerAttribute in 'strict' mode can only be"):
            await make(companies)


# Iterators, containers


async def test_iterator(make: Make, kind: Kind) -> None:
    """An Iterator goes round its values, through its getter, and can be reset."""
    users = class_of(User, name=factory.Iterator([("a", 1), ("b", 2)], getter=kind(lambda v: v[0])))
    assert [made.name for made in await make.batch(users, 3)] == ["a", "b", "a"]
    users.name.reset()
    assert (await make(users)).name == "a"
    values = factory.Iterator(["x", "y"])
    assert [made.name for made in await make.batch(users, 3, name=values)] == ["x", "y", "x"]


async def test_iterator_keeps_its_place(make: Make, kind: Kind) -> None:
    """An Iterator goes on where it was, in derived factories, traits, Maybe and Transformer."""
    values = factory.Iterator("abcdefgh")
    users = class_of(
        User,
        params={"on": factory.Trait(name=values)},
        name=factory.Transformer(values, transform=kind(str.upper)),
        note=factory.Maybe(
            factory.LazyFunction(kind(lambda: True)), yes_declaration=values, no_declaration=None
        ),
    )
    derived = type(users)("Derived", (users,), {})
    made = [await make(users), await make(derived), await make(users, on=True)]
    assert [(one.name, one.note) for one in made] == [("A", "b"), ("C", "d"), ("e", "f")]


async def test_iterator_that_ends(make: Make) -> None:
    """No coroutine can raise StopIteration, so it is the cause of the error that says so."""
    users = class_of(User, name=factory.Iterator(["only"], cycle=False))
    await make(users)
    with pytest.raises(RuntimeError, match="StopIteration") as caught:
        await make(users)
    assert isinstance(caught.value.__cause__, StopIteration)
    with pytest.raises(StopIteration):
        users.build()


async def test_dict_and_list(make: Make, kind: Kind) -> None:
    """What is in a Dict or List is evaluated, awaited, overridden, and sees its parent."""
    users = class_of(
        User,
        name="ada",
        data=factory.Dict(
            {
                "plain": 1,
                "lazy": factory.LazyFunction(kind(lambda: 2)),
                "sibling": factory.LazyAttribute(kind(lambda data: data.lazy + 1)),
                "parent": factory.SelfAttribute("..name"),
                "list": factory.List(
                    [
                        factory.Sequence(kind(lambda n: f"n{n}")),
                        factory.SelfAttribute("...name"),
                        factory.Dict({"deep": factory.LazyFunction(kind(lambda: "deep"))}),
                    ]
                ),
            }
        ),
    )
    data = {"plain": 1, "lazy": 2, "sibling": 3, "parent": "ada"}
    made = await make(users)
    assert made.data == {**data, "list": ["n0", "ada", {"deep": "deep"}]}
    made = await make(
        users,
        data__plain=fetch(5),
        data__lazy=factory.LazyFunction(kind(lambda: 6)),
        data__extra="e",
        data__list__0="first",
        data__list__2__deep=fetch("deeper"),
    )
    assert made.data == {
        "plain": 5,
        "lazy": 6,
        "sibling": 7,
        "parent": "ada",
        "extra": "e",
        "list": ["first", "ada", {"deep": "deeper"}],
    }


async def test_dict_with_the_name_of_an_option(make: Make) -> None:
    """The keys of a Dict are the user's, even if they read like call-time options."""
    keys = {"mongo_session": 1, "sqlalchemy_sessions": 2}
    users = class_of(User, data=factory.Dict({**keys, "lazy": factory.LazyFunction(dict)}))
    assert (await make(users)).data == {**keys, "lazy": {}}


# Choices


@pytest.mark.parametrize("truth", [True, False])
async def test_maybe(make: Make, kind: Kind, truth: bool) -> None:
    """Maybe evaluates one of its declarations, by a field, or by what a declaration yields."""
    users = class_of(
        User,
        params={"flag": factory.LazyFunction(kind(lambda: truth))},
        name=factory.Maybe(
            "flag",
            yes_declaration=factory.LazyFunction(kind(lambda: "yes")),
            no_declaration=factory.LazyFunction(kind(lambda: "no")),
        ),
        note=factory.Maybe(
            factory.LazyAttribute(kind(lambda user: not user.flag)),
            "not",
            factory.SelfAttribute("name"),
        ),
        number=factory.Maybe(factory.LazyFunction(kind(lambda: None)), 1, factory.Sequence(int)),
    )
    made = await make(users)
    assert (made.name, made.note, made.number) == (("yes", "yes", 0) if truth else ("no", "not", 0))
    for flag in (not truth, fetch(not truth), factory.LazyFunction(kind(lambda: not truth))):
        assert (await make(users, flag=flag)).name == ("no" if truth else "yes")
    assert (await make(users, name=fetch("given"))).name == "given"


async def test_maybe_skips(make: Make, kind: Kind) -> None:
    """A Maybe without one of its declarations gives the model no such argument."""
    given = []

    def note_arguments(cls: Any, model: Any, *args: Any, **kwargs: Any) -> Any:
        given.append(sorted(kwargs))
        return model(**kwargs)

    users = class_of(
        User,
        params={"flag": factory.LazyFunction(kind(lambda: False))},
        name=factory.Maybe("flag", yes_declaration="yes"),
        note=factory.Maybe("flag", no_declaration=factory.LazyFunction(kind(lambda: "no"))),
        _build=classmethod(note_arguments),
    )
    await users.build_async()
    await users.build_async(flag=True)
    assert given == [["note"], ["name"]]
    assert (await make(users)).name is None


async def test_maybe_with_a_sub_factory(make: Make, kind: Kind) -> None:
    """Double underscores reach the SubFactory that a Maybe chooses; the other makes nothing."""
    users = class_of(
        User,
        params={"flag": factory.LazyFunction(kind(lambda: True))},
        company=factory.Maybe(
            "flag", factory.SubFactory(CompanyFactory), factory.SubFactory(EndlessFactory)
        ),
    )
    made = await make(users, company__city=fetch("Rome"))
    assert made.company.city == "Rome"


@pytest.mark.parametrize("truth", [True, False])
async def test_maybe_after_generation(make: Make, kind: Kind, truth: bool) -> None:
    """Maybe chooses among hooks and related factories, by what the object was made from."""

    def rename(user: User, create: bool, extracted: Any, **kwargs: Any) -> None:
        user.name = f"renamed {kwargs}"

    users = class_of(
        User,
        params={"flag": factory.LazyFunction(kind(lambda: truth))},
        name="ada",
        hook=factory.Maybe("flag", factory.PostGeneration(kind(rename))),
        posts=factory.Maybe(
            factory.LazyAttribute(kind(lambda user: user.flag)),
            factory.RelatedFactoryList(PostFactory, "author", size=kind(lambda: 2)),
            factory.RelatedFactory(PostFactory, "author", title=factory.LazyFunction(kind(str))),
        ),
    )
    made = await make(users, hook__a=1, posts__title=fetch("t") if not truth else "t")
    assert made.name == ("renamed {'a': 1}" if truth else "ada")
    assert [post.title for post in made.posts] == (["t", "t"] if truth else ["t"])
    assert (await make(users, posts=None)).posts == []


async def test_params(make: Make, kind: Kind) -> None:
    """A parameter is evaluated and read, may be overridden, and is not given to the model."""
    users = class_of(
        User,
        params={
            "first": factory.LazyFunction(kind(lambda: "ada")),
            "last": "lovelace",
            "both": factory.LazyAttribute(kind(lambda user: f"{user.first} {user.last}")),
        },
        name=factory.LazyAttribute(kind(lambda user: user.both)),
    )
    assert (await make(users)).name == "ada lovelace"
    assert (await make(users, first=fetch("grace"), last="hopper")).name == "grace hopper"


async def test_trait(make: Make, kind: Kind) -> None:
    """A trait overrides fields, SubFactories and hooks; chained, nested, or on by default."""

    def count_posts(user: User, create: bool, extracted: Any, **kwargs: Any) -> None:
        user.number = len(user.posts)

    traits = {
        "named": factory.Trait(name=factory.LazyFunction(kind(lambda: "trait"))),
        "employed": factory.Trait(
            named=True,
            company=factory.SubFactory(
                CompanyFactory,
                name=factory.LazyAttribute(kind(lambda company: company.factory_parent.name)),
            ),
            company__city=factory.LazyFunction(kind(lambda: "Bern")),
        ),
        "writing": factory.Trait(
            employed=True,
            posts=factory.RelatedFactoryList(PostFactory, "author", size=2),
            count=factory.PostGeneration(kind(count_posts)),
        ),
    }
    users = class_of(User, params=traits, name="ada", company=None, number=0)

    def summary(user: User) -> tuple[Any, ...]:
        company = user.company and (user.company.name, user.company.city)
        return user.name, company, len(user.posts), user.number

    assert summary(await make(users)) == ("ada", None, 0, 0)
    assert summary(await make(users, named=True)) == ("trait", None, 0, 0)
    employed = ("trait", ("trait", "Bern"), 0, 0)
    assert summary(await make(users, employed=True)) == employed
    assert summary(await make(users, employed=fetch(True))) == employed
    assert summary(await make(users, employed=fetch(False))) == ("ada", None, 0, 0)
    writing = ("trait", ("trait", "Bern"), 2, 2)
    assert summary(await make(users, writing=factory.LazyFunction(kind(lambda: True)))) == writing
    assert summary(await make(users, writing=True, name="x")) == ("x", ("x", "Bern"), 2, 2)
    by_default = type(users)("ByDefault", (users,), {"employed": True})
    assert summary(await make(by_default)) == employed
    assert summary(await make(by_default, employed=False)) == ("ada", None, 0, 0)
    posts = class_of(Post, author=factory.SubFactory(users, named=True))
    made = await make(posts, author__employed=fetch(True))
    assert summary(made.author) == ("trait", ("trait", "Bern"), 1, 0)


# After generation


async def test_related_factory(make: Make, kind: Kind) -> None:
    """A RelatedFactory makes its object with the first one, its defaults, and overrides."""
    noted = []

    def note(cls: Any, instance: Any, create: bool, results: Any = None) -> None:
        noted.append((create, results["post"]))

    users = class_of(
        User,
        _after_postgeneration=classmethod(note),
        post=factory.RelatedFactory(
            f"{__name__}.PostFactory",
            "author",
            title=factory.LazyAttribute(kind(lambda post: f"by {post.author.name}")),
        ),
        company=factory.RelatedFactory(CompanyFactory),
        name="ada",
    )
    made = await make(users, company__city=fetch("Rome"))
    assert [post.title for post in made.posts] == ["by ada"]
    assert made.company is None  # it names no field to hand the user over in
    made = await make(users, post__title=factory.LazyFunction(kind(lambda: "given")))
    assert [post.title for post in made.posts] == ["given"]
    assert (await make(users, post=None)).posts == []
    assert (await make(users, post=fetch("in its place"))).posts == []
    assert [create for create, _ in noted] == [make.creates] * 4
    assert [result for _, result in noted[2:]] == [None, "in its place"]
    if make.database is not None:
        cities = [company.city for company in await make.database.rows(Company)]
        assert cities == ["Rome", "Paris", "Paris", "Paris"]


async def test_related_factory_list(make: Make, kind: Kind) -> None:
    """A RelatedFactoryList makes as many objects as it says, or its function."""
    for size, number in [(3, 3), (0, 0), (kind(lambda: 2), 2), (kind(lambda: 0), 0)]:
        users = class_of(
            User,
            name="ada",
            posts=factory.RelatedFactoryList(
                class_of(Post, title=factory.Sequence(kind(lambda n: f"post{n}"))),
                "author",
                size=size,
            ),
        )
        made = await make(users)
        assert [post.title for post in made.posts] == [f"post{n}" for n in range(number)]
        made = await make(users, posts__title=factory.LazyFunction(kind(lambda: "given")))
        assert [post.title for post in made.posts] == ["given"] * number


async def test_post_generation(make: Make, kind: Kind) -> None:
    """A hook gets the object, whether it is created, what it is given, and its parameters."""
    calls = []

    def note(name: str) -> Any:
        def hook(user: User, create: bool, extracted: Any, **kwargs: Any) -> str:
            stored = inspect(user).persistent
            calls.append((name, user.name, stored, create, extracted, kwargs))
            return f"result of {name}"

        return kind(hook)

    def after(cls: Any, instance: Any, create: bool, results: Any = None) -> None:
        calls.append((cls.__name__, instance.name, create, results))

    users = class_of(
        User,
        name="ada",
        second=factory.PostGeneration(note("second")),
        first=factory.PostGeneration(note("first")),
        _after_postgeneration=classmethod(kind(after)),
    )
    create = make.creates
    results = {"second": "result of second", "first": "result of first"}
    await make(users)
    assert calls == [
        ("second", "ada", create, create, None, {}),
        ("first", "ada", create, create, None, {}),
        ("F", "ada", create, results),
    ]
    lazily = factory.LazyFunction(kind(lambda: "given"))
    for value in ("given", fetch("given"), lazily):
        calls.clear()
        await make(users, first=value)
        assert calls[1] == ("first", "ada", create, create, "given", {})
    for value in ("given", fetch("given"), lazily, factory.SelfAttribute("..name")):
        calls.clear()
        await make(users, name="given", first__a=value, first__b=2)
        assert calls[1] == ("first", "given", create, create, None, {"a": "given", "b": 2})


async def test_hook_given_to_a_call(make: Make, kind: Kind) -> None:
    """A call may replace a hook by another, or add one."""

    def rename(name: str) -> Any:
        def hook(user: User, create: bool, extracted: Any, **kwargs: Any) -> None:
            user.name = (user.name or "") + name

        return factory.PostGeneration(kind(hook))

    users = class_of(User, first=rename("1"))
    assert (await make(users)).name == "1"
    assert (await make(users, first=rename("2"), third=rename("3"))).name == "23"
    assert (await make(users)).name == "1"


@pytest.mark.parametrize("method", ["rename", "rename_async"])
async def test_post_generation_method_call(make: Make, method: str) -> None:
    """A method of the object is called with the arguments declared, or with those of the call."""
    users = class_of(User, call=factory.PostGenerationMethodCall(method))
    assert (await make(users)).name == "renamed"
    users = class_of(User, call=factory.PostGenerationMethodCall(method, "ada", suffix="!"))
    assert (await make(users)).name == "ada!"
    assert (await make(users, call="grace")).name == "grace!"
    assert (await make(users, call=fetch("grace"), call__suffix="?")).name == "grace?"
    assert (await make(users, call__suffix=fetch("..."))).name == "ada..."


async def test_decorators(make: Make) -> None:
    """The decorators of factory_boy take functions."""

    class Decorated(UserFactory):
        class Params:
            @factory.lazy_attribute
            def upper(user: Any) -> str:
                return str(user.name.upper())

        @factory.lazy_attribute
        def note(user: Any) -> str:
            return f"of {user.upper}"

        @factory.sequence
        def name(n: int) -> str:
            return f"user{n}"

        @factory.lazy_attribute_sequence
        def data(user: Any, n: int) -> list[Any]:
            return [user.name, n]

        @factory.iterator
        def number() -> Iterator[int]:
            yield from (7, 8)

        @factory.container_attribute
        def company(user: Any, containers: Any) -> None:
            assert containers == ()

        @factory.post_generation
        def hook(user: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
            user.name += "!"

    made = (await make.batch(Decorated, 2))[1]
    assert (made.name, made.note, made.data, made.number, made.company) == (
        "user1!",
        "of USER1",
        ["user1", 1],
        8,
        None,
    )


async def test_decorators_of_coroutine_functions(make: Make) -> None:
    """The decorators of factory_boy take coroutine functions."""

    class Decorated(UserFactory):
        class Params:
            @factory.lazy_attribute
            async def upper(user: Any) -> str:
                return await fetch(str(user.name.upper()))

        @factory.lazy_attribute
        async def note(user: Any) -> str:
            return await fetch(f"of {user.upper}")

        @factory.sequence
        async def name(n: int) -> str:
            return await fetch(f"user{n}")

        @factory.lazy_attribute_sequence
        async def data(user: Any, n: int) -> list[Any]:
            return await fetch([user.name, n])

        @factory.container_attribute
        async def company(user: Any, containers: Any) -> None:
            assert await fetch(containers) == ()

        @factory.post_generation
        async def hook(user: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
            user.name += await fetch("!")

    made = (await make.batch(Decorated, 2))[1]
    assert (made.name, made.note, made.data, made.company) == (
        "user1!",
        "of USER1",
        ["user1", 1],
        None,
    )


async def test_declaration_of_a_users_own(make: Make) -> None:
    """A declaration that a user has written may be async, and have a factory make its object."""

    class Shout(factory.declarations.BaseDeclaration):
        async def evaluate(self, instance: Any, step: Any, extra: dict[str, Any]) -> str:
            return await fetch(f"{instance.note}{extra.get('end', '!')}")

    class Employer(factory.declarations.ParameteredAttribute):
        async def generate(self, step: Any, params: dict[str, Any]) -> Any:
            return await fetch(step.recurse(CompanyFactory, params))

    users = class_of(User, name=Shout(), company=Employer(city="Bern"), note="hey")
    made = await make(users)
    assert (made.name, made.company.city) == ("hey!", "Bern")
    made = await make(users, name__end=fetch("?"), company__city=fetch("Rome"))
    assert (made.name, made.company.city) == ("hey?", "Rome")


# Meta, and the class methods that a factory overrides


async def test_inline_args_exclude_and_rename(make: Make, kind: Kind) -> None:
    """inline_args, exclude and rename apply to what the declarations have evaluated to."""
    companies = class_of(
        Company,
        meta={
            "inline_args": ("name", "town"),
            "exclude": ("hidden",),
            "rename": {"size": "number", "absent": "city"},
        },
        town=factory.LazyFunction(kind(lambda: "Bern")),
        hidden=factory.LazyFunction(kind(lambda: "acme")),
        name=factory.LazyAttribute(kind(lambda company: company.hidden)),
        size=factory.LazyFunction(kind(lambda: 4)),
    )
    made = await make(companies)
    assert (made.name, made.city, made.number) == ("acme", "Bern", 4)
    made = await make(companies, hidden=fetch("other"), size=fetch(5))
    assert (made.name, made.city, made.number) == ("other", "Bern", 5)


async def test_abstract_and_inherited(make: Make, kind: Kind) -> None:
    """Declarations are inherited from abstract factories, and overridden one by one."""

    class Named(AsyncSQLAlchemyModelFactory[Any]):
        class Meta:
            abstract = True
            exclude = ("hidden",)

        hidden = 3
        name = factory.LazyFunction(kind(lambda: "named"))
        note = factory.LazyAttribute(kind(lambda user: f"{user.name}?"))

    class Users(Named):
        class Meta:
            model = User

        name = "ada"

    made = await make(Users)
    assert (made.name, made.note) == ("ada", "ada?")
    with pytest.raises(
        AbstractFactoryError,
        match=re.escape(
            "Cannot generate instances of abstract factory Named; set Named.Meta.model, and leave "
            "Meta.abstract out."
        ),
    ):
        await make(Named)


async def test_adjust_kwargs(make: Make, kind: Kind) -> None:
    """_adjust_kwargs changes the arguments of the model."""

    def adjust(cls: Any, **kwargs: Any) -> dict[str, Any]:
        return {**kwargs, "name": f"{kwargs['name']} of {cls.__name__}"}

    users = class_of(User, name="ada", _adjust_kwargs=classmethod(kind(adjust)))
    assert (await make(users)).name == "ada of F"
    static = staticmethod(kind(lambda **kwargs: {"name": sorted(kwargs)[0]}))
    assert (await make(class_of(User, name="ada", _adjust_kwargs=static))).name == "name"


async def test_overridden_build_and_create(make: Make, kind: Kind) -> None:
    """_build and _create construct the object, and take part in what follows."""

    def construct(cls: Any, model: Any, *args: Any, **kwargs: Any) -> Any:
        return model(*args, **{**kwargs, "name": "constructed"})

    def note(user: User, create: bool, extracted: Any, **kwargs: Any) -> None:
        user.note = f"was {user.name}"

    users = class_of(
        User,
        name="ada",
        _build=classmethod(kind(construct)),
        _create=classmethod(kind(construct)),
        hook=factory.PostGeneration(kind(note)),
    )
    method = users.create_async if make.creates else users.build_async
    made = await method()
    assert (made.name, made.note) == ("constructed", "was constructed")


async def test_hooks_that_call_the_inherited_one(make: Make) -> None:
    """A hook calls the one it overrides by super(), and awaits it where that is async."""

    class Parent(UserFactory):
        name = "ada"

        @classmethod
        async def _adjust_kwargs(cls, **kwargs: Any) -> dict[str, Any]:
            return await fetch({**kwargs, "note": "parent"})

        @classmethod
        async def _create(cls, model: Any, *args: Any, **kwargs: Any) -> Any:
            created = await super()._create(model, *args, **{**kwargs, "number": 1})
            assert inspect(created).persistent
            created.name += " created"
            return created

        @classmethod
        async def _build(cls, model: Any, *args: Any, **kwargs: Any) -> Any:
            return await fetch(super()._build(model, *args, **{**kwargs, "number": 1}))

        @classmethod
        def _after_postgeneration(cls, instance: Any, create: bool, results: Any = None) -> None:
            instance.name += " after"

    class AsyncChild(Parent):
        @classmethod
        async def _adjust_kwargs(cls, **kwargs: Any) -> dict[str, Any]:
            kwargs = await super()._adjust_kwargs(**kwargs)
            return {**kwargs, "note": f"child of {kwargs['note']}"}

        @classmethod
        async def _create(cls, model: Any, *args: Any, **kwargs: Any) -> Any:
            return await super()._create(model, *args, **kwargs)

        @classmethod
        async def _after_postgeneration(
            cls, instance: Any, create: bool, results: Any = None
        ) -> None:
            super()._after_postgeneration(instance, create, results)
            instance.name += await fetch("ward")

    class SyncChild(Parent):
        @classmethod
        def _adjust_kwargs(cls, **kwargs: Any) -> dict[str, Any]:
            kwargs = super()._adjust_kwargs(**kwargs)
            return {**kwargs, "note": f"child of {kwargs['note']}"}

        @classmethod
        def _create(cls, model: Any, *args: Any, **kwargs: Any) -> Any:
            created = super()._create(model, *args, **kwargs)
            created.name += "!"
            return created

    created = " created" if make.creates else ""
    shout = "!" if make.creates else ""
    made = await make(AsyncChild)
    assert (made.name, made.note) == (f"ada{created} afterward", "child of parent")
    made = await make(SyncChild)
    assert (made.name, made.note) == (f"ada{created}{shout} after", "child of parent")
    assert made.number == 1


@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.usefixtures("database")
async def test_inherited_create_that_is_not_awaited(batch: bool) -> None:
    """An async _create may return what the inherited one gives it, and leave the await out."""

    class Factory(UserFactory):
        name = "ada"

        @classmethod
        async def _create(cls, model: Any, *args: Any, **kwargs: Any) -> Any:
            return super()._create(model, *args, **{**kwargs, "note": "noted"})

    if batch:
        users = await Factory.create_batch_async(2)
    else:
        users = [await Factory.create_async()]
    assert [(user.name, user.note, inspect(user).persistent) for user in users] == [
        ("ada", "noted", True)
    ] * len(users)


async def test_hooks_of_a_mixin(make: Make, kind: Kind) -> None:
    """A base that is no factory may bring the hooks, but no declarations, as in factory_boy."""

    class Mixin:
        _setup_next_sequence = classmethod(kind(lambda cls: 5))
        _adjust_kwargs = classmethod(kind(lambda cls, **kwargs: {**kwargs, "note": "mixed in"}))
        name = "not a declaration"

    class Users(Mixin, AsyncSQLAlchemyModelFactory[User]):
        class Meta:
            model = User

        number = factory.Sequence(int)

    made = await make(Users)
    assert (made.name, made.number, made.note) == (None, 5, "mixed in")


async def test_async_start_of_a_sequence_in_tasks(make: Make) -> None:
    """Tasks that wait for the start of a sequence together get different numbers."""
    users = class_of(
        User,
        number=factory.Sequence(int),
        _setup_next_sequence=classmethod(asynchronous(lambda cls: 100)),
    )
    made = await asyncio.gather(*(make(users) for _ in range(5)))
    assert sorted(one.number for one in made) == [100, 101, 102, 103, 104]


async def test_resetting_a_sequence_with_an_async_start(make: Make) -> None:
    """A sequence can be reset to a number by synchronous code, whatever its start."""
    users = class_of(
        User,
        number=factory.Sequence(int),
        _setup_next_sequence=classmethod(asynchronous(lambda cls: 100)),
    )
    users.reset_sequence(3)
    assert (await make(users)).number == 3
    with pytest.raises(SyncCallError, match=re.escape("F._setup_next_sequence is async")):
        users.reset_sequence()


async def test_debug() -> None:
    """factory.debug logs what it logs for factory_boy's own factory, in the same order."""
    declarations: dict[str, Any] = {
        "name": factory.LazyAttribute(lambda user: user.note),
        "note": factory.Sequence(str),
        "number": factory.Iterator([1]),
        "data": factory.Dict({"a": factory.SelfAttribute("..name")}),
        "company": factory.SubFactory(CompanyFactory, city=factory.LazyFunction(str)),
        "posts": factory.RelatedFactoryList(PostFactory, "author", size=1),
        "call": factory.PostGenerationMethodCall("rename"),
    }
    logs = []
    for users in (plain_class_of(User, **declarations), class_of(User, **declarations)):
        CompanyFactory.reset_sequence(0)
        PostFactory.reset_sequence(0)
        log = io.StringIO()
        with factory.debug(stream=log):
            if issubclass(users, AsyncFactory):
                await users.build_async(company__name="acme")
            else:
                users.build(company__name="acme")
        logs.append(re.sub(r"0x\w+|<\w*Options for", "", log.getvalue()))
    assert logs[0] == logs[1]
    assert logs[0].count("\n") > 8


# The methods of a factory, and the functions that make one


async def test_strategies(database: Database) -> None:
    """generate_async and generate_batch_async do what the strategy says."""
    users = class_of(User, name=factory.Sequence(asynchronous(lambda n: f"u{n}")))
    made = [
        await users.generate_async(factory.BUILD_STRATEGY),
        await users.generate_async(factory.STUB_STRATEGY, number=fetch(3)),
        *await users.generate_batch_async(factory.BUILD_STRATEGY, 1),
        *await users.generate_batch_async(factory.STUB_STRATEGY, 2),
    ]
    assert [(type(one).__name__, one.name) for one in made] == [
        ("User", "u0"),
        ("StubObject", "u1"),
        ("User", "u2"),
        ("StubObject", "u3"),
        ("StubObject", "u4"),
    ]
    assert made[1].number == 3
    assert await database.rows(User) == []
    await users.generate_async(factory.CREATE_STRATEGY)
    await users.generate_batch_async(factory.CREATE_STRATEGY, 2, number=3)
    rows = await database.rows(User)
    assert [(row.name, row.number) for row in rows] == [("u5", None), ("u6", 3), ("u7", 3)]


async def test_unknown_strategy() -> None:
    """A strategy that there is not is refused, with the names of those that there are."""
    lost = class_of(User, meta={"strategy": "crate"})
    expected = "strategy has to be one of 'build', 'create', 'stub'; got 'crate'."
    for call in (
        lambda: UserFactory.generate_async("crate"),
        lambda: UserFactory.generate_batch_async("crate", 2),
        lambda: lost(),
    ):
        with pytest.raises(UnknownStrategyError, match=re.escape(expected)) as caught:
            await call()
        assert isinstance(caught.value, UnknownStrategy)


async def test_awaiting_the_class(database: Database) -> None:
    """``await Factory(...)`` follows Meta.strategy."""
    for strategy, type_name in [("stub", "StubObject"), ("build", "User"), ("create", "User")]:
        assert await database.rows(User) == []
        users = class_of(
            User, meta={"strategy": strategy}, name=factory.LazyFunction(asynchronous(lambda: "a"))
        )
        made = await users(note="given")
        assert (type(made).__name__, made.name, made.note) == (type_name, "a", "given")
    assert len(await database.rows(User)) == 1


async def test_any_names_of_fields() -> None:
    """A model's fields may be called what the arguments of our own functions are called."""

    class Game:
        def __init__(self, **fields: Any) -> None:
            self.fields = fields

    games = class_of(Game, base=AsyncFactory, meta={"strategy": "build"})
    fields = dict.fromkeys(("strategy", "size", "function", "args", "kwargs", "factory"), "given")
    assert (await games(**fields)).fields == fields
    assert (await games.build_async(**fields)).fields == fields


@pytest.mark.parametrize("base", [factory.Factory, AsyncSQLAlchemyModelFactory])
def test_synchronous_methods(base: type) -> None:
    """build, stub and their kin are factory_boy's, and need no event loop."""
    declarations: dict[str, Any] = {
        "name": factory.Sequence(lambda n: f"user{n}"),
        "company": factory.SubFactory(CompanyFactory),
    }
    users = class_of(
        User, base=base, posts=factory.RelatedFactoryList(PostFactory, "author"), **declarations
    )
    made = [
        users.build(note="n"),
        *users.build_batch(2, company__city=factory.Iterator(["Rome", "Bern"])),
        users.generate(factory.BUILD_STRATEGY),
        *users.generate_batch(factory.BUILD_STRATEGY, 1),
        users.simple_generate(create=False),
        *users.simple_generate_batch(create=False, size=1),
    ]
    assert [type(user) for user in made] == [User] * 7
    assert [user.name for user in made] == [f"user{n}" for n in range(7)]
    assert [user.company.name for user in made] == [f"company{n}" for n in range(7)]
    assert [user.company.city for user in made] == ["Paris", "Rome", "Bern", *["Paris"] * 4]
    assert [post.title for post in made[6].posts] == ["post12", "post13"]

    users = class_of(User, base=base, **declarations)
    stubs = [
        users.stub(note="n"),
        *users.stub_batch(2),
        users.generate(factory.STUB_STRATEGY),
        *users.generate_batch(factory.STUB_STRATEGY, 1),
    ]
    assert [(type(stub).__name__, stub.name) for stub in stubs] == [
        ("StubObject", f"user{n}") for n in range(5)
    ]
    assert [stub.company.name for stub in stubs] == [f"company{n}" for n in range(7, 12)]


class HasAwaitable:
    @property
    def awaitable(self) -> Awaitable[int]:
        return fetch(1)


ASYNC: dict[str, Callable[[], Any]] = {
    "LazyFunction": lambda: factory.LazyFunction(asynchronous(lambda: 1)),
    "LazyAttribute": lambda: factory.LazyAttribute(asynchronous(lambda user: 1)),
    "Sequence": lambda: factory.Sequence(asynchronous(lambda n: 1)),
    "LazyAttributeSequence": lambda: factory.LazyAttributeSequence(asynchronous(lambda user, n: 1)),
    "Transformer": lambda: factory.Transformer(1, transform=asynchronous(lambda value: 1)),
    "Iterator": lambda: factory.Iterator([1], getter=asynchronous(lambda value: 1)),
    "Maybe": lambda: factory.Maybe(factory.LazyFunction(asynchronous(lambda: 1)), 1, 2),
    "ContainerAttribute": lambda: factory.ContainerAttribute(asynchronous(lambda *_: 1), False),
    "SelfAttribute": lambda: factory.SelfAttribute("hidden.awaitable"),
    "PostGeneration": lambda: factory.PostGeneration(asynchronous(lambda *_: 1)),
    "PostGenerationMethodCall": lambda: factory.PostGenerationMethodCall("rename_async"),
}


@pytest.mark.parametrize("declaration", ASYNC.values(), ids=ASYNC)
def test_building_what_is_async(declaration: Callable[[], Any]) -> None:
    """A synchronous build names the async declaration, and the call to write instead."""
    users = class_of(
        User,
        meta={"rename": {"field": "number"}},
        params={"hidden": HasAwaitable()},
        field=declaration(),
    )
    expected = "F.field is async, and cannot be awaited here; write await F.build_async(...)."
    for call in (users.build, lambda: users.build_batch(2)):
        with pytest.raises(SyncCallError, match=f"^{re.escape(expected)}$"):
            call()


def test_building_what_is_async_below() -> None:
    """The call to write instead is that of the factory that was called, by its strategy."""
    companies = class_of(Company, name=factory.LazyFunction(asynchronous(lambda: "acme")))
    companies.__name__ = "AsyncCompanyFactory"
    users = class_of(
        User,
        company=factory.SubFactory(companies),
        data=factory.Dict({"key": factory.LazyFunction(asynchronous(lambda: 1))}),
    )
    beginning = "is async, and cannot be awaited here; write await"
    for call, expected in [
        (users.build, f"AsyncCompanyFactory.name {beginning} F.build_async(...)."),
        (users.stub, f"AsyncCompanyFactory.name {beginning} F.generate_async('stub', ...)."),
        (lambda: users.build(company=None), f"DictFactory.key {beginning} F.build_async(...)."),
        (
            lambda: users.build(company=None, data=fetch(1)),
            f"F.data {beginning} F.build_async(...).",
        ),
        (
            plain_class_of(User, company=factory.SubFactory(companies)).build,
            f"AsyncCompanyFactory.name {beginning} AsyncCompanyFactory.build_async(...).",
        ),
    ]:
        with pytest.raises(SyncCallError, match=f"^{re.escape(expected)}$"):
            call()


@pytest.mark.parametrize("hook", ["_adjust_kwargs", "_build", "_setup_next_sequence"])
def test_building_with_an_async_hook(hook: str) -> None:
    """A synchronous build names the async hook, and the calls to write instead."""
    users = class_of(User, **{hook: classmethod(asynchronous(lambda *args, **kwargs: {}))})
    expected = (
        f"F.{hook} is async, and cannot be awaited here; write await F.create_async(...) or "
        "build_async(...)"
    )
    with pytest.raises(SyncCallError, match=f"^{re.escape(expected)}"):
        users.build()


def test_making_a_factory_from_a_function() -> None:
    """factory_boy's functions take our classes as FACTORY_CLASS; those that create refuse."""
    ours: dict[str, Any] = {
        "FACTORY_CLASS": AsyncSQLAlchemyModelFactory,
        "name": factory.Sequence(lambda n: f"u{n}"),
    }
    made = factory.make_factory(User, **ours)
    assert issubclass(made, AsyncSQLAlchemyModelFactory)
    assert made.__name__ == "UserFactory"
    assert factory.build(User, **ours).name == "u0"
    assert [user.name for user in factory.build_batch(User, 2, **ours)] == ["u0", "u1"]
    assert factory.stub(User, **ours).name == "u0"
    assert [user.name for user in factory.stub_batch(User, 2, **ours)] == ["u0", "u1"]
    assert factory.generate(User, "build", **ours).name == "u0"
    assert factory.simple_generate(User, False, **ours).name == "u0"
    for call in (
        lambda: factory.create(User, **ours),
        lambda: factory.generate(User, "create", **ours),
        lambda: factory.simple_generate(User, True, **ours),
    ):
        with pytest.raises(SyncCallError, match=re.escape("write await UserFactory.create_async(")):
            call()
    with pytest.raises(SyncCallError, match=re.escape("await UserFactory.create_batch_async(size")):
        factory.create_batch(User, 2, **ours)


async def test_making_a_factory_from_our_functions(database: Database) -> None:
    """Each of factory_boy's functions has an async counterpart, which takes the call's options."""
    ours: dict[str, Any] = {
        "FACTORY_CLASS": AsyncSQLAlchemyModelFactory,
        "name": factory.Sequence(asynchronous(lambda n: f"u{n}")),
    }
    built = [
        await build_async(User, **ours),
        *await build_batch_async(User, 2, **ours),
        await generate_async(User, "stub", **ours),
        *await generate_batch_async(User, "build", 1, **ours),
        await make_factory(User, **ours).build_async(),
    ]
    assert [user.name for user in built] == ["u0", "u0", "u1", "u0", "u0", "u0"]
    assert await database.rows(User) == []
    with bind(sqlalchemy_session=None):
        option = {"sqlalchemy_session": database.session}
        created = [
            await create_async(User, **ours, **option),
            *await create_batch_async(User, 2, **ours, **option),
            await generate_async(User, "create", **ours, **option),
            *await generate_batch_async(User, "create", 2, **ours, **option),
            await make_factory(User, **ours).create_async(**option),
        ]
    names = ["u0", "u0", "u1", "u0", "u0", "u1", "u0"]
    assert [user.name for user in created] == names
    assert [row.name for row in await database.rows(User)] == names


async def test_making_a_factory_with_hooks_and_traits(make: Make, kind: Kind) -> None:
    """make_factory takes all that the body of a class does."""
    made = await make(
        make_factory(
            User,
            FACTORY_CLASS=UserFactory,
            Params=type("Params", (), {"famous": factory.Trait(note="famous")}),
            _adjust_kwargs=classmethod(kind(lambda cls, **kwargs: {**kwargs, "number": 1})),
        ),
        famous=fetch(True),
        company__city="Bern",
    )
    assert (made.name, made.note, made.number, made.company.city) == ("user0", "famous", 1, "Bern")


async def test_making_a_factory_by_default(database: Database) -> None:
    """Without FACTORY_CLASS, the adapter is inferred from the model, with a warning."""
    message = (
        "UserFactory sets no Meta.adapter; SQLAlchemyAdapter is inferred from its model. Subclass "
        "async_factory_boy.factory.sqlalchemy.AsyncSQLAlchemyModelFactory instead, or give it as "
        "FACTORY_CLASS to the function that makes the factory; or set Meta.adapter."
    )
    line = sys._getframe().f_lineno
    with pytest.warns(DeprecationWarning, match=f"^{re.escape(message)}$") as caught:
        await create_async(User, name="ada")
    assert {(one.filename, one.lineno) for one in caught} == {(__file__, line + 2)}
    assert [row.name for row in await database.rows(User)] == ["ada"]
    assert (await build_async(User, name="ada")).name == "ada"


# Hooks that use factories


async def test_creating_in_a_plain_hook(make: Make) -> None:
    """In a hook, the synchronous methods work, and those that create do create."""

    def hook(user: User, create: bool, extracted: Any, **kwargs: Any) -> None:
        posts = class_of(Post, title=factory.Sequence(asynchronous(lambda n: f"post{n}")))
        if create:
            posts.create(author=user)
            posts.create_batch(2, author=user)
            posts(author=user)
            posts.generate("create", author=user)
            factory.create(Post, FACTORY_CLASS=posts, author=user)
            assert all(inspect(post).persistent for post in user.posts)
        else:
            posts.build_batch(6, author=user)

    made = await make(class_of(User, hook=factory.PostGeneration(hook)))
    assert [post.title for post in made.posts] == [f"post{n}" for n in range(6)]


async def test_creating_in_an_async_hook(make: Make) -> None:
    """In an async hook, the async methods are awaited: one by one, or together."""

    async def hook(user: User, create: bool, extracted: Any, **kwargs: Any) -> None:
        posts = class_of(Post, title=factory.Sequence(asynchronous(lambda n: f"post{n}")))
        if create:
            await posts.create_async(author=user)
            await posts.create_batch_async(2, author=user)
            await posts(author=user)
            await asyncio.gather(posts.create_async(author=user), posts.create_async(author=user))
            await async_object_session(user).refresh(user, ["posts"])
            assert all(inspect(post).persistent for post in user.posts)
        else:
            await posts.build_batch_async(6, author=user)

    made = await make(class_of(User, hook=factory.PostGeneration(hook)))
    assert sorted(post.title for post in made.posts) == [f"post{n}" for n in range(6)]


async def test_creating_synchronously_in_an_async_hook(database: Database) -> None:
    """In an async hook, the method that has to be awaited is named."""

    async def hook(user: User, create: bool, extracted: Any, **kwargs: Any) -> None:
        PostFactory.create(author=user)

    expected = re.escape("write await PostFactory.create_async(...)")
    with pytest.raises(SyncCallError, match=expected):
        await class_of(User, hook=factory.PostGeneration(hook)).create_async()


async def test_hooks_within_hooks(make: Make, kind: Kind) -> None:
    """What a hook makes has hooks of its own, and reads what is async."""

    def note(post: Post, create: bool, extracted: Any, **kwargs: Any) -> None:
        post.title = f"{post.title} by {post.author.name}"

    posts = class_of(
        Post,
        title=factory.LazyFunction(kind(lambda: "t")),
        author=factory.SubFactory(UserFactory),
        hook=factory.PostGeneration(kind(note)),
    )

    async def write_async(user: User, create: bool, extracted: Any, **kwargs: Any) -> None:
        await (posts.create_async if create else posts.build_async)(author=user)

    def write(user: User, create: bool, extracted: Any, **kwargs: Any) -> None:
        (posts.create if create else posts.build)(author=user)

    users = class_of(
        User,
        name="ada",
        one=factory.PostGeneration(write),
        other=factory.PostGeneration(write_async),
        related=factory.RelatedFactory(posts, "author"),
    )
    made = await make(users)
    assert [post.title for post in made.posts] == ["t by ada"] * 3


# Awaitables, and errors


async def test_awaitables_as_values(make: Make) -> None:
    """A coroutine, task, future or other awaitable stands for what it evaluates to."""

    class Own:
        def __await__(self) -> Generator[Any, None, str]:
            return fetch("value").__await__()

    future = asyncio.get_running_loop().create_future()
    future.set_result("value")
    for value in (fetch("value"), asyncio.create_task(fetch("value")), future, Own()):
        users = class_of(User, note=factory.LazyAttribute(lambda user: user.name + "!"))
        made = await make(users, name=value, company=fetch(None))
        assert (made.name, made.note) == ("value", "value!")
    future = asyncio.get_running_loop().create_future()
    future.set_result("value")
    made = await make.batch(class_of(User, name="ada"), 2, name=future)
    assert [one.name for one in made] == ["value", "value"]


def test_awaitables_in_a_synchronous_build() -> None:
    """A synchronous build passes an awaitable on that is no coroutine, as factory_boy does."""
    later = Later("value")
    users = class_of(dict, base=AsyncFactory, name=factory.LazyFunction(lambda: later))
    assert users.build() == {"name": later}
    assert users.build(note=later) == {"name": later, "note": later}


async def test_objects_with_any_attribute() -> None:
    """An object that answers to every name, as a Mock does, is a value like any other."""

    class Anything:
        def __getattr__(self, name: str) -> Any:
            return Anything()

    one, other, third = Anything(), Anything(), Anything()
    stubs = class_of(dict, base=AsyncFactory, one=one, other=None, data=factory.Dict({"k": third}))
    for made in (stubs.build(other=other), await stubs.build_async(other=other)):
        assert made["one"] is one
        assert made["other"] is other
        assert made["data"]["k"] is third


async def test_objects_that_can_be_awaited() -> None:
    """What a factory makes is a value, though its class has an __await__, as some models do."""

    class Query:
        def __await__(self) -> Any:
            pytest.fail("awaited")

    queries = class_of(Query, base=AsyncFactory)
    holders = class_of(
        dict,
        base=AsyncFactory,
        one=factory.SubFactory(queries),
        related=factory.RelatedFactory(queries),
    )
    assert type((await holders.build_async())["one"]) is Query
    assert type(await queries.build_async()) is Query


ERRORS = [
    LookupError,
    AttributeError,
    StopAsyncIteration,
    asyncio.CancelledError,
    KeyboardInterrupt,
    SystemExit,
    GeneratorExit,
]


@pytest.mark.parametrize("error", ERRORS)
async def test_errors(make: Make, kind: Kind, error: type[BaseException]) -> None:
    """An exception in a declaration or hook is the caller's, and its traceback has the line."""

    def fail(*args: Any, **kwargs: Any) -> None:
        raise error("of the user's own")

    failing = kind(fail)
    for users in (
        class_of(User, name=factory.LazyFunction(failing)),
        class_of(User, name=factory.SelfAttribute("note"), note=factory.LazyAttribute(failing)),
        class_of(User, company=factory.SubFactory(CompanyFactory, name=factory.Sequence(failing))),
        class_of(User, data=factory.Dict({"a": factory.LazyFunction(failing)})),
        class_of(User, posts=factory.RelatedFactory(PostFactory, title=factory.Sequence(failing))),
        class_of(User, hook=factory.PostGeneration(failing)),
        class_of(User, _adjust_kwargs=classmethod(failing)),
    ):
        with pytest.raises(error) as caught:
            await make(users)
        assert type(caught.value) is error
        assert caught.value.args == ("of the user's own",)
        assert caught.traceback[-1].name == "fail"


async def test_stop_iteration(make: Make) -> None:
    """A StopIteration, which no coroutine can raise, is the cause of the error, with its line."""

    def fail(*args: Any, **kwargs: Any) -> None:
        raise StopIteration("of the user's own")

    for users in (
        class_of(User, name=factory.LazyFunction(fail)),
        class_of(User, company=factory.SubFactory(CompanyFactory, name=factory.LazyFunction(fail))),
        class_of(User, hook=factory.PostGeneration(fail)),
    ):
        with pytest.raises(RuntimeError) as caught:
            await make(users)
        cause = caught.value.__cause__
        assert isinstance(cause, StopIteration)
        assert cause.args == ("of the user's own",)
        assert [entry.name for entry in pytest.ExceptionInfo.from_exception(cause).traceback][
            -1
        ] == "fail"


async def test_errors_caught_in_a_declaration(make: Make, kind: Kind) -> None:
    """A declaration may catch what another one raises, and then go on."""

    def fail() -> None:
        raise LookupError("none")

    def catch(user: Any) -> str:
        try:
            CompanyFactory.build(name=factory.LazyFunction(kind(fail)))
        except LookupError as error:
            return f"caught {error}, by {user.note}"
        return "not caught"

    users = class_of(
        User,
        name=factory.LazyAttribute(kind(catch)),
        note=factory.LazyFunction(kind(lambda: "ada")),
    )
    assert (await make(users)).name == "caught none, by ada"


@pytest.mark.parametrize(
    ("body", "call"),
    [
        (
            {
                "name": lambda kind: factory.LazyAttribute(kind(lambda user: user.note)),
                "note": lambda kind: factory.LazyAttribute(kind(lambda user: user.name)),
            },
            {},
        ),
        ({"name": lambda kind: factory.LazyAttribute(kind(lambda user: user.nothing))}, {}),
        ({"name": lambda kind: factory.SelfAttribute("nothing")}, {}),
        ({"name": lambda kind: factory.LazyFunction(kind(str))}, {"nothing__here": 1}),
        ({"name": lambda kind: factory.LazyFunction(kind(str))}, {"nothing": 1}),
        (
            {"name": lambda kind: factory.LazyFunction(kind(str))},
            {"name": factory.PostGeneration(print)},
        ),
        ({"company": lambda kind: factory.SubFactory(User)}, {}),
        ({"company": lambda kind: factory.SubFactory("tests.nowhere.Factory")}, {}),
        ({"data": lambda kind: factory.Dict({"a__b": 1})}, {}),
        ({"call": lambda kind: factory.PostGenerationMethodCall("nothing")}, {}),
    ],
    ids=[
        "cycle",
        "unknown field",
        "SelfAttribute of an unknown field",
        "deep context",
        "unknown argument",
        "shadowed",
        "SubFactory of a model",
        "SubFactory of an unknown path",
        "deep key of a Dict",
        "unknown method",
    ],
)
async def test_mistakes(
    kind: Kind, body: dict[str, Callable[[Kind], Any]], call: dict[str, Any]
) -> None:
    """What factory_boy refuses is refused in its own words."""
    plain_users = plain_class_of(User, **{name: made(plain) for name, made in body.items()})
    with pytest.raises(Exception) as expected:  # noqa: PT011 (compared below)
        plain_users.build(**call)
    users = class_of(User, **{name: made(kind) for name, made in body.items()})
    with pytest.raises(expected.type) as caught:
        await users.build_async(**call)
    assert caught.type is expected.type
    anonymous = functools.partial(re.sub, r"0x\w+|<function [^>]*>|<\w*Options for", "")
    assert anonymous(str(caught.value)) == anonymous(str(expected.value))


@pytest.mark.parametrize(
    "body",
    [
        {"params": {"a": factory.Trait(b=True), "b": factory.Trait(a=True)}},
        {"name__deep": 1},
    ],
    ids=["cycle of traits", "deep context"],
)
def test_mistakes_in_a_class(body: dict[str, Any]) -> None:
    """A class that factory_boy refuses to define is refused in its own words."""
    messages = []
    for base in (factory.Factory, AsyncSQLAlchemyModelFactory):
        with pytest.raises((CyclicDefinitionError, InvalidDeclarationError)) as caught:
            class_of(User, base=base, **body)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]


async def test_async_code_in_hooks_and_declarations(database: Database) -> None:
    """Async code waits for whatever it wants to, with a time limit, and for the database."""

    async def note(user: Any) -> str:
        try:
            await asyncio.wait_for(asyncio.Event().wait(), 0.01)
        except asyncio.TimeoutError:
            async with asyncio.Lock():
                return await asyncio.wait_for(fetch("in time"), 1)
        return "never"

    async def count(user: User, create: bool, extracted: Any, **kwargs: Any) -> None:
        count = await database.session.scalar(select(func.count()).select_from(Post))
        user.number = count or 0
        await asyncio.wait_for(PostFactory.create_async(author=user, title="t"), 5)
        await database.session.refresh(user, ["posts"])
        user.data = [post.title for post in user.posts]
        task = asyncio.current_task()
        assert task is not None
        user.name = task.get_name()

    users = class_of(
        User,
        note=factory.LazyAttribute(note),
        posts=factory.RelatedFactoryList(PostFactory, "author", size=2, title="t"),
        count=factory.PostGeneration(count),
    )
    made = await Make(database)(users)
    task = asyncio.current_task()
    assert task is not None
    assert (made.note, made.number, made.data) == ("in time", 2, ["t", "t", "t"])
    assert made.name == task.get_name()


if sys.version_info >= (3, 12):

    async def test_eager_tasks_in_a_hook(make: Make) -> None:
        """A task that a hook starts, and which begins at once, is a task like any other."""

        async def make_post(user: User, create: bool) -> Post:
            return await (PostFactory.create_async if create else PostFactory.build_async)(
                author=user, title=factory.LazyFunction(asynchronous(lambda: "t"))
            )

        async def hook(user: User, create: bool, extracted: Any, **kwargs: Any) -> None:
            loop = asyncio.get_running_loop()
            loop.set_task_factory(asyncio.eager_task_factory)
            try:
                await asyncio.gather(make_post(user, create), make_post(user, create))
            finally:
                loop.set_task_factory(None)

        made = await make(class_of(User, hook=factory.PostGeneration(hook)))
        assert [post.title for post in made.posts] == ["t", "t"]


# Equality with factory_boy


class Spec(NamedTuple):
    """A declaration, of which each `Side` makes its own."""

    kind: str
    arguments: tuple[Any, ...] = ()
    is_async: bool = False


class Thing:
    """A model that takes any fields."""

    def __init__(self, **fields: Any) -> None:
        vars(self).update(fields)

    def note(self, value: Any = "default", **keywords: Any) -> None:
        vars(self)["note"] = [value, keywords]


class Later:
    """An awaitable that nobody has to await."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __await__(self) -> Generator[Any, None, Any]:
        return fetch(self.value).__await__()


class Side:
    """Makes factories: factory_boy's or ours, with coroutine functions where a spec says so."""

    def __init__(self, base: type, makes_async: bool = False) -> None:
        self.base = base
        self.makes_async = makes_async
        # So that what is evaluated in another order is not equal.
        self.count = itertools.count()
        self.child = class_of(
            Thing,
            base=base,
            x=factory.Sequence(lambda n: f"x{n}"),
            y=factory.LazyAttribute(lambda child: [child.z, next(self.count)]),
            z="z",
            params={"big": factory.Trait(x=factory.LazyFunction(lambda: next(self.count)))},
        )

    def make(self, spec: Any) -> Any:
        return getattr(self, spec.kind)(spec, *spec.arguments) if isinstance(spec, Spec) else spec

    def make_all(self, specs: dict[str, Any]) -> dict[str, Any]:
        return {name: self.make(spec) for name, spec in specs.items()}

    def function(self, spec: Spec, function: Callable[..., Any]) -> Callable[..., Any]:
        return asynchronous(function) if self.makes_async and spec.is_async else function

    def lazy_function(self, spec: Spec) -> Any:
        return factory.LazyFunction(self.function(spec, lambda: next(self.count)))

    def lazy_attribute(self, spec: Spec, *names: str) -> Any:
        def read(thing: Any) -> Any:
            return [next(self.count), *(getattr(thing, name) for name in names)]

        return factory.LazyAttribute(self.function(spec, read))

    def from_parent(self, spec: Spec, name: str) -> Any:
        def read(child: Any) -> Any:
            return [getattr(child.factory_parent, name), next(self.count)]

        return factory.LazyAttribute(self.function(spec, read))

    def sequence(self, spec: Spec) -> Any:
        return factory.Sequence(self.function(spec, lambda n: f"n{n}"))

    def lazy_attribute_sequence(self, spec: Spec, name: str) -> Any:
        def read(thing: Any, n: int) -> Any:
            return [getattr(thing, name), n]

        return factory.LazyAttributeSequence(self.function(spec, read))

    def self_attribute(self, spec: Spec, path: str) -> Any:
        return factory.SelfAttribute(path, default="default")

    def iterator(self, spec: Spec) -> Any:
        return factory.Iterator([0, 1, 2], getter=self.function(spec, lambda value: value * 2))

    def transformer(self, spec: Spec, default: Any) -> Any:
        return factory.Transformer(
            self.make(default), transform=self.function(spec, lambda value: ["transformed", value])
        )

    def force(self, spec: Spec, value: Any) -> Any:
        return factory.Transformer.Force(self.make(value))

    def maybe(self, spec: Spec, decider: Any, yes: Any, no: Any) -> Any:
        return factory.Maybe(self.make(decider), self.make(yes), self.make(no))

    def dict(self, spec: Spec, contents: dict[str, Any]) -> Any:
        return factory.Dict(self.make_all(contents))

    def list(self, spec: Spec, contents: Iterable[Any]) -> Any:
        return factory.List([self.make(one) for one in contents])

    def sub_factory(self, spec: Spec, overrides: dict[str, Any]) -> Any:
        return factory.SubFactory(self.child, **self.make_all(overrides))

    def related(self, spec: Spec, overrides: dict[str, Any]) -> Any:
        return factory.RelatedFactory(self.child, "parent", **self.make_all(overrides))

    def related_list(self, spec: Spec, size: int, overrides: dict[str, Any]) -> Any:
        function = self.function(spec, lambda: size)
        return factory.RelatedFactoryList(
            self.child, "parent", size=function, **self.make_all(overrides)
        )

    def hook(self, spec: Spec) -> Any:
        def hook(thing: Thing, create: bool, extracted: Any, **kwargs: Any) -> Any:
            vars(thing).setdefault("hooks", []).append([extracted, kwargs, next(self.count)])
            return next(self.count)

        return factory.PostGeneration(self.function(spec, hook))

    def method_call(self, spec: Spec) -> Any:
        return factory.PostGenerationMethodCall("note", "declared", keyword=1)

    def awaitable(self, spec: Spec, value: Any) -> Any:
        return Later(value) if self.makes_async and spec.is_async else value

    def factory(self, fields: dict[str, Any], params: dict[str, Any], traits: Any) -> Any:
        made = {name: factory.Trait(**self.make_all(changed)) for name, changed in traits.items()}

        def after(cls: Any, instance: Any, create: bool, results: Any = None) -> None:
            vars(instance)["results"] = results

        return class_of(
            Thing,
            base=self.base,
            params={**self.make_all(params), **made},
            _after_postgeneration=classmethod(after),
            **self.make_all(fields),
        )


def contents(made: Any, seen: tuple[Any, ...] = ()) -> Any:
    """Return what an object holds, as data that can be compared."""
    if made in seen:
        return "itself"
    if isinstance(made, Thing):
        return {k: contents(v, (*seen, made)) for k, v in vars(made).items()}
    if isinstance(made, dict):
        return {key: contents(value, seen) for key, value in made.items()}
    if isinstance(made, list):
        return [contents(value, seen) for value in made]
    if isinstance(made, factory.declarations.BaseDeclaration | factory.Transformer.Force):
        return type(made)  # where factory_boy takes it for a value
    return repr(made)


FIELDS = ("a", "b", "c", "d")
PARAMS = ("p",)
CONSTANTS = (None, 0, "", "constant")
SKIP = factory.declarations.SKIP


class Drawing:
    """Draws what a factory may declare, and a call may give."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw

    def choose(self, choices: Sequence[Any]) -> Any:
        return choices[self.draw(st.integers(0, len(choices) - 1))]

    def some(self, choices: Collection[str], halvings: int = 2) -> list[str]:
        """Draw some of the choices: a half of them, a quarter, or an eighth."""
        for _ in range(halvings):
            drawn = self.draw(st.integers(0, 2 ** len(choices) - 1))
            choices = [choice for bit, choice in enumerate(choices) if drawn >> bit & 1]
        return list(choices)

    def spec(self, kind: str, *arguments: Any) -> Spec:
        return Spec(kind, arguments, self.draw(st.booleans()))

    def simple(self, names: Sequence[str]) -> Any:
        """Draw a value or declaration that contains no others, and reads `names` only."""
        kinds = ["constant", "lazy_function", "sequence", "iterator"]
        if names:
            kinds += ["lazy_attribute", "lazy_attribute_sequence", "self_attribute"]
        kind = self.choose(kinds)
        if kind == "constant":
            return self.choose(CONSTANTS)
        reading = [self.choose(names)] if kinds.index(kind) > 3 else []
        return self.spec(kind, *reading)

    def value(self, names: Sequence[str], depth: int = 2) -> Any:
        if not depth:
            return self.simple(names)
        kind = self.choose(["simple", "transformer", "maybe", "dict", "list", "sub_factory"])
        if kind == "simple":
            return self.simple(names)
        if kind == "transformer":
            return self.spec(kind, self.value(names, depth - 1))
        if kind == "maybe":
            branches = [self.choose([SKIP, self.value(names, depth - 1)]) for _ in range(2)]
            return self.spec(kind, self.decider(names), *branches)
        if kind == "dict":
            return self.spec(kind, {k: self.within(names, depth - 1) for k in self.some("kl", 1)})
        if kind == "list":
            return self.spec(kind, [self.within(names, depth - 1) for _ in self.some("01", 1)])
        return self.spec(kind, self.overrides(names, depth - 1))

    def decider(self, names: Sequence[str]) -> Any:
        return self.choose([self.choose(names), self.simple(names)]) if names else self.lazily()

    def lazily(self) -> Spec:
        return self.spec("lazy_function")

    def within(self, names: Sequence[str], depth: int) -> Any:
        """Draw what a Dict, List or SubFactory is given, which may read `names` of its parent."""
        if names and self.draw(st.booleans()):
            name = self.choose(names)
            return self.choose(
                [self.spec("from_parent", name), self.spec("self_attribute", f"..{name}")]
            )
        return self.value((), depth)

    def overrides(self, names: Sequence[str], depth: int) -> dict[str, Any]:
        given = {name: self.within(names, depth) for name in self.some(["z", "new"])}
        return {**given, **dict.fromkeys(self.some(["big"]), True)}

    def hook(self, names: Sequence[str]) -> Any:
        kind = self.choose(["hook", "method_call", "related", "related_list", "maybe"])
        if kind == "maybe":
            return self.spec(kind, self.decider(names), self.hook(names), SKIP)
        arguments = {
            "related": [self.overrides((), 0)],
            "related_list": [self.draw(st.integers(0, 2)), self.overrides((), 0)],
        }
        return self.spec(kind, *arguments.get(kind, []))

    def given(self) -> Any:
        """Draw what a call may give for any field."""
        constant = self.choose(CONSTANTS)
        return self.choose([constant, self.lazily(), self.spec("awaitable", constant)])

    def call(self, names: Mapping[str, Sequence[str]], hooks: Collection[str]) -> dict[str, Any]:
        call = {name: self.given() for name in self.some(names)}
        call |= {name: self.value(names[name], 1) for name in self.some(names, 3)}
        call |= {name: self.spec("force", self.given()) for name in self.some(names, 3)}
        call |= {name: self.given() for name in self.some(hooks)}
        parts = [f"{name}__{part}" for name in (*names, *hooks) for part in ("z", "k", "0")]
        call |= {path: self.given() for path in self.some(parts, 4)}
        for trait in self.some("tu"):
            call[trait] = self.spec("awaitable", self.draw(st.booleans()))
        if self.some(["__sequence"]):
            call["__sequence"] = 9
        return call


@st.composite
def examples(draw: st.DrawFn) -> tuple[Any, ...]:
    """Draw the declarations of a factory, and the arguments of some calls."""
    drawing = Drawing(draw)
    # Each field reads those before it in this order; it is not the order they are declared in.
    order = draw(st.permutations(FIELDS + PARAMS))
    names = {name: order[: order.index(name)] for name in FIELDS + PARAMS}
    fields = {name: drawing.value(names[name]) for name in FIELDS}
    hooks = {name: drawing.hook(order) for name in drawing.some("hi", 1)}
    params = {name: drawing.value(names[name], 1) for name in PARAMS}
    traits = {
        trait: {name: drawing.value(names[name], 1) for name in drawing.some(FIELDS)}
        for trait in "tu"
    }
    traits["u"] |= dict.fromkeys(drawing.some("t", 1), True)
    calls = [drawing.call(names, hooks) for _ in range(2)]
    return fields | hooks, params, traits, calls


@pytest.mark.unmeasured
@given(example=examples())
@settings(max_examples=100, deadline=None, database=None)
def test_equality_with_factory_boy(example: tuple[Any, ...]) -> None:
    """What is built equals what factory_boy builds of the same declarations, errors included."""
    fields, params, traits, calls = example

    def outcomes(side: Side, build: Callable[[Any, dict[str, Any]], Any]) -> list[Any]:
        try:
            made = side.factory(fields, params, traits)
        except Exception as error:
            return [type(error), str(error)]
        results = []
        for call in calls:
            try:
                results.append(contents(build(made, side.make_all(call))))
            except Exception as error:
                event(type(error).__name__)
                results.append(type(error))
        return results

    def build(factory: Any, keywords: dict[str, Any]) -> Any:
        return factory.build(**keywords)

    def build_in_loop(factory: Any, keywords: dict[str, Any]) -> Any:
        return loop.run_until_complete(factory.build_async(**keywords))

    expected = outcomes(Side(globals()["factory"].Factory), build)
    assert outcomes(Side(AsyncFactory), build) == expected
    loop = asyncio.new_event_loop()
    try:
        assert outcomes(Side(AsyncFactory), build_in_loop) == expected
        assert outcomes(Side(AsyncFactory, makes_async=True), build_in_loop) == expected
    finally:
        loop.close()
