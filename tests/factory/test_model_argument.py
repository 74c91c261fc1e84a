"""The type argument of a factory names its model: ``class UserFactory(AsyncFactory[User])``."""

from __future__ import annotations

import dataclasses
from typing import Any, Generic, TypedDict, TypeVar

import factory
import pytest
from beanie import Document
from sqlalchemy import ForeignKey, MetaData, Table
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from tortoise import fields
from tortoise.models import Model as TortoiseModel

from async_factory_boy.exceptions import AbstractFactoryError, ConfigurationError
from async_factory_boy.factory import AsyncFactory
from async_factory_boy.factory.beanie import AsyncBeanieDocumentFactory
from async_factory_boy.factory.databases import AsyncDatabasesFactory
from async_factory_boy.factory.mongo import AsyncMongoFactory
from async_factory_boy.factory.sqlalchemy import AsyncSQLAlchemyModelFactory
from async_factory_boy.factory.tortoise import AsyncTortoiseModelFactory


@dataclasses.dataclass
class User:
    name: str = "ada"


@dataclasses.dataclass
class Admin(User):
    level: int = 1


@dataclasses.dataclass
class Project:
    name: str = "rocket"


class Typed(TypedDict):
    name: str


class Base(DeclarativeBase):
    pass


class Mapping(Base):
    __tablename__ = "argument_mapping"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("argument_mapping.id"))


class Tortoise(TortoiseModel):
    id = fields.IntField(primary_key=True)
    name = fields.TextField()


class Beanie(Document):
    name: str


T = TypeVar("T")
S = TypeVar("S")


# --- each base -----------------------------------------------------------------------------------


class OfAnyAdapter(AsyncFactory[User]):
    pass


class OfSQLAlchemy(AsyncSQLAlchemyModelFactory[Mapping]):
    pass


class OfTortoise(AsyncTortoiseModelFactory[Tortoise]):
    pass


class OfBeanie(AsyncBeanieDocumentFactory[Beanie]):
    pass


class OfMongoDict(AsyncMongoFactory[dict]):  # type: ignore[type-arg]
    pass


class OfMongoTypedDict(AsyncMongoFactory[Typed]):
    pass


class OfMongoAlias(AsyncMongoFactory[dict[str, Any]]):
    pass


class OfMongoDataclass(AsyncMongoFactory[User]):
    pass


class OfDatabases(AsyncDatabasesFactory[User]):
    pass


@pytest.mark.parametrize(
    ("made", "model"),
    [
        (OfAnyAdapter, User),
        (OfSQLAlchemy, Mapping),
        (OfTortoise, Tortoise),
        (OfBeanie, Beanie),
        (OfMongoDict, dict),
        (OfMongoTypedDict, Typed),
        (OfMongoAlias, dict),
        (OfMongoDataclass, User),
        (OfDatabases, User),
    ],
)
def test_argument_is_the_model(made: type[AsyncFactory[Any]], model: type) -> None:
    """A factory without Meta.model, of any base, has its type argument as model."""
    assert made._meta.model is model
    assert not made._meta.abstract


BUILDABLE = [OfAnyAdapter, OfSQLAlchemy, OfTortoise]
BUILDABLE += [OfMongoDict, OfMongoTypedDict, OfMongoAlias, OfMongoDataclass, OfDatabases]


@pytest.mark.parametrize("made", BUILDABLE)
async def test_argument_is_what_is_built(made: type[AsyncFactory[Any]]) -> None:
    """It builds objects of that class; for a TypedDict, dicts."""
    built = await made.build_async(name="grace")
    model = made._meta.model
    assert type(built) is (dict if model is Typed else model)
    assert (built["name"] if isinstance(built, dict) else built.name) == "grace"


# --- generic bases -------------------------------------------------------------------------------


class AnyFactory(AsyncFactory[T]):
    class Meta:
        abstract = True

    name = "of any"


class AnyPair(AnyFactory[T], Generic[S, T]):
    class Meta:
        abstract = True


class Closer(AnyPair[str, S]):
    class Meta:
        abstract = True


class PlainPair(AsyncFactory[T], Generic[T, S]):
    pass


async def test_through_a_generic_base() -> None:
    """The argument of a generic base of the user's stands for the model."""

    class ProjectFactory(AnyFactory[Project]):
        pass

    assert await ProjectFactory.build_async() == Project("of any")


