"""`generate`: the factories that are written for models."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from async_factory_boy import lint
from async_factory_boy.adapters import registry
from async_factory_boy.auto import rules_kept
from async_factory_boy.generating.layout import laid_out, renamed
from tests.cli.project import COMPANY, USER, Project, body_of
from tests.test_docs import ROOT, page_files

EXAMPLES = Path(__file__).parents[2] / "examples"

MODELS = "typing_tests.generated.models"
GENERATED = Path(__file__).parents[2] / "typing_tests" / "generated"


@pytest.fixture(autouse=True)
def adapters_as_they_were(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Forget the adapters and rules that a module has registered."""
    monkeypatch.setattr(registry, "_named", dict(registry._named))
    with rules_kept():
        yield


async def stored(metadata: Any, factories: Any) -> None:
    """Lint the factories on SQLite, and create several objects by each."""
    engine = create_async_engine("sqlite+aiosqlite://")
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    async with AsyncSession(engine) as session:
        await lint(factories, sqlalchemy_session=session)
        for name, value in vars(factories).items():
            if name.endswith("Factory") and value.__module__ == factories.__name__:
                await value.create_batch_async(2, sqlalchemy_session=session)
                await session.rollback()
    await engine.dispose()


async def test_many_kinds(project: Project) -> None:
    """Fields of all kinds get declarations; the objects are stored, and the factories lint.

    What is written is kept in typing_tests/generated: type checkers and linters look at it there.
    """
    project.write("typing_tests/generated/models.py", (GENERATED / "models.py").read_text())
    output = "typing_tests/generated/factories.py"
    result = project.run("generate", MODELS, "--output", output)
    assert result == (0, "", f"{output}: 3 factories written.\n")
    text = project.text(output)
    assert text == (GENERATED / "factories.py").read_text(), (
        f"run in a folder without {output}: python -m async_factory_boy generate {MODELS} "
        f"--output {output}"
    )
    lines = body_of(text, "EverythingFactory")
    assert {
        'rename: ClassVar[dict[str, str]] = {"build_": "build"}',
        'build_ = factory_.Faker("word")',
        "plan = factory_.Iterator(Plan)",
        'email = factory_.Sequence(lambda n: f"user{n}@example.com")',
        "# Decide: code is unique and at most 2 characters long: its values may run out.",
        "# Decide: only is unique: there are 2 values.",
        "flag = False",
        'company_id = KeyOf(CompanyFactory, "id")',
    } <= {*lines}
    assert not {"nickname", "usual", "boss", "boss_id"} & {line.partition(" ")[0] for line in lines}
    assert body_of(text, "DetailFactory") == ["everything = factory_.SubFactory(EverythingFactory)"]
    factories = project.imported("typing_tests.generated.factories")
    await stored(sys.modules[MODELS].Base.metadata, factories)


@pytest.mark.parametrize(
    ("requires", "expected"),
    [
        ('requires-python = ">=3.10"', "timezone.utc"),
        ('requires-python = ">=3.12,<4"', "UTC"),
        ("", "UTC" if sys.version_info >= (3, 11) else "timezone.utc"),
    ],
)
def test_version_of_python(requires: str, expected: str, project: Project) -> None:
    """What a later Python has is written only if the project requires that."""
    project.write("pyproject.toml", f"[project]\n{requires}\n")
    project.models(
        USER + "    at: Mapped[dt.datetime] = mapped_column(sa.DateTime(timezone=True))\n"
    )
    lines = body_of(project.generate().out, "UserFactory")
    assert f"tzinfo={expected}," in lines


def test_standard_output(project: Project) -> None:
    """Without --output the factories are printed, and nothing is written."""
    project.models(USER)
    before = sorted(project.folder.iterdir())
    result = project.generate()
    assert result.status == 0
    assert body_of(result.out, "UserFactory") == ['name = factory.Faker("name")']
    assert [one for one in sorted(project.folder.iterdir()) if one.name != "__pycache__"] == before


POST = """\
class Post(Base):
    __tablename__ = "post"

    id: Mapped[int] = mapped_column(primary_key=True)
    author_id: Mapped[int] = mapped_column(ForeignKey("app_user.id"))
    author: Mapped[User] = relationship()
"""


