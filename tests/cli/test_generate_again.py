"""`generate` for a file that is there: what it lacks is added, and nothing is changed."""

from __future__ import annotations

import pytest

from tests.cli.project import COMPANY, USER, Project, added, body_of

FILE = ("--output", "factories.py")

HEAD = """\
\"\"\"Our factories.\"\"\"
import factory
from async_factory_boy.factory.sqlalchemy import AsyncSQLAlchemyModelFactory

from models import User  # ours
"""

COLUMNS = (
    "    nickname: Mapped[str] = mapped_column(String(20), unique=True)\n"
    "    born: Mapped[dt.date]\n"
)

OF_COMPANY = (
    '    company_id: Mapped[int] = mapped_column(ForeignKey("company.id"))\n'
    "    company: Mapped[Company] = relationship()\n"
)


def test_nothing_is_missing(project: Project) -> None:
    """Of a file that was generated, nothing is missing."""
    project.models(USER + COLUMNS + OF_COMPANY, COMPANY)
    project.generate(*FILE)
    text = project.text()
    assert project.generate(*FILE) == (0, "", "factories.py: nothing is missing.\n")
    assert project.generate(*FILE, "--check") == (0, "", "")
    assert project.generate(*FILE, "--write").err == "factories.py: nothing is missing.\n"
    assert project.text() == text


def test_new_column(project: Project) -> None:
    """For a new column the diff has one line, which --check lists and --write adds."""
    project.models(USER)
    project.generate(*FILE)
    before = project.text()
    project.models(USER + "    nickname: Mapped[str] = mapped_column(String(20), unique=True)\n")
    line = '    nickname = factory.Sequence(lambda n: f"user{n}")'

    shown = project.generate(*FILE)
    assert (shown.status, added(shown.out)) == (0, [line])
    assert shown.out.startswith("--- factories.py\n+++ factories.py\n@@ ")
    assert shown.err == "factories.py: not changed. To add these lines, add --write.\n"
    assert project.generate(*FILE, "--check") == (
        1, "factories.py: UserFactory.nickname is missing\n", "",
    )  # fmt: skip
    assert project.text() == before

    written = project.generate(*FILE, "--write")
    assert written == (0, shown.out, "factories.py: written.\n")
    assert project.text() == f"{before}{line}\n"
    assert project.generate(*FILE, "--check").status == 0


def test_missing_file(project: Project) -> None:
    """Of a file that is not there, --check lists all factories, and writes nothing."""
    project.models(USER, COMPANY)
    assert project.generate(*FILE, "--check") == (
        1, "factories.py: UserFactory is missing\nfactories.py: CompanyFactory is missing\n", "",
    )  # fmt: skip
    assert not (project.folder / "factories.py").exists()


OWN = (
    HEAD
    + """

# This one is made by hand.
class UserFactory( AsyncSQLAlchemyModelFactory[User] ):   # untidy
    class Params:
        young = factory.Trait(name = 'Kid')
    name = 'Ada'

    @factory.post_generation
    def greet(user, create, extracted, **kwargs):
        pass


def helper():
    return UserFactory
"""
)


def test_own_lines_stay(project: Project) -> None:
    """Lines of a person stay as they are; a new factory comes before what refers to it."""
    project.models(USER + COLUMNS + OF_COMPANY, COMPANY)
    project.write("factories.py", OWN)
    lines = [line for line in added(project.generate(*FILE, "--write").out) if line]
    assert lines == [
        "from datetime import date",
        "from models import Company",
        "class CompanyFactory(AsyncSQLAlchemyModelFactory[Company]):",
        '    name = factory.Sequence(lambda n: f"name-{n}")',
        '    nickname = factory.Sequence(lambda n: f"user{n}")',
        "    born = factory.Faker(",
        '        "date_between", start_date=date(1950, 1, 1), end_date=date(2005, 12, 31)',
        "    )",
        "    company = factory.SubFactory(CompanyFactory)",
    ]
    text = project.text()
    assert [line for line in text.splitlines() if line and line not in lines] == [
        line for line in OWN.splitlines() if line
    ]
    assert "    name = 'Ada'\n    nickname = " in text
    assert "\n\n\nclass CompanyFactory" in text
    assert "\n\n\n# This one is made by hand.\nclass UserFactory( " in text
    user = project.imported().UserFactory.build(young=True)
    assert (user.name, user.company.name, user.nickname) == ("Kid", "name-0", "user0")


