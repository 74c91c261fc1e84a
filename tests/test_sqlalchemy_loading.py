"""What a call returns is loaded: eager relationships, and what a plain SELECT does not find."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import factory
import pytest
from sqlalchemy import (
    ForeignKey,
    String,
    event,
    func,
    insert,
    inspect,
    literal_column,
    select,
    text,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    column_property,
    mapped_column,
    relationship,
    with_loader_criteria,
)
from sqlalchemy.types import TypeDecorator

from async_factory_boy import bind
from async_factory_boy.adapters.sqlalchemy import SQLAlchemyAdapter
from async_factory_boy.factory import AsyncFactory
from async_factory_boy.factory.sqlalchemy import AsyncSQLAlchemyModelFactory
from tests.servers import Servers
from tests.stores import sqlalchemy as stores
from tests.stores.base import params
from tests.test_sqlalchemy import sent_by


class Base(DeclarativeBase):
    pass


class Shop(Base):
    """Has a relationship of each eager kind."""

    __tablename__ = "shop"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(50), default="shop")
    selectin: Mapped[list[Item]] = relationship(
        lazy="selectin", foreign_keys="Item.selectin_id", back_populates="selectin_shop"
    )
    joined: Mapped[list[Item]] = relationship(
        lazy="joined", foreign_keys="Item.joined_id", back_populates="joined_shop"
    )
    immediate: Mapped[list[Item]] = relationship(lazy="immediate", foreign_keys="Item.immediate_id")
    subquery: Mapped[list[Item]] = relationship(lazy="subquery", foreign_keys="Item.subquery_id")
    lazily: Mapped[list[Item]] = relationship(
        foreign_keys="Item.lazily_id", back_populates="lazily_shop"
    )
    ordered: Mapped[list[Item]] = relationship(
        foreign_keys="Item.lazily_id", order_by="Item.rank", overlaps="lazily,lazily_shop"
    )


class Item(Base):
    __tablename__ = "item"

    id: Mapped[int] = mapped_column(primary_key=True)
    rank: Mapped[int] = mapped_column(default=0)
    selectin_id: Mapped[int | None] = mapped_column(ForeignKey(Shop.id))
    joined_id: Mapped[int | None] = mapped_column(ForeignKey(Shop.id))
    immediate_id: Mapped[int | None] = mapped_column(ForeignKey(Shop.id))
    subquery_id: Mapped[int | None] = mapped_column(ForeignKey(Shop.id))
    lazily_id: Mapped[int | None] = mapped_column(ForeignKey(Shop.id))
    selectin_shop: Mapped[Shop | None] = relationship(
        foreign_keys=selectin_id, back_populates="selectin"
    )
    joined_shop: Mapped[Shop | None] = relationship(foreign_keys=joined_id, back_populates="joined")
    lazily_shop: Mapped[Shop | None] = relationship(foreign_keys=lazily_id, back_populates="lazily")


class Owner(Base):
    """Refers to others, and is referred to by one."""

    __tablename__ = "owner"

    id: Mapped[int] = mapped_column(primary_key=True)
    shop_id: Mapped[int | None] = mapped_column(ForeignKey(Shop.id))
    shop: Mapped[Shop | None] = relationship(lazy="selectin")
    licence: Mapped[Licence | None] = relationship(lazy="joined", back_populates="owner")


class Licence(Base):
    __tablename__ = "licence"

    id: Mapped[int] = mapped_column(primary_key=True)
    owner_id: Mapped[int] = mapped_column(ForeignKey(Owner.id))
    owner: Mapped[Owner] = relationship(back_populates="licence")


class Lower(TypeDecorator[str]):
    impl = String(50)
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Any) -> str | None:
        return value and value.lower()


class Page(Base):
    __tablename__ = "page"

    slug: Mapped[str] = mapped_column(Lower, primary_key=True)
    hidden: Mapped[bool] = mapped_column(default=False)
    size = column_property(literal_column("length(slug)"))
    notes: Mapped[list[Note]] = relationship(lazy="selectin")


class Note(Base):
    __tablename__ = "note"

    id: Mapped[int] = mapped_column(primary_key=True)
    page_slug: Mapped[str] = mapped_column(Lower, ForeignKey(Page.slug))


class ShopFactory(AsyncSQLAlchemyModelFactory[Shop]):
    class Meta:
        model = Shop


class ItemFactory(AsyncSQLAlchemyModelFactory[Item]):
    class Meta:
        model = Item


class OwnerFactory(AsyncSQLAlchemyModelFactory[Owner]):
    class Meta:
        model = Owner


class LicenceFactory(AsyncSQLAlchemyModelFactory[Licence]):
    class Meta:
        model = Licence


class PageFactory(AsyncSQLAlchemyModelFactory[Page]):
    class Meta:
        model = Page

    slug = factory.Sequence(lambda n: f"page{n}")


class NoteFactory(AsyncSQLAlchemyModelFactory[Note]):
    class Meta:
        model = Note


EAGER = ("selectin", "joined", "immediate", "subquery")


@pytest.fixture(params=params(stores.STORES))
async def engine(request: pytest.FixtureRequest, servers: Servers) -> AsyncGenerator[AsyncEngine]:
    async with stores.opened_engine(request.param.url(servers), Base.metadata) as engine:
        yield engine


@pytest.fixture
async def session(engine: AsyncEngine) -> AsyncGenerator[AsyncSession]:
    async with AsyncSession(engine, expire_on_commit=False) as session:
        with bind(sqlalchemy_session=session):
            yield session


def selects(statements: list[str]) -> list[str]:
    return [sent for sent in statements if sent.startswith("SELECT")]


@pytest.mark.parametrize("size", [1, 3])
async def test_new_collections_are_empty(
    session: AsyncSession, engine: AsyncEngine, size: int
) -> None:
    """The eager collections of new objects are there, empty, and take no SELECT."""
    statements = sent_by(engine)
    shops = await ShopFactory.create_batch_async(size)
    assert [getattr(shop, name) for shop in shops for name in EAGER] == [[]] * 4 * size
    assert not selects(statements)


@pytest.mark.parametrize("by_key", [False, True], ids=["by-object", "by-key"])
@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("name", ["selectin", "joined"])
async def test_collections_are_loaded(
    session: AsyncSession, engine: AsyncEngine, name: str, size: int, by_key: bool
) -> None:
    """What hooks and related factories have added to eager collections takes one SELECT."""

    class Factory(ShopFactory):
        if not by_key:
            items = factory.RelatedFactoryList(ItemFactory, f"{name}_shop", size=2)

        @factory.post_generation
        def by_its_key(shop: Shop, create: bool, extracted: Any, **kwargs: Any) -> None:
            if by_key:
                ItemFactory.create_batch(2, **{f"{name}_id": shop.id})

        @factory.post_generation
        async def flushed(shop: Shop, create: bool, extracted: Any, **kwargs: Any) -> None:
            session.add(Item(**{f"{name}_id": shop.id}))
            await session.flush()

    statements = sent_by(engine)
    shops = await Factory.create_batch_async(size)
    assert [len(getattr(shop, name)) for shop in shops] == [3] * size
    assert [getattr(shop, other) for shop in shops for other in EAGER if other != name] == (
        [[]] * 3 * size
    )
    # Where the collection is known, none is needed.
    assert len(selects(statements)) == (1 if by_key else 0)


async def test_several_collections(session: AsyncSession, engine: AsyncEngine) -> None:
    """Of several eager collections, one takes the SELECT for the objects, the others one each."""

    class Factory(ShopFactory):
        @factory.post_generation
        async def fill(shop: Shop, create: bool, extracted: Any, **kwargs: Any) -> None:
            session.add_all(Item(**{f"{name}_id": shop.id}) for name in EAGER)
            await session.flush()

    statements = sent_by(engine)
    shops = await Factory.create_batch_async(5)
    assert [len(getattr(shop, name)) for shop in shops for name in EAGER] == [1] * 4 * 5
    assert len(selects(statements)) == len(EAGER)
    # The same when a hook has expired them.

    class ExpiringFactory(Factory):
        @factory.post_generation
        async def expire(shop: Shop, create: bool, extracted: Any, **kwargs: Any) -> None:
            session.expire(shop)

    shop = await ExpiringFactory.create_async()
    assert [len(getattr(shop, name)) for name in EAGER] == [1] * 4


async def test_references(session: AsyncSession, engine: AsyncEngine) -> None:
    """An eager reference takes no SELECT if it is empty or the session holds what it refers to."""
    shop = await ShopFactory.create_async()
    statements = sent_by(engine)
    owners = await OwnerFactory.create_batch_async(3, shop_id=factory.Iterator([None, shop.id]))
    assert [owner.shop for owner in owners] == [None, shop, None]
    assert [owner.licence for owner in owners] == [None] * 3
    assert not selects(statements)
    key = shop.id
    session.expunge(shop)
    (one, two) = await OwnerFactory.create_batch_async(2, shop_id=key)
    assert one.shop is two.shop is not shop
    assert one.shop is not None
    assert one.shop.selectin == []
    assert sum(sent.startswith("SELECT owner.") for sent in statements) == 1


@pytest.mark.parametrize("place", ["meta", "adapter"])
async def test_eager_loading_switched_off(
    session: AsyncSession, engine: AsyncEngine, place: str
) -> None:
    """An empty sqlalchemy_load leaves out what the mapping loads eagerly; names load just these."""

    class Factory(ShopFactory):
        class Meta:
            sqlalchemy_load = ()

    class NamedFactory(ShopFactory):
        class Meta:
            sqlalchemy_load = ("joined",)

    class Adapted(AsyncFactory[Shop]):
        class Meta:
            model = Shop
            adapter = SQLAlchemyAdapter(load=())

    shop = await (Factory if place == "meta" else Adapted).create_async()
    assert inspect(shop).unloaded >= set(EAGER)
    named = await NamedFactory.create_async()
    assert named.joined == []
    assert "selectin" in inspect(named).unloaded


def hide(session: AsyncSession) -> None:
    """Hide pages as the recipe of SQLAlchemy's documentation does."""

    @event.listens_for(session.sync_session, "do_orm_execute")
    def only_shown(state: Any) -> None:
        if state.is_select and not state.is_column_load and not state.is_relationship_load:
            state.statement = state.statement.options(
                with_loader_criteria(Page, lambda page: page.hidden.is_(False))
            )


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("load", [None, ("notes",)], ids=["eager", "named"])
async def test_global_criterion(session: AsyncSession, size: int, load: Any) -> None:
    """What a global criterion hides is loaded all the same, columns and relationships."""
    hide(session)

    class Factory(PageFactory):
        class Meta:
            sqlalchemy_load = load

        @factory.post_generation
        async def note(page: Page, create: bool, extracted: Any, **kwargs: Any) -> None:
            session.add(Note(page_slug=page.slug))
            await session.flush()

    pages = await Factory.create_batch_async(size, hidden=True)
    assert [page.size for page in pages] == [len(page.slug) for page in pages]
    assert [len(page.notes) for page in pages] == [1] * size


