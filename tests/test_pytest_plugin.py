"""The pytest plugin, in runs of pytest of its own on a real database."""

from __future__ import annotations

import json
import re
from textwrap import dedent
from typing import Any

import aiosqlite  # noqa: F401
import factory
import pytest
import pytest_asyncio

import async_factory_boy.factory.sqlalchemy  # noqa: F401
from async_factory_boy import FixtureError, sequences
from async_factory_boy.adapters.sqlalchemy import SQLAlchemyAdapter
from async_factory_boy.factory import AsyncFactory
from async_factory_boy.pytest_plugin import register

# The runs are in this process, and forget what they import: so what is slow to import is here.
factory.Faker("name").evaluate(None, None, {"locale": None})

MODELS = """
    from __future__ import annotations

    import factory
    from sqlalchemy import ForeignKey
    from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

    from async_factory_boy.factory.sqlalchemy import AsyncSQLAlchemyModelFactory


    class Base(DeclarativeBase):
        pass


    class Company(Base):
        __tablename__ = "company"

        id: Mapped[int] = mapped_column(primary_key=True)
        name: Mapped[str]
        country: Mapped[str | None]


    class User(Base):
        __tablename__ = "user"

        id: Mapped[int] = mapped_column(primary_key=True)
        name: Mapped[str]
        role: Mapped[str]
        note: Mapped[str | None]
        company_id: Mapped[int | None] = mapped_column(ForeignKey(Company.id))
        company: Mapped[Company | None] = relationship(lazy="selectin")
        parent_id: Mapped[int | None] = mapped_column(ForeignKey("user.id"))
        parent: Mapped[User | None] = relationship(remote_side=[id], lazy="selectin")


    class CompanyFactory(AsyncSQLAlchemyModelFactory[Company]):
        class Meta:
            model = Company

        name = factory.Sequence(lambda n: f"company{n}")
        country = factory.Faker("country")


    class UserFactory(AsyncSQLAlchemyModelFactory[User]):
        class Meta:
            model = User

        class Params:
            boss = factory.Trait(role="boss")
            alone = factory.Trait(company=None)

        name = factory.Faker("name")
        role = "user"
        company = factory.SubFactory(CompanyFactory)

        @factory.post_generation
        def noted(user, create, extracted, **kwargs):
            user.note = f"{extracted} {kwargs}" if extracted or kwargs else None


    class ChildFactory(UserFactory):
        parent = factory.SubFactory(UserFactory)
"""

DATABASE = """
    import pytest
    from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

    from async_factory_boy import bind
    from models import Base

    FIXTURE

    @fixture(autouse=True)
    async def session():
        engine = create_async_engine("sqlite+aiosqlite://")
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        async with AsyncSession(engine) as session:
            with bind(sqlalchemy_session=session):
                yield session
        await engine.dispose()
"""

RUNNERS = {
    "asyncio-auto": ("fixture = pytest.fixture", ["-o", "asyncio_mode=auto"]),
    "asyncio-strict": ("from pytest_asyncio import fixture", ["-o", "asyncio_mode=strict"]),
    "anyio": ("fixture = pytest.fixture", ["-p", "no:asyncio"]),
    "anyio-beside-asyncio": ("fixture = pytest.fixture", ["-o", "asyncio_mode=strict"]),
}

# How an async test is marked, and a synchronous one that has async fixtures.
MARKS = {
    "asyncio-auto": ("usefixtures('request')", "usefixtures('request')"),
    "asyncio-strict": ("asyncio", "usefixtures('request')"),
    "anyio": ("anyio", 'usefixtures("anyio_backend")'),
    "anyio-beside-asyncio": ("anyio", 'usefixtures("anyio_backend")'),
}


class Suite:
    """A project with two models and their factories, whose tests are given."""

    def __init__(self, pytester: pytest.Pytester, runner: str = "asyncio-auto") -> None:
        self.pytester = pytester
        self.fixture, arguments = RUNNERS[runner]
        self.arguments = [*arguments]
        asynchronous, synchronous = MARKS[runner]
        self.marks = f"async_ = pytest.mark.{asynchronous}\nsync = pytest.mark.{synchronous}\n"
        # Without what the runs do not need, and would import anew each time.
        unused = ("cacheprovider", "pytest_cov", "randomly", "hypothesispytest")
        without = [argument for plugin in unused for argument in ("-p", f"no:{plugin}")]
        self.arguments += [*without, "-W", "error", "--tb=short", "--assert=plain"]
        if runner != "anyio":
            self.arguments += ["-o", "asyncio_default_fixture_loop_scope=function"]

    def run(
        self,
        tests: str,
        *arguments: str,
        conftest: str = "",
        database: str = DATABASE,
        apart: bool = False,
    ) -> pytest.RunResult:
        """Run pytest on a test module, and whatever is to be in its conftest.py.

        In a process of its own, if what it leaves behind would fail this one: coroutines of
        SQLAlchemy's that nobody awaits, say.
        """
        backend = '\n\n@pytest.fixture\ndef anyio_backend():\n    return "asyncio"\n'
        self.pytester.makepyfile(
            models=dedent(MODELS),
            conftest=dedent(database).replace("FIXTURE", self.fixture) + backend + dedent(conftest),
            test_it=(
                "import pytest\nfrom async_factory_boy.pytest_plugin import register, LazyFixture\n"
                "from models import *\n\n" + self.marks + dedent(tests)
            ),
        )
        run = self.pytester.runpytest_subprocess if apart else self.pytester.runpytest
        return run(*self.arguments, *arguments)

    def passes(self, tests: str, *arguments: str, passed: int, conftest: str = "") -> None:
        """Check that so many tests pass, and all of them."""
        self.run(tests, *arguments, conftest=conftest).assert_outcomes(passed=passed)


@pytest.fixture
def suite(pytester: pytest.Pytester) -> Suite:
    return Suite(pytester)


@pytest.fixture(params=list(RUNNERS))
def suite_of_each(pytester: pytest.Pytester, request: pytest.FixtureRequest) -> Suite:
    return Suite(pytester, request.param)


# Fixtures.


def test_register_of_an_automatic_factory(suite_of_each: Suite) -> None:
    """It fills objects from the model. Only what is declared has a fixture, not what is chosen."""
    suite_of_each.passes(
        """
        class AutomaticFactory(AsyncSQLAlchemyModelFactory):
            class Meta:
                model = User
                auto_declarations = True

            role = "automatic"


        register(AutomaticFactory, "filled")


        @async_
        @pytest.mark.parametrize("filled__role", ["guest"])
        async def test_async(filled, request):
            assert filled.id and filled.name and filled.company is None
            assert filled.role == "guest"
            with pytest.raises(pytest.FixtureLookupError):
                request.getfixturevalue("filled__name")
        """,
        passed=1,
    )


