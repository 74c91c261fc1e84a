"""The adapter keeps what every adapter promises."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import pytest
from django.db import IntegrityError

from async_factory_boy.testing import AdapterConformance
from tests.conftest import ALIASES, Transaction
from tests.shop.factories import CompanyFactory, UserFactory
from tests.shop.models import Company, User


@pytest.mark.django_db(databases="__all__")
@pytest.mark.parametrize("alias", ALIASES)
class TestDjangoAdapter(AdapterConformance):
    @pytest.fixture
    async def transaction(self, db: None, alias: str) -> AsyncGenerator[Transaction]:
        transaction = Transaction(alias)
        await transaction.begin()
        yield transaction
        await transaction.end()
        for model in (User, Company):  # what the other connection has committed
            await model.objects.using(alias).all().adelete()

    @pytest.fixture
    def parent(self) -> type[CompanyFactory]:
        return CompanyFactory

    @pytest.fixture
    def child(self) -> type[UserFactory]:
        return UserFactory

    @pytest.fixture
    def relation(self) -> str:
        return "company"

    @pytest.fixture
    def options(self, transaction: Transaction, alias: str) -> Mapping[str, Any]:
        return {"django_database": alias}

    @pytest.fixture
    def rows(self, alias: str) -> Callable[[Any], Awaitable[list[dict[str, Any]]]]:
        async def rows(factory: Any) -> list[dict[str, Any]]:
            stored = factory._meta.get_model_class()._base_manager.using(alias).values()
            return [
                {**row, "key": row["id"], "company": row.get("company_id")} async for row in stored
            ]

        return rows

    @pytest.fixture
    def rollback(self, transaction: Transaction) -> Callable[[], Awaitable[None]]:
        return transaction.restart

    @pytest.fixture
    def another(self, alias: str) -> Any:
        if alias == "default":
            return None  # SQLite has one writer at a time

        @asynccontextmanager
        async def another() -> AsyncGenerator[Mapping[str, Any]]:
            transaction = Transaction("postgresql2")
            await transaction.begin()
            try:
                yield {"django_database": "postgresql2"}
            finally:
                await transaction.end(commit=True)

        return another

    @pytest.fixture
    def new_key(self) -> Callable[[], int]:
        # Far from what a database has counted to.
        return count(1_000_000, 10_000).__next__

    @pytest.fixture
    def conflict(self) -> type[Exception]:
        return IntegrityError