def test_through_two_generic_bases() -> None:
    """Which of several type variables is the model is followed through every level."""

    class Swapped(AnyPair[User, Project]):
        pass

    class Partly(Closer[Project]):
        pass

    class First(PlainPair[Project, User]):
        pass

    assert [made._meta.model for made in (Swapped, Partly, First)] == [Project] * 3


def test_type_variables_are_no_model() -> None:
    """A generic base whose model is still a type variable is abstract without saying so."""
    assert PlainPair._meta.model is None
    assert PlainPair._meta.abstract


@pytest.mark.parametrize("argument", ["User", Any])
async def test_what_is_no_class_is_no_model(argument: Any) -> None:
    """A class in quotes is not looked up, nor is Any one: the factory has no model."""

    class Factory(AsyncFactory[argument]):
        pass

    assert Factory._meta.abstract
    with pytest.raises(AbstractFactoryError):
        await Factory.build_async()


# --- subclasses ----------------------------------------------------------------------------------


def test_inherited() -> None:
    """A subclass without brackets has the model of its base."""

    class Sub(OfAnyAdapter):
        pass

    class SubSub(Sub):
        class Meta:
            rename = {"title": "name"}

    assert Sub._meta.model is SubSub._meta.model is User


def test_own_argument_wins() -> None:
    """A subclass with brackets of its own has those as model, whatever it would inherit."""

    class Written(AsyncFactory[T]):
        class Meta:
            model = User

    class Own(Written[Project]):
        pass

    class Inheriting(Written[Any]):
        pass

    assert Own._meta.model is Project
    assert Inheriting._meta.model is User


def test_subclass_may_write_a_model() -> None:
    """A subclass without brackets may write Meta.model, as without a type argument."""

    class Sub(OfAnyAdapter):
        class Meta:
            model = Project

    assert Sub._meta.model is Project


def test_abstract_stays_abstract() -> None:
    """Meta.abstract = True holds beside a type argument, which subclasses inherit."""

    class Abstract(AsyncFactory[User]):
        class Meta:
            abstract = True

    class Concrete(Abstract):
        pass

    assert Abstract._meta.abstract
    assert not Concrete._meta.abstract
    assert Concrete._meta.model is User


# --- beside Meta.model ---------------------------------------------------------------------------


def written(argument: Any, value: Any, base: Any = AsyncFactory) -> type[AsyncFactory[Any]]:
    class UserFactory(base[argument]):  # type: ignore[misc]
        class Meta:
            model = value

    return UserFactory


def test_another_model_is_refused() -> None:
    """A Meta.model that is no such class is a mistake in one of the two places."""
    with pytest.raises(ConfigurationError) as raised:
        written(User, Project)
    assert str(raised.value) == (
        "UserFactory.Meta.model is Project, but the type argument of UserFactory is User. Leave "
        "Meta.model out, or write the same class in both."
    )


@pytest.mark.parametrize("argument", [Admin, dict[str, Any]])
def test_base_class_of_the_argument_is_refused(argument: Any) -> None:
    """Objects of a base class are not of the type argument."""
    with pytest.raises(ConfigurationError, match=r"UserFactory\.Meta\.model is User, but the"):
        written(argument, User)


@pytest.mark.parametrize(
    ("argument", "model"),
    [
        (User, User),
        (User, Admin),
        (Typed, dict),
        (dict[str, Any], dict),
        (User, "User"),
        (User, Table("argument_user", MetaData())),
    ],
    ids=["same", "subclass", "TypedDict", "dict", "string", "table"],
)
def test_model_that_agrees(argument: Any, model: Any) -> None:
    """Meta.model holds where it is the argument or derives from it, or is no class."""
    base = AsyncDatabasesFactory if isinstance(model, Table) else AsyncFactory
    assert written(argument, model, base)._meta.model is model


# --- counters ------------------------------------------------------------------------------------


async def test_counters_are_shared_as_with_meta() -> None:
    """A factory counts on with its base where one model derives from the other, or is the same."""

    class Counting(AnyFactory[T]):
        class Meta:
            abstract = True

        name = factory.Sequence(str)

    class Users(Counting[User]):
        pass

    class SameUsers(Users):
        pass

    class Admins(Users, Counting[Admin]):  # type: ignore[misc]
        pass

    class Projects(Counting[Project]):
        pass

    class WrittenProjects(Users):
        class Meta:
            model = Project

    makers = [Users, SameUsers, Admins, Projects, WrittenProjects, Users]
    names = [(await made.build_async()).name for made in makers]  # type: ignore[attr-defined]
    assert names == ["0", "1", "2", "0", "0", "3"]