def test_register(suite_of_each: Suite) -> None:
    """Both fixtures are there, in async tests and in sync ones, whichever plugin runs them."""
    suite_of_each.passes(
        """
        from sqlalchemy import inspect, select

        register(UserFactory)
        register(UserFactory, "admin", role="admin")


        @async_
        async def test_async(user, user_factory, admin, session):
            assert user_factory is UserFactory
            assert (user.role, admin.role) == ("user", "admin")
            assert await session.scalar(select(User).where(User.id == user.id)) is user
            assert inspect(admin).session is session.sync_session
            assert (await user_factory.create_async()).id not in (user.id, admin.id)


        @sync
        def test_sync(user):
            assert user.id == 1 and user.company.id == 1


        @async_
        @pytest.mark.parametrize("user__name", ["Ada", "Grace"])
        async def test_parametrised(user, user__name):
            assert user.name == user__name


        class TestInClass:
            register(CompanyFactory)

            @pytest.fixture
            def user__role(self):
                return "guest"

            @async_
            async def test_overridden(self, user, company):
                assert user.role == "guest"
                assert user.company is company
        """,
        passed=5,
    )


# A fixture `thing`, whose object notes the loop that it was made on.
NOTES_LOOPS = """
        import asyncio
        from async_factory_boy.factory import AsyncFactory
        from async_factory_boy.adapters import PersistenceAdapter

        loops = []

        class Adapter(PersistenceAdapter):
            async def save(self, instance):
                loops.append(asyncio.get_running_loop())
                return instance

        class Thing:
            pass

        @register
        class ThingFactory(AsyncFactory):
            class Meta:
                model = Thing
                adapter = Adapter
"""


def test_loop_scope_is_that_of_the_test(suite: Suite) -> None:
    """A test that runs on the module's loop gets objects that were made there."""
    suite.passes(
        NOTES_LOOPS
        + """
        @pytest.mark.asyncio(loop_scope="module")
        async def test_module(thing):
            assert loops.pop() is asyncio.get_running_loop()

        @pytest.mark.asyncio
        async def test_function(thing):
            assert loops.pop() is asyncio.get_running_loop()
        """,
        passed=2,
    )


def test_loop_scope_of_the_configuration(suite: Suite) -> None:
    """The loop of a test may be chosen by an option, for all of them."""
    suite.passes(
        NOTES_LOOPS
        + """
        async def test_session(thing):
            assert loops.pop() is asyncio.get_running_loop()

        @pytest.mark.asyncio(loop_scope="function")
        async def test_function(thing):
            assert loops.pop() is asyncio.get_running_loop()
        """,
        "-o",
        "asyncio_default_test_loop_scope=session",
        passed=2,
    )


def test_overrides(suite: Suite) -> None:
    """An attribute is overridden by parametrisation or a fixture, of any kind, at any depth."""
    suite.passes(
        """
        register(UserFactory)
        register(UserFactory, "worker", company__name="ACME")
        register(UserFactory, "boss", boss=True)

        @pytest.mark.parametrize("user__company__name", ["ACME"])
        @pytest.mark.parametrize(("user__role", "user__boss"), [("nobody", True)])
        def test_parametrised(user):
            assert (user.company.name, user.role) == ("ACME", "nobody")

        @pytest.mark.parametrize("user__boss", [True])
        def test_trait(user, boss):
            assert (user.role, boss.role) == ("boss", "boss")

        @pytest.mark.parametrize("user__noted", ["given"])
        @pytest.mark.parametrize("user__noted__times", [3])
        def test_post_generation(user):
            assert user.note == "given {'times': 3}"

        def test_values_of_the_attributes(user, user__role, worker, worker__role):
            assert user__role == worker__role == "user"
            assert (worker.company.name, user.note) == ("ACME", None)

        @pytest.mark.parametrize("user__name", [factory.Sequence(lambda n: f"number{n}")])
        def test_declaration(user):
            assert user.name.startswith("number")

        class TestFixtures:
            @pytest.fixture
            async def user__company(self):
                return await CompanyFactory.create_async(name="by a fixture")

            @pytest.fixture(params=["a", "b"])
            def user__role(self, request):
                return request.param

            def test(self, user, user__role):
                assert (user.company.name, user.role) == ("by a fixture", user__role)

        class TestWithin:
            @pytest.fixture
            async def user__company__name(self, company_factory):
                return "from " + (await company_factory.create_async(name="there")).name

            register(CompanyFactory)

            def test(self, user, worker):
                assert user.company.name == "from there"
                assert worker.company.name == "ACME"
        """,
        passed=8,
    )


def test_registered_fixtures_are_used(suite: Suite) -> None:
    """What a SubFactory would create is the object of a fixture, if one is registered for it."""
    suite.passes(
        """
        register(UserFactory)
        register(UserFactory, "homeless", company=None)
        register(UserFactory, "colleague", company=LazyFixture(lambda acme: acme))
        register(ChildFactory, "child")

        def test_company(user, company):
            assert user.company is company

        def test_only_the_user(user):
            assert user.company.id == 1

        @pytest.mark.parametrize("company__name", ["ACME"])
        async def test_its_attributes(user, session):
            assert user.company.name == "ACME"

        @pytest.mark.parametrize("user__company__name", ["ACME"])
        def test_a_company_of_its_own(user, company):
            assert user.company.name == "ACME" != company.name

        @pytest.mark.parametrize("user__alone", [True])
        def test_no_company(user, homeless, company):
            assert user.company is homeless.company is None

        @pytest.mark.parametrize("user__company", [LazyFixture("acme")])
        def test_lazy(user, colleague, acme, company):
            assert user.company is colleague.company is acme is not company

        def test_of_a_model_of_the_same_name(child, user):
            assert child.parent is user

        class TestOverridden:
            @pytest.fixture
            async def company(self):
                return await CompanyFactory.create_async(name="another")

            def test(self, user):
                assert user.company.name == "another"

        class TestParams:
            @pytest.fixture(params=["a", "b"])
            def company__name(self, request):
                return request.param

            def test(self, user, request):
                assert user.company.name == request.node.callspec.params["company__name"]
        """,
        conftest="""
        from async_factory_boy.pytest_plugin import register
        from models import CompanyFactory

        register(CompanyFactory)
        register(CompanyFactory, "acme", name="ACME")
        """,
        passed=10,
    )


def test_parameters_and_traits(suite: Suite) -> None:
    """A SubFactory among the parameters is one, too; a trait may add what the factory lacks."""
    suite.passes(
        """
        from sqlalchemy import select

        class ClerkFactory(UserFactory):
            class Meta:
                exclude = ("company",)

            class Params:
                employer = factory.SubFactory(CompanyFactory)
                leading = factory.Trait(
                    staff=factory.RelatedFactoryList(UserFactory, "parent", size=2)
                )

            company_id = factory.SelfAttribute("employer.id")

        register(ClerkFactory, "clerk")

        def test_parameter(clerk, company):
            assert clerk.company_id == company.id

        @pytest.mark.parametrize("clerk__employer__name", ["ACME"])
        async def test_its_attributes(clerk, session):
            assert (await session.get(Company, clerk.company_id)).name == "ACME"

        @pytest.mark.parametrize("clerk__leading", [True, False])
        async def test_trait(clerk, session, request):
            staff = (await session.scalars(select(User).where(User.parent == clerk))).all()
            assert len(staff) == (2 if request.node.callspec.params["clerk__leading"] else 0)
        """,
        conftest="""
        from async_factory_boy.pytest_plugin import register
        from models import CompanyFactory

        register(CompanyFactory)
        """,
        passed=4,
    )


