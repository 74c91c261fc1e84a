"""What the type checkers have to conclude from a factory; nothing here is ever run."""

from __future__ import annotations

import asyncio
from typing import Any

from typing_extensions import assert_type

from async_factory_boy.factory import (
    AsyncFactory,
    build_async,
    build_batch_async,
    create_async,
    create_batch_async,
    generate_async,
    generate_batch_async,
    make_factory,
)
from async_factory_boy.factory.databases import TableRow
from typing_tests.models import (
    Click,
    ClickFactory,
    Event,
    EventFactory,
    Page,
    PageFactory,
    PlainFactory,
    RowFactory,
    User,
    UserFactory,
    Visit,
    VisitFactory,
    session,
)


async def sqlalchemy() -> None:
    assert_type(await UserFactory.create_async(sqlalchemy_session=session(), name="Ada"), User)
    assert_type(await UserFactory.create_batch_async(2, admin=True), list[User])
    assert_type(await UserFactory.build_async(), User)
    assert_type(await UserFactory.build_batch_async(2), list[User])
    assert_type(await UserFactory(), User)
    assert_type(await UserFactory(name="Ada"), User)
    assert_type(UserFactory.build(name="Ada"), User)
    assert_type(UserFactory.build_batch(2), list[User])
    assert_type(UserFactory.create(), User)
    assert_type(UserFactory.create_batch(2), list[User])
    assert_type(UserFactory.stub(), Any)
    assert_type(UserFactory.stub_batch(2), list[Any])
    assert_type(await UserFactory.generate_async("build"), Any)
    assert_type(await UserFactory.generate_batch_async("build", 2), list[Any])
    UserFactory.reset_sequence(0, force=True)


async def tortoise() -> None:
    assert_type(await EventFactory.create_async(), Event)
    assert_type(await EventFactory.create_batch_async(2), list[Event])
    assert_type(await EventFactory.build_async(), Event)
    assert_type(await EventFactory.build_batch_async(2), list[Event])
    assert_type(await EventFactory(), Event)
    assert_type(EventFactory.build(), Event)
    assert_type(EventFactory.build_batch(2), list[Event])


async def beanie() -> None:
    assert_type(await PageFactory.create_async(), Page)
    assert_type(await PageFactory.create_batch_async(2), list[Page])
    assert_type(await PageFactory.build_async(), Page)
    assert_type(await PageFactory.build_batch_async(2), list[Page])
    assert_type(await PageFactory(), Page)
    assert_type(PageFactory.build(), Page)
    assert_type(PageFactory.build_batch(2), list[Page])


async def mongo() -> None:
    assert_type(await VisitFactory.create_async(), Visit)
    assert_type(await VisitFactory.create_batch_async(2), list[Visit])
    assert_type(await ClickFactory.build_async(), Click)
    assert_type(await ClickFactory.build_batch_async(2), list[Click])
    assert_type(await ClickFactory(), Click)
    assert_type(ClickFactory.build(), Click)
    assert_type(VisitFactory.build_batch(2), list[Visit])


async def databases() -> None:
    assert_type(await RowFactory.create_async(), TableRow)
    assert_type(await RowFactory.create_batch_async(2), list[TableRow])
    assert_type(await RowFactory.build_async(), TableRow)
    assert_type(await RowFactory.build_batch_async(2), list[TableRow])
    assert_type(await RowFactory(), TableRow)
    assert_type(RowFactory.build(), TableRow)
    assert_type(RowFactory.build_batch(2), list[TableRow])


async def plain() -> None:
    assert_type(await PlainFactory.create_async(greet="Bob"), User)
    assert_type(await PlainFactory.create_batch_async(2), list[User])
    assert_type(await PlainFactory(), User)
    assert_type(PlainFactory.build(), User)


async def at_once() -> None:
    user, event = await asyncio.gather(UserFactory.create_async(), EventFactory.create_async())
    assert_type(user, User)
    assert_type(event, Event)
    assert_type(await asyncio.gather(UserFactory(), UserFactory()), tuple[User, User])


async def helpers() -> None:
    assert_type(await create_async(User, FACTORY_CLASS=UserFactory), User)
    assert_type(await create_batch_async(User, 2, FACTORY_CLASS=UserFactory), list[User])
    assert_type(await build_async(Click, path="/"), Click)
    assert_type(await build_batch_async(Click, 2, path="/"), list[Click])
    assert_type(await generate_async(Click, "build"), Any)
    assert_type(await generate_batch_async(Click, "build", 2), list[Any])
    assert_type(make_factory(User), type[AsyncFactory[User]])
    assert_type(await make_factory(User).create_async(), User)


async def of_any(factory: type[AsyncFactory[User]]) -> User:
    return await factory.create_async()


async def accepted() -> None:
    await of_any(UserFactory)
    await of_any(PlainFactory)


async def mistakes() -> None:
    event: Event = await UserFactory.create_async()  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    user: User = UserFactory.create_async()  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    print(event, user)
    (await UserFactory.create_async()).nmae  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]  # noqa: B018
    (await UserFactory.create_batch_async(2)).name  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]  # noqa: B018
    await UserFactory.create_batch_async("2")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await UserFactory.create_batch_async()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await UserFactory.create_async("Ada")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await UserFactory.build()  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    await UserFactory.created_async()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    await UserFactory("Ada")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await of_any(EventFactory)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await create_async("User")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
