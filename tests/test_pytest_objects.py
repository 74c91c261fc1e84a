"""What the report of a failing test shows of the objects that its factories have made."""

from __future__ import annotations

import gc
import weakref
from datetime import date
from enum import Enum
from textwrap import dedent
from typing import Any

import factory
import pytest

from async_factory_boy.adapters import PersistenceAdapter
from async_factory_boy.adapters.sqlalchemy import SQLAlchemyAdapter
from async_factory_boy.factory import AsyncFactory, make_factory
from async_factory_boy.pytest_plugin.objects import Recorder
from tests.stores import sqlalchemy
from tests.stores.base import Store, params
from tests.stores.every import STORES
from tests.stores.sqlalchemy import SQLAlchemyStore
from tests.test_docs import ROOT, blocks, page_files
from tests.test_pytest_plugin import Suite
from tests.test_sqlalchemy import sent_by

on_every_store = pytest.mark.parametrize("store", params(STORES), indirect=True)
on_sqlite = pytest.mark.parametrize("store", [sqlalchemy.SQLite], indirect=True)

FACTORIES = """
    class Post(Base):
        __tablename__ = "post"

        id: Mapped[int] = mapped_column(primary_key=True)
        title: Mapped[str]
        author_id: Mapped[int] = mapped_column(ForeignKey(User.id))
        author: Mapped[User] = relationship()

    class PostFactory(AsyncSQLAlchemyModelFactory[Post]):
        title = "secret"

    class AuthorFactory(UserFactory):
        posts = factory.RelatedFactoryList(PostFactory, "author", size=2)

        @factory.post_generation
        async def more(user, create, extracted, **kwargs):
            if create and extracted:
                await PostFactory.create_async(author=user)

    class TheCompanyFactory(CompanyFactory):
        class Meta:
            sqlalchemy_get_or_create = ("name",)

        name = "ACME"
"""


@pytest.fixture
def suite(pytester: pytest.Pytester) -> Suite:
    return Suite(pytester)


def run(suite: Suite, tests: str, *arguments: str, **outcomes: int) -> list[list[str]]:
    """Run tests, and return the lines of each section on factories, in their order."""
    result = suite.run(dedent(FACTORIES) + dedent(tests), *arguments)
    result.assert_outcomes(**outcomes)
    sections: list[list[str]] = []
    section: list[str] | None = None
    for line in result.outlines:
        if line.startswith("-") and line.strip("-") == " factories ":
            section = []
            sections.append(section)
        elif line.startswith(("_", "=", "-")):
            section = None
        elif section is not None:
            section.append(line)
    return sections


def test_tree(suite: Suite) -> None:
    """Objects are shown with their parts, keys and the names of overrides; alike ones together."""
    (section,) = run(
        suite,
        """
        async def test(session):
            secret = "".join(["hun", "ter2"])
            await AuthorFactory.create_async(role=secret, company__name=secret, more=True)
            await session.rollback()
            for _ in range(3):
                await AuthorFactory.create_async()
            await UserFactory.create_batch_async(1000, note=secret)
            raise ValueError
        """,
        failed=1,
    )
    assert section == [
        "AuthorFactory  User id=1  role=…, company__name=…, more=…",
        "  company: CompanyFactory  Company id=1",
        "  posts: PostFactory  Post id=1, 2  (x2)",
        "  PostFactory  Post id=3  author=…",
        "AuthorFactory  User id=1, 2, 3  (x3)",
        "  company: CompanyFactory  Company id=1, 2, 3  (x3)",
        "  posts: PostFactory  Post id=1, 2, 3, 4, 5, 6  (x6)",
        "UserFactory  User id=4, 5, 6, 7, 8, 9, … 1003  note=…  (x1,000)",
        "  company: CompanyFactory  Company id=4, 5, 6, 7, 8, 9, … 1003  (x1,000)",
    ]


PHASES = """
    @pytest.fixture(scope="module")
    def tenant():
        return CompanyFactory.build(name="tenant")

    @pytest.fixture
    async def broken(user):
        await UserFactory.create_async(name=factory.LazyFunction(lambda: 1 / 0))

    @pytest.fixture
    async def torn_down():
        yield
        await CompanyFactory.create_async()
        raise ValueError

    register(UserFactory)

    def test_fixture(broken):
        pass

    async def test_teardown(tenant, torn_down):
        pass

    async def test_wider(tenant):
        await CompanyFactory.create_async()
        raise ValueError

    async def test_without():
        raise ValueError

    async def test_passing(user):
        pass
"""