def test_windows_line_endings(project: Project) -> None:
    """A file keeps the line endings that it has."""
    project.models(USER + COLUMNS)
    project.write("factories.py", OWN.replace("\n", "\r\n"))
    project.generate(*FILE, "--write")
    text = project.text()
    assert text.count("\n") == text.count("\r\n")
    assert "\r\n    born = factory.Faker(\r\n" in text


@pytest.mark.parametrize(
    ("factory", "expected"),
    [
        (
            "class UserFactory(AsyncSQLAlchemyModelFactory[User]): ...\n",
            ['name = factory.Faker("name")'],
        ),
        ("class UserFactory(AsyncSQLAlchemyModelFactory[User]): _note = 'é'\n",
         ["_note = 'é'", 'name = factory.Faker("name")']),
        (
            "class UserFactory(AsyncSQLAlchemyModelFactory[User]):\n    pass\n",
            ["pass", 'name = factory.Faker("name")'],
        ),
        (
            'class UserFactory(AsyncSQLAlchemyModelFactory[User]):\n    """Users."""\n',
            ['"""Users."""', 'name = factory.Faker("name")'],
        ),
        (
            "class UserFactory(AsyncSQLAlchemyModelFactory):\n    class Meta:\n"
            "        model = User\n",
            ["class Meta:", "model = User", "", 'name = factory.Faker("name")'],
        ),
        (
            "class UserFactory(\n  AsyncSQLAlchemyModelFactory[User]\n):\n  @classmethod\n"
            "  def x(cls): return 1\n",
            ["AsyncSQLAlchemyModelFactory[User]", "):", "@classmethod", "def x(cls): return 1", "",
             'name = factory.Faker("name")'],
        ),
    ],
)  # fmt: skip
def test_where_lines_go(factory: str, expected: list[str], project: Project) -> None:
    """New declarations come after the last one, or where there is none at the end of the class."""
    project.models(USER)
    project.write("factories.py", f"{HEAD}\n\n{factory}")
    project.generate(*FILE, "--write")
    assert body_of(project.text(), "UserFactory") == expected
    assert project.imported().UserFactory.build().name
    assert project.generate(*FILE, "--check").status == 0


@pytest.mark.parametrize(
    "factory",
    [
        "class UserFactory(AsyncSQLAlchemyModelFactory[User]):\n    name: str = 'Ada'\n",
        "class UserFactory(AsyncSQLAlchemyModelFactory[User]):\n"
        "    @factory.lazy_attribute\n    def name(self):\n        return 'Ada'\n",
        "class UserFactory(AsyncSQLAlchemyModelFactory[User]):\n    class Params:\n"
        "        name = 'Ada'\n",
        "class UserFactory(AsyncSQLAlchemyModelFactory[User]):\n    class Meta:\n"
        "        exclude = ['name']\n",
        "class UserFactory(AsyncSQLAlchemyModelFactory[User]):\n    class Meta:\n"
        "        rename = {'called': 'name'}\n\n    called = 'Ada'\n",
        "class UserFactory(AsyncSQLAlchemyModelFactory[User]):\n    class Meta:\n"
        "        auto_declarations = True\n",
        "class UserFactory(AsyncSQLAlchemyModelFactory[User]):\n    class Meta:\n"
        "        auto_declarations = ('name',)\n",
        "class BaseFactory(AsyncSQLAlchemyModelFactory):\n    class Meta:\n"
        "        abstract = True\n        auto_declarations = 'all'\n\n\n"
        "class UserFactory(BaseFactory):\n    class Meta:\n        model = User\n",
        "class NamedFactory(AsyncSQLAlchemyModelFactory):\n    name = 'Ada'\n\n\n"
        "class UserFactory(NamedFactory):\n    class Meta:\n        model = User\n",
        "from package import Automatic\n\n\nclass UserFactory(Automatic[User]):\n    pass\n",
        "from package.base import *\nfrom package import base\n\n\n"
        "class UserFactory(base.Automatic[User]):\n    pass\n",
        "import models as m\n\n\nclass Persons(AsyncSQLAlchemyModelFactory[m.User]):\n"
        "    name = 'Ada'\n",
        "from other import Person\n\n\nclass Persons(AsyncSQLAlchemyModelFactory[Person]):\n"
        "    name = 'Ada'\n",
    ],
)  # fmt: skip
def test_what_counts_as_declared(factory: str, project: Project) -> None:
    """What a factory declares in whatever way, itself or by its bases, is not missing."""
    project.models(USER)
    project.write("models.py", f"{project.text('models.py')}\n\nimport other\n")
    project.write("other.py", "def __getattr__(name):\n    import models\n    return models.User\n")
    project.write("package/__init__.py", "from .base import Automatic\n")
    project.write(
        "package/base.py",
        "from typing import TypeVar\n"
        "from async_factory_boy.factory.sqlalchemy import AsyncSQLAlchemyModelFactory\n\n"
        'T = TypeVar("T")\n\n\n'
        "class Automatic(AsyncSQLAlchemyModelFactory[T]):\n"
        "    class Meta:\n        abstract = True\n        auto_declarations = True\n",
    )
    project.write("factories.py", f"{HEAD}\n\n{factory}")
    assert project.generate(*FILE, "--check") == (0, "", "")