def test_circles(suite: Suite) -> None:
    """Where SubFactories lead back to a fixture that is being made, the factory goes on alone."""
    suite.passes(
        """
        from async_factory_boy.factory import AsyncFactory
        from async_factory_boy.adapters import PersistenceAdapter

        class Adapter(PersistenceAdapter):
            async def save(self, instance):
                return instance

        class Chicken:
            def __init__(self, egg):
                self.egg = egg

        class Egg:
            def __init__(self, chicken):
                self.chicken = chicken

        @register
        class ChickenFactory(AsyncFactory):
            class Meta:
                model = Chicken
                adapter = Adapter

            egg = factory.SubFactory(f"{__name__}.EggFactory")

        class LastFactory(ChickenFactory):
            egg = None

        @register
        @register(_name="second_egg")
        class EggFactory(AsyncFactory):
            class Meta:
                model = Egg
                adapter = Adapter

            chicken = factory.SubFactory(LastFactory)

        def test_from_egg(egg, chicken):
            assert egg.chicken is chicken
            assert chicken.egg.chicken.egg is None

        def test_from_chicken(chicken, egg):
            assert chicken.egg is egg
            assert egg.chicken.egg is None

        def test_second(second_egg, chicken):
            assert second_egg.chicken is chicken
        """,
        passed=3,
    )


def test_subfactory_with_arguments(suite: Suite) -> None:
    """What a SubFactory is declared with holds: its object is not that of a fixture."""
    suite.passes(
        """
        register(CompanyFactory)

        @register(_name="clerk")
        class ClerkFactory(UserFactory):
            company = factory.SubFactory(CompanyFactory, name="Holding")

        register(ClerkFactory, "colleague", company=LazyFixture("company"))
        register(UserFactory, "other", company=factory.SubFactory(CompanyFactory, name="Other"))

        def test_arguments(clerk, other, company):
            assert (clerk.company.name, other.company.name) == ("Holding", "Other")

        @pytest.mark.parametrize("clerk__company__country", ["Chile"])
        def test_within(clerk):
            assert (clerk.company.name, clerk.company.country) == ("Holding", "Chile")

        @pytest.mark.parametrize("clerk__company", [LazyFixture("company")])
        def test_overridden(clerk, colleague, company):
            assert clerk.company is colleague.company is company
        """,
        passed=3,
    )


def test_imported_fixtures(suite: Suite) -> None:
    """What is registered in a module of its own can be imported from there, with a star."""
    suite.pytester.makepyfile(
        fixtures="""
        from async_factory_boy.pytest_plugin import register
        from models import UserFactory

        register(UserFactory)
        """
    )
    suite.passes(
        """
        @pytest.mark.parametrize("user__name", ["Ada"])
        def test(user):
            assert user.name == "Ada"
        """,
        conftest="from fixtures import *",
        passed=1,
    )


def test_other_overrides(suite: Suite) -> None:
    """A fixture of an attribute may come before register(); that of the factory is overridden."""
    suite.passes(
        """
        @pytest.fixture
        def user__name():
            return "Ada"

        @register(role="guest")
        class GuestFactory(UserFactory):
            pass

        register(CompanyFactory, "acme")

        class TestFactory:
            @pytest.fixture
            def company_factory(self):
                class AcmeFactory(CompanyFactory):
                    name = "ACME"

                return AcmeFactory

            def test(self, user, acme, guest_factory):
                assert (user.name, user.role, acme.name) == ("Ada", "guest", "ACME")
                assert guest_factory is GuestFactory
        """,
        passed=1,
    )


def test_override_that_is_the_declared_value(suite: Suite) -> None:
    """A value beats a trait, in whichever way it is given, also where it is the declared one."""
    suite.passes(
        """
        register(UserFactory)
        register(UserFactory, "plain", boss=True, role="user")
        register(UserFactory, "boss", boss=True)

        @pytest.mark.parametrize(("user__boss", "user__role"), [(True, "user")])
        def test_parametrised(user, plain):
            assert user.role == plain.role == "user"

        class TestFixture:
            @pytest.fixture
            def boss__role(self, boss__role):
                return boss__role

            def test_value(self, boss):
                assert boss.role == "user"

        class TestPassedOn:
            @pytest.fixture
            def user__boss(self, user__boss):
                return user__boss

            def test_declaration(self, user):
                assert user.role == "user"
        """,
        passed=3,
    )


def test_fixtures_within_an_attribute(suite: Suite) -> None:
    """A fixture overrides whatever an attribute takes, also in a Dict, a hook and a circle."""
    suite.passes(
        """
        from async_factory_boy.factory import AsyncFactory
        from async_factory_boy.adapters import PersistenceAdapter

        class Adapter(PersistenceAdapter):
            async def save(self, instance):
                return instance

        class Category:
            def __init__(self, name, parent, settings):
                self.name, self.parent, self.settings = name, parent, settings

        @register
        class CategoryFactory(AsyncFactory):
            class Meta:
                model = Category
                adapter = Adapter

            name = "child"
            parent = factory.SubFactory(f"{__name__}.CategoryFactory", parent=None)
            settings = factory.Dict({"theme": "light"})

        register(UserFactory)
        register(UserFactory, "worker", company__name="ACME")

        class TestWithin:
            @pytest.fixture
            def category__parent__name(self):
                return "parent"

            @pytest.fixture
            def category__settings__theme(self):
                return "dark"

            @pytest.fixture
            def user__noted__times(self):
                return 3

            def test(self, category, user):
                assert (category.name, category.parent.name) == ("child", "parent")
                assert category.settings == {"theme": "dark"}
                assert user.note == "None {'times': 3}"

        class TestRegisteredAnew:
            register(UserFactory, "worker")

            def test_other(self, worker, category):
                assert worker.company.name != "ACME"
                assert category.settings == {"theme": "light"}
        """,
        passed=2,
    )


def test_trait_that_a_trait_switches_on(suite: Suite) -> None:
    """What a trait changes within a SubFactory holds, whoever has switched it on."""
    suite.passes(
        """
        register(CompanyFactory)

        @register(_name="user")
        class StarFactory(UserFactory):
            class Params:
                famous = factory.Trait(company__name="BOSS")
                star = factory.Trait(famous=True)

        @pytest.mark.parametrize("user__star", [True])
        def test_on(user, company):
            assert user.company.name == "BOSS" != company.name

        @pytest.mark.parametrize(("user__star", "user__famous"), [(True, False), (False, False)])
        def test_off(user, company):
            assert user.company is company
        """,
        passed=3,
    )


