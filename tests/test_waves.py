"""Waves: a batch costs statements per level, and is otherwise a loop of create_async."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import factory
import pytest
from sqlalchemy import ForeignKey, event, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, mapped_column, relationship

from async_factory_boy import ConfigurationError, OptionError, bind
from async_factory_boy.adapters import PersistenceAdapter
from async_factory_boy.adapters.sqlalchemy import SQLAlchemyAdapter
from async_factory_boy.factory import AsyncFactory
from async_factory_boy.factory.sqlalchemy import AsyncSQLAlchemyModelFactory
from tests.greenlets import suspended_greenlets
from tests.servers import Servers
from tests.stores import sqlalchemy as stores
from tests.stores.base import params
from tests.stores.sqlalchemy import (
    Company,
    CompanyFactory,
    NamedCompanyFactory,
    Post,
    PostFactory,
    User,
    UserFactory,
)


class UserWithPostsFactory(UserFactory):
    posts = factory.RelatedFactoryList(PostFactory, "author", size=2)


@pytest.fixture(params=params([stores.PostgreSQLAsyncpg, stores.MariaDB]))
async def engine(request: pytest.FixtureRequest, servers: Servers) -> AsyncGenerator[AsyncEngine]:
    url = request.param.url(servers)
    async with stores.opened_engine(url, stores.Base.metadata) as engine:
        yield engine


@pytest.fixture
async def session(engine: AsyncEngine) -> AsyncGenerator[AsyncSession]:
    async with AsyncSession(engine) as session:
        with bind(sqlalchemy_session=session):
            yield session


@pytest.fixture
def statements(engine: AsyncEngine, session: AsyncSession) -> list[str]:
    """The first words of the statements sent, e.g. ``INSERT INTO post``."""
    sent: list[str] = []
    event.listen(
        engine.sync_engine,
        "before_cursor_execute",
        lambda *args: sent.append(" ".join(args[2].split()[:3])),
    )
    return sent


@pytest.mark.unmeasured
async def test_a_thousand_users(session: AsyncSession, statements: list[str]) -> None:
    """A thousand users with a company and two posts each are four INSERTs and no SELECT."""
    users = await UserWithPostsFactory.create_batch_async(1000)
    assert statements == [
        "INSERT INTO company",
        "INSERT INTO app_user",
        "INSERT INTO post",
        "INSERT INTO post",
    ]
    assert all(user.company_key == user.company.id for user in users)
    assert [user.id for user in users] == sorted(user.id for user in users)
    rows = (await session.execute(select(Post.author_id, Post.title).order_by(Post.id))).all()
    assert [row.author_id for row in rows] == [user.id for user in users for _ in range(2)]


async def test_long_lists_add_pages_not_waves(session: AsyncSession, statements: list[str]) -> None:
    """A list of 20 posts for each of 100 users adds a page of 1,000 rows, not a wave."""
    UserFactory.reset_sequence(0)

    class Factory(UserFactory):
        posts = factory.RelatedFactoryList(PostFactory, "author", size=20)

    await Factory.create_batch_async(100)
    assert statements[:2] == ["INSERT INTO company", "INSERT INTO app_user"]
    assert statements[2:] == ["INSERT INTO post"] * 2


async def test_one_object_with_many(session: AsyncSession, statements: list[str]) -> None:
    """One create_async with fifty related objects is three INSERTs."""
    await UserFactory.create_async()
    statements.clear()

    class Factory(UserFactory):
        posts = factory.RelatedFactoryList(PostFactory, "author", size=50)

    await Factory.create_async()
    assert statements == ["INSERT INTO company", "INSERT INTO app_user", "INSERT INTO post"]


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_batches_in_hooks(session: AsyncSession, statements: list[str], kind: str) -> None:
    """What a sync hook creates joins the wave of its siblings; an async hook runs alone."""

    class Sync(UserFactory):
        @factory.post_generation
        def posts(user: User, create: bool, extracted: Any, **kwargs: Any) -> None:
            PostFactory.create_batch(3, author=user)

    class Async(UserFactory):
        @factory.post_generation
        async def posts(user: User, create: bool, extracted: Any, **kwargs: Any) -> None:
            await asyncio.sleep(0)
            await PostFactory.create_batch_async(3, author=user)

    await (Sync if kind == "sync" else Async).create_batch_async(10)
    posts = 1 if kind == "sync" else 10
    assert statements == [
        "INSERT INTO company",
        "INSERT INTO app_user",
        *["INSERT INTO post"] * posts,
    ]


async def test_a_wave_has_one_session(
    engine: AsyncEngine, session: AsyncSession, statements: list[str]
) -> None:
    """What hooks of a batch store by several sessions is a wave for each of them."""
    async with AsyncSession(engine) as other:
        sessions = [session, other]

        class Factory(CompanyFactory):
            @factory.post_generation
            def second(company: Company, create: bool, extracted: Any, **kwargs: Any) -> Any:
                one = sessions[int(company.name.removeprefix("company")) % 2]
                second = CompanyFactory.create(name=f"of {company.name}", sqlalchemy_session=one)
                assert second in one

        Factory.reset_sequence(0, force=True)
        await Factory.create_batch_async(6)
        assert statements == ["INSERT INTO company"] * 3
        names = await other.scalars(select(Company.name).order_by(Company.id))
        assert names.all() == ["of company1", "of company3", "of company5"]


async def test_a_wave_has_one_adapter(session: AsyncSession) -> None:
    """Objects of one model are stored each by the adapter of its own factory."""

    class Shouting(SQLAlchemyAdapter[Company]):
        async def save_many(self, data: Sequence[Company]) -> list[Company]:
            for company in data:
                company.name = company.name.upper()
            return await super().save_many(data)

    class Loud(CompanyFactory):
        class Meta:
            adapter = Shouting()

    class Factory(CompanyFactory):
        @factory.post_generation
        def second(company: Company, create: bool, extracted: Any, **kwargs: Any) -> None:
            number = int(company.name.removeprefix("company"))
            (Loud if number % 2 else CompanyFactory).create(name=f"second{number}")

    Factory.reset_sequence(0, force=True)
    await Factory.create_batch_async(4)
    names = await session.scalars(select(Company.name).where(Company.name.icontains("second")))
    assert sorted(names) == ["SECOND1", "SECOND3", "second0", "second2"]


async def test_a_wave_has_one_model(session: AsyncSession) -> None:
    """Factories of several models may share an adapter, which is given those of one at a time."""
    waves: list[list[str]] = []

    class Noting(SQLAlchemyAdapter[Any]):
        async def save_many(self, data: Sequence[Any]) -> list[Any]:
            waves.append([type(one).__name__ for one in data])
            return await super().save_many(data)

    shared = Noting()

    class OtherCompany(CompanyFactory):
        class Meta:
            adapter = shared

    class OtherUser(UserFactory):
        class Meta:
            adapter = shared

    class Factory(CompanyFactory):
        @factory.post_generation
        def other(company: Company, create: bool, extracted: Any, **kwargs: Any) -> None:
            number = int(company.name.removeprefix("company"))
            if number % 2:
                OtherUser.create(company=company)
            else:
                OtherCompany.create(name=f"other{number}")

    Factory.reset_sequence(0, force=True)
    await Factory.create_batch_async(4)
    assert ["User", "User"] in waves
    assert all(len(set(models)) == 1 for models in waves)


@pytest.mark.parametrize("in_a_batch", [False, True], ids=["loop", "batch"])
async def test_numbers_are_drawn_in_order(session: AsyncSession, in_a_batch: bool) -> None:
    """Sequence numbers are those of a loop, also where one build had to wait before."""
    drawn: dict[str, str] = {}

    class Factory(CompanyFactory):
        @factory.post_generation
        def user(company: Company, create: bool, extracted: Any, **kwargs: Any) -> None:
            if company.name == "a":
                CompanyFactory.create(name=f"before {company.name}")
            drawn[company.name] = UserFactory.create(company=company).name

    UserFactory.reset_sequence(0)
    names = factory.Iterator("abcd")
    if in_a_batch:
        await Factory.create_batch_async(4, name=names)
    else:
        for _ in range(4):
            await Factory.create_async(name=names)
    assert drawn == {"a": "user0", "b": "user1", "c": "user2", "d": "user3"}


async def test_optional_parts_do_not_split_a_wave(
    session: AsyncSession, statements: list[str]
) -> None:
    """Users that need no company made wait for those that do, and keep their order."""
    existing = await CompanyFactory.create_async()
    statements.clear()

    class Factory(UserFactory):
        class Params:
            odd = factory.Sequence(lambda n: n % 2 == 1)

        company = factory.Maybe("odd", factory.SubFactory(CompanyFactory), existing)

    Factory.reset_sequence(0, force=True)
    users = await Factory.create_batch_async(10)
    assert statements == ["INSERT INTO company", "INSERT INTO app_user"]
    assert [user.id for user in users] == sorted(user.id for user in users)
    assert [user.company is existing for user in users] == [True, False] * 5


async def test_get_or_create(session: AsyncSession, statements: list[str]) -> None:
    """A thousand get_or_create of ten values are one SELECT and one INSERT."""
    CompanyFactory.reset_sequence(0)
    companies = await NamedCompanyFactory.create_batch_async(
        1000, name=factory.Sequence(lambda n: f"name{n % 10}")
    )
    assert [one for one in statements if "SAVEPOINT" not in one] == [
        "SELECT company.id, company.name,",
        "INSERT INTO company",
    ]
    assert len(set(companies)) == 10
    assert [company.name for company in companies[:3]] == ["name0", "name1", "name2"]
    statements.clear()
    found = await NamedCompanyFactory.create_batch_async(
        12, name=factory.Sequence(lambda n: f"name{n % 12}")
    )
    assert {company.name for company in found} == {f"name{n}" for n in range(12)}
    assert await session.scalar(select(func.count()).select_from(Company)) == 12


async def test_get_or_create_finds_what_the_database_takes_for_equal(
    session: AsyncSession,
) -> None:
    """A batch finds by the database's notion of equality, as a single call does."""
    names = ["acme", "ACME", "other"]
    first = await NamedCompanyFactory.create_async(name="acme")
    companies = await NamedCompanyFactory.create_batch_async(3, name=factory.Iterator(names))
    same = session.get_bind().dialect.name in ("mysql", "mariadb")
    assert companies[0] is first
    assert (companies[1] is first) is same
    assert companies[2] is not first