@pytest.mark.parametrize(
    "other",
    [
        "class UserAdmin(Admin[User]):\n    pass\n",
        "class UserFactory(AsyncSQLAlchemyModelFactory[User]):\n"
        "    class Meta:\n        abstract = True\n",
        "class AnyFactory(AsyncSQLAlchemyModelFactory):\n    name = 'Ada'\n",
        "class UserFactory(AsyncSQLAlchemyModelFactory[lambda: 1]):\n    pass\n",
        "class UserFactory(AsyncSQLAlchemyModelFactory[datetime.User]):\n    pass\n",
    ],
)
def test_what_is_no_factory_of_the_model(other: str, project: Project) -> None:
    """What is no factory, is abstract, or is of another model, is not the model's factory."""
    project.models(USER)
    project.write("factories.py", f"{HEAD}\nimport datetime\n\n\n{other}")
    result = project.generate(*FILE)
    name = "ModelsUserFactory" if "class UserFactory" in other else "UserFactory"
    assert f"class {name}(AsyncSQLAlchemyModelFactory[User]):" in added(result.out)


def test_factories_by_other_names(project: Project) -> None:
    """New declarations refer to the factories that there are; of several, to the usual name."""
    project.models(USER + OF_COMPANY, COMPANY)
    project.write(
        "factories.py",
        f"{HEAD}from models import Company\n\n\n"
        "class Firms(AsyncSQLAlchemyModelFactory[Company]):\n    name = 'ACME'\n\n\n"
        "class UserFactory(AsyncSQLAlchemyModelFactory[User]):\n    name = 'Ada'\n",
    )
    assert added(project.generate(*FILE).out) == ["    company = factory.SubFactory(Firms)"]
    project.write(
        "factories.py",
        f"{project.text()}\n\nclass CompanyFactory(AsyncSQLAlchemyModelFactory[Company]):\n"
        "    name = 'Usual'\n",
    )
    assert added(project.generate(*FILE).out) == [
        '    company = factory.SubFactory("factories.CompanyFactory")'
    ]
    project.write("tests/__init__.py", "")
    project.write("tests/factories.py", project.text())
    result = project.generate("--output", "tests/factories.py")
    assert added(result.out) == [
        '    company = factory.SubFactory("tests.factories.CompanyFactory")'
    ]


def test_new_factory_that_needs_what_is_below(project: Project) -> None:
    """A new factory between others that would have to be above and below comes at the end."""
    project.models(
        USER
        + '    team_id: Mapped[int] = mapped_column(ForeignKey("team.id"))\n'
        + "    team: Mapped[Team] = relationship()\n",
        'class Team(Base):\n    __tablename__ = "team"\n'
        "    id: Mapped[int] = mapped_column(primary_key=True)\n" + OF_COMPANY,
        COMPANY,
    )
    project.write(
        "factories.py",
        f"{HEAD}from models import Company\n\n\n"
        "class UserFactory(AsyncSQLAlchemyModelFactory[User]):\n    name = 'Ada'\n\n\n"
        "class CompanyFactory(AsyncSQLAlchemyModelFactory[Company]):\n    name = 'ACME'\n",
    )
    project.generate(*FILE, "--write")
    text = project.text()
    assert 'team = factory.SubFactory("factories.TeamFactory")' in body_of(text, "UserFactory")
    assert text.endswith(
        "\n\n\nclass TeamFactory(AsyncSQLAlchemyModelFactory[Team]):\n"
        "    company = factory.SubFactory(CompanyFactory)\n"
    )
    assert project.imported().UserFactory.build().team.company.name == "ACME"


