"""What the type checkers have to conclude from an adapter; nothing here is ever run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from typing_extensions import assert_type

from async_factory_boy.adapters import PersistenceAdapter
from async_factory_boy.adapters.beanie import BeanieAdapter
from async_factory_boy.adapters.databases import DatabasesAdapter
from async_factory_boy.adapters.mongo import MongoAdapter
from async_factory_boy.adapters.sqlalchemy import SQLAlchemyAdapter
from async_factory_boy.adapters.tortoise import TortoiseAdapter
from async_factory_boy.factory.databases import TableRow
from typing_tests.models import DictAdapter, Event, Page, User, Visit, database, motor_collection


async def generic_in_the_model() -> None:
    of_user = SQLAlchemyAdapter[User](get_or_create=("name",), load=["posts"])
    assert_type(await of_user.save(User()), User)
    assert_type(await of_user.save_many([User()]), list[User])
    assert_type(await of_user.find(User, {"name": "Ada"}), "User | None")
    assert_type(of_user.build(User, (), {"name": "Ada"}), User)

    of_event = TortoiseAdapter[Event](get_or_create=("title",), fetch=["visitors"])
    assert_type(await of_event.save(Event()), Event)
    assert_type(await of_event.find(Event, {"title": "launch"}), "Event | None")

    of_page = BeanieAdapter[Page](get_or_create=("title",), fetch_links=True)
    assert_type(await of_page.save(Page(title="home")), Page)

    of_visit = MongoAdapter[Visit](collection=lambda: database()["visits"])
    assert_type(await of_visit.save({"path": "/"}), Visit)
    MongoAdapter[Visit](collection=motor_collection())

    of_row = DatabasesAdapter[TableRow](get_or_create=("name",))
    assert_type(await of_row.save_new(of_rows), Sequence[TableRow])


async def of_rows() -> list[TableRow]:
    raise NotImplementedError


async def written_by_a_reader() -> None:
    adapter = DictAdapter()
    assert_type(adapter.dict_store, "list[dict[str, int]] | None")
    assert_type(await adapter.save({}), dict[str, int])
    async with adapter.undo(dict) as given:
        assert_type(given, Mapping[str, Any])


def mistakes() -> None:
    SQLAlchemyAdapter[User](persistence="save")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    SQLAlchemyAdapter[User]("flush")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    SQLAlchemyAdapter[User](get_or_create=3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    SQLAlchemyAdapter[User](session_factory=lambda: "session")  # type: ignore[arg-type, return-value]  # pyright: ignore[reportArgumentType]
    TortoiseAdapter[User]()  # type: ignore[type-var]  # pyright: ignore[reportInvalidTypeArguments]
    BeanieAdapter[Page](link_rule="write")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    MongoAdapter[Visit](collection=3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    PersistenceAdapter[User]()  # type: ignore[abstract]  # pyright: ignore[reportAbstractUsage]


class Wrong(PersistenceAdapter[User]):
    async def save(self, instance: str) -> str:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        return instance


async def mistaken_objects() -> None:
    adapter = SQLAlchemyAdapter[User]()
    await adapter.save(Event())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await adapter.find(Event, {})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