@pytest.mark.parametrize(
    "arguments", [[], pytest.param(["-n1"], marks=pytest.mark.unmeasured)], ids=["alone", "xdist"]
)
def test_phases(suite: Suite, arguments: list[str]) -> None:
    """What fixtures make is shown with their names, whichever phase fails; under xdist too."""
    sections = run(suite, PHASES, *arguments, failed=2, passed=2, errors=2)
    assert sections == [
        [
            "fixture user: UserFactory  User id=1",
            "  company: CompanyFactory  Company id=1",
            "fixture broken: UserFactory  User not made  name=…",
        ],
        [
            "fixture tenant (module): CompanyFactory  Company only built  name=…",
            "CompanyFactory  Company id=1",
        ],
        [
            "fixture tenant (module, made before): CompanyFactory  Company only built  name=…",
            "CompanyFactory  Company id=1",
        ],
    ]


def test_what_is_not_new(suite: Suite) -> None:
    """Objects say so that were found, only built, stubbed, or refused by the store."""
    (section,) = run(
        suite,
        """
        async def test():
            await TheCompanyFactory.create_async()
            await UserFactory.create_batch_async(2, company=factory.SubFactory(TheCompanyFactory))
            UserFactory.build_batch(2)
            await CompanyFactory.generate_async("stub")
            await UserFactory.create_async(name=None)
        """,
        failed=1,
    )
    assert section == [
        "TheCompanyFactory  Company id=1",
        "UserFactory  User id=1, 2  company=…  (x2)",
        "  company: TheCompanyFactory  Company id=1 found  (x2)",
        "UserFactory  User only built  (x2)",
        "  company: CompanyFactory  Company only built  (x2)",
        "CompanyFactory  Company stubbed",
        "UserFactory  User not stored  name=…",
        "  company: CompanyFactory  Company not stored",
    ]


def test_values(suite: Suite) -> None:
    """With -vv, the values are shown that were given, and those of the first objects."""
    (section,) = run(
        suite,
        """
        async def test():
            company = await CompanyFactory.create_async(name="ACME", country=None)
            await AuthorFactory.create_batch_async(8, name="Ada", role=factory.Iterator("abcdefgh"))
            for _ in range(2):
                await UserFactory.build_async(name="n" * 100, company=company)
            raise ValueError
        """,
        "-vv",
        failed=1,
    )
    name = f"'{'n' * 27}...{'n' * 28}'"
    assert [line for line in section if "country=" not in line or "ACME" in line] == [
        "CompanyFactory  Company id=1  name='ACME', country=None",
        "  id=1: name='ACME', country=None",
        "AuthorFactory  User id=1, 2, 3, 4, 5, 6, … 8  name='Ada', role=<Iterator>  (x8)",
        *[f"  id={n + 1}: name='Ada', role={role!r}" for n, role in enumerate("abcdef")],
        "  company: CompanyFactory  Company id=2, 3, 4, 5, 6, 7, … 9  (x8)",
        "  posts: PostFactory  Post id=1, 2, 3, 4, 5, 6, … 16  (x16)",
        *[f"    id={n}: title='secret', author=<User>" for n in range(1, 7)],
        f"UserFactory  User only built  name={name}, company=<Company>  (x2)",
        f"  User: name={name}, role='user', company=<Company>",
    ]


def test_page(pytester: pytest.Pytester) -> None:
    """The page on pytest shows what the plugin does."""
    page = (ROOT / "docs/pytest.md").read_text()
    _, _, about = page.partition("\n## What a failing test has made\n")
    test, shown = [code for language, code, _ in blocks(about) if language == "text"][:2]
    files = page_files(page)
    for name in ("models.py", "factories.py", "conftest.py", "pyproject.toml"):
        (pytester.path / name).write_text(files[name])
    imports = (
        "from async_factory_boy.pytest_plugin import register\n"
        "from factories import CompanyFactory, UserFactory\n\n"
    )
    (pytester.path / "test_admins.py").write_text(imports + test)
    result = pytester.runpytest("-p", "no:randomly", "-p", "no:cacheprovider")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(shown.splitlines(), consecutive=True)