def test_order(project: Project) -> None:
    """A factory comes after those it refers to, whatever the order of the models."""
    project.models(POST, USER)
    text = project.generate().out
    assert text.index("class UserFactory") < text.index("class PostFactory")


def test_only(project: Project) -> None:
    """With --only, the models that are named have factories, and those that they require."""
    project.models(USER, POST, COMPANY)
    text = project.generate("--only", " Post ").out
    assert "class UserFactory" in text
    assert "class PostFactory" in text
    assert "Company" not in text


def test_cycle(project: Project) -> None:
    """Where required relations lead back, one is left for a person to decide."""
    project.models(
        "class A(Base):\n"
        '    __tablename__ = "a"\n'
        "    id: Mapped[int] = mapped_column(primary_key=True)\n"
        '    b_id: Mapped[int] = mapped_column(ForeignKey("b.id", use_alter=True))\n'
        "    b: Mapped[B] = relationship(foreign_keys=b_id)\n",
        "class B(Base):\n"
        '    __tablename__ = "b"\n'
        "    id: Mapped[int] = mapped_column(primary_key=True)\n"
        "    a_id: Mapped[int] = mapped_column(ForeignKey(A.id))\n"
        "    a: Mapped[A] = relationship(foreign_keys=a_id)\n",
    )
    text = project.generate().out
    assert body_of(text, "BFactory") == [
        "# Decide: a leads back to A: A.b → B.a → A, each of which is required.", "", "pass",
    ]  # fmt: skip
    assert body_of(text, "AFactory") == ["b = factory.SubFactory(BFactory)"]


def test_unknown_type(project: Project) -> None:
    """A type that no rule knows is left for a person to decide."""
    project.models(
        "class Point(sa.types.UserDefinedType):\n"
        "    cache_ok = True\n\n"
        "    def get_col_spec(self):\n"
        '        return "POINT"\n',
        USER + "    at: Mapped[Any] = mapped_column(Point)\n",
    )
    assert body_of(project.generate().out, "UserFactory") == [
        'name = factory.Faker("name")',
        "# Decide: at is of the type POINT, which no rule knows a value for.",
    ]


async def test_rule_of_the_project(project: Project) -> None:
    """What a rule of the project fills is taken from the model when the factory is used."""
    project.models(USER + "    iban: Mapped[str]\n")
    project.write(
        "models.py",
        f"{project.text('models.py')}\n\n"
        "from async_factory_boy import auto\nfrom factory import Faker\n\n"
        'auto.rule((User, "iban"), Faker("iban"))\n',
    )
    project.generate("--output", "factories.py")
    assert body_of(project.text(), "UserFactory") == [
        "class Meta:",
        "# Decide: iban is chosen by your rule for User.iban, for which there is no",
        "#   expression; auto_declarations takes it from the model.",
        'auto_declarations = ("iban",)',
        "",
        'name = factory.Faker("name")',
    ]
    user = project.imported().UserFactory.build()
    assert len(user.iban) > 10
    assert project.generate("--output", "factories.py", "--check").status == 0


def test_keys_of_one_object(project: Project) -> None:
    """A foreign key of several columns, without a relation, is left for a person to decide."""
    project.models(
        "class Place(Base):\n"
        '    __tablename__ = "place"\n'
        "    x: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)\n"
        "    y: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)\n",
        "class House(Base):\n"
        '    __tablename__ = "house"\n'
        '    __table_args__ = (sa.ForeignKeyConstraint(["x", "y"], ["place.x", "place.y"]),)\n'
        "    id: Mapped[int] = mapped_column(primary_key=True)\n"
        "    x: Mapped[int]\n"
        "    y: Mapped[int]\n",
    )
    assert body_of(project.generate().out, "HouseFactory")[:2] == [
        "# Decide: x is one of the keys of one Place: x, y.",
        "# Decide: y is one of the keys of one Place: x, y.",
    ]


