"""What the type checkers have to conclude from an adapter; nothing here is ever run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from polyfactory.factories.sqlalchemy_factory import SQLAlchemyFactory
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from typing_extensions import assert_type

from async_factory_boy.adapters import CallOption, PersistenceAdapter, register
from async_factory_boy.adapters.sqlalchemy import SQLAlchemyAdapter

M = TypeVar("M")


class Client:
    pass


class ClientAdapter(PersistenceAdapter[M]):
    """An author may call the parameters otherwise, and return a list."""

    store_client: CallOption[Client] = CallOption()

    def __init__(self, *, get_or_create: Sequence[str] = ()) -> None:
        self.get_or_create = tuple(get_or_create)

    async def save(self, data: M) -> M:
        assert_type(self.store_client, Client | None)
        return data

    async def save_many(self, things: Sequence[M]) -> list[M]:
        return list(things)

    async def find(self, model: type[M], lookup: Mapping[str, Any]) -> M | None:
        return None


class Incomplete(PersistenceAdapter[M]):
    pass


register("one", ClientAdapter)
register("two", ClientAdapter[Any](get_or_create=("name",)))
register("three", "package.module:Adapter")
register("four", Client)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
ClientAdapter("name")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
Incomplete()  # type: ignore[abstract]  # pyright: ignore[reportAbstractUsage]


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "app_user"

    id: Mapped[int] = mapped_column(primary_key=True)


class UserFactory(SQLAlchemyFactory[User]):
    """An adapter is what polyfactory takes."""

    __async_persistence__ = SQLAlchemyAdapter[User]()