def test_model_that_is_overridden(suite: Suite) -> None:
    """A fixture may use the model's that it overrides, which is parametrised as before."""
    suite.passes(
        """
        register(UserFactory)

        class TestUser:
            @pytest.fixture
            def user(self, user):
                user.note = "overridden"
                return user

            @pytest.mark.parametrize("user__company__name", ["ACME"])
            def test_within(self, user):
                assert (user.note, user.company.name) == ("overridden", "ACME")

            @pytest.mark.parametrize("company__name", ["ACME"])
            def test_related(self, user):
                assert (user.note, user.company.name) == ("overridden", "ACME")

        class TestCompany:
            @pytest.fixture
            def company(self, company):
                company.country = "overridden"
                return company

            @pytest.fixture(params=["a", "b"])
            def company__name(self, request):
                return request.param

            def test_params(self, user, request):
                name = request.node.callspec.params["company__name"]
                assert (user.company.country, user.company.name) == ("overridden", name)

        class TestAnother:
            @pytest.fixture
            def company(self, acme):
                return acme

            @pytest.mark.parametrize("acme__country", ["Chile"])
            def test_another(self, user):
                assert (user.company.name, user.company.country) == ("ACME", "Chile")
        """,
        conftest="""
        from async_factory_boy.pytest_plugin import register
        from models import CompanyFactory

        register(CompanyFactory)
        register(CompanyFactory, "acme", name="ACME")
        """,
        passed=5,
    )


def test_fixture_with_params_within_an_attribute(suite: Suite) -> None:
    """A fixture that overrides an attribute of a SubFactory may have params, at any depth."""
    suite.passes(
        """
        register(UserFactory)
        register(ChildFactory, "child")

        class TestParams:
            @pytest.fixture(params=["a", "b"])
            def letter(self, request):
                return request.param

            @pytest.fixture(params=[1, 2])
            def user__company__name(self, request, letter):
                return f"{letter}{request.param}"

            def test(self, user, letter, request):
                number = request.node.callspec.params["user__company__name"]
                assert user.company.name == f"{letter}{number}"

            @pytest.mark.parametrize("user__company__name", ["ACME"])
            def test_parametrised(self, child):
                assert child.parent.company.name == "ACME"
        """,
        passed=5,
    )


# Bad input to register().


class NoModelFactory(AsyncFactory[Any]):
    pass


class SyncFactory(factory.Factory[Any]):
    class Meta:
        model = dict


class TableFactory(AsyncFactory[Any]):
    class Meta:
        model = dict
        adapter = SQLAlchemyAdapter


class Thing:
    pass


class thing(AsyncFactory[Any]):  # noqa: N801
    class Meta:
        model = Thing


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            (NoModelFactory,),
            "register(NoModelFactory): NoModelFactory is abstract, so it has no objects; set "
            "NoModelFactory.Meta.model and leave Meta.abstract out, or register a factory that is "
            "derived from it.",
        ),
        (
            (SyncFactory,),
            "register(SyncFactory): SyncFactory is a synchronous factory, whose objects are "
            "stored without an event loop. Derive it from AsyncFactory or from the dedicated "
            "factory of your ORM, or register it with pytest-factoryboy.",
        ),
        ((Thing,), f"register() takes a factory class; got {Thing!r}."),
        (
            ("admin",),
            "register() takes a factory class first, and then a name; got 'admin'. Write "
            'register(UserFactory, "admin"), or as a decorator @register(_name="admin").',
        ),
        (
            ("admin", TableFactory),
            "register() takes a factory class first, and then a name; got 'admin'. Write "
            'register(TableFactory, "admin"), or as a decorator @register(_name="admin").',
        ),
        (
            (TableFactory, "the admin"),
            "register(TableFactory, 'the admin'): a fixture needs a name that is an identifier, "
            'such as "admin".',
        ),
        (
            (thing,),
            "register(thing) would make two fixtures called 'thing', one for the factory and one "
            'for the model; give the second a name: register(thing, "some_name").',
        ),
    ],
)
def test_register_refuses(arguments: tuple[Any, ...], message: str) -> None:
    """What has no fixture is refused where it is registered, with what to write instead."""
    with pytest.raises(FixtureError) as caught:

        class TestSomething:
            register(*arguments)

    assert str(caught.value) == message


def test_register_refuses_a_taken_name() -> None:
    """A name is registered once in a module or class, and never put over something else."""
    with pytest.raises(FixtureError) as caught:

        class TestTwice:
            register(TableFactory)
            register(TableFactory)

    assert str(caught.value) == (
        "register(TableFactory) makes a fixture 'table', which register(TableFactory) has made "
        'already; give the second one another name: register(TableFactory, "another_table").'
    )
    with pytest.raises(FixtureError) as caught:

        class TestTaken:
            table = 1
            register(TableFactory)

    assert str(caught.value) == (
        "register(TableFactory) makes a fixture 'table', which TestTaken has "
        "already, as 1; give the second one another name: "
        'register(TableFactory, "another_table").'
    )


def test_register_refuses_a_function() -> None:
    """Within a function nobody would find the fixtures."""
    with pytest.raises(FixtureError) as caught:
        register(TableFactory)

    assert str(caught.value) == (
        "register() was called in a function, where pytest finds no fixtures; call it in the body "
        "of a conftest.py, a test module or a test class."
    )


def test_unknown_attributes(suite: Suite) -> None:
    """A test that is parametrised with what the factory does not declare is not collected."""
    result = suite.run(
        """
        register(UserFactory)

        class TestOne:
            @pytest.mark.parametrize("user__nmae", [1])
            def test(self, user): ...

        class TestWithin:
            @pytest.mark.parametrize("user__company__nmae", [1])
            def test(self, user): ...

        class TestWithinAValue:
            @pytest.mark.parametrize("user__role__name", [1])
            def test(self, user): ...

        class TestOwn:
            @pytest.mark.parametrize(("user__kind", "user__kind__of"), [(1, 2)])
            def test(self, user, user__kind, user__kind__of): ...

        class TestOther:
            @pytest.mark.parametrize("kind", [1])
            def test(self, user): ...
        """,
        "--continue-on-collection-errors",
    )
    result.assert_outcomes(passed=1, errors=4)
    parametrised = "E*FixtureError: test_it.py::{}::test is parametrised with '{}', but {}"
    instead = (
        "Declare it there, or take the fixture 'user_factory' and create the object in the test."
    )
    result.stdout.fnmatch_lines(
        [
            parametrised.format(
                "TestOne",
                "user__nmae",
                "UserFactory declares no 'nmae'. Did you mean 'name'? It declares alone, boss, "
                f"company, name, noted, role. {instead}",
            ),
            parametrised.format(
                "TestWithin",
                "user__company__nmae",
                "CompanyFactory declares no 'nmae'. Did you mean 'name'? It declares country, "
                f"name. {instead}",
            ),
            parametrised.format(
                "TestWithinAValue",
                "user__role__name",
                "UserFactory.role is 'user', which has no attributes; leave '__name' out.",
            ),
            "*function uses no argument 'kind'",
        ]
    )


