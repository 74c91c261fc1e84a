"""A misspelt keyword of a call is refused before anything is stored."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncGenerator
from typing import Any

import factory
import pydantic
import pytest
from beanie import Document
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from async_factory_boy import bind
from async_factory_boy.exceptions import ConfigurationError, OptionError
from async_factory_boy.factory import AsyncFactory
from async_factory_boy.factory.beanie import AsyncBeanieDocumentFactory
from async_factory_boy.factory.helpers import build_async
from async_factory_boy.factory.mongo import AsyncMongoFactory
from async_factory_boy.factory.sqlalchemy import AsyncSQLAlchemyModelFactory
from tests.servers import Servers
from tests.stores.base import Store
from tests.stores.sqlalchemy import CompanyFactory, PostFactory, SQLiteMemory, UserFactory

pytestmark = pytest.mark.unmeasured


@pytest.fixture
async def store(servers: Servers) -> AsyncGenerator[Store]:
    async with SQLiteMemory.opened(servers) as store:
        for made in (CompanyFactory, UserFactory, PostFactory):
            made.reset_sequence(0, force=True)
        with bind(**store.options):
            yield store


class AuthorFactory(UserFactory):
    class Params:
        shouting = factory.Trait(name="ADA")
        initial = "a"

    posts = factory.RelatedFactoryList(PostFactory, "author", size=2)
    first = factory.RelatedFactory(PostFactory, "author")


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["create_async", "create_batch_async"])
@pytest.mark.parametrize(
    ("name", "owner", "misspelt", "model", "meant"),
    [
        ("nmae", "AuthorFactory", "nmae", "User", "name"),
        ("company_kye", "AuthorFactory", "company_kye", "User", "company_key"),
        ("shuoting", "AuthorFactory", "shuoting", "User", "shouting"),
        ("initail", "AuthorFactory", "initail", "User", "initial"),
        ("company__nmae", "CompanyFactory", "nmae", "Company", "name"),
        ("posts__titel", "PostFactory", "titel", "Post", "title"),
        ("first__titel", "PostFactory", "titel", "Post", "title"),
        ("posts__author__nmae", "UserFactory", "nmae", "User", "name"),
        ("posts__author__company__sise", "CompanyFactory", "sise", "Company", "size"),
    ],
)
async def test_misspelt(
    store: Store, method: str, name: str, owner: str, misspelt: str, model: str, meant: str
) -> None:
    """The message says which factory it was given to, and what may be meant."""
    size = (3,) if "batch" in method else ()
    with pytest.raises(OptionError) as raised:
        await getattr(AuthorFactory, method)(*size, **{name: "x"})
    assert str(raised.value) == (
        f"{owner} was given {misspelt!r}, which neither {owner} nor {model} has. "
        f"Did you mean {meant!r}?"
    )
    assert await store.rows(CompanyFactory) == []
    made = await CompanyFactory.build_async()
    assert made.name == "company0"


async def test_in_a_hook(store: Store) -> None:
    """A keyword of a factory that a hook calls is checked when it is called."""

    class Hooked(CompanyFactory):
        @factory.post_generation
        def calls(company: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
            CompanyFactory.create(nmae="x")

    with pytest.raises(OptionError, match="Did you mean 'name'"):
        await Hooked.create_async()
    assert len(await store.rows(CompanyFactory)) == 1


@dataclasses.dataclass
class Data:
    name: str
    size: int = 0


class Pydantic(pydantic.BaseModel):
    name: str
    size: int = 0


class Beanie(Document):
    name: str
    size: int = 0


class Class:
    def __init__(self, name: str, size: int = 0) -> None:
        self.name = name


class DataFactory(AsyncMongoFactory[Data]):
    name = "ada"


class PydanticFactory(AsyncMongoFactory[Pydantic]):
    name = "ada"


class BeanieFactory(AsyncBeanieDocumentFactory[Beanie]):
    name = "ada"


class ClassFactory(AsyncFactory[Class]):
    name = "ada"


FACTORIES = [DataFactory, PydanticFactory, BeanieFactory, ClassFactory]


@pytest.mark.parametrize("made", FACTORIES)
@pytest.mark.parametrize(("name", "meant"), [("nmae", "name"), ("sise", "size")])
async def test_models(made: type[AsyncFactory[Any]], name: str, meant: str) -> None:
    """Names are known of each kind of model that says what it takes, and of the factory."""
    message = rf"^{made.__name__} was given '{name}', .* Did you mean '{meant}'\?$"
    with pytest.raises(OptionError, match=message):
        await made.build_async(**{name: 3})


@pytest.mark.parametrize("made", [*FACTORIES, CompanyFactory])
async def test_declared(made: Any) -> None:
    """A misspelt declaration is refused too, of a class and of a factory made for one call."""
    model = made._meta.model
    text = rf"\.nmae is declared, and {model.__name__} has no such field\. Did you mean 'name'\?"
    wrong = type("Wrong", (made,), {"nmae": "x"})
    with pytest.raises(ConfigurationError, match=f"^Wrong{text} Correct the name; or declare it"):
        await wrong.build_async()
    base = next(one for one in made.__mro__ if one._meta.model is None)
    with pytest.raises(ConfigurationError, match=f"^{model.__name__}Factory{text}"):
        await build_async(model, FACTORY_CLASS=base, nmae="x")


# --- what is not ---------------------------------------------------------------------------------


class Anything:
    def __init__(self, **values: Any) -> None:
        self.values = values


@dataclasses.dataclass
class Kept:
    name: str = ""
    size: int = 0


@pytest.mark.parametrize("model_", [Anything, dict])
async def test_model_that_takes_anything(model_: Any) -> None:
    """A model whose constructor takes any name is given it."""

    class Factory(AsyncFactory[Any]):
        class Meta:
            model = model_

        name = "ada"

    made = await Factory.build_async(nmae="x")
    assert (made if model_ is dict else made.values) == {"name": "ada", "nmae": "x"}


class Base(DeclarativeBase):
    pass


class Own(Base):
    """A model with a constructor of its own, which takes any name."""

    __tablename__ = "misspelt_own"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]

    def __init__(self, name: str, **others: Any) -> None:
        self.name = others.get("nmae", name)


async def test_mapped_class_with_a_constructor() -> None:
    """So is a mapped class with a constructor of its own."""

    class OwnFactory(AsyncSQLAlchemyModelFactory[Own]):
        name = "ada"

    assert (await OwnFactory.build_async(nmae="grace")).name == "grace"


@pytest.mark.parametrize("hook", ["_adjust_kwargs", "_build", "_create"])
async def test_override_may_take_it(store: Store, hook: str) -> None:
    """A factory that overrides what is given the keywords may make something of any name."""

    def overriding(cls: Any, *args: Any, **kwargs: Any) -> Any:
        kwargs["name"] = kwargs.pop("nmae")
        return getattr(super(made, cls), hook)(*args, **kwargs)

    body = {hook: classmethod(overriding)}
    made: Any = type(CompanyFactory)("Made", (CompanyFactory,), body)
    company = await made.generate_async("build" if hook == "_build" else "create", nmae="x")
    assert company.name == "x"


async def test_excluded_and_renamed() -> None:
    """Names that Meta excludes or renames are known, without being declared."""

    class Excluding(AsyncFactory[Kept]):
        class Meta:
            exclude = ("nmae",)

        name = factory.LazyAttribute(lambda kept: f"of {kept.nmae}")

    class Renaming(AsyncFactory[Kept]):
        class Meta:
            rename = {"nmae": "name"}

        size = 1

    assert await Excluding.build_async(nmae="x") == Kept("of x")
    assert await Renaming.build_async(nmae="x") == Kept("x", 1)


async def test_params_and_traits() -> None:
    """So are the names of Params and traits, and fields that only the model has."""

    class Factory(AsyncFactory[Kept]):
        class Params:
            nmae = "param"
            sized = factory.Trait(size=5)

        name = factory.LazyAttribute(lambda kept: f"of {kept.nmae}")

    assert await Factory.build_async(nmae="x", sized=True) == Kept("of x", 5)
    assert await Factory.build_async(size=6) == Kept("of param", 6)


async def test_post_declaration_in_the_call() -> None:
    """A post-generation declaration that a call is given may have any name."""
    seen = []

    class Factory(AsyncFactory[Kept]):
        name = "ada"

    def note(kept: Kept, create: bool, extracted: Any, **kwargs: Any) -> None:
        seen.append(kept)

    made = await Factory.build_async(nmae=factory.PostGeneration(note))
    assert seen == [made] == [Kept("ada")]


@pytest.mark.parametrize("made", [CompanyFactory, DataFactory, ClassFactory])
async def test_nothing_similar(made: type[AsyncFactory[Any]]) -> None:
    """Of a name that is like none that is known, the model says what it says."""
    with pytest.raises(TypeError, match=r"'wholly_different'") as raised:
        await made.build_async(wholly_different="x")
    assert not isinstance(raised.value, OptionError)
