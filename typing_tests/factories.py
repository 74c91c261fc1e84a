"""What the type checkers have to conclude from a factory; nothing here is ever run."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped
from typing_extensions import assert_type

from async_factory_boy import bind
from async_factory_boy.adapters import PersistenceAdapter
from async_factory_boy.adapters.sqlalchemy import SQLAlchemyAdapter
from async_factory_boy.factory import (
    AsyncFactory,
    build_async,
    create_async,
    create_batch_async,
    make_factory,
)
from async_factory_boy.factory.sqlalchemy import AsyncSQLAlchemyModelFactory
from async_factory_boy.options import CallOption


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "user"

    name: Mapped[str]


class UserFactory(AsyncSQLAlchemyModelFactory[User]):
    class Meta:
        model = User
        sqlalchemy_get_or_create = ("name",)

    name = "Ada"


class PlainFactory(AsyncFactory[User]):
    class Meta:
        model = User
        adapter = SQLAlchemyAdapter[User](persistence="commit")


class DictAdapter(PersistenceAdapter[dict[str, int]]):
    dict_store: CallOption[list[dict[str, int]]] = CallOption()

    async def save(self, instance: dict[str, int]) -> dict[str, int]:
        assert_type(self.dict_store, "list[dict[str, int]] | None")
        return instance


async def objects(session: AsyncSession) -> None:
    assert_type(await UserFactory.create_async(sqlalchemy_session=session), User)
    assert_type(await UserFactory.create_batch_async(2), list[User])
    assert_type(await UserFactory.build_async(), User)
    assert_type(await UserFactory.build_batch_async(2), list[User])
    assert_type(UserFactory.build(), User)
    assert_type(UserFactory.build_batch(2), list[User])
    assert_type(UserFactory.create(), User)
    assert_type(UserFactory.create_batch(2), list[User])
    assert_type(await PlainFactory.create_async(), User)


async def helpers() -> None:
    assert_type(await create_async(User, FACTORY_CLASS=UserFactory), User)
    assert_type(await create_batch_async(User, 2, FACTORY_CLASS=UserFactory), list[User])
    assert_type(await build_async(User, name="Ada"), User)
    assert_type(make_factory(User), type[AsyncFactory[User]])


async def adapters(session: AsyncSession) -> None:
    adapter = SQLAlchemyAdapter[User](get_or_create=("name",), load=["posts"])
    with bind(sqlalchemy_session=session):
        assert_type(await adapter.save(User()), User)
        assert_type(await adapter.find(User, {"name": "Ada"}), "User | None")


async def mistakes() -> None:
    SQLAlchemyAdapter[User](persistence="save")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    SQLAlchemyAdapter[User]("flush")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await UserFactory.create_batch_async("2")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