def test_register_refuses_unknown_attributes(suite: Suite) -> None:
    """A keyword of register() that is a declared name, misspelt, is refused, and no other one."""
    suite.passes(
        """
        from async_factory_boy import FixtureError

        instead = (
            "Declare it there, or take the fixture 'user_factory' and create the object in the "
            "test."
        )
        declared = f"It declares alone, boss, company, name, noted, role. {instead}"

        @pytest.mark.parametrize(
            ("path", "message"),
            [
                ("nmae", f"UserFactory declares no 'nmae'. Did you mean 'name'? {declared}"),
                ("bos", f"UserFactory declares no 'bos'. Did you mean 'boss'? {declared}"),
                (
                    "compny__name",
                    f"UserFactory declares no 'compny'. Did you mean 'company'? {declared}",
                ),
                (
                    "company__nmae",
                    "CompanyFactory declares no 'nmae'. Did you mean 'name'? It declares country, "
                    f"name. {instead}",
                ),
                (
                    "role__name",
                    "UserFactory.role is 'user', which has no attributes; leave '__name' out.",
                ),
            ],
        )
        def test_refused(path, message):
            with pytest.raises(FixtureError) as caught:
                class TestSomething:
                    register(UserFactory, "other", **{path: True})

            assert str(caught.value) == f"register(UserFactory) is given {path!r}, but {message}"

        class LaterFactory(UserFactory):
            parent = factory.SubFactory(f"{__name__}.UnwrittenFactory")

        register(LaterFactory, "later", parent__nmae="Ada", parent__company=None)
        register(
            UserFactory,
            "worker",
            **{"__sequence": 5, "company__sqlalchemy_session": None},
            name=factory.Sequence(lambda n: f"worker{n}"),
            note="a field, though not declared",
            id=7,
            noted="given",
            noted__times=3,
            sqlalchemy_session=LazyFixture("session"),
        )

        async def test_accepted(worker, session):
            assert worker in session
            assert (worker.id, worker.name) == (7, "worker5")
            assert worker.note == "given {'times': 3}"
        """,
        passed=6,
    )


def test_lazy_fixture_that_is_missing(suite: Suite) -> None:
    """Where LazyFixture names no fixture, the error says so; what pytest says of others stays."""
    result = suite.run(
        """
        register(CompanyFactory, "acme", name="ACME")
        register(UserFactory)
        register(UserFactory, "colleague", company=LazyFixture("acmee"))

        @pytest.fixture
        def broken(compny): ...

        def test_name(colleague): ...

        @pytest.mark.parametrize("user__company", [LazyFixture("broken")])
        def test_other(user): ...

        @pytest.mark.parametrize("user__company", [LazyFixture(lambda acm: acm)])
        def test_function(user): ...
        """
    )
    result.assert_outcomes(errors=3)
    instead = (
        "Define it in the test's class or module or in a conftest.py, or give LazyFixture the name "
        "of one that is there."
    )
    result.stdout.fnmatch_lines(
        [
            "E*FixtureError: LazyFixture('acmee') stands for the value of 'colleague__company', "
            "but test_it.py::test_name sees no fixture 'acmee'. Did you mean 'acme'? " + instead,
            "E       fixture 'compny' not found",
            "E*FixtureError: LazyFixture(<function <lambda> at *>) stands for the value of "
            "'user__company', but test_it.py::test_function* sees no fixture 'acm'. Did you mean "
            "'acme'? " + instead,
        ]
    )
    assert "fixtures.py" not in str(result.stdout).partition("setup of test_function")[2]


@pytest.mark.parametrize(
    ("runner", "hint"),
    [
        ("asyncio-auto", ""),
        (
            "anyio",
            " Under anyio's plugin that fixture has to be async: async code does not see what a "
            "synchronous one binds after an async one was set up.",
        ),
    ],
)
def test_no_session(pytester: pytest.Pytester, runner: str, hint: str) -> None:
    """Without a session, the error names the fixture, and where to bind one."""
    result = Suite(pytester, runner).run(
        """
        register(UserFactory)

        @sync
        def test(user): ...
        """,
        database="import pytest",
    )
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        [
            "E*MissingOptionError: No async session provided* The fixture 'user' takes what is "
            "bound when it is set up: bind in an autouse fixture, or in one that the test names "
            f"before it.{hint}",
        ]
    )


def test_no_event_loop(pytester: pytest.Pytester) -> None:
    """Where nothing runs async fixtures, the error says how to have one do so."""
    result = Suite(pytester, "anyio").run(
        """
        register(UserFactory)

        def test(user): ...
        """,
        database="import pytest",
    )
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        [
            "E*FixtureError: The fixture 'user' runs in an event loop, and "
            "test_it.py::test has none: install pytest-asyncio; or, with anyio's plugin, mark the "
            "test with @pytest.mark.anyio, or if it is synchronous, with "
            '@pytest.mark.usefixtures("anyio_backend").'
        ]
    )


