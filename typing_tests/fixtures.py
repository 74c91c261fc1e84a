"""What `register` returns; nothing here is ever run."""

from __future__ import annotations

from typing_extensions import assert_type

from async_factory_boy.factory import AsyncFactory
from async_factory_boy.pytest_plugin import LazyFixture, register


class User:
    pass


class UserFactory(AsyncFactory[User]):
    class Meta:
        model = User


assert_type(register(UserFactory), type[UserFactory])
assert_type(register(UserFactory, "admin", role="admin"), type[UserFactory])
assert_type(register(UserFactory, _name="guest", company=LazyFixture("acme")), type[UserFactory])


@register
class GuestFactory(UserFactory):
    pass


@register(_name="someone")
class OtherFactory(UserFactory):
    pass


async def decorated() -> None:
    assert_type(GuestFactory, type[GuestFactory])
    assert_type(await GuestFactory.create_async(), User)
    assert_type(await OtherFactory.create_async(), User)


register(User)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType, reportCallIssue]
register(UserFactory, 1)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
