"""Errors that repeat what they were given hide the password of a URL."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from async_factory_boy import AsyncFactoryError, bind
from async_factory_boy.adapters.databases import DatabasesAdapter
from async_factory_boy.adapters.mongo import MongoAdapter
from async_factory_boy.adapters.sqlalchemy import SQLAlchemyAdapter
from async_factory_boy.adapters.tortoise import TortoiseAdapter
from async_factory_boy.exceptions import shown
from async_factory_boy.factory import AsyncFactory
from async_factory_boy.factory.sqlalchemy import AsyncSQLAlchemyModelFactory

URL: Any = "postgresql://user:secret@localhost/shop"


def in_meta(**options: Any) -> None:
    class Factory(AsyncFactory[dict[str, Any]]):
        Meta = type("Meta", (), {"model": dict, **options})


def in_meta_of_sqlalchemy(**options: Any) -> None:
    class Factory(AsyncSQLAlchemyModelFactory[Any]):
        Meta = type("Meta", (), options)


def bound(**options: Any) -> None:
    with bind(**options):
        pass


@pytest.mark.parametrize(
    "mistake",
    [
        lambda: SQLAlchemyAdapter(session_factory=URL),
        lambda: SQLAlchemyAdapter(persistence=URL),
        lambda: SQLAlchemyAdapter(load=[1, URL]),
        lambda: DatabasesAdapter(database=URL),
        lambda: MongoAdapter(collection=URL),
        lambda: TortoiseAdapter(fetch=[1, URL]),
        lambda: in_meta(adapter=URL),
        lambda: in_meta(adapter=[URL]),
        lambda: in_meta_of_sqlalchemy(sqlalchemy_session_factory=URL),
        lambda: bound(sqlalchemy_session=URL),
        lambda: bound(databases_database=URL),
        lambda: bound(tortoise_using_db=URL),
        lambda: bound(mongo_collection=URL),
        lambda: bound(progress=URL),
    ],
)
def test_no_password(mistake: Callable[[], object]) -> None:
    """Whatever is given a URL in the place of something else does not repeat its password."""
    with pytest.raises(AsyncFactoryError) as caught:
        mistake()
    assert "secret" not in str(caught.value)


def test_shown() -> None:
    """The rest of a value is shown as it is."""
    assert shown(URL) == "'postgresql://user:***@localhost/shop'"
    assert shown(["a", 1]) == "['a', 1]"
    assert shown("mongodb://localhost:27017/?a=b@c") == "'mongodb://localhost:27017/?a=b@c'"