def test_old_pytest_asyncio(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pytest-asyncio that gives fixtures a loop of their own is refused, and told to upgrade."""
    # Another version cannot be installed beside the one that runs these tests.
    monkeypatch.setattr(pytest_asyncio, "__version__", "0.23.8")
    result = suite.run(
        """
        register(UserFactory)

        async def test(user): ...
        """,
        database="import pytest",
    )
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        [
            "E*FixtureError: The fixture 'user' takes pytest-asyncio 1.1 or later, and version "
            "0.23.8 is installed, which may run it on another event loop than the test; upgrade "
            'it: pip install "pytest-asyncio>=1.1".'
        ]
    )


def test_old_pytest(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pytest that is too old is refused where something is registered, and told to upgrade."""
    monkeypatch.setattr(pytest, "version_tuple", (8, 0, 2))
    monkeypatch.setattr(pytest, "__version__", "8.0.2")
    with pytest.raises(FixtureError) as caught:

        class TestSomething:
            register(TableFactory)

    assert str(caught.value) == (
        "register() takes pytest 8.1 or later, and version 8.0.2 is installed; upgrade it: "
        'pip install "pytest>=8.1".'
    )


@pytest.mark.unmeasured
def test_traceback(suite: Suite) -> None:
    """What is shown of a failing hook is the user's own code, without what is between."""
    tests = """
        class FailingFactory(UserFactory):
            @factory.post_generation
            async def fail(user, create, extracted, **kwargs):
                raise LookupError("of the user's own")

        async def test_one():
            await FailingFactory.create_async()

        async def test_batch():
            await FailingFactory.create_batch_async(2)
        """
    result = suite.run(tests)
    result.assert_outcomes(failed=2)
    shown = str(result.stdout)
    assert shown.count("raise LookupError") == 2
    assert "async_factory_boy" not in shown.partition("= FAILURES =")[2]
    assert "engine/fibers.py" in str(suite.run(tests, "--full-trace").stdout).replace("\\", "/")


@pytest.mark.unmeasured
def test_attribute_that_is_not_loaded(suite: Suite) -> None:
    """A test that reads what is not loaded is told which attribute it is, and what to write."""
    models = """
        from sqlalchemy import ForeignKey, event, select
        from sqlalchemy.orm import Mapped, mapped_column, relationship
        from models import *

        class Post(Base):
            __tablename__ = "post"
            id: Mapped[int] = mapped_column(primary_key=True)
            title: Mapped[str] = mapped_column(default="title")
            replies: Mapped[list["Post"]] = relationship()
            parent_id: Mapped[int | None] = mapped_column(ForeignKey("post.id"))

        class Other(Base):
            __tablename__ = "other"
            id: Mapped[int] = mapped_column(primary_key=True)

        class PostFactory(AsyncSQLAlchemyModelFactory[Post]):
            pass
        """
    tests = """
        from posts import *

        def replies_of(post):
            return post.replies

        async def test_relationship():
            replies_of(await PostFactory.create_async())

        async def test_column(session):
            post = await PostFactory.create_async()
            await session.commit()
            post.title

        async def test_other_model(session):
            session.add(other := Other())
            await session.commit()
            other.id

        async def test_other_error():
            raise LookupError
        """
    suite.pytester.makepyfile(posts=dedent(models))
    result = suite.run(tests, "-W", "ignore", conftest="import posts", apart=True)
    result.assert_outcomes(failed=4)
    lines = str(result.stdout)
    assert lines.count("- async-factory-boy -") == 2
    assert (
        "Post.replies is a relationship that is not loaded, and async code cannot load it by "
        "reading it. Name it in the factory of Post, Meta.sqlalchemy_load = ('replies',); or "
        "write await session.refresh(instance, ['replies'])."
    ) in lines
    assert "Post.title is a column that is not loaded" in lines


# Seeds and sequences.

RECORDING = """
    import json
    from pathlib import Path

    from models import CompanyFactory, UserFactory
    from async_factory_boy.pytest_plugin import register

    register(UserFactory)

    @pytest.fixture
    def record(request):
        def record(*values):
            with Path("data.jsonl").open("a") as file:
                file.write(json.dumps([request.node.name, *values]) + "\\n")
        return record

    @pytest.fixture(scope="session")
    def shared():
        company = CompanyFactory.build()
        return f"{company.name} in {company.country}"
"""

RECORDED = """
    def test_1(user, record):
        record(user.name, user.company.name, user.company.country)

    def test_2(shared, user, record, faker):
        record(user.name, user.company.name, shared, faker.name())

    def test_3(user, shared, record):
        record(shared, user.company.name, user.name)
"""


def test_same_data(suite: Suite) -> None:
    """A test gives the same data alone, in any order, and under pytest-xdist.

    But for the sequences of its workers, which have no number in common where that is asked for.
    What the workers created is in one report.
    """
    file = suite.pytester.path / "data.jsonl"

    def recorded(*arguments: str) -> dict[str, list[str]]:
        reset = ["-o", "factory_reset_sequences=true", "--factory-seed=1"]
        result = suite.run(RECORDED, *reset, *arguments, conftest=RECORDING)
        assert result.ret == 0
        result.stdout.fnmatch_lines(["factories: --factory-seed=1"])
        lines = file.read_text().splitlines()
        file.unlink()
        return {name: values for name, *values in map(json.loads, lines)}

    full = recorded()
    assert [len(set(values)) for values in full.values()] == [3, 4, 3]
    assert full["test_1"][1] == full["test_2"][1] == full["test_3"][1] == "company0"
    assert full["test_2"][2] == full["test_3"][0]
    assert full["test_2"][2].startswith("company100000 in ")
    assert len({full["test_1"][0], full["test_2"][0], full["test_3"][2]}) == 3
    reverse = [f"test_it.py::test_{number}" for number in (3, 2, 1)]
    assert recorded(*reverse) == full
    assert recorded(reverse[0]) == {"test_3": full["test_3"]}

    distributed = recorded(
        "-n2", "-o", "factory_disjoint_sequences=true", "--factory-report-json=report.json"
    )
    report = json.loads((suite.pytester.path / "report.json").read_text())
    assert {one["factory"]: one["created"] for one in report["factories"]} == {
        "models.UserFactory": 3,
        "models.CompanyFactory": 3,
    }
    assert len(report["tests"]) == 3
    assert {distributed[test][1] for test in full} == {"company0", "company1"}
    for values in (*full.values(), *distributed.values()):
        del values[1]
        values[:] = [re.sub(r"company\d+", "company", value) for value in values]
    assert distributed == full


@pytest.mark.unmeasured
def test_same_data_in_a_group(suite: Suite) -> None:
    """A test gives the same data where pytest-xdist runs it in a group."""
    file = suite.pytester.path / "data.jsonl"

    def recorded(*arguments: str) -> str:
        result = suite.run(
            """
            @pytest.fixture(scope="class")
            def of_class():
                return UserFactory.build(company=None).name

            @pytest.mark.xdist_group("group")
            def test(of_class, record):
                record(of_class, UserFactory.build(company=None).name)
            """,
            *("--factory-seed=1", *arguments),
            conftest=RECORDING,
        )
        result.assert_outcomes(passed=1)
        text = file.read_text()
        file.unlink()
        return text

    assert recorded("-n1", "--dist=loadgroup") == recorded()


def test_same_data_for_a_parameter(suite: Suite) -> None:
    """A fixture of a wider scope draws the same data for the same parameter, whatever its text."""
    file = suite.pytester.path / "data.jsonl"
    texts = []
    for text in ("raise ValueError", "return 'one'"):
        suite.passes(
            f"""
            class Parameter:
                def __str__(self):
                    {text}

            @pytest.fixture(scope="module", params=[Parameter(), Parameter()])
            def name(request):
                return UserFactory.build(company=None).name

            def test(name, record):
                record(name)
            """,
            "--factory-seed=1",
            conftest=RECORDING,
            passed=2,
        )
        texts.append(file.read_text())
        file.unlink()
    assert texts[0] == texts[1]
    assert len({json.loads(line)[1] for line in texts[0].splitlines()}) == 2


@pytest.mark.unmeasured
def test_same_data_in_parameters(suite: Suite) -> None:
    """What a module draws while it is collected is the same in each of pytest-xdist's workers.

    And in each run with the same seed, if a conftest imports factories.
    """
    tests = """
        @pytest.mark.parametrize("name", [UserFactory.build(company=None).name])
        def test(name, record):
            record(name)
    """
    file = suite.pytester.path / "data.jsonl"
    runs = []
    for arguments in (["-n2"], []):
        seed = [f"--factory-seed={runs[0][0]}"] if runs else []
        result = suite.run(tests, *arguments, *seed, conftest=RECORDING)
        result.assert_outcomes(passed=1)
        (shown,) = re.findall(r"(?m)^factories: --factory-seed=(\d+)$", str(result.stdout))
        runs.append((shown, file.read_text()))
        file.unlink()
    assert runs[0] == runs[1]


BUILDING = """
    import random
    import factory
    from async_factory_boy.factory import AsyncFactory
    from async_factory_boy.adapters import PersistenceAdapter

    class Thing:
        def __init__(self, number, name, color):
            self.values = (number, name, color)

    class ThingFactory(AsyncFactory):
        class Meta:
            model = Thing

        number = factory.Sequence(lambda n: n)
        name = factory.Faker("name")
        color = factory.Iterator(["red", "green", "blue"])

    built = []

    @pytest.mark.parametrize("run", [1, 2])
    def test_again(run):
        built.append(ThingFactory.build().values)
        assert [number for number, _, _ in built] == list(range(len(built)))
        assert [color for _, _, color in built] == ["red", "green"][:len(built)]
        assert len({name for _, name, _ in built}) == len(built)
        assert random.getstate() == state

    state = random.getstate()
"""


def test_defaults(suite: Suite) -> None:
    """Without options, the seed is another in each run, and sequences and iterators go on.

    Python's own generator is left alone. Where only test modules have factories, the seed is shown
    at the end.
    """
    here = suite.run(BUILDING, database="import pytest")
    elsewhere = suite.pytester.runpytest_subprocess(*suite.arguments)
    seeds = []
    for result in (here, elsewhere):
        result.assert_outcomes(passed=2)
        seeds += re.findall(r"(?m)^factories: --factory-seed=(\d+)$", str(result.stdout))
    assert len(set(seeds)) == 2
    elsewhere.stdout.fnmatch_lines(["test_it.py ..*", "factories: *", "*2 passed*"])


@pytest.mark.parametrize("place", ["a conftest", "a fixture"])
def test_own_seed(suite: Suite, place: str) -> None:
    """A suite that seeds factory_boy for a whole run goes on to do so."""
    seeding = "factory.random.reseed_random(5)"
    result = suite.run(
        """
        import factory.random

        names = []

        @pytest.fixture(scope="module")
        def shared():
            return UserFactory.build().name

        @pytest.mark.parametrize("run", [1, 2, 3])
        def test(run, shared):
            names.append(UserFactory.build().name)

        def test_names(shared):
            factory.random.reseed_random(5)
            assert [UserFactory.build().name for _ in range(4)] == [shared, *names]
        """,
        conftest=f"""
        import factory.random

        {seeding if place == "a conftest" else ""}

        @pytest.fixture(scope="session", autouse=True)
        def seeded():
            {seeding if place == "a fixture" else "pass"}
        """,
    )
    result.assert_outcomes(passed=4)


async def test_numbers_of_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """The numbers of two workers have none in common, wherever their sequences begin."""

    class NumberFactory(AsyncFactory[dict[str, int]]):
        class Meta:
            model = dict

        number = factory.Sequence(lambda n: n)

    async def numbers(worker: int) -> list[int]:
        monkeypatch.setattr(sequences, "worker", worker)
        NumberFactory.reset_sequence(worker)
        return [one["number"] for one in await NumberFactory.build_batch_async(5)]

    first, second = await numbers(0), await numbers(1)
    assert not {*first} & {*second}
    assert {number % 4 for number in first} == {number % 4 for number in second} == {0, 1, 2, 3}
    assert NumberFactory.build(__sequence=7) == {"number": 7}


def test_reset_with_two_bases(suite: Suite) -> None:
    """The numbers of a factory with two bases go on after a fixture of a wider scope."""
    suite.passes(
        """
        from async_factory_boy.factory import AsyncFactory

        class A(AsyncFactory):
            pass

        class B(AsyncFactory):
            pass

        class DiamondFactory(A, B):
            class Meta:
                model = dict

            number = factory.Sequence(lambda n: n)

        @pytest.fixture(scope="module")
        def shared():
            return DiamondFactory.build()["number"]

        @pytest.mark.parametrize("run", [1, 2])
        def test(run, request):
            assert DiamondFactory.build() == {"number": 0}
            assert request.getfixturevalue("shared") == 100_000
            assert DiamondFactory.build() == {"number": 1}
        """,
        *("-o", "factory_reset_sequences=true"),
        passed=2,
    )


def test_iterators_begin_anew(suite: Suite) -> None:
    """Iterators begin anew in each test, also those within other declarations."""
    suite.passes(
        """
        from async_factory_boy.factory import AsyncFactory

        def letters():
            return factory.Iterator("abc")

        class PartFactory(AsyncFactory):
            class Meta:
                model = dict

            letter = ""

        class LettersFactory(AsyncFactory):
            class Meta:
                model = dict

            class Params:
                trait = factory.Trait(in_trait=letters())
                parameter = letters()

            direct = letters()
            in_maybe = factory.Maybe(factory.LazyFunction(bool), None, letters())
            in_dict = factory.Dict({"letter": letters()})
            in_list = factory.List([letters()])
            in_part = factory.SubFactory(PartFactory, letter=letters())
            later = factory.SubFactory(PartFactory)
            later__letter = letters()
            of_parameter = factory.SelfAttribute("parameter")

        @pytest.mark.parametrize("run", [1, 2])
        def test(run):
            for letter in "ab":
                assert LettersFactory.build(trait=True) == {
                    "direct": letter,
                    "in_trait": letter,
                    "in_maybe": letter,
                    "in_dict": {"letter": letter},
                    "in_list": [letter],
                    "in_part": {"letter": letter},
                    "later": {"letter": letter},
                    "of_parameter": letter,
                }
        """,
        *("-o", "factory_reset_sequences=true"),
        passed=2,
    )


@pytest.mark.parametrize("ids", [("alice", "bob"), ("gwen", "gw0")])
def test_workers_with_ids(suite: Suite, ids: tuple[str, str]) -> None:
    """Workers have no number in common, whatever their ids."""
    result = suite.run(
        """
        @pytest.mark.parametrize("run", [1, 2])
        def test(run, record):
            record(CompanyFactory.build().name)
        """,
        *("-o", "factory_disjoint_sequences=true", "--dist=load"),
        *(f"--tx=popen//id={worker}" for worker in ids),
        conftest=RECORDING,
    )
    result.assert_outcomes(passed=2)
    lines = (suite.pytester.path / "data.jsonl").read_text().splitlines()
    assert {json.loads(line)[1] for line in lines} == {"company0", "company1"}


def test_no_effect(pytester: pytest.Pytester) -> None:
    """In a suite that does not use it, the plugin shows nothing, and imports neither us nor an ORM.

    Nor does it touch the random data of factory_boy.
    """
    pytester.makepyfile(
        """
        import sys

        def test():
            loaded = {name.partition(".")[0] for name in sys.modules}
            assert not loaded & {"factory", "sqlalchemy", "tortoise", "greenlet", "beanie"}
            ours = {name for name in sys.modules if name.startswith("async_factory_boy")}
            assert ours == {
                "async_factory_boy",
                "async_factory_boy.pytest_plugin",
                "async_factory_boy.pytest_plugin.options",
                "async_factory_boy.pytest_plugin.seeding",
                "async_factory_boy.pytest_plugin.unloaded",
                "async_factory_boy.sequences",
            }
        """
    )
    result = pytester.runpytest_subprocess(
        *("--assert=plain", "-p", "no:randomly", "-p", "no:pytest_cov", "-p", "no:hypothesispytest")
    )
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("factories: *")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--factory-seed=last"],
            "--factory-seed takes an integer, such as the header of a run shows; got 'last'.",
        ),
        (
            ["--factory-seed=", "-o", "factory_seed=1"],
            "--factory-seed takes an integer, such as the header of a run shows; got ''.",
        ),
        (
            ["-o", "factory_seed=1.5"],
            "The ini option factory_seed takes an integer, such as the header of a run shows; got "
            "'1.5'.",
        ),
        (
            ["--factory-report-json=no/such.json"],
            "--factory-report-json takes a file in a directory that exists; got 'no/such.json'.",
        ),
        (
            ["--factory-report-json=."],
            "--factory-report-json takes a file in a directory that exists; got '.'.",
        ),
        (
            ["--factory-report-json="],
            "--factory-report-json takes a file in a directory that exists; got ''.",
        ),
        (
            ["--factory-seed=1", "-p", "randomly"],
            "pytest-randomly seeds factory_boy in this run, and so --factory-seed (or the ini "
            "option factory_seed) would have no effect: use --randomly-seed instead, or add "
            "--randomly-dont-reset-seed.",
        ),
    ],
)
def test_option_refused(pytester: pytest.Pytester, arguments: list[str], message: str) -> None:
    """A seed or file that cannot be used ends the run before it begins."""
    if "randomly" not in arguments:
        arguments = [*arguments, "-p", "no:randomly"]
    result = pytester.runpytest(*arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {message}"])


def test_pytest_randomly(suite: Suite) -> None:
    """With pytest-randomly, its seed is the one; unless it is told to seed nothing."""
    place = suite.arguments.index("no:randomly")
    suite.arguments[place] = "randomly"
    tests = """
        import factory.random
        import random

        @pytest.mark.parametrize("run", [1, 2])
        def test(run):
            same = factory.random.randgen.getstate() == random.getstate()
            assert same is EXPECTED
    """
    result = suite.run(tests.replace("EXPECTED", "True"), database="import pytest")
    result.assert_outcomes(passed=2)
    result.stdout.no_fnmatch_line("factories: *")
    result = suite.run(
        tests.replace("EXPECTED", "False"),
        "--randomly-dont-reset-seed",
        "--factory-seed=3",
        database="import pytest",
    )
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["factories: --factory-seed=3"])