class OwnBase(DeclarativeBase):
    pass


class Owner(MappedAsDataclass, OwnBase):
    """Its __eq__() reads things, which have to be loaded first."""

    __tablename__ = "owner"
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "plain"}

    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    kind: Mapped[str] = mapped_column(init=False)
    name: Mapped[str]
    things: Mapped[list[Thing]] = relationship(back_populates="owner", default_factory=list)


class NamedOwner(Owner):
    """Equal to all others of its name."""

    __mapper_args__ = {"polymorphic_identity": "named"}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NamedOwner) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)


class Thing(OwnBase):
    __tablename__ = "thing"

    id: Mapped[int] = mapped_column(primary_key=True)
    owner_id: Mapped[int] = mapped_column(ForeignKey(Owner.id))
    owner: Mapped[Owner] = relationship(back_populates="things")


@pytest.mark.parametrize("owner_class", [Owner, NamedOwner])
async def test_get_or_create_by_what_has_a_row_of_its_own(
    owner_class: type[Owner], servers: Servers
) -> None:
    """Two objects that were stored are two to get_or_create, whatever their __eq__() says."""

    class OwnerFactory(AsyncSQLAlchemyModelFactory[Owner]):
        class Meta:
            model = owner_class

        name = "the name of both"

    class ThingFactory(AsyncSQLAlchemyModelFactory[Thing]):
        class Meta:
            model = Thing
            sqlalchemy_get_or_create = ("owner",)

        owner = factory.SubFactory(OwnerFactory)

    url = stores.SQLiteMemory.url(servers)
    async with (
        stores.opened_engine(url, OwnBase.metadata) as engine,
        AsyncSession(engine) as session,
    ):
        with bind(sqlalchemy_session=session):
            things = await ThingFactory.create_batch_async(2)
        assert len({thing.id for thing in things}) == len({thing.owner_id for thing in things}) == 2