SHARED = """\
class Tenant(Base):
    __tablename__ = "tenant"
    id: Mapped[int] = mapped_column(primary_key=True)


class Author(Base):
    __tablename__ = "author"
    id: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[int] = mapped_column(ForeignKey(Tenant.id))
    tenant: Mapped[Tenant] = relationship()
    __table_args__ = (sa.UniqueConstraint("id", "tenant_id"),)


class Post(Base):
    __tablename__ = "post"
    id: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[int] = mapped_column(ForeignKey(Tenant.id))
    author_id: Mapped[int]
    tenant: Mapped[Tenant] = relationship()
    author: Mapped[Author] = relationship(overlaps="tenant")
    __table_args__ = (
        sa.ForeignKeyConstraint(["author_id", "tenant_id"], [Author.id, Author.tenant_id]),
    )
"""


async def test_shared_keys(project: Project) -> None:
    """Where relations share a key, the objects have in common what it refers to."""
    project.models(SHARED)
    project.generate("--output", "factories.py")
    assert body_of(project.text(), "PostFactory") == [
        "tenant = factory.SubFactory(TenantFactory)",
        'author = factory.SubFactory(AuthorFactory, tenant=factory.SelfAttribute("..tenant"))',
    ]
    post = project.imported().PostFactory.build()
    assert post.author.tenant is post.tenant


# Which models, and where they are imported from.


def test_package(project: Project) -> None:
    """Of a package, the models count that its modules define; it is imported from there."""
    project.models(USER, name="app/users.py")
    project.write("app/__init__.py", "from app.users import User as Person, User, String\n")
    project.models(COMPANY, name="elsewhere.py")
    text = project.run("generate", "app").out
    assert "from app import User\n" in text
    assert text.count("class ") == 1


def test_other_module(project: Project) -> None:
    """A required model of another module has a factory too; one that is imported only, none."""
    project.models(COMPANY, USER, name="base.py")
    project.write(
        "models.py",
        "from sqlalchemy import ForeignKey\n"
        "from sqlalchemy.orm import Mapped, mapped_column, relationship\n"
        "from base import Base, Company, User\n\n\n"
        "class Branch(Base):\n"
        '    __tablename__ = "branch"\n'
        "    id: Mapped[int] = mapped_column(primary_key=True)\n"
        "    company_id: Mapped[int] = mapped_column(ForeignKey(Company.id))\n"
        "    company: Mapped[Company] = relationship()\n",
    )
    text = project.generate().out
    assert "from base import Company\nfrom models import Branch\n" in text
    assert body_of(text, "BranchFactory") == ["company = factory.SubFactory(CompanyFactory)"]
    assert "UserFactory" not in text


def test_equal_names(project: Project) -> None:
    """Models of one name in several modules are told apart."""
    for name in ("shop", "blog"):
        project.models(USER, name=f"{name}.py")
    text = project.run("generate", "shop", "blog").out
    assert "from blog import User as BlogUser\n" in text
    assert "class UserFactory(AsyncSQLAlchemyModelFactory[User]):" in text
    assert "class BlogUserFactory(AsyncSQLAlchemyModelFactory[BlogUser]):" in text


def test_abstract_models(project: Project) -> None:
    """Neither an abstract base nor one whose subclasses are stored only has a factory."""
    project.models(
        "class Dated(Base):\n    __abstract__ = True\n    day: Mapped[dt.date]\n",
        "class Animal(Base):\n"
        '    __tablename__ = "animal"\n'
        '    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_abstract": True}\n'
        "    id: Mapped[int] = mapped_column(primary_key=True)\n"
        "    kind: Mapped[str]\n",
        'class Dog(Animal):\n    __mapper_args__ = {"polymorphic_identity": "dog"}\n',
    )
    text = project.generate().out
    assert [line for line in text.splitlines() if line.startswith("class")] == [
        "class DogFactory(AsyncSQLAlchemyModelFactory[Dog]):"
    ]
    assert body_of(text, "DogFactory") == ["pass"]


TABLES = """\
import databases
from sqlalchemy import Column, ForeignKey, Integer, MetaData, String, Table

metadata = MetaData()
companies = Table(
    "company", metadata, Column("id", Integer, primary_key=True),
    Column("class", String(9), nullable=False), Column("a__b", Integer, nullable=False),
    Column("2nd", Integer, nullable=False),
)
"""