# The report.

CREATING = """
    import asyncio
    import time

    class SlowFactory(UserFactory):
        class Params:
            slow = factory.LazyFunction(lambda: time.sleep(0.05))

        @factory.post_generation
        async def wait(user, create, extracted, **kwargs):
            await asyncio.sleep(0.05)

    register(CompanyFactory)

    async def test_many():
        await UserFactory.create_batch_async(5)

    async def test_slow(company):
        await SlowFactory.create_async(company=company)
        UserFactory.build(company=None)

    async def test_failing(session):
        with pytest.raises(ZeroDivisionError):
            await UserFactory.create_async(
                name=factory.LazyAttribute(lambda user: user.company.id / 0)
            )

    def test_none():
        pass
"""


def test_report(suite: Suite) -> None:
    """The report tells which factories took how long for what, and which tests created most."""
    file = suite.pytester.path / "report.json"
    result = suite.run(CREATING, "--factory-report=1", "--factory-report-json=report.json")
    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines(
        [
            "*= factories =*",
            # How wide the first column is depends on which factory took longest.
            "* created  top-level  built  waves  building  storing  share",
            "* ?.?? s   ?.?? s  *%",
            "all factories * 13          7      1      5    ?.?? s   ?.?? s  *%",
            "(2 more factories)",
            "",
            "                       created  seconds",
            "test_it.py::test_many       10   ?.?? s",
            f"all of it: {file}",
        ]
    )
    report = json.loads(file.read_text())
    counts = {
        one["factory"]: (one["created"], one["built"], one["waves"]) for one in report["factories"]
    }
    assert counts == {
        "test_it.SlowFactory": (1, 0, 1),
        "models.UserFactory": (5, 1, 1),
        "models.CompanyFactory": (7, 0, 3),
    }
    for one in report["factories"]:
        assert one["building"] > 0
        assert one["storing"] > 0
        seconds = one["building"] + one["storing"]
        assert one["share"] == pytest.approx(seconds / report["test_seconds"])
    seconds = [one["building"] + one["storing"] for one in report["factories"]]
    assert seconds == sorted(seconds, reverse=True)
    result.stdout.fnmatch_lines([f"{report['factories'][0]['factory']} *"])
    (slow,) = [one for one in report["factories"] if one["factory"] == "test_it.SlowFactory"]
    assert 0.1 <= slow["building"] < report["test_seconds"]
    assert {one["test"]: one["created"] for one in report["tests"]} == {
        "test_it.py::test_many": 10,
        "test_it.py::test_slow": 2,
        "test_it.py::test_failing": 1,
    }
    (slow,) = [one for one in report["tests"] if one["test"] == "test_it.py::test_slow"]
    assert {name: part["created"] for name, part in slow["factories"].items()} == {
        "test_it.SlowFactory": 1,
        "models.UserFactory": 0,
        "models.CompanyFactory": 1,
    }


