# pyright: strict
"""What a factory may override, by plain and by async methods; nothing here is ever run."""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar

from typing_extensions import assert_type

from async_factory_boy.factory.sqlalchemy import AsyncSQLAlchemyModelFactory
from typing_tests.models import User, UserFactory

U = TypeVar("U", bound=User)


class Plain(UserFactory):
    @classmethod
    def _adjust_kwargs(cls, **kwargs: Any) -> dict[str, Any]:
        return {**super()._adjust_kwargs(**kwargs), "name": "Ada"}

    @classmethod
    def _setup_next_sequence(cls) -> int:
        return super()._setup_next_sequence()

    @classmethod
    def _after_postgeneration(
        cls, instance: User, create: bool, results: dict[str, Any] | None = None
    ) -> None:
        super()._after_postgeneration(instance, create, results)


class Asynchronous(UserFactory):
    @classmethod
    async def _adjust_kwargs(cls, **kwargs: Any) -> dict[str, Any]:
        kwargs = super()._adjust_kwargs(**kwargs)
        await asyncio.sleep(0)
        kwargs["name"] = "Ada"
        return kwargs

    @classmethod
    async def _setup_next_sequence(cls) -> int:
        return 1

    @classmethod
    async def _after_postgeneration(
        cls, instance: User, create: bool, results: dict[str, Any] | None = None
    ) -> None:
        super()._after_postgeneration(instance, create, results)


class Wrong(UserFactory):
    @classmethod
    async def _adjust_kwargs(cls, kwargs: dict[str, Any]) -> dict[str, Any]:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        return kwargs

    @classmethod
    async def _setup_next_sequence(cls, first: int) -> int:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        return first

    @classmethod
    async def _after_postgeneration(cls, instance: User) -> None:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        pass


class Derived(UserFactory):
    # docs/types.md has this exception.
    class Meta:  # pyright: ignore[reportIncompatibleVariableOverride]
        sqlalchemy_session_persistence = "flush"


class Admin(User):
    pass


class AnyUserFactory(AsyncSQLAlchemyModelFactory[U]):
    name = "Ada"


class AdminFactory(AnyUserFactory[Admin]):
    class Meta:
        model = Admin


async def strict() -> None:
    assert_type(await Derived.create_async(), User)
    assert_type(Derived.build(name="Ada"), User)
    assert_type(Derived.build_batch(2, name="Ada"), list[User])
    assert_type(await AdminFactory.create_async(), Admin)