def test_tables(project: Project) -> None:
    """Tables of databases have factories, with declarations for all names of columns."""
    project.write("tables.py", TABLES)
    project.write(
        "models.py",
        "from sqlalchemy import Column, ForeignKey, Integer, Table\n"
        "from tables import companies, metadata\n\n"
        'app_users = Table("app_user", metadata, Column("id", Integer, primary_key=True),\n'
        '    Column("company_id", ForeignKey(companies.c.id), nullable=False))\n',
    )
    assert project.run("generate", "tables", "models", "--output", "factories.py").status == 0
    text = project.text()
    assert body_of(text, "CompaniesFactory")[:2] == ["class Meta:", "model = companies"]
    assert body_of(text, "AppUsersFactory") == [
        "class Meta:", "model = app_users", "", 'company_id = KeyOf(CompaniesFactory, "id")',
    ]  # fmt: skip
    row = project.imported().CompaniesFactory.build()
    assert {"class", "a__b", "2nd"} <= {*row.keys()}
    assert project.run("generate", "tables", "--output", "factories.py", "--check").status == 0


DOCUMENTS = """\
import enum
from dataclasses import dataclass
from typing import TypedDict

from pydantic import BaseModel, Field


class Color(enum.Enum):
    RED = 1


@dataclass
class Address:
    city: str


class Line(BaseModel):
    pieces: int = Field(gt=0)
    sku: str = Field(pattern="^[A-Z]{3}$")


class Order(BaseModel):
    lines: list[Line] = Field(min_length=2)
    pair: tuple[Line, ...] = Field(min_length=1)


@dataclass
class Customer:
    name: str
    address: Address
    color: Color


class Visit(TypedDict):
    path: str
"""


def test_documents(project: Project) -> None:
    """With --adapter mongo, what has fields has a factory; a part of them, a plain one."""
    project.write("models.py", DOCUMENTS)
    result = project.generate("--adapter", "mongo", "--output", "factories.py")
    assert result.status == 0
    text = project.text()
    assert [line for line in text.splitlines() if line.startswith("class")] == [
        "class LineFactory(factory.Factory[Line]):",
        "class OrderFactory(AsyncMongoFactory[Order]):",
        "class AddressFactory(factory.Factory[Address]):",
        "class CustomerFactory(AsyncMongoFactory[Customer]):",
        "class VisitFactory(AsyncMongoFactory[Visit]):",
    ]
    assert body_of(text, "LineFactory") == [
        "class Meta:", "model = Line", "",
        'pieces = factory.Faker("pyint", min_value=1, max_value=100)',
        "# Decide: sku is chosen by constraint, of the pattern ^[A-Z]{3}$, for which there is",
        "#   no expression.",
    ]  # fmt: skip
    assert body_of(text, "OrderFactory") == [
        "lines = factory.List(",
        "[factory.SubFactory(LineFactory), factory.SubFactory(LineFactory)]",
        ")",
        "pair = factory.Transformer(",
        "factory.List([factory.SubFactory(LineFactory)]), transform=tuple",
        ")",
    ]
    assert project.imported().CustomerFactory.build().address.city
    again = project.generate("--adapter", "mongo", "--output", "factories.py")
    assert again == (0, "", "factories.py: nothing is missing.\n")
    check = project.generate("--adapter", "mongo", "--output", "factories.py", "--check")
    assert check.out == (
        "factories.py: LineFactory.sku has no declaration, and needs one of yours: sku is chosen "
        "by constraint, of the pattern ^[A-Z]{3}$, for which there is no expression.\n"
    )


STORED_WITHIN = """\
from beanie import Document, PydanticObjectId
from pydantic import BaseModel


class Address(BaseModel):
    city: str
    country_id: PydanticObjectId


class Customer(Document):
    address: Address
"""


def test_parts_of_documents(project: Project) -> None:
    """What is stored within a document is no document, and has a plain factory too."""
    project.write("models.py", STORED_WITHIN)
    result = project.generate("--output", "factories.py")
    assert result.status == 0
    text = project.text()
    assert "from beanie import PydanticObjectId\n" in text
    assert body_of(text, "AddressFactory")[-2:] == [
        'city = factory.Faker("city")',
        'country_id = factory.Sequence(lambda n: PydanticObjectId(f"{n:024x}"))',
    ]
    assert project.imported().AddressFactory.build().country_id
    assert body_of(text, "CustomerFactory") == ["address = factory.SubFactory(AddressFactory)"]

    city = '    city = factory.Faker("city")\n'
    project.write("factories.py", text.replace(city, ""))
    check = project.generate("--output", "factories.py", "--check")
    assert check == (1, "factories.py: AddressFactory.city is missing\n", "")
    project.generate("--output", "factories.py", "--write")
    assert city in project.text()


