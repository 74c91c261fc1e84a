"""What the plugin says where a test fails since an attribute is not loaded."""

from __future__ import annotations

import pytest
from sqlalchemy.exc import MissingGreenlet

from async_factory_boy.pytest_plugin.unloaded import explained
from tests.stores import sqlalchemy
from tests.stores.sqlalchemy import CompanyFactory, SQLAlchemyStore, UserFactory

# Not on aiosqlite, which leaves a coroutine behind that nobody awaits.
on_postgresql = pytest.mark.parametrize("store", [sqlalchemy.PostgreSQLAsyncpg], indirect=True)


@on_postgresql
async def test_a_relationship(store: SQLAlchemyStore) -> None:
    """A relationship that is not loaded is named, and how to have factories load it."""
    company = await CompanyFactory.create_async()
    store.session.expire(company, ["users"])
    with pytest.raises(MissingGreenlet) as caught:
        company.users  # noqa: B018
    text = explained(caught.value)
    assert text is not None
    assert "Company.users is a relationship that is not loaded" in text
    assert "Meta.sqlalchemy_load = ('users',)" in text


@on_postgresql
async def test_a_column(store: SQLAlchemyStore) -> None:
    """A column that has expired is named, and how to keep it; also where the error is a cause."""
    user = await UserFactory.create_async()
    store.session.expire(user)
    with pytest.raises(MissingGreenlet) as caught:
        user.name  # noqa: B018
    error = LookupError()
    error.__cause__ = caught.value
    text = explained(error)
    assert text is not None
    assert text.startswith("User.name is a column that is not loaded: ")
    assert "expire_on_commit=False" in text


@on_postgresql
async def test_another_error(store: SQLAlchemyStore) -> None:
    """Of other errors, nothing is said; nor of one that no attribute was read for."""
    await CompanyFactory.create_async()
    assert explained(LookupError()) is None
    assert explained(MissingGreenlet("no attribute")) is None