async def test_batch_size(session: AsyncSession, statements: list[str]) -> None:
    """Meta.batch_size bounds how many objects are on their way at once; 1 means one by one."""
    seen: list[tuple[int, int]] = []

    class Factory(CompanyFactory):
        class Meta:
            batch_size = 4

        @factory.post_generation
        async def count(company: Company, create: bool, extracted: Any, **kwargs: Any) -> None:
            stored = await session.scalar(select(func.count()).select_from(Company)) or 0
            seen.append((int(company.name.removeprefix("company")), stored))

    Factory.reset_sequence(0, force=True)
    await Factory.create_batch_async(10)
    assert statements.count("INSERT INTO company") == 3
    assert seen == [(number, min(number // 4 * 4 + 4, 10)) for number in range(10)]

    class OneByOne(CompanyFactory):
        class Meta:
            batch_size = 1

    statements.clear()
    await OneByOne.create_batch_async(3)
    assert statements == ["INSERT INTO company"] * 3


async def test_batch_size_of_what_hooks_create(
    session: AsyncSession, statements: list[str]
) -> None:
    """It bounds the batches of hooks and the lists of RelatedFactoryList, too."""

    class PairsFactory(PostFactory):
        class Meta:
            batch_size = 2

    class Factory(UserFactory):
        posts = factory.RelatedFactoryList(PairsFactory, "author", size=3)

        @factory.post_generation
        def more(user: User, create: bool, extracted: Any, **kwargs: Any) -> None:
            assert len(PairsFactory.create_batch(5, author=user)) == 5

    await Factory.create_async()
    assert statements.count("INSERT INTO post") == 2 + 3
    statements.clear()
    author = await UserFactory.create_async()
    assert len(await PairsFactory.generate_batch_async("create", 3, author=author)) == 3
    assert statements.count("INSERT INTO post") == 2


async def test_default_batch_size(session: AsyncSession) -> None:
    """Without Meta.batch_size, up to 1,000 builds are alive at once."""
    told: list[tuple[int, int]] = []
    with bind(progress=lambda *numbers: told.append(numbers)):
        await CompanyFactory.create_batch_async(1001)
    assert told == [(1000, 1001), (1001, 1001)]


@pytest.mark.parametrize("size", [0, -1, 1.5, "10", None, True])
def test_bad_batch_size(size: Any) -> None:
    """A batch size that is no positive integer fails when the class is defined."""
    with pytest.raises(
        ConfigurationError, match=r"^Factory\.Meta\.batch_size has to be a positive integer; got "
    ):

        class Factory(CompanyFactory):
            class Meta:
                batch_size = size


async def test_failure_in_the_middle(session: AsyncSession) -> None:
    """The first failure in order propagates; async hooks after it do not begin."""
    events: list[str] = []

    class Failing(CompanyFactory):
        @factory.post_generation
        async def hook(company: Company, create: bool, extracted: Any, **kwargs: Any) -> None:
            number = int(company.name.removeprefix("company"))
            try:
                await CompanyFactory.create_async(name=f"other{number}")
                if number in (3, 5):
                    raise LookupError(f"number {number}")
                await CompanyFactory.create_async(name=f"third{number}")
                events.append(f"done {number}")
            finally:
                events.append(f"left {number}")

    Failing.reset_sequence(0, force=True)
    with pytest.raises(LookupError, match="number 3"):
        await Failing.create_batch_async(8)
    assert [one for one in events if "done" in one] == ["done 0", "done 1", "done 2"]
    assert [one for one in events if "left" in one] == [f"left {n}" for n in range(4)]
    assert not suspended_greenlets()
    await session.rollback()
    assert len(await Failing.create_batch_async(2)) == 2


async def test_refused_rows(session: AsyncSession) -> None:
    """A row that the database refuses fails the batch with the driver's error."""
    with pytest.raises(IntegrityError):
        await UserFactory.create_batch_async(5, company__name="the same")
    assert not suspended_greenlets()
    await session.rollback()
    await UserFactory.create_batch_async(2)


async def test_cancellation(session: AsyncSession) -> None:
    """A cancelled batch leaves no greenlet, and a session that can be rolled back and used."""
    entered = asyncio.Event()

    async def forever() -> str:
        entered.set()
        await asyncio.Event().wait()
        return "never"

    batch = asyncio.create_task(
        UserFactory.create_batch_async(5, name=factory.LazyFunction(forever))
    )
    await entered.wait()
    batch.cancel()
    with pytest.raises(asyncio.CancelledError):
        await batch
    assert not suspended_greenlets()
    await session.rollback()
    await UserFactory.create_batch_async(2)


async def test_cancellation_unwinds_all(session: AsyncSession) -> None:
    """When a batch is cancelled, the finally blocks of what has begun run, and nothing begins."""
    entered = asyncio.Event()
    left: list[str] = []

    class Waiting(CompanyFactory):
        @factory.post_generation
        async def hook(company: Company, create: bool, extracted: Any, **kwargs: Any) -> None:
            number = int(company.name.removeprefix("company"))
            try:
                await CompanyFactory.create_async(name=f"other{number}")
                if number == 2:
                    entered.set()
                    await asyncio.Event().wait()
                await CompanyFactory.create_async(name=f"third{number}")
            finally:
                left.append(company.name)

    Waiting.reset_sequence(0, force=True)
    batch = asyncio.create_task(Waiting.create_batch_async(5))
    await entered.wait()
    batch.cancel()
    with pytest.raises(asyncio.CancelledError):
        await batch
    assert left == [f"company{n}" for n in range(3)]
    assert not suspended_greenlets()
    await session.rollback()
    assert await session.scalar(select(func.count()).select_from(Company)) == 0


async def test_commit_is_all_or_nothing(engine: AsyncEngine, session: AsyncSession) -> None:
    """In commit mode a batch is committed at its end, and not at all if it fails."""

    class Factory(CompanyFactory):
        class Meta:
            sqlalchemy_session_persistence = "commit"
            batch_size = 2

        @factory.post_generation
        def fail(company: Company, create: bool, extracted: Any, **kwargs: Any) -> None:
            if extracted == company.name:
                raise LookupError

    async def committed() -> int | None:
        async with AsyncSession(engine) as other:
            return await other.scalar(select(func.count()).select_from(Company))

    Factory.reset_sequence(0, force=True)
    with pytest.raises(LookupError):
        await Factory.create_batch_async(6, fail="company4")
    await session.rollback()
    assert await committed() == 0
    await Factory.create_batch_async(6)
    assert await committed() == 6
    assert not session.in_transaction()


async def test_commit_of_batches_in_hooks(engine: AsyncEngine, session: AsyncSession) -> None:
    """In commit mode a batch that a hook creates is committed with the whole, not before."""

    class Factory(CompanyFactory):
        class Meta:
            sqlalchemy_session_persistence = "commit"
            batch_size = 2

        @factory.post_generation
        async def others(company: Company, create: bool, extracted: Any, **kwargs: Any) -> None:
            if extracted:
                for n in range(2):
                    await Factory.create_batch_async(1, name=f"{n} of {company.name}")
            if extracted == company.name:
                raise LookupError

    async def committed() -> int | None:
        async with AsyncSession(engine) as other:
            return await other.scalar(select(func.count()).select_from(Company))

    with pytest.raises(LookupError):
        await Factory.create_batch_async(4, name=factory.Iterator("abcd"), others="d")
    await session.rollback()
    assert await committed() == 0
    await Factory.create_batch_async(4, name=factory.Iterator("abcd"), others="none")
    assert await committed() == 12


async def test_commit_in_a_task_that_outlives_the_batch(
    engine: AsyncEngine, session: AsyncSession
) -> None:
    """In commit mode, what a task creates that a hook has started is committed after it, too."""

    class Factory(CompanyFactory):
        class Meta:
            sqlalchemy_session_persistence = "commit"

    tasks: list[asyncio.Task[None]] = []
    ended = asyncio.Event()

    async def later() -> None:
        await ended.wait()
        async with AsyncSession(engine) as own:
            await Factory.create_async(sqlalchemy_session=own)
            await Factory.create_batch_async(2, sqlalchemy_session=own)

    class Starting(Factory):
        @factory.post_generation
        async def start(company: Company, create: bool, extracted: Any, **kwargs: Any) -> None:
            tasks.append(asyncio.create_task(later()))

    await Starting.create_batch_async(2)
    ended.set()
    await asyncio.gather(*tasks)
    async with AsyncSession(engine) as other:
        assert await other.scalar(select(func.count()).select_from(Company)) == 2 + 2 * 3


async def test_a_cancelled_batch_is_not_committed(
    engine: AsyncEngine, session: AsyncSession
) -> None:
    """In commit mode nothing of a batch is committed that is cancelled on its way."""
    entered = asyncio.Event()

    class Factory(CompanyFactory):
        class Meta:
            sqlalchemy_session_persistence = "commit"
            batch_size = 2

        @factory.post_generation
        async def wait(company: Company, create: bool, extracted: Any, **kwargs: Any) -> None:
            if extracted == company.name:
                entered.set()
                await asyncio.Event().wait()

    Factory.reset_sequence(0, force=True)
    batch = asyncio.create_task(Factory.create_batch_async(6, wait="company4"))
    await entered.wait()
    batch.cancel()
    with pytest.raises(asyncio.CancelledError):
        await batch
    await session.rollback()
    async with AsyncSession(engine) as other:
        assert await other.scalar(select(func.count()).select_from(Company)) == 0
    await Factory.create_batch_async(2)


async def test_progress(session: AsyncSession) -> None:
    """A bound progress is told how many objects of a batch are stored, of how many."""
    told: list[tuple[int, int]] = []

    class Factory(CompanyFactory):
        class Meta:
            batch_size = 4

    with bind(progress=lambda *numbers: told.append(numbers)):
        await Factory.create_batch_async(10)
    assert told == [(4, 10), (8, 10), (10, 10)]
    with pytest.raises(OptionError, match="progress takes a callable"), bind(progress=1):
        pass


async def test_progress_of_the_outer_batch(session: AsyncSession) -> None:
    """Progress is that of the batch it was bound for, not of those that its hooks create."""
    told: list[tuple[int, int]] = []

    class Factory(CompanyFactory):
        class Meta:
            batch_size = 2

        @factory.post_generation
        async def hook(company: Company, create: bool, extracted: Any, **kwargs: Any) -> None:
            await CompanyFactory.create_batch_async(5, name=factory.Sequence("{}".format))

    with bind(progress=lambda *numbers: told.append(numbers)):
        await Factory.create_batch_async(4)
        await CompanyFactory.create_batch_async(1)
    assert told == [(2, 4), (4, 4), (1, 1)]


async def test_a_field_called_progress() -> None:
    """A field of a model may have the name of an option of the library."""

    class Download:
        def __init__(self, progress: int, pause_gc: bool) -> None:
            self.progress, self.pause_gc = progress, pause_gc

    class DownloadAdapter(PersistenceAdapter[Download]):
        async def save(self, instance: Download) -> Download:
            return instance

    class Factory(AsyncFactory[Download]):
        class Meta:
            model = Download
            adapter = DownloadAdapter

        progress = 1
        pause_gc = False

    told: list[tuple[int, int]] = []
    with bind(progress=lambda *numbers: told.append(numbers)):
        downloads = await Factory.create_batch_async(2, progress=50)
    assert [(one.progress, one.pause_gc) for one in downloads] == [(50, False)] * 2
    assert told == [(2, 2)]


async def test_progress_given_to_a_call(session: AsyncSession) -> None:
    """Given to a call, what can only be meant for progress is told to belong to bind."""
    with pytest.raises(
        OptionError,
        match=r"^CompanyFactory was given 'progress', which is neither a call-time option nor a "
        r"field of Company\. It is an option of bind\(\): with async_factory_boy\.bind\(progress=",
    ):
        await CompanyFactory.create_batch_async(2, progress=print)


async def test_changes_that_hooks_make_after_waiting(session: AsyncSession) -> None:
    """A hook may change its object after it has awaited something: nothing is flushed meanwhile."""

    class Factory(CompanyFactory):
        size = factory.Sequence(lambda n: 100 + n)

        @factory.post_generation
        async def rename(company: Company, create: bool, extracted: Any, **kwargs: Any) -> None:
            await asyncio.sleep(0.001)
            company.name = f"{company.size} once"
            await CompanyFactory.create_async()
            await asyncio.sleep(0.001)
            company.name = f"{company.size} twice"

    companies = await Factory.create_batch_async(10)
    await session.flush()
    stored = await session.scalars(select(Company.name).where(Company.size >= 100))
    assert sorted(stored) == sorted(f"{company.size} twice" for company in companies)


async def test_hooks_keep_their_context(session: AsyncSession) -> None:
    """What one hook binds while it waits is not seen by its siblings."""
    seen: list[Any] = []

    class Factory(CompanyFactory):
        @factory.post_generation
        async def hook(company: Company, create: bool, extracted: Any, **kwargs: Any) -> None:
            with bind(progress=lambda *numbers: seen.append((company.name, numbers))):
                await CompanyFactory.create_batch_async(1, name=f"of {company.name}")

    Factory.reset_sequence(0, force=True)
    await Factory.create_batch_async(3)
    assert seen == [(f"company{n}", (1, 1)) for n in range(3)]


class Creating(CompanyFactory):
    class Meta:
        abstract = True

    @classmethod
    def create(cls, **kwargs: Any) -> Company:
        company = super().create(**kwargs)
        company.size = company.id
        return company


class Storing(CompanyFactory):
    class Meta:
        abstract = True

    @classmethod
    def _create(cls, model_class: Any, *args: Any, **kwargs: Any) -> Company:
        company: Company = super()._create(model_class, *args, **kwargs)
        company.size = company.id
        return company


class Generating(CompanyFactory):
    class Meta:
        abstract = True

    @classmethod
    def _generate(cls, strategy: str, params: dict[str, Any]) -> Company:
        company: Company = super()._generate(strategy, params)
        company.size = company.id
        return company


class Following(CompanyFactory):
    class Meta:
        abstract = True

    @classmethod
    def _after_postgeneration(cls, instance: Company, create: bool, results: Any = None) -> None:
        instance.size = instance.id


class Hooked(CompanyFactory):
    class Meta:
        abstract = True

    @factory.post_generation
    def note(company: Company, create: bool, extracted: Any, **kwargs: Any) -> None:
        company.size = company.id


@pytest.mark.parametrize("base", [Creating, Storing, Generating, Following, Hooked])
async def test_what_is_called_with_the_object(base: Any, session: AsyncSession) -> None:
    """Whatever a factory overrides, in a batch it is given objects that are stored."""

    class Factory(base):  # type: ignore[misc]
        class Meta:
            model = Company

    companies = await Factory.create_batch_async(3)
    assert [company.size for company in companies] == [company.id for company in companies]


async def test_a_hook_given_to_the_call(session: AsyncSession) -> None:
    """So it is for a hook that only the call of a batch declares."""
    seen: list[Any] = []

    def note(company: Company, create: bool, extracted: Any, **kwargs: Any) -> None:
        seen.append(company.id)

    companies = await CompanyFactory.create_batch_async(3, note=factory.PostGeneration(note))
    assert seen == [company.id for company in companies]
