"""What the type checkers have to conclude from `bind` and `lint`; nothing here is ever run."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from databases import Database
from motor.motor_asyncio import AsyncIOMotorClientSession
from pymongo.asynchronous.client_session import AsyncClientSession
from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session, async_sessionmaker
from sqlalchemy.orm import Session
from tortoise.backends.base.client import BaseDBAsyncClient
from typing_extensions import assert_type

from async_factory_boy import LintError, bind, lint
from async_factory_boy.factory import AsyncFactory
from async_factory_boy.linting import LintCase, LintFailure, LintReport, lint_cases
from typing_tests.models import (
    EventFactory,
    UserFactory,
    database,
    motor_collection,
    session,
)


def bound(
    scoped: async_scoped_session[AsyncSession],
    connection: BaseDBAsyncClient,
    client_session: AsyncClientSession,
    motor_session: AsyncIOMotorClientSession,
    rows: Database,
) -> None:
    with bind(sqlalchemy_session=session(), tortoise_using_db=connection) as nothing:
        assert_type(nothing, None)
    with bind(sqlalchemy_session=scoped):
        pass
    with bind(sqlalchemy_session=None, beanie_session=client_session, mongo_session=motor_session):
        pass
    with bind(mongo_collection=database()["visits"], databases_database=rows):
        pass
    with bind(mongo_collection=motor_collection(), progress=print):
        pass
    with bind(redis_client="of somebody else's adapter"):
        pass
    with bind(progress=lambda stored, size: stored / size):
        pass


def mistakes(maker: async_sessionmaker[AsyncSession], sync: Session) -> None:
    bind(session())  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    bind(sqlalchemy_session=maker)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    bind(sqlalchemy_session=sync)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    bind(tortoise_using_db="default")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    bind(mongo_collection="visits")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    bind(databases_database="sqlite://")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    bind(progress=lambda stored: stored)  # type: ignore[arg-type, misc]  # pyright: ignore[reportArgumentType]


async def linted(factories: ModuleType) -> None:
    assert_type(lint_cases(factories), list[LintCase])
    assert_type(await lint(factories), LintReport | None)
    assert_type(await lint(factories, strict=True), LintReport)
    await lint(UserFactory, traits=False, strategy="build")
    await lint([UserFactory, EventFactory, factories], rollback=False, sqlalchemy_session=session())
    await lint([UserFactory], strategy="stub")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    await lint(["UserFactory"])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]


def failed(error: LintError) -> None:
    assert_type(error.failures, tuple[LintFailure, ...])
    assert_type(error.failures[0].factory, type[AsyncFactory[Any]])
    assert_type(error.failures[0].trait, "str | None")
    assert_type(error.failures[0].error, Exception)