def test_adapter_of_the_project(project: Project) -> None:
    """An adapter without a factory of its own is named in Meta."""
    project.write(
        "models.py",
        "from dataclasses import dataclass\n"
        "from async_factory_boy.adapters import Field, PersistenceAdapter, register\n\n\n"
        "@dataclass\nclass Author:\n    name: str\n\n\n"
        "class Lists(PersistenceAdapter):\n"
        "    def fields(self, model):\n"
        "        one = Field(name='name', type=str, required=True)\n"
        "        return [one] if model is Author else []\n\n"
        "    async def save(self, instance):\n        return instance\n\n\n"
        "register('generated_lists', Lists)\n",
    )
    text = project.run("generate", "models", "--adapter", "generated_lists").out
    assert "from async_factory_boy.factory import AsyncFactory\n" in text
    assert body_of(text, "AuthorFactory") == [
        "class Meta:", 'adapter = "generated_lists"', "", 'name = factory.Faker("name")',
    ]  # fmt: skip


def test_adapter_with_a_factory(project: Project) -> None:
    """An adapter that comes with a factory has that derived from, as its package exports it."""
    project.write(
        "shelves/__init__.py",
        "from shelves.parts import ShelfFactory\n\n__all__ = ['ShelfFactory']\n",
    )
    project.write(
        "shelves/parts.py",
        "from typing import TypeVar\n"
        "from async_factory_boy.adapters import Field, PersistenceAdapter, register\n"
        "from async_factory_boy.factory import AsyncFactory, AsyncFactoryOptions\n\n"
        "T = TypeVar('T')\n\n\n"
        "class Shelf(PersistenceAdapter):\n"
        "    @classmethod\n"
        "    def handles(cls, model):\n"
        "        return getattr(model, '__name__', '') == 'Author'\n\n"
        "    def fields(self, model):\n"
        "        return [Field(name='name', type=str, required=True)]\n\n"
        "    async def save(self, instance):\n        return instance\n\n\n"
        "class ShelfOptions(AsyncFactoryOptions):\n    adapter_class = Shelf\n\n\n"
        "class ShelfFactory(AsyncFactory[T]):\n    _options_class = ShelfOptions\n\n\n"
        "register('generated_shelves', Shelf)\n",
    )
    project.write("models.py", "import shelves\n\n\nclass Author:\n    pass\n")
    text = project.generate("--adapter", "generated_shelves").out
    assert "from shelves import ShelfFactory\n" in text
    assert "class AuthorFactory(ShelfFactory[Author]):" in text


def test_table_of_another_module(project: Project) -> None:
    """A table that is referred to is imported from the module of the package that has it."""
    project.write("app/__init__.py", "")
    project.write("app/tables.py", TABLES)
    project.write(
        "app/users.py",
        "import app.tables\nfrom sqlalchemy import Column, ForeignKey, Integer, Table\n\n"
        'app_users = Table("app_user", app.tables.metadata,\n'
        '    Column("id", Integer, primary_key=True),\n'
        '    Column("company_id", ForeignKey("company.id"), nullable=False))\n',
    )
    text = project.run("generate", "app.users").out
    assert "from app.tables import companies\nfrom app.users import app_users\n" in text


def copied(example: str, project: Project) -> None:
    """Copy the models of an example."""
    for path in (EXAMPLES / example).glob("*.py"):
        if "test" not in path.name and path.name != "factories.py":
            project.write(path.name, path.read_text())


async def test_example_of_sqlalchemy(project: Project) -> None:
    """The models of the example for SQLAlchemy have factories that create objects."""
    copied("fastapi_sqlalchemy", project)
    assert project.generate("--output", "factories.py").status == 0
    factories = project.imported()
    await stored(sys.modules["models"].Base.metadata, factories)