def test_share_of_what_is_collected(suite: Suite) -> None:
    """What is built while tests are collected is in the report, but not in the share."""
    result = suite.run(
        """
        users = UserFactory.build_batch(100)

        def test():
            CompanyFactory.build()
        """,
        *("--factory-report", "--factory-report-json=report.json"),
    )
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["models.UserFactory * 100 *  0%"])
    report = json.loads((suite.pytester.path / "report.json").read_text())
    shares = {one["factory"]: one["share"] for one in report["factories"]}
    assert shares["models.UserFactory"] == 0
    assert 0 < shares["models.CompanyFactory"] < 1


@pytest.mark.parametrize("value", ["tests", "-1"])
def test_report_refused(pytester: pytest.Pytester, value: str) -> None:
    """The number of factories to show is a number, and not the path that comes next."""
    result = pytester.runpytest(f"--factory-report={value}", "-p", "no:randomly")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [
            "*: error: argument --factory-report: takes the number of factories to show, as in "
            f"--factory-report=10; got '{value}'. (Without a number, write it after the paths of "
            "the tests.)"
        ]
    )


def test_report_without_factories(suite: Suite) -> None:
    """A report on no factories says so."""
    result = suite.run("def test(): pass", "--factory-report", database="import pytest")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*= factories =*", "No async factory was used."])


@pytest.mark.parametrize("shown", [["--factory-report"], []])
def test_report_that_cannot_be_written(suite: Suite, shown: list[str]) -> None:
    """Where the file cannot be written, the summary says so, after all else that it says."""
    result = suite.run(
        """
        from pathlib import Path

        def test():
            Path("report.json").mkdir()
            UserFactory.build()
            raise ValueError
        """,
        *("--factory-report-json=report.json", *shown),
    )
    result.assert_outcomes(failed=1)
    file = suite.pytester.path / "report.json"
    result.stdout.fnmatch_lines(
        [
            "*= FAILURES =*",
            *(["*= factories =*", "test_it.py::test * s"] if shown else []),
            f"--factory-report-json has not written its file: [[]Errno *[]] *: '{file}'",
            "FAILED test_it.py::test - ValueError",
        ]
    )
    result.stdout.no_fnmatch_line("all of it: *")
