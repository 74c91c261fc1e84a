"""Relations of which a factory takes declarations from the model, and that share a key."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import factory
import pytest
from sqlalchemy import ForeignKey, ForeignKeyConstraint, func, select
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from async_factory_boy import bind
from async_factory_boy.exceptions import ConfigurationError
from async_factory_boy.factory.sqlalchemy import AsyncSQLAlchemyModelFactory
from tests.servers import Servers


class Base(DeclarativeBase):
    pass


class Tenant(Base):
    __tablename__ = "tenant"

    id: Mapped[int] = mapped_column(primary_key=True)


class Author(Base):
    """It is of a tenant, by a relation."""

    __tablename__ = "author"

    tenant_id: Mapped[int] = mapped_column(ForeignKey(Tenant.id), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    tenant: Mapped[Tenant] = relationship()


class Shelf(Base):
    """It is of a tenant, by a key alone."""

    __tablename__ = "shelf"

    tenant_id: Mapped[int] = mapped_column(ForeignKey(Tenant.id), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)


class Post(Base):
    __tablename__ = "post"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "author_no"], [Author.tenant_id, Author.number]),
        ForeignKeyConstraint(["tenant_id", "shelf_no"], [Shelf.tenant_id, Shelf.number]),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[int] = mapped_column(ForeignKey(Tenant.id))
    author_no: Mapped[int]
    shelf_no: Mapped[int]
    author: Mapped[Author] = relationship(overlaps="tenant,shelf")
    shelf: Mapped[Shelf] = relationship(overlaps="tenant,author")
    tenant: Mapped[Tenant] = relationship(overlaps="author,shelf")


class Note(Base):
    """It has no relation for the keys of its author."""

    __tablename__ = "note"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "author_no"], [Author.tenant_id, Author.number]),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[int]
    author_no: Mapped[int]


class PostFactory(AsyncSQLAlchemyModelFactory[Any]):
    """It has no base of the suite's own, which those of its relations would derive from."""

    class Meta:
        model = Post
        auto_declarations = True


@pytest.fixture
async def session(servers: Servers) -> AsyncGenerator[AsyncSession]:
    url = servers.new_postgres().replace("postgresql:", "postgresql+asyncpg:")
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with AsyncSession(engine, expire_on_commit=False) as session:
        with bind(sqlalchemy_session=session):
            yield session
    await engine.dispose()


@pytest.mark.parametrize("size", [1, 20])
async def test_objects_agree(session: AsyncSession, size: int) -> None:
    """What shares a key is of one object: the tenant of a post is that of its author."""
    posts = await PostFactory.create_batch_async(size)
    for post in posts:
        assert post.author.tenant is post.tenant
        assert post.shelf.tenant_id == post.tenant.id == post.tenant_id
    assert await session.scalar(select(func.count()).select_from(Tenant)) == size


async def test_the_object_is_given(session: AsyncSession) -> None:
    """The object that is shared may be given to the call."""
    tenant = Tenant()
    session.add(tenant)
    await session.flush()
    posts = await PostFactory.create_batch_async(200, tenant=tenant)
    assert {post.author.tenant for post in posts} == {tenant}
    assert {post.shelf.tenant_id for post in posts} == {tenant.id}


async def test_an_object_is_given_that_has_it(session: AsyncSession) -> None:
    """The object that is shared is that of an object which is given."""
    first, second = await PostFactory.create_batch_async(2)
    posts = await PostFactory.create_batch_async(3, author=first.author)
    assert {post.tenant for post in posts} == {first.tenant}
    assert {post.shelf.tenant_id for post in posts} == {first.tenant_id}
    assert (await PostFactory.create_async(author=second.author, tenant=second.tenant)).tenant_id
    assert await session.scalar(select(func.count()).select_from(Tenant)) == 2

    class AuthorFactory(AsyncSQLAlchemyModelFactory[Any]):
        class Meta:
            model = Author
            auto_declarations = True

        posts = factory.RelatedFactoryList(PostFactory, "author", size=2)

    author = await AuthorFactory.create_async()
    tenants = await session.scalars(select(Post.tenant_id).where(Post.author == author))
    assert list(tenants) == [author.tenant_id] * 2