def test_example_of_beanie(project: Project) -> None:
    """The models of the example for Beanie have factories; none has to be initialised for that."""
    copied("fastapi_beanie", project)
    text = project.generate().out
    assert "class CategoryFactory(AsyncBeanieDocumentFactory[Category]):" in text
    assert "category = factory.SubFactory(CategoryFactory)" in body_of(text, "ProductFactory")


SETUP = """\
from tortoise import Tortoise


async def initialise():
    await Tortoise.init(db_url="sqlite://:memory:", modules={"models": ["models"]})
"""


def test_example_of_tortoise(project: Project) -> None:
    """Models that have to be initialised are so by --setup, which the error names."""
    copied("fastapi_tortoise", project)
    project.write("setting_up.py", SETUP)
    result = project.generate()
    assert result.status == 1
    assert result.err.endswith(
        " For this command, name a function that does so, which may be async: --setup "
        "tests.conftest:initialise, say.\n"
    )
    text = project.generate("--setup", "setting_up:initialise").out
    assert body_of(text, "SeatingFactory") == [
        "event = factory.SubFactory(EventFactory)",
        "guest = factory.SubFactory(GuestFactory)",
    ]


VALIDATED = """\
from tortoise import fields
from tortoise.exceptions import ValidationError
from tortoise.models import Model
from tortoise.validators import EmailValidator, Validator


class Picture(Validator):
    def __call__(self, value):
        if not value.endswith(".png"):
            raise ValidationError("Write the name of a picture.")


class Book(Model):
    id = fields.IntField(primary_key=True)
    cover = fields.CharField(99, validators=[Picture()])
    email = fields.CharField(99, validators=[EmailValidator()])
"""


def test_validators(project: Project) -> None:
    """Where a validator refuses the value that is chosen, a person decides."""
    project.write("models.py", VALIDATED)
    project.write("setting_up.py", SETUP)
    text = project.generate("--setup", "setting_up:initialise").out
    assert body_of(text, "BookFactory") == [
        "# Decide: cover is chosen by type: str, at most 99 characters long, which Picture",
        "#   refuses: Write the name of a picture.",
        'cover = factory.Faker("word")',
        'email = factory.Faker("email")',
    ]


def test_example_across_stores(project: Project) -> None:
    """Of the models of several stores, those have factories whose store they tell."""
    copied("cross_store", project)
    text = project.generate().out
    assert "class CustomerFactory(AsyncSQLAlchemyModelFactory[Customer]):" in text
    assert "Visit" not in text


# Layout.


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("f(a)", ["x = f(a)"]),
        (f'f("{"a" * 80}")', ["x = f(", f'    "{"a" * 80}"', ")"]),
        (
            f'f("{"a" * 50}", b=lambda x, y: (x, "{"b" * 20}"))',
            ["x = f(", f'    "{"a" * 50}",', f'    b=lambda x, y: (x, "{"b" * 20}"),', ")"],
        ),
        (
            f'f(["{"a" * 50}", "{"b" * 50}"])',
            ["x = f(", "    [", f'        "{"a" * 50}",', f'        "{"b" * 50}",', "    ]", ")"],
        ),
        ("a" * 90, [f"x = {'a' * 90}"]),
    ],
)  # fmt: skip
def test_laid_out(source: str, expected: list[str]) -> None:
    """What is too long is laid out as Ruff and Black do it."""
    assert laid_out("x = ", source) == expected


def test_renamed() -> None:
    """Names are changed, but neither attributes, nor keywords, nor what is within a text."""
    source = 'date.date(date=date, other="date") + date'
    assert (
        renamed(source, lambda name: {"date": "d"}.get(name, name))
        == 'd.date(date=d, other="date") + d'
    )


def test_the_page_says_what_is_written(project: Project) -> None:
    """The models and the factories of docs/generate.md belong together."""
    files = page_files((ROOT / "docs" / "generate.md").read_text())
    project.write("app/__init__.py", "")
    project.write("app/models.py", files["app/models.py"])
    written = project.run("generate", "app.models").out
    # The page begins with the name of the file: # tests/factories.py.
    assert written.split() == files["tests/factories.py"].split()[2:]
