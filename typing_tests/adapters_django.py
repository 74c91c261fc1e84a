"""What the type checkers have to conclude from a factory for Django; nothing here is ever run."""

from __future__ import annotations

from async_factory_boy_django import AsyncDjangoModelFactory, DjangoAdapter, mute_signals
from django.contrib.auth.models import User
from django.db.models.signals import post_save
from typing_extensions import assert_type


class UserFactory(AsyncDjangoModelFactory[User]):
    class Meta:
        model = "auth.User"
        django_get_or_create = ("username",)

    username = "ada"


async def objects() -> None:
    assert_type(await UserFactory.create_async(django_database="default"), User)
    assert_type(await UserFactory.create_batch_async(2), list[User])
    assert_type(UserFactory.build(), User)
    with mute_signals(post_save):
        assert_type(await UserFactory.build_async(), User)


async def adapter() -> None:
    adapter = DjangoAdapter[User](get_or_create=("username",), database="default")
    assert_type(await adapter.save(User()), User)
    assert_type(await adapter.find(User, {"username": "ada"}), "User | None")
    assert_type(adapter.django_database, "str | None")
    DjangoAdapter(database=1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
