"""Our adapters keep what every adapter promises, on every backend."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from async_factory_boy.factory import AsyncFactory
from async_factory_boy.testing import AdapterConformance
from tests.stores.base import Store, params
from tests.stores.every import STORES

SQL = {"sqlite", "postgresql", "mariadb"}
BACKENDS = {
    "sqlalchemy": SQL,
    "tortoise": SQL | {"asyncpg", "psycopg"},
    "beanie": {"transaction"},  # on PyMongo or on Motor, as Beanie's version has it
    "mongo": {"pymongo", "motor", "transaction"},
    "databases": SQL | {"tables", "mapped"},
}


def test_backends() -> None:
    """The suite runs for every adapter, on each of its backends."""
    found: dict[str, set[str]] = {}
    for store in STORES:
        adapter, *backend = store.id.split("-")
        found.setdefault(adapter, set()).update(backend)
    assert found.keys() == BACKENDS.keys()
    assert {adapter: BACKENDS[adapter] - found[adapter] for adapter in found} == {
        adapter: set() for adapter in BACKENDS
    }


# With the lowest versions on each store: a driver that is too old shows here.
@pytest.mark.parametrize("store", params(STORES, repeats=[pytest.mark.unmeasured]), indirect=True)
class TestAdapters(AdapterConformance):
    @pytest.fixture
    def parent(self, store: Store) -> type[AsyncFactory[Any]]:
        return store.CompanyFactory

    @pytest.fixture
    def child(self, store: Store) -> type[AsyncFactory[Any]]:
        return store.UserFactory

    @pytest.fixture
    def rows(self, store: Store) -> Callable[..., Awaitable[list[dict[str, Any]]]]:
        async def rows(factory: type[AsyncFactory[Any]]) -> list[dict[str, Any]]:
            rows = await store.rows(factory)
            return [{**row, "company": row.get("company_key")} for row in rows]

        return rows

    @pytest.fixture
    def options(self, store: Store) -> Mapping[str, Any]:
        return store.options

    @pytest.fixture
    def relation(self) -> str:
        return "company"

    @pytest.fixture
    def key(self, store: Store) -> str:
        return store.key_name

    @pytest.fixture
    def rollback(self, store: Store) -> Any:
        return store.rollback if store.transactional else None

    @pytest.fixture
    def another(self, store: Store) -> Any:
        return store.another if store.concurrent else None

    @pytest.fixture
    def conflict(self, store: Store) -> Any:
        return store.conflict

    @pytest.fixture
    def survives_conflict(self, store: Store) -> bool:
        return store.survives_conflict

    @pytest.fixture
    def new_key(self, store: Store) -> Callable[[], Any]:
        return store.new_key

    @pytest.fixture
    def committing(self, store: Store) -> Any:
        return store.CommittingCompanyFactory