async def test_lookup_under_a_global_criterion(session: AsyncSession) -> None:
    """A lookup of get_or_create sees what the session's own queries see."""

    class Factory(PageFactory):
        class Meta:
            sqlalchemy_get_or_create = ("slug",)

    shown = await PageFactory.create_async(slug="shown")
    session.expunge(await PageFactory.create_async(slug="hidden", hidden=True))
    hide(session)
    assert await Factory.create_async(slug="shown") is shown
    with pytest.raises(IntegrityError):
        await Factory.create_async(slug="hidden")


async def test_row_that_is_gone(session: AsyncSession) -> None:
    """A row that a hook has deleted by a statement of its own is not missed."""

    class Factory(PageFactory):
        @factory.post_generation
        async def delete(page: Page, create: bool, extracted: Any, **kwargs: Any) -> None:
            session.expire(page)
            table = Page.__table__
            await (await session.connection()).execute(table.delete())

    await Factory.create_async()
    assert await session.scalar(select(func.count()).select_from(Page)) == 0


# Objects that were there before.


@pytest.mark.parametrize("given", ["object", "key"])
async def test_loaded_collection_of_an_earlier_object(
    session: AsyncSession, engine: AsyncEngine, given: str
) -> None:
    """A loaded collection has what later calls store in it, by whatever they refer to it."""

    class Factory(ShopFactory):
        class Meta:
            sqlalchemy_load = ("lazily", "ordered")

    shop = await Factory.create_async()
    statements = sent_by(engine)
    refer: dict[str, Any] = {"lazily_shop": shop} if given == "object" else {"lazily_id": shop.id}
    items = await ItemFactory.create_batch_async(2, rank=factory.Iterator([2, 1]), **refer)
    items += [await ItemFactory.create_async(rank=0, **refer)]
    assert shop.lazily == items
    assert [item.rank for item in shop.ordered] == [0, 1, 2]
    # By a SELECT where the order is the database's.
    assert len(selects(statements)) == 2
    assert not session.dirty


