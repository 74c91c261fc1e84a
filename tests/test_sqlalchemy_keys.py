"""Relationships of SQLAlchemy whose foreign keys are given: how they are mapped, and read."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import factory
import pytest
import sqlmodel
from sqlalchemy import ForeignKey, ForeignKeyConstraint, and_, event, func, inspect, select
from sqlalchemy import __version__ as version
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    MappedAsDataclass,
    foreign,
    mapped_column,
    registry,
    relationship,
    remote,
)

from async_factory_boy import ConfigurationError, bind
from async_factory_boy.factory.sqlalchemy import AsyncSQLAlchemyModelFactory
from tests.stores.sqlalchemy import opened_engine


class Base(DeclarativeBase):
    pass


class Tenant(Base):
    __tablename__ = "tenant"

    id: Mapped[int] = mapped_column(primary_key=True)
    region: Mapped[str] = mapped_column(default="eu")


class Branch(Base):
    __tablename__ = "branch"

    tenant_id: Mapped[int] = mapped_column(ForeignKey(Tenant.id), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    tenant: Mapped[Tenant] = relationship()


class User(Base):
    __tablename__ = "person"
    __table_args__ = (
        ForeignKeyConstraint(["branch_tenant", "branch_no"], [Branch.tenant_id, Branch.number]),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    tenant_key: Mapped[int | None] = mapped_column("tenant_id", ForeignKey(Tenant.id))
    payer_id: Mapped[int | None] = mapped_column(ForeignKey(Tenant.id))
    branch_tenant: Mapped[int | None]
    branch_no: Mapped[int | None]
    tenant: Mapped[Tenant | None] = relationship(foreign_keys=tenant_key)
    payer: Mapped[Tenant | None] = relationship(
        primaryjoin=lambda: and_(
            remote(Tenant.id) == foreign(User.payer_id), Tenant.region == "eu"
        ),
    )
    branch: Mapped[Branch | None] = relationship()


class TenantFactory(AsyncSQLAlchemyModelFactory[Tenant]):
    pass


class BranchFactory(AsyncSQLAlchemyModelFactory[Branch]):
    number = factory.Sequence(lambda n: n)
    tenant = factory.SubFactory(TenantFactory)


class UserFactory(AsyncSQLAlchemyModelFactory[User]):
    tenant = factory.SubFactory(TenantFactory)
    payer = factory.SubFactory(TenantFactory)
    branch = factory.SubFactory(BranchFactory)


class DataBase(MappedAsDataclass, DeclarativeBase):
    pass


class Owner(DataBase):
    __tablename__ = "owner"

    id: Mapped[int] = mapped_column(primary_key=True, init=False)


class Car(DataBase):
    __tablename__ = "car"

    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    owner: Mapped[Owner] = relationship()
    owner_id: Mapped[int | None] = mapped_column(ForeignKey(Owner.id), default=None)


class Bike(DataBase):
    __tablename__ = "bike"

    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    owner: Mapped[Owner | None] = relationship(default=None)
    owner_id: Mapped[int | None] = mapped_column(ForeignKey(Owner.id), default=None)


class OwnerFactory(AsyncSQLAlchemyModelFactory[Owner]):
    pass


class CarFactory(AsyncSQLAlchemyModelFactory[Car]):
    owner = factory.SubFactory(OwnerFactory)


class BikeFactory(AsyncSQLAlchemyModelFactory[Bike]):
    owner = factory.SubFactory(OwnerFactory)


class Table(sqlmodel.SQLModel, registry=registry()):
    pass


class Club(Table, table=True):
    id: int | None = sqlmodel.Field(default=None, primary_key=True)


class Member(Table, table=True):
    id: int | None = sqlmodel.Field(default=None, primary_key=True)
    club_id: int = sqlmodel.Field(foreign_key="club.id")
    club: Club = sqlmodel.Relationship()


class ClubFactory(AsyncSQLAlchemyModelFactory[Club]):
    pass


class MemberFactory(AsyncSQLAlchemyModelFactory[Member]):
    club = factory.SubFactory(ClubFactory)


METADATA = {
    Base: Base.metadata,
    DataBase: DataBase.metadata,
    Table: Table.metadata,
}


@pytest.fixture
async def session(request: pytest.FixtureRequest) -> AsyncGenerator[AsyncSession]:
    metadata = METADATA[getattr(request, "param", Base)]
    async with (
        opened_engine("sqlite+aiosqlite://", metadata) as engine,
        AsyncSession(engine) as session,
    ):
        with bind(sqlalchemy_session=session):
            yield session


@pytest.fixture
def statements(session: AsyncSession) -> list[str]:
    """The statements that are sent, by their first words."""
    sent: list[str] = []
    event.listen(
        session.get_bind(),
        "before_cursor_execute",
        lambda *args: sent.append(" ".join(args[2].split()[:3])),
    )
    return sent


async def count(session: AsyncSession, model: Any) -> int:
    return await session.scalar(select(func.count()).select_from(model)) or 0


async def test_relations_read_without_a_select(
    session: AsyncSession, statements: list[str]
) -> None:
    """A user, or each of a batch, has the tenant that the session holds: no SELECT."""
    tenant = await TenantFactory.create_async()
    statements.clear()
    given = {"tenant_key": tenant.id, "payer": None}
    users = [
        await UserFactory.create_async(**given, branch=None),
        *await UserFactory.create_batch_async(3, **given, branch=None),
    ]
    assert (
        statements == ["INSERT INTO person"] * 4
    )  # one by one: so SQLite tells which key is whose
    assert all(user.tenant is tenant for user in users)
    assert (
        statements == ["INSERT INTO person"] * 4
    )  # one by one: so SQLite tells which key is whose
    assert await count(session, Tenant) == 1


async def test_relation_that_the_session_does_not_hold(session: AsyncSession) -> None:
    """A tenant that the session does not hold is loaded as the mapping says, or if asked for."""
    key = (await TenantFactory.create_async()).id
    session.expunge_all()
    user = await UserFactory.create_async(tenant_key=key, payer=None, branch=None)
    assert "tenant" in inspect(user).unloaded

    class LoadingFactory(UserFactory):
        class Meta:
            sqlalchemy_load = ("tenant",)

    user = await LoadingFactory.create_async(tenant_key=key, payer=None, branch=None)
    assert user.tenant is not None
    assert user.tenant.id == key


async def test_composite_key(session: AsyncSession, statements: list[str]) -> None:
    """A branch is left out where both columns of its key are given, and made where one is.

    Then it has to have that one, which SQLAlchemy would replace without a word.
    """
    branch = await BranchFactory.create_async()
    given = {"tenant": None, "payer": None, "branch_tenant": branch.tenant_id}
    statements.clear()
    user = await UserFactory.create_async(**given, branch_no=branch.number)
    assert statements == ["INSERT INTO person"]
    assert user.branch is branch
    user = await UserFactory.create_async(**given, branch__tenant_id=branch.tenant_id)
    assert user.branch is not branch
    assert user.branch_tenant == branch.tenant_id
    assert await count(session, Branch) == 2
    with pytest.raises(ConfigurationError, match="branch_tenant is given as 1, but the branch"):
        await UserFactory.create_async(**given)


async def test_key_that_is_part_of_the_primary_key(session: AsyncSession) -> None:
    """A relation whose foreign key is in the primary key is left out by it, too."""
    tenant = await TenantFactory.create_async()
    branches = await BranchFactory.create_batch_async(3, tenant_id=tenant.id)
    assert [branch.tenant for branch in branches] == [tenant] * 3
    assert await count(session, Tenant) == 1


async def test_several_keys_to_a_table(session: AsyncSession) -> None:
    """Of two relations to one table, that is left out whose key is given."""
    tenant = await TenantFactory.create_async()
    user = await UserFactory.create_async(payer_id=tenant.id, branch=None)
    assert user.payer_id == tenant.id
    assert user.tenant not in (None, tenant)
    assert user.tenant_key == inspect(user.tenant).identity[0]
    assert await count(session, Tenant) == 2


async def test_key_is_none(session: AsyncSession, statements: list[str]) -> None:
    """A user whose keys are given as None has no tenant, and none is stored."""
    user = await UserFactory.create_async(
        tenant_key=None, payer_id=None, branch_tenant=None, branch_no=None
    )
    assert (user.tenant, user.payer_id, user.branch) == (None, None, None)
    assert statements == ["INSERT INTO person"]


@pytest.mark.parametrize("session", [DataBase], indirect=True)
async def test_dataclass_that_requires_the_relation(session: AsyncSession) -> None:
    """A dataclass whose relationship is required is told so, before anything is stored."""
    owner = await OwnerFactory.create_async()
    with pytest.raises(ConfigurationError, match=r"Car\(\) requires owner\. Give owner in place"):
        await CarFactory.create_async(owner_id=owner.id)
    assert await count(session, Owner) == 1


@pytest.mark.parametrize("session", [DataBase], indirect=True)
async def test_dataclass_with_a_default(session: AsyncSession) -> None:
    """A dataclass whose relationship has a default stores the key that a plain call of it does."""
    owner = await OwnerFactory.create_async()
    by_hand = Bike(owner_id=owner.id)
    session.add(by_hand)
    await session.flush()
    bikes = await BikeFactory.create_batch_async(2, owner_id=owner.id)
    # SQLAlchemy 2.0 takes the default for given, with or without a factory.
    expected = owner if version >= "2.1" else None
    assert [bike.owner for bike in (by_hand, *bikes)] == [expected] * 3
    stored = await session.scalars(select(Bike.owner_id))
    assert stored.all() == [expected and owner.id] * 3
    assert await count(session, Owner) == 1


@pytest.mark.parametrize("session", [Table], indirect=True)
async def test_sqlmodel(session: AsyncSession, statements: list[str]) -> None:
    """A model of SQLModel has the object whose key is given."""
    club = await ClubFactory.create_async()
    statements.clear()
    members = await MemberFactory.create_batch_async(2, club_id=club.id)
    assert statements == ["INSERT INTO member"] * 2
    assert [member.club for member in members] == [club, club]