def test_left_out(suite: Suite) -> None:
    """Nothing is shown without the plugin that records, whose name ``-p no:`` takes."""
    tests = """
        async def test(user):
            raise ValueError
    """
    registered = "register(UserFactory)\n" + dedent(tests)
    assert len(run(suite, registered, "--factory-report", failed=1)) == 1
    assert run(suite, registered, "-p", "no:async_factory_boy_objects", failed=1) == []


# What is recorded, without a run of pytest.


class Recorded:
    """What factories make in a test of ours."""

    def __init__(self, request: pytest.FixtureRequest, *, shows_values: bool = False) -> None:
        self.item = request.node
        self.recorder = Recorder(shows_values=shows_values)

    def __enter__(self) -> Recorded:
        self.recorder.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.recorder.stop()

    @property
    def lines(self) -> list[str]:
        return list(self.recorder.lines(self.item))


@on_every_store
async def test_every_store(store: Store, request: pytest.FixtureRequest) -> None:
    """Objects have their keys on every store, and say if get_or_create has found them."""
    with Recorded(request) as recorded:
        company = await store.NamedCompanyFactory.create_async(name="ACME")
        again = await store.NamedCompanyFactory.create_async(name="ACME", size=3)
        users = [
            await store.UserFactory.create_async(name="Ada"),
            *await store.UserFactory.create_batch_async(2, name="Ada"),
        ]
    assert store.key(again) == store.key(company)
    key = f"{store.key_name}={store.key(company)}"
    ids = ", ".join(str(store.key(one)) for one in users)
    company_ids = ", ".join(str(store.get(one, "company_key")) for one in users)
    named, of_user, of_company = map(
        called, (store.NamedCompanyFactory, store.UserFactory, store.CompanyFactory)
    )
    assert recorded.lines == [
        f"{named} {key}  name=…",
        f"{named} {key} found  name=…, size=…",
        f"{of_user} {store.key_name}={ids}  name=…  (x3)",
        f"  company: {of_company} {store.key_name}={company_ids}  (x3)",
    ]


def called(factory: Any) -> str:
    """Return how a factory and its model are called."""
    model = factory._meta.model
    return f"{factory.__name__}  {getattr(model, '__name__', model)}"


class Overtaken(SQLAlchemyAdapter[Any]):
    """Finds nothing, as one does who is overtaken by another."""

    async def find(self, model: Any, lookup: Any) -> None:
        return None


@on_sqlite
async def test_lost_race(store: SQLAlchemyStore, request: pytest.FixtureRequest) -> None:
    """An object that somebody else was faster to store is one that was found."""

    class OvertakenFactory(sqlalchemy.CompanyFactory):
        class Meta:
            adapter = Overtaken(get_or_create=("name",))

    await store.CompanyFactory.create_async(name="ACME")
    with Recorded(request) as recorded:
        await OvertakenFactory.create_async(name="ACME")
    assert recorded.lines == ["OvertakenFactory  Company id=1 found  name=…"]


@on_sqlite
@pytest.mark.parametrize("shows_values", [False, True])
async def test_nothing_is_kept(
    store: SQLAlchemyStore, shows_values: bool, request: pytest.FixtureRequest
) -> None:
    """Objects are not kept alive for the report, and are not loaded for it."""
    with Recorded(request, shows_values=shows_values) as recorded:
        user = weakref.ref(await store.UserFactory.create_async())
        await store.session.commit()
        store.session.expunge_all()
        gc.collect()
        assert user() is None
        sent = sent_by(store.engine)
        assert recorded.lines[0] == "UserFactory  User id=1"
        assert sent == []


class ListAdapter(PersistenceAdapter[Any]):
    """Stores objects nowhere, and does not know their keys."""

    async def save(self, instance: Any) -> Any:
        return instance


class CompositeAdapter(ListAdapter):
    """Knows the keys of its objects."""

    def primary_key(self, instance: Any) -> Any:
        return {name: instance[name] for name in ("order", "line")}


