"""``lint(strict=True)``: factories are compared with their models, and gaps are told."""

from __future__ import annotations

import enum
import re
from collections.abc import AsyncGenerator
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

import factory
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from sqlalchemy import CheckConstraint, ForeignKey, Numeric, String
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from async_factory_boy import ConfigurationError, LintError, bind, lint
from async_factory_boy.adapters import Field, PersistenceAdapter, Relation
from async_factory_boy.factory import AsyncFactory
from async_factory_boy.factory.sqlalchemy import AsyncSQLAlchemyModelFactory
from async_factory_boy.linting import (
    A_VALUE,
    LintCase,
    LintReport,
    ModelMismatchError,
    NotCovered,
    lint_cases,
)
from async_factory_boy.linting.values import broken, described
from tests.stores import sqlalchemy
from tests.stores.base import Store, params
from tests.stores.every import STORES

# Those whose adapters have fields().


class Role(enum.Enum):
    READER = "reader"
    EDITOR = "editor"
    OWNER = "owner"


class Base(DeclarativeBase):
    pass


class Company(Base):
    __tablename__ = "strict_company"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(20))
    size: Mapped[int | None]


class User(Base):
    __tablename__ = "strict_user"
    __table_args__ = (
        CheckConstraint("plan IN ('free', 'paid')"),
        CheckConstraint("age >= 18"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(String(30))
    role: Mapped[Role]
    plan: Mapped[str] = mapped_column(String(10), default="free")
    age: Mapped[int] = mapped_column(default=18)
    active: Mapped[bool] = mapped_column(default=True)
    note: Mapped[str | None]
    balance: Mapped[Decimal] = mapped_column(Numeric(6, 2), default=Decimal(0))
    company_id: Mapped[int] = mapped_column(ForeignKey(Company.id))
    company: Mapped[Company] = relationship()
    mentor_id: Mapped[int | None] = mapped_column(ForeignKey("strict_user.id"))
    mentor: Mapped[User | None] = relationship(remote_side=[id])


class CompanyFactory(AsyncSQLAlchemyModelFactory[Company]):
    class Params:
        large = factory.Trait(size=1000)

    name = "Acme"


class UserFactory(AsyncSQLAlchemyModelFactory[User]):
    email = "ada@example.org"
    role = factory.Iterator(Role)
    company = factory.SubFactory(CompanyFactory)


@pytest.fixture
async def session() -> AsyncGenerator[AsyncSession]:
    engine = create_async_engine("sqlite+aiosqlite://")
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with AsyncSession(engine) as session:
        with bind(sqlalchemy_session=session):
            yield session
    await engine.dispose()


async def failures_of(*factories: Any, **options: Any) -> list[str]:
    """Return the texts of what is wrong with factories, without where it is."""
    with pytest.raises(LintError) as caught:
        await lint(factories, strict=True, **options)
    where = rf"\S+<locals>\.| in {re.escape(__name__)}"
    return [re.sub(where, "", str(one)) for one in caught.value.failures]


# All stores.


# What is in a transaction of MongoDB, lint() cannot undo.
UNDOING = [one for one in STORES if not one.id.endswith("-transaction")]


@pytest.mark.parametrize("store", params(UNDOING), indirect=True)
async def test_a_sound_factory(store: Store) -> None:
    """Factories that fit their models have no failures, and nothing of the objects stays."""
    factories = [store.CompanyFactory, store.UserFactory, store.PostFactory]
    report = await lint(factories, strict=True)
    assert report.checked == 3
    for one in factories:
        assert await store.rows(one) == []


@pytest.mark.parametrize("store", params(STORES), indirect=True)
async def test_a_required_field(store: Store) -> None:
    """A field that the store requires, and nothing fills, is a failure that says what to write.

    Of a model that is a plain dict, a note says that it has no fields.
    """

    class Nameless(store.CompanyFactory):  # type: ignore[name-defined, misc]
        class Meta:
            exclude = ("name",)

    model = Nameless._meta.get_model_class()
    if model is dict:
        report = await lint(Nameless, strict=True, strategy="build")
        assert "Meta.model is dict, which has no fields to tell" in report.notes[0]
        return
    with pytest.raises(LintError) as caught:
        await lint(Nameless, strict=True, strategy="build")
    first = caught.value.failures[0]
    assert isinstance(first.error, ModelMismatchError)
    assert str(first.error).startswith(
        f"{getattr(model, '__name__', None) or model.name}.name is required, and Nameless declares "
        "nothing for it. Write name = factory."
    )


@pytest.mark.parametrize("store", params(sqlalchemy.STORES), indirect=True)
async def test_a_name_too_long(store: Store) -> None:
    """A value that is too long is a failure, also where the store is not asked."""

    class Long(store.CompanyFactory):  # type: ignore[name-defined, misc]
        name = factory.Sequence(lambda n: "secret" * 100 + str(n))

    with pytest.raises(LintError) as caught:
        await lint(Long, strict=True, strategy="build")
    assert "name has to be at most 50 characters long; Long has given it a str of 60" in str(
        caught.value
    )
    assert "secret" not in str(caught.value)


# What is declared.


async def test_missing(session: AsyncSession) -> None:
    """What is required is told once for a factory, and what the store says of it is the cause."""

    class Bare(AsyncSQLAlchemyModelFactory[User]):
        class Params:
            admin = factory.Trait(role=Role.OWNER)

    assert await failures_of(Bare, strategy="build") == [
        "Bare: ModelMismatchError: User.email is required, and Bare declares nothing for it. "
        'Write email = factory.Sequence(lambda n: f"user{n}@example.com") in Bare, or '
        "Meta.auto_declarations = True.",
        "Bare: ModelMismatchError: User.role is required, and Bare declares nothing for it. "
        "Write role = factory.Iterator(Role) in Bare (needs: from tests.test_lint_strict import "
        "Role), or Meta.auto_declarations = True.",
        "Bare: ModelMismatchError: User.company is required, and Bare declares nothing for it. "
        "Write company = factory.SubFactory(CompanyFactory) in Bare, or Meta.auto_declarations = "
        "True.",
    ]
    with pytest.raises(LintError, match=r"^1 of 2 factories and traits do not work:\n") as caught:
        await lint(Bare, strict=True)
    assert [type(one.error) for one in caught.value.failures] == [ModelMismatchError] * 3
    assert isinstance(caught.value.__cause__, ModelMismatchError)
    assert isinstance(caught.value.__cause__.__cause__, IntegrityError)


async def test_filled_otherwise(session: AsyncSession) -> None:
    """What is chosen automatically, renamed, or given by its key, is there."""

    class Automatic(AsyncSQLAlchemyModelFactory[User]):
        class Meta:
            auto_declarations = True

    company = await CompanyFactory.create_async()

    class ByKey(UserFactory):
        class Meta:
            rename = {"mail": "email"}
            exclude = ("email", "company", "helper")

        mail = "ada@example.org"
        helper = 1
        company_id = company.id

    await lint([Automatic, ByKey], strict=True)


async def test_only_in_a_trait(session: AsyncSession) -> None:
    """A factory whose required field only a trait fills does not work without it."""

    class Half(CompanyFactory):
        class Meta:
            exclude = ("name",)
            rename = {"title": "name"}

        class Params:
            named = factory.Trait(title="Acme")

    assert await failures_of(Half, strategy="build") == [
        "Half: ModelMismatchError: Company.name is required, and Half declares nothing for it. "
        'Write title = factory.Transformer(factory.Faker("company"), transform=lambda value: '
        "value[:20]) in Half, or Meta.auto_declarations = True."
    ]


async def test_a_plain_foreign_key() -> None:
    """For a key that no relation goes with, the key of an object is proposed."""
    field = Field(name="owner", required=True, relation=Relation(target=User, attribute="id"))
    assert await failures_of(of(WithFields(field)), strategy="build") == [
        "DictFactory: ModelMismatchError: dict.owner is required, and DictFactory declares nothing "
        'for it. Write owner = KeyOf(UserFactory, "id") in DictFactory (needs: '
        "from async_factory_boy.factory import KeyOf), or Meta.auto_declarations = True."
    ]


async def test_a_type_without_rule() -> None:
    """For a type that nothing is known of, nothing is proposed."""
    field = Field(name="shape", type=complex, required=True)
    assert await failures_of(of(WithFields(field)), strategy="build") == [
        "DictFactory: ModelMismatchError: dict.shape is required, and DictFactory declares nothing "
        "for it. Write shape = ... in DictFactory, or Meta.auto_declarations = True."
    ]


class Point(BaseModel):
    x: int
    y: int = 0


class PointAdapter(PersistenceAdapter[Point]):
    def fields(self, model: Any) -> list[Field]:
        return [Field(name="x", type=int, required=True), Field(name="y", type=int)]

    async def save(self, instance: Point) -> Point:
        return instance


class PointFactory(AsyncFactory[Point]):
    class Meta:
        model = Point
        adapter = PointAdapter()

    x = 1


async def test_unknown_names() -> None:
    """A name that the model does not have is a failure, though the model would ignore it."""

    class Misspelt(PointFactory):
        class Meta:
            exclude = ("helper",)

        class Params:
            high = factory.Trait(yy=10, known=True)
            known = False

        helper = 1
        z = 3
        mongo_session = None

        @factory.post_generation
        def hook(point: Point, create: bool, extracted: Any, **kwargs: Any) -> None:
            """Is no field."""

    assert await failures_of(Misspelt, strategy="build") == [
        "Misspelt: ModelMismatchError: Misspelt declares 'z', which Point does not have. Correct "
        "the name; or declare it in Params, if only other declarations need it.",
        "Misspelt(high=True): ModelMismatchError: The trait 'high' of Misspelt declares 'yy', "
        "which Point does not have. Correct the name; or declare it in Params, if only other "
        "declarations need it.",
    ]
    assert len(await failures_of(Misspelt, strategy="build", traits=False)) == 1


async def test_a_suggestion(session: AsyncSession) -> None:
    """The name that may have been meant is told."""

    class Misspelt(CompanyFactory):
        sizee = 3

    (first,) = await failures_of(Misspelt, strategy="build", traits=False)
    assert first == (
        "Misspelt: ModelMismatchError: Misspelt declares 'sizee', which Company does not have. "
        "Did you mean 'size'? Correct the name; or declare it in Params, if only other "
        "declarations need it."
    )


async def test_unknown_names_of_parts() -> None:
    """A name, a trait or a parameter that is given to a part, which has no such, is a failure."""

    class Line(BaseModel):
        begin: Point
        end: Point | None = None

    class Inner(PointFactory):
        class Params:
            far = factory.Trait(x=100)

    class LineFactory(AsyncFactory[Line]):
        class Meta:
            model = Line
            adapter = WithFields()
            exclude = ("x",)

        class Params:
            ended = factory.Trait(end=factory.SubFactory(Inner, zz=1), begin__near=True)

        x = 1
        begin = factory.SubFactory(Inner, fra=True, y=2, mongo_session=None)
        begin__far = True
        begin__zzz = 3
        more = factory.RelatedFactory(Inner, w=1)
        unseen = factory.RelatedFactory("no.such.Factory")
        items = factory.RelatedFactory(factory.Factory)

    class Outer(AsyncFactory[Line]):
        class Meta:
            model = Line
            adapter = WithFields()
            exclude = ("line", "x")

        x = 1
        begin = factory.SubFactory(Inner)
        line = factory.SubFactory(LineFactory, begin__qq=1, begin__x=1, begin__x__y=1)

    found = await failures_of(LineFactory, Outer, strategy="build")
    texts = [one.partition(": ModelMismatchError: ")[2] for one in found]
    assert [text for text in texts if text] == [
        "LineFactory.begin gives 'fra' to Inner, which neither Inner nor Point has. Correct the "
        "name, or take it out.",
        "LineFactory.begin gives 'zzz' to Inner, which neither Inner nor Point has. Correct the "
        "name, or take it out.",
        "LineFactory.more gives 'w' to Inner, which neither Inner nor Point has. Correct the name, "
        "or take it out.",
        "LineFactory.end gives 'zz' to Inner, which neither Inner nor Point has. Correct the name, "
        "or take it out.",
        "LineFactory.begin gives 'near' to Inner, which neither Inner nor Point has. Correct the "
        "name, or take it out.",
        "LineFactory.begin gives 'qq' to Inner, which neither Inner nor Point has. Correct the "
        "name, or take it out.",
    ]


async def test_overridden_hooks(session: AsyncSession) -> None:
    """Of a factory that adds to what its model is given, only the objects are looked at."""

    class Adjusted(AsyncSQLAlchemyModelFactory[Company]):
        class Params:
            other = factory.Trait(surname="x")

        title = "Acme"

        @classmethod
        def _adjust_kwargs(cls, **kwargs: Any) -> dict[str, Any]:
            return {"name": "x" * 21}

    class Above(UserFactory):
        company = factory.SubFactory(Adjusted, anything=1)

    assert await failures_of(Adjusted, strategy="build") == [
        "Adjusted: ModelMismatchError: Company.name has to be at most 20 characters long; Adjusted "
        "has given it a str of 21 characters. Change what the factory declares for it."
    ]
    report = await lint(Above, strict=True)
    assert report.notes == ()
    with pytest.raises(LintError) as caught:
        await lint(Adjusted, strict=True)
    assert caught.value.report is not None
    assert caught.value.report.notes == (
        f"{Adjusted.__qualname__} in {__name__}: it overrides _adjust_kwargs, so what its model is "
        "given is not known before; only the objects were looked at.",
    )


# What is made.


async def test_values(session: AsyncSession) -> None:
    """Values that SQLite stores, though the model says otherwise, are failures: each told once."""

    class Wrong(UserFactory):
        class Meta:
            model = User

        class Params:
            rich = factory.Trait(balance=Decimal("12345.678"))

        email = "secret" * 6
        plan = "gold"
        age = 17

    prefix = "Wrong: ModelMismatchError: User."
    with_trait = "Wrong(rich=True): ModelMismatchError: User."
    hint = " Change what the factory declares for it."
    assert await failures_of(Wrong, strategy="build") == [
        f"{prefix}email has to be at most 30 characters long; Wrong has given it a str of 36 "
        f"characters.{hint}",
        f"{prefix}plan has to be one of 'free', 'paid'; Wrong has given it a str of 4 characters."
        f"{hint}",
        f"{prefix}age has to be at least 18; Wrong has given it an int.{hint}",
        f"{with_trait}balance has to be of at most 6 digits; Wrong(rich=True) has given it a "
        f"Decimal of 8 digits, 3 of them after the point.{hint}",
        f"{with_trait}balance has to be of 2 digits after the point; Wrong(rich=True) has given it "
        f"a Decimal of 8 digits, 3 of them after the point.{hint}",
    ]


async def test_values_that_sqlite_stores(session: AsyncSession) -> None:
    """A string that is too long is stored by SQLite, and told nevertheless."""

    class Long(CompanyFactory):
        name = "x" * 21

    await lint(Long)
    assert len(await failures_of(Long)) == 1


async def test_a_value_that_comes_seldom(session: AsyncSession) -> None:
    """Several objects are looked at, so that one in ten is found."""

    class Seldom(CompanyFactory):
        name = factory.Sequence(lambda n: "x" * 21 if n % 10 == 9 else "x")

    assert len(await failures_of(Seldom, strategy="build")) == 1


@pytest.mark.parametrize(
    ("field", "right", "wrong", "limit", "what"),
    [
        ({"type": str, "max_length": 3}, ["abc", None, Role], "abcd", "at most 3 characters long",
         "a str of 4 characters"),
        ({"type": str, "min_length": 2}, ["ab"], "a", "at least 2 characters long",
         "a str of 1 character"),
        ({"type": bytes, "max_length": 3}, [b"abc"], b"abcd", "at most 3 bytes long",
         "a bytes of 4 bytes"),
        ({"type": list, "max_length": 1}, [[1]], [1, 2], "at most 1 items long",
         "a list of 2 items"),
        ({"type": None, "max_length": 1}, ["a", 12], "ab", "at most 1 items long",
         "a str of 2 characters"),
        ({"type": int, "ge": 3}, [3, 4.5, Decimal(3), "2"], 2, "at least 3", "an int"),
        ({"type": int, "gt": 3}, [4], 3, "greater than 3", "an int"),
        ({"type": str}, ["5", Role.OWNER], 5, "of type str", "an int"),
        ({"type": int}, [5, True, "5", Decimal(5)], "five", "of type int", "a str of 4 characters"),
        ({"type": datetime}, ["2000-01-01", datetime(2000, 1, 1).date()], 2000, "of type datetime",
         "an int"),
        ({"type": bool}, [0, True], "yes", "of type bool", "a str of 3 characters"),
        ({"type": float, "le": 3}, [3, "2"], 3.5, "at most 3", "a float"),
        ({"type": float, "lt": 3}, [2.5], 3, "less than 3", "an int"),
        ({"type": datetime, "ge": datetime(2000, 1, 1)},
         [datetime(2000, 1, 1), datetime(1999, 1, 1, tzinfo=timezone.utc)],
         datetime(1999, 1, 1), "at least 2000-01-01 00:00:00", "a datetime"),
        ({"type": int, "multiple_of": 5}, [10, 0, 2.5], 3, "a multiple of 5", "an int"),
        ({"type": Decimal, "precision": 4}, [Decimal("12.34"), 1234, 12.345678], Decimal("12.345"),
         "of at most 4 digits", "a Decimal of 5 digits, 3 of them after the point"),
        ({"type": Decimal, "precision": 4}, [Decimal("Infinity"), Decimal(0)], 12345.5,
         "of at most 4 digits", "a float"),
        ({"type": Decimal, "precision": 4, "scale": 2}, [Decimal("12.340"), Decimal("0.01")],
         Decimal(123), "of at most 4 digits", "a Decimal of 3 digits"),
        ({"type": Decimal, "scale": 1}, [Decimal("1.10"), 1.25], Decimal("1.25"),
         "of 1 digits after the point", "a Decimal of 3 digits, 2 of them after the point"),
        ({"type": str, "pattern": "^a+$"}, ["aa"], "ab", "of the pattern ^a+$",
         "a str of 2 characters"),
        ({"type": Role}, [Role.OWNER, "OWNER", "owner"], "boss", "a member of Role",
         "a str of 4 characters"),
        ({"type": str, "choices": ("a", "b"), "default": "c"}, ["a", "c", Role.OWNER, ["a"]][:2],
         Role.OWNER, "one of 'a', 'b'", "a Role"),
        ({"type": str, "choices": ("reader",)}, [Role.READER, ["x"]], True, "one of 'reader'",
         "a bool"),
        ({"type": int, "choices": tuple(range(20))}, [0], True,
         "one of 0, 1, 2, 3, 4, 5, 6, 7, … (12 more)", "a bool"),
        ({"type": Role, "choices": (Role.OWNER,)}, [Role.OWNER], Role.READER, "one of Role.OWNER",
         "a Role"),
        ({"type": list, "element": Field(name="x", type=str, max_length=1)}, [["a"], []],
         ["ab", "cd"], "of items that are at most 1 characters long", "a list of 2 items"),
        ({"type": str, "pattern": "(?P<"}, ["x"], None, None, ""),
        ({"type": enum.Flag("Flags", "A B")}, [3], None, None, ""),
    ],
)  # fmt: skip
def test_limits(field: dict[str, Any], right: list[Any], wrong: Any, limit: str, what: str) -> None:
    """A value outside of a limit is told by that limit; what cannot be compared, passes."""
    one = Field(name="x", **field)
    for value in right:
        assert list(broken(one, value)) == []
    if limit is not None:
        assert list(broken(one, wrong)) == [limit]
        assert described(wrong) == what


@settings(max_examples=50, deadline=None)
@given(st.decimals(allow_nan=True), st.integers(1, 8), st.integers(0, 4))
def test_digits(value: Decimal, precision: int, scale: int) -> None:
    """A finite number passes if its digits fit in; what is no number, is left to the store."""
    field = Field(name="x", type=Decimal, precision=precision + scale, scale=scale)
    fits = not value.is_finite() or (abs(value) < 10**precision and value == round(value, scale))
    assert (list(broken(field, value)) == []) == fits
    assert described(value)


async def test_values_of_parts(session: AsyncSession) -> None:
    """A value that a factory, or a trait, gives to a part is judged by the part's model."""

    class Shop(UserFactory):
        class Params:
            twice = factory.Trait(mentor__company__size="many")

        mentor = factory.SubFactory(UserFactory, email=5, company__name="x" * 21)
        company__name = None

    change = "Change what the factory declares for it."
    assert await failures_of(Shop) == [
        "Shop: ModelMismatchError: User.email has to be of type str; Shop by mentor__email has "
        f"given it an int. {change}",
        "Shop: ModelMismatchError: Company.name has to be at most 20 characters long; Shop by "
        f"mentor__company__name has given it a str of 21 characters. {change}",
        "Shop: ModelMismatchError: Company.name has to be a value other than None; Shop by "
        f"company__name has given it None. {change}",
        "Shop(twice=True): ModelMismatchError: Company.size has to be of type int; "
        f"Shop(twice=True) by mentor__company__size has given it a str of 4 characters. {change}",
    ]


async def test_none_where_a_value_is_required(session: AsyncSession) -> None:
    """None for a field that the store requires is a failure, which is told once."""

    class Nobody(UserFactory):
        class Params:
            sometimes = factory.Trait(email=factory.Iterator(["ada@example.org", None]))
            nobody = factory.Trait(role=None)

    change = "Change what the factory declares for it."
    for strategy in ("create", "build"):
        assert await failures_of(Nobody, strategy=strategy) == [
            "Nobody(sometimes=True): ModelMismatchError: User.email has to be a value other than "
            f"None; Nobody(sometimes=True) has given it None. {change}",
            "Nobody(nobody=True): ModelMismatchError: User.role has to be a value other than None; "
            f"Nobody(nobody=True) has given it None. {change}",
        ]


async def test_proposals_can_be_copied() -> None:
    """What is proposed for a field names the imports that it needs."""
    kind = Field(name="total", type=Decimal, required=True, precision=8, scale=2)
    (text,) = await failures_of(of(WithFields(kind)), strategy="build")
    match = re.search(r" Write total = (.+) in DictFactory \(needs: (.+)\), or", text)
    assert match is not None
    scope: dict[str, Any] = {"factory": factory}
    exec(match[2], scope)
    declaration = eval(match[1], scope)
    assert isinstance(factory.build(dict, total=declaration)["total"], Decimal)


# What is covered.


async def test_not_covered(session: AsyncSession) -> None:
    """Members, choices, truth values and None that no object has are told, as a table."""

    class Some(UserFactory):
        class Params:
            admin = factory.Trait(role=Role.OWNER, active=False)

        role = Role.READER

    report = await lint([Some, CompanyFactory], strict=True)
    assert report.not_covered == (
        NotCovered(User, "role", (Role.EDITOR,)),
        NotCovered(User, "plan", ("paid",)),
        NotCovered(User, "note", (A_VALUE,)),
        NotCovered(User, "mentor", (A_VALUE,)),
    )
    assert report.checked == 4
    assert report.notes == ()
    assert str(report) == (
        "model  field   not covered\n"
        "User   role    Role.EDITOR\n"
        "User   plan    'paid'\n"
        "User   note    a value\n"
        "User   mentor  a value"
    )


async def test_not_covered_beside_failures(session: AsyncSession) -> None:
    """Where there are failures, the error ends with what is not covered."""

    class Long(CompanyFactory):
        name = "x" * 21

    with pytest.raises(LintError) as caught:
        await lint([Long], strict=True, traits=False)
    assert str(caught.value).partition("\n\n")[2] == (
        "No object of the others has these values, which is no failure:\n"
        "model    field  not covered\n"
        "Company  size   a value"
    )
    assert "no failure" not in str(LintError(caught.value.failures, 1, caught.value.report))


async def test_all_covered(session: AsyncSession) -> None:
    """What iterators, other factories and parts give, counts."""

    class Mentored(UserFactory):
        plan = factory.Iterator(["free", "paid"])
        active = factory.Iterator([True, False])
        note = "x"
        company = factory.SubFactory(CompanyFactory, size=3)
        mentor = factory.SubFactory(UserFactory)

    class Small(CompanyFactory):
        size = None

    report = await lint([Mentored, UserFactory, Small], strict=True, traits=False)
    assert report.not_covered == ()
    assert str(report) == "Each value that could be listed is covered."


async def test_as_many_objects_as_values() -> None:
    """Where a field has many choices, as many objects are looked at."""
    field = Field(name="number", type=int, choices=tuple(range(200)))

    class Numbers(of(WithFields(field))):  # type: ignore[misc]
        number = factory.Iterator(range(200))

    assert (await lint(Numbers, strict=True, strategy="build")).not_covered == ()


async def test_none_in_place_of_a_default() -> None:
    """That a value is not given, is None only where the store has no default for it."""
    fields = [
        Field(name="a", type=str, nullable=True),
        Field(name="b", type=str, nullable=True, has_default=True),
        Field(name="c", type=bool, has_default=True, default=True),
        Field(name="id", type=int, nullable=True, generated=True),
        Field(name="owner_id", type=int, nullable=True, key_of="owner"),
        Field(name="tags", relation=Relation(target=User, many=True), nullable=True),
    ]
    report = await lint(of(WithFields(*fields)), strict=True, strategy="build")
    assert report.not_covered == (
        NotCovered(dict, "a", (A_VALUE,)),
        NotCovered(dict, "b", (A_VALUE, None)),
        NotCovered(dict, "c", (False,)),
    )


class Slotted:
    __slots__ = ("name", "parts", "whole")

    def __init__(self, name: str | None = None, parts: Any = (), whole: Any = None) -> None:
        self.name, self.parts, self.whole = name, list(parts), whole


class Unloaded:
    """Says only once it is loaded whether it has objects, as Tortoise's many-to-many relations."""

    def __bool__(self) -> bool:
        raise LookupError


class Lazy:
    """Has relations that have to be loaded, and one that is none."""

    @property
    def teams(self) -> Any:
        return Unloaded()

    @property
    def owner(self) -> Any:
        raise LookupError

    @property
    def mentor(self) -> Any:
        return []

    @property
    def name(self) -> str:
        raise AssertionError


async def test_how_values_are_read() -> None:
    """Values are read, and never computed; objects that are related count, each once."""

    class Adapter(PersistenceAdapter[Any]):
        def fields(self, model: Any) -> list[Field]:
            if model is Lazy:
                return [
                    Field(name="name", type=Role),
                    Field(name="teams", relation=Relation(target=User, many=True)),
                    Field(name="owner", relation=Relation(target=User), nullable=True),
                    Field(name="mentor", relation=Relation(target=User), nullable=True),
                ]
            return [
                Field(name="name", type=str, choices=("a", "b", "c")),
                Field(name="parts", relation=Relation(target=Slotted, many=True)),
                Field(name="whole", relation=Relation(target=Slotted), nullable=True),
            ]

        async def save(self, instance: Any) -> Any:
            return instance

    class SlottedFactory(AsyncFactory[Slotted]):
        class Meta:
            model = Slotted
            adapter = Adapter()

        name = "a"
        parts = factory.LazyFunction(lambda: [Slotted("b")])

        @factory.post_generation
        def whole(slotted: Slotted, create: bool, extracted: Any, **kwargs: Any) -> None:
            slotted.whole = slotted

    class LazyFactory(AsyncFactory[Lazy]):
        class Meta:
            model = Lazy
            adapter = Adapter()

    report = await lint([SlottedFactory, LazyFactory], strict=True, rollback=False)
    assert report.not_covered == (
        NotCovered(Slotted, "name", ("c",)),
        NotCovered(Lazy, "name", (Role.READER, Role.EDITOR, Role.OWNER)),
        NotCovered(Lazy, "owner", (A_VALUE, None)),
        NotCovered(Lazy, "mentor", (A_VALUE,)),
    )


# What cannot be told.


class ListAdapter(PersistenceAdapter[dict[str, Any]]):
    """Has no fields()."""

    async def save(self, instance: dict[str, Any]) -> dict[str, Any]:
        return instance


class WithFields(ListAdapter):
    def __init__(self, *fields: Field) -> None:
        self._fields = fields

    def fields(self, model: Any) -> tuple[Field, ...]:
        return self._fields


class Refusing(ListAdapter):
    def fields(self, model: Any) -> Any:
        raise LookupError("not initialised")


def of(adapter_: Any) -> Any:
    class DictFactory(AsyncFactory[dict[str, Any]]):
        class Meta:
            model = dict
            adapter = adapter_

        class Params:
            other = factory.Trait(name="Ada")

    return DictFactory


@pytest.mark.parametrize(
    ("adapter", "note"),
    [
        (
            ListAdapter(),
            "what dict is made of is not known, since ListAdapter has no fields() method. Add it "
            "to the adapter.",
        ),
        (Refusing(), "its model cannot be asked: LookupError: not initialised"),
    ],
)
async def test_without_fields(adapter: Any, note: str) -> None:
    """Where an adapter cannot tell what a model is made of, the report says so."""
    report = await lint(of(adapter), strict=True, rollback=False)
    note = f"of.<locals>.DictFactory in {__name__}: {note}"
    assert report == LintReport(2, (), (note,))
    assert str(report) == f"Each value that could be listed is covered.\nnote: {note}"


async def test_fewer_objects() -> None:
    """Where not as many objects can be built, those are looked at that can, and a note says so."""

    class Ending(PointFactory):
        x = factory.Iterator([1, 2], cycle=False)

    report = await lint(Ending, strict=True, rollback=False)
    assert [one.partition(": ")[2] for one in report.notes] == [
        "only 1 of 50 objects could be built to look at: RuntimeError: StopIteration in a build: "
        "an iterator that it read has come to its end, such as that of an Iterator(..., "
        "cycle=False)."
    ]


async def test_failing_twice() -> None:
    """A factory that does not work at all is told once."""

    class Failing(PointFactory):
        @factory.lazy_attribute
        def x(self) -> int:
            raise LookupError

    assert await failures_of(Failing, rollback=False) == ["Failing: LookupError"]


async def test_unique_values_are_left() -> None:
    """Objects that are only looked at leave the values to others that are unique and few."""
    field = Field(name="code", type=str, required=True, max_length=1, unique=(frozenset({"code"}),))
    adapter_ = WithFields(field)

    class Coded(AsyncFactory[dict[str, Any]]):
        class Meta:
            model = dict
            adapter = adapter_
            auto_declarations = True

    report = await lint(Coded, strict=True, rollback=False)
    assert re.search(r"only \d+ of 50 objects could be built.* is unique", report.notes[0])
    await Coded.create_batch_async(10)


async def test_hooks_are_undone(session: AsyncSession) -> None:
    """What hooks store for objects that are only looked at, is undone."""

    class Hooked(CompanyFactory):
        @factory.post_generation
        async def more(company: Company, create: bool, extracted: Any, **kwargs: Any) -> None:
            await CompanyFactory.create_async()

    await lint(Hooked, strict=True)
    assert list(await session.scalars(Company.__table__.select())) == []


# How it is asked for.


async def test_not_strict(session: AsyncSession) -> None:
    """By default, nothing is compared, and there is no report."""

    class Long(CompanyFactory):
        name = "x" * 21

    assert await lint(Long) is None
    assert await lint(Long, strict=False) is None
    await LintCase(Long).run()


async def test_a_case(session: AsyncSession) -> None:
    """A case can be strict; what the factory raised itself, passes untouched."""

    class Long(CompanyFactory):
        name = "x" * 21

    with pytest.raises(LintError, match=r"^1 of 1 .*\n- .*Long in .*at most 20 characters"):
        await LintCase(Long).run(strict=True)

    class Failing(CompanyFactory):
        class Params:
            small = factory.Trait(size=1)

        @factory.lazy_attribute
        def name(self) -> str:
            raise LookupError

    for case in lint_cases(Failing):
        with pytest.raises(LookupError):
            await case.run(strict=True)
    await LintCase(CompanyFactory).run(strict=True)


async def test_an_error_of_what_is_chosen() -> None:
    """Where nothing can be chosen for a field, creating the object says so: once."""
    adapter_ = WithFields(Field(name="shape", type=complex, required=True))

    class Automatic(AsyncFactory[dict[str, Any]]):
        class Meta:
            model = dict
            adapter = adapter_
            auto_declarations = True

    with pytest.raises(LintError) as caught:
        await lint(Automatic, strict=True, strategy="build")
    assert [type(one.error) for one in caught.value.failures] == [ConfigurationError]


# pytest's option.

PROJECT = {
    "models": """
        import enum

        import factory
        from sqlalchemy import String
        from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

        from async_factory_boy.factory.sqlalchemy import AsyncSQLAlchemyModelFactory

        class Base(DeclarativeBase):
            pass

        class Role(enum.Enum):
            READER = "reader"
            EDITOR = "editor"
            OWNER = "owner"

        class User(Base):
            __tablename__ = "user"
            id: Mapped[int] = mapped_column(primary_key=True)
            name: Mapped[str] = mapped_column(String(10))
            role: Mapped[Role]
            note: Mapped[str | None]

        class UserFactory(AsyncSQLAlchemyModelFactory[User]):
            class Params:
                admin = factory.Trait(role=Role.OWNER)
                long = factory.Trait(name="x" * 11)

            name = "Ada"
            role = Role.READER
    """,
    "test_it": """
        import pytest
        from async_factory_boy import lint
        from async_factory_boy.linting import lint_cases
        from models import UserFactory

        @pytest.mark.parametrize("case", lint_cases(UserFactory), ids=str)
        async def test_factory(case):
            await case.run(strategy="build")

        async def test_default():
            await lint(UserFactory, strategy="build", strict=False)
    """,
}


def run_project(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    pytester.makepyfile(**PROJECT)
    unused = ("cacheprovider", "pytest_cov", "randomly", "hypothesispytest")
    without = [argument for plugin in unused for argument in ("-p", f"no:{plugin}")]
    mode = ["-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=function"]
    return pytester.runpytest(*mode, *without, *arguments)


@pytest.mark.parametrize("workers", [[], ["-n2"]])
def test_option(pytester: pytest.Pytester, workers: list[str]) -> None:
    """With --factory-lint-strict, each lint is strict, and the summary tells what none covers."""
    result = run_project(pytester, "--factory-lint-strict", *workers)
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*- UserFactory(long=True) in models: ModelMismatchError: User.name has to be at most "
            "10 characters long; UserFactory(long=True) has given it a str of 11 characters. *",
            "*= factory lint =*",
            "model  field  not covered",
            "User   role   Role.EDITOR",
            "User   note   a value",
        ]
    )
    result.stdout.no_fnmatch_line("note: *")


def test_without_option(pytester: pytest.Pytester) -> None:
    """Without the option, nothing is strict, and nothing is shown."""
    result = run_project(pytester)
    result.assert_outcomes(passed=4)
    result.stdout.no_fnmatch_line("*factory lint*")


def test_option_without_lint(pytester: pytest.Pytester) -> None:
    """Where nothing was linted, the summary says so."""
    result = run_project(pytester, "--factory-lint-strict", "-k", "test_default")
    result.assert_outcomes(passed=1, deselected=3)
    result.stdout.fnmatch_lines(["*= factory lint =*", "No factory was linted strictly."])