async def test_an_object_is_given_that_does_not_tell(session: AsyncSession) -> None:
    """Where it cannot be read off the object that is given, an error says what to give as well."""
    post = await PostFactory.create_async()
    session.expire(post.author)
    for given, why in (
        ("author", "whose tenant is not loaded"),
        ("shelf", "which has no relation tenant"),
    ):
        with pytest.raises(ConfigurationError) as caught:
            await PostFactory.create_async(**{given: getattr(post, given)})
        assert str(caught.value) == (
            f"PostFactory.tenant has to be that of the {given} which is given, {why}. Give tenant "
            "to the call, too."
        )
    made = await PostFactory.create_async(shelf=post.shelf, tenant=post.tenant)
    assert made.tenant_id == made.author.tenant_id == made.shelf.tenant_id == post.tenant_id


async def test_the_key_is_declared(session: AsyncSession) -> None:
    """A key that is shared may be declared in place of the object."""
    session.add(Tenant(id=7))
    await session.flush()

    class OfSeven(PostFactory):
        tenant_id = 7

    post = await OfSeven.create_async()
    assert (post.author.tenant_id, post.shelf.tenant_id, post.tenant_id) == (7, 7, 7)


def test_explained() -> None:
    """What is shared is in the declaration."""
    sources = {row.name: row.source for row in PostFactory.explain()}
    tenant = 'factory.SelfAttribute("..tenant'
    assert sources["author"] == f'factory.SubFactory(AuthorFactory, tenant={tenant}"))'
    assert sources["shelf"] == f'factory.SubFactory(ShelfFactory, tenant_id={tenant}.id"))'


async def test_keys_without_a_relation(session: AsyncSession) -> None:
    """Several keys that no relation goes with are refused, with what to declare."""

    class AuthorFactory(AsyncSQLAlchemyModelFactory[Any]):
        class Meta:
            model = Author
            auto_declarations = True

    class NoteFactory(AsyncSQLAlchemyModelFactory[Any]):
        class Meta:
            model = Note
            auto_declarations = True

    with pytest.raises(ConfigurationError) as caught:
        await NoteFactory.create_async()
    assert str(caught.value) == (
        "NoteFactory.tenant_id refers to Author by author_no and tenant_id together, and Note has "
        'no relation for them. Declare all: author_no = factory.SelfAttribute("related.number"), '
        'tenant_id = factory.SelfAttribute("related.tenant_id"); with related = '
        "factory.SubFactory(AuthorFactory) in the factory's Params."
    )

    class Declared(NoteFactory):
        class Params:
            related = factory.SubFactory(AuthorFactory)

        author_no = factory.SelfAttribute("related.number")
        tenant_id = factory.SelfAttribute("related.tenant_id")

    notes = await Declared.create_batch_async(3)
    assert len({(note.tenant_id, note.author_no) for note in notes}) == 3


async def test_names_of_declarations(session: AsyncSession) -> None:
    """Factories may call relations otherwise than the model does."""

    class AuthorFactory(AsyncSQLAlchemyModelFactory[Any]):
        class Meta:
            model = Author
            auto_declarations = True
            rename = {"lessee": "tenant"}

    class Renamed(PostFactory):
        class Meta:
            rename = {"owner": "tenant"}

        author = factory.SubFactory(AuthorFactory, lessee=factory.SelfAttribute("..owner"))

    class Chosen(PostFactory):
        class Meta:
            rename = {"owner": "tenant"}

    for factory_class in (Renamed, Chosen):
        post = await factory_class.create_async()
        assert post.author.tenant is post.tenant