def test_to_be_decided(project: Project) -> None:
    """What has no declaration is asked for once, and listed until there is one."""
    project.models(
        "class Point(sa.types.UserDefinedType):\n    pass\n",
        USER + "    at: Mapped[Any] = mapped_column(Point)\n",
    )
    project.generate(*FILE)
    assert project.generate(*FILE).err == "factories.py: nothing is missing.\n"
    assert project.generate(*FILE, "--check") == (
        1,
        "factories.py: UserFactory.at has no declaration, and needs one of yours: at is of the "
        "type Point(), which no rule knows a value for.\n",
        "",
    )
    project.write("factories.py", project.text() + "    at = (1, 2)\n")
    assert project.generate(*FILE, "--check").status == 0


def test_new_column_to_be_decided(project: Project) -> None:
    """A comment asks for a new field for which there is no expression, also one of a rule's."""
    project.models(USER)
    project.generate(*FILE)
    project.models(USER + "    iban: Mapped[str]\n")
    project.write(
        "models.py",
        f"{project.text('models.py')}\n\nfrom async_factory_boy import auto\n"
        'from factory import Faker\n\nauto.rule((User, "iban"), Faker("iban"))\n',
    )
    assert added(project.generate(*FILE, "--write").out) == [
        "    # Decide: iban is chosen by your rule for User.iban, for which there is no",
        "    #   expression.",
    ]
    assert project.generate(*FILE).out == ""


def test_names_that_are_taken(project: Project) -> None:
    """What is imported gets another name where its own is taken, in the file or by a field."""
    project.models(USER + "    date: Mapped[dt.date]\n    User: Mapped[str]\n", COMPANY)
    project.write("factories.py", "Company = 1\nfactory = 2\nfactory_ = 3\n")
    project.generate(*FILE, "--write")
    text = project.text()
    assert text.startswith(
        "from datetime import date as date_\n"
        "import factory as factory_2\n"
        "from async_factory_boy.factory.sqlalchemy import AsyncSQLAlchemyModelFactory\n"
        "from models import Company as ModelsCompany\n"
        "from models import User as ModelsUser\n"
        "\n"
        "Company = 1\n"
    )
    assert project.imported().UserFactory.build().date
    assert project.generate(*FILE, "--check").status == 0


def test_only_a_docstring(project: Project) -> None:
    """In a file without imports, these come after the docstring."""
    project.models(USER)
    project.write("factories.py", '"""Ours."""\n')
    project.generate(*FILE, "--write")
    assert project.text().startswith('"""Ours."""\n\nimport factory\n')
    assert project.imported().UserFactory.build().name


def test_imports_that_are_not_for_run_time(project: Project) -> None:
    """What is imported for type checkers only, or in a function, is imported again."""
    project.models(USER)
    project.write(
        "factories.py",
        "from typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    from models import User\n\n\n"
        "def f():\n    import factory\n",
    )
    result = project.generate(*FILE, "--write")
    assert "import factory as factory_" in added(result.out)
    assert project.imported().UserFactory.build().name


def test_relative_imports(project: Project) -> None:
    """Models that a file imports from beside it are the ones that are asked for."""
    project.models(USER, name="app/models.py")
    project.write("app/__init__.py", "")
    project.write(
        "app/factories.py",
        "from async_factory_boy.factory.sqlalchemy import AsyncSQLAlchemyModelFactory\n"
        "from .models import User\n\n\n"
        "class People(AsyncSQLAlchemyModelFactory[User]):\n    name = 'Ada'\n",
    )
    arguments = ("generate", "app.models", "--output", "app/factories.py", "--check")
    assert project.run(*arguments) == (0, "", "")