class LineFactory(AsyncFactory[dict[str, Any]]):
    class Meta:
        model = dict
        adapter = CompositeAdapter()

    order = factory.Sequence(lambda n: n)
    line = "a"


class UnknownFactory(LineFactory):
    class Meta:
        adapter = ListAdapter()


class WithoutLineFactory(LineFactory):
    class Meta:
        exclude = ("line",)


@pytest.mark.parametrize(
    ("line_factory", "keywords", "shown"),
    [
        (LineFactory, {}, "dict (order, line)=(1, 'a'), (2, 'a')  (x2)"),
        (LineFactory, {"line": None, "order": None}, "dict not stored  line=…, order=…  (x2)"),
        (
            LineFactory,
            {"order": 10**80, "line": b"b" * 80},
            f"dict (order, line)=(1{'0' * 59}…, b'{'b' * 26}...{'b' * 28}')  order=…, line=…  (x2)",
        ),
        (UnknownFactory, {}, "dict  (x2)"),
        (WithoutLineFactory, {}, "dict  (x2)"),
    ],
)
async def test_keys(
    line_factory: type[LineFactory],
    keywords: dict[str, Any],
    shown: str,
    request: pytest.FixtureRequest,
) -> None:
    """A key may be of several values, long or unknown; an adapter that fails is no failure."""
    line_factory.reset_sequence(1, force=True)
    with Recorded(request) as recorded:
        await line_factory.create_batch_async(2, **keywords)
    assert recorded.lines == [f"{line_factory.__name__}  {shown}"]


async def test_values_of_objects(request: pytest.FixtureRequest) -> None:
    """Of values that are not plain, the class is shown: to show them might ask a database."""

    class Shout(Enum):
        LOUD = "loud"

    class Silent:
        def __repr__(self) -> str:
            raise AssertionError

    with Recorded(request, shows_values=True) as recorded:
        await LineFactory.create_async(
            order=1, line=Shout.LOUD, day=date(2024, 2, 29), other=[Silent(), None]
        )
    key = "(order, line)=(1, Shout.LOUD)"
    values = "order=1, line=Shout.LOUD, day=datetime.date(2024, 2, 29), other=[<Silent>, None]"
    assert recorded.lines == [f"LineFactory  dict {key}  {values}", f"  {key}: {values}"]


def test_containers(request: pytest.FixtureRequest) -> None:
    """Parts in a Dict or a List are those of the object that has it."""

    class OrderFactory(LineFactory):
        lines = factory.List([factory.SubFactory(LineFactory), factory.SubFactory(LineFactory)])
        extra = factory.Dict({"one": factory.Dict({"two": factory.SubFactory(LineFactory)})})

    with Recorded(request) as recorded:
        OrderFactory.build()
    assert recorded.lines == [
        "OrderFactory  dict only built",
        "  lines: LineFactory  dict only built  (x2)",
        "  extra: LineFactory  dict only built",
    ]


def test_long_lists(request: pytest.FixtureRequest) -> None:
    """Long lists are cut, and deep trees; -vv shows all that was kept."""
    factories = [make_factory(dict, FACTORY_CLASS=LineFactory) for _ in range(60)]
    deep: Any = LineFactory
    for _ in range(25):
        deep = make_factory(dict, FACTORY_CLASS=LineFactory, part=factory.SubFactory(deep))
    wide = [
        make_factory(
            dict,
            FACTORY_CLASS=LineFactory,
            **{f"part{n}": factory.SubFactory(LineFactory) for n in range(10)},
        )
        for _ in range(15)
    ]

    def shown(made: list[Any], *, shows_values: bool = False) -> list[str]:
        with Recorded(request, shows_values=shows_values) as recorded:
            for one in made:
                one.build()
        return recorded.lines

    line = "dictFactory  dict only built"
    assert shown(factories) == [line] * 20 + ["… 40 more"]
    assert shown(factories, shows_values=True)[::2] == [line] * 60
    assert shown([deep])[-2:] == [f"{'  ' * 19}part: {line}", f"{'  ' * 20}…"]
    assert len(shown([deep], shows_values=True)) == 52
    assert shown(wide)[99:] == [line, "… 65 more lines"]
    assert shown([LineFactory] * 1010) == [
        "LineFactory  dict only built  (x1,000)",
        "… 10 more objects, which were not kept",
    ]