async def test_loaded_reference_of_an_earlier_object(session: AsyncSession) -> None:
    """So has a reference whose other side a later call stores."""
    owner = await OwnerFactory.create_async()
    assert owner.licence is None
    licence = await LicenceFactory.create_async(owner_id=owner.id)
    assert owner.licence is licence


async def test_collection_that_a_hook_adds_to(session: AsyncSession) -> None:
    """What a hook adds to the session belongs to loaded collections as well."""

    class Factory(OwnerFactory):
        @factory.post_generation
        def add(owner: Owner, create: bool, extracted: Any, **kwargs: Any) -> None:
            session.add(Item(lazily_id=shop.id))

    class LoadedFactory(ShopFactory):
        class Meta:
            sqlalchemy_load = ("lazily",)

    shop = await LoadedFactory.create_async()
    await Factory.create_async()
    assert len(shop.lazily) == 1


@pytest.mark.parametrize("statement", ["insert of a class", "insert into a table", "text"])
@pytest.mark.parametrize("name", EAGER)
async def test_collection_that_a_statement_fills(
    session: AsyncSession, name: str, statement: str
) -> None:
    """A hook may fill an eager collection by a statement: it is loaded, not taken for empty."""

    class Factory(ShopFactory):
        @factory.post_generation
        async def fill(shop: Shop, create: bool, extracted: Any, **kwargs: Any) -> None:
            key = f"{name}_id"
            if statement == "text":
                update = text(f"UPDATE item SET {key} = :shop WHERE id = :item")
                await session.execute(update, {"shop": shop.id, "item": items.pop()})
            else:
                into: Any = Item if statement == "insert of a class" else Item.__table__
                await session.execute(insert(into).values({key: shop.id}))

    items = [item.id for item in await ItemFactory.create_batch_async(3)]
    shops = [await Factory.create_async(), *await Factory.create_batch_async(2)]
    assert [len(getattr(shop, name)) for shop in shops] == [1, 1, 1]
