"""Lists of related objects among the values of an object."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import factory
import pytest
from async_factory_boy_django import AsyncDjangoModelFactory, mute_signals
from django.db import models as django_models
from django.db.models.signals import m2m_changed, post_save

from async_factory_boy import AdapterError
from tests.shop import models
from tests.shop.factories import UserFactory
from tests.shop.models import Club, Country, Person, Shelf, Tag, User

pytestmark = pytest.mark.django_db(databases="__all__")


class TagFactory(AsyncDjangoModelFactory[Tag]):
    class Meta:
        model = Tag

    name = factory.Sequence(lambda n: f"tag{n}")


class TaggedFactory(UserFactory):
    tags = factory.List([factory.SubFactory(TagFactory), factory.SubFactory(TagFactory)])


class NamedTaggedFactory(TaggedFactory):
    class Meta:
        django_get_or_create = ("name",)


class PersonFactory(AsyncDjangoModelFactory[Person]):
    class Meta:
        model = Person

    name = factory.Sequence(lambda n: f"person{n}")


class ShelfFactory(AsyncDjangoModelFactory[Shelf]):
    class Meta:
        model = Shelf


class ClubFactory(AsyncDjangoModelFactory[Club]):
    class Meta:
        model = Club


@contextmanager
def listening(signal: Any, receiver: Any, sender: Any) -> Iterator[None]:
    signal.connect(receiver, sender=sender)
    try:
        yield
    finally:
        signal.disconnect(receiver, sender=sender)


async def names(related: Any) -> list[str]:
    return [one.name async for one in related.order_by("pk")]


@pytest.mark.parametrize("size", [1, 3])
async def test_declared_list(alias: str, statements: list[str], size: int) -> None:
    """A list of SubFactories is stored, and related by one statement."""
    users = await TaggedFactory.create_batch_async(size)
    ignoring = "INSERT OR IGNORE" if alias == "default" else "INSERT INTO shop_user_tags"
    assert statements == [
        *["INSERT INTO shop_company", "INSERT INTO shop_tag", "INSERT INTO shop_tag"],
        *["INSERT INTO shop_user", ignoring],
    ]
    tags = [await names(user.tags) for user in users]
    assert [len(some) for some in tags] == [2] * size
    assert len({name for some in tags for name in some}) == 2 * size


@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize("kind", ["list", "set", "keys", "queryset", "manager", "function"])
async def test_list_that_is_given(alias: str, size: int, kind: str) -> None:
    """A list may be given to the call, in any form that Django takes; each object counts once."""
    tags = await TagFactory.create_batch_async(2, name=factory.Iterator(["red", "blue"]))
    other = await UserFactory.create_async(tags=tags)
    given: dict[str, Any] = {
        "list": [*tags, tags[0]],
        "set": set(tags),
        "keys": [tag.pk for tag in tags],
        "queryset": Tag.objects.using(alias).all(),
        "manager": other.tags,
        "function": factory.LazyFunction(lambda: tags),
    }
    for user in await UserFactory.create_batch_async(size, tags=given[kind]):
        assert await names(user.tags) == ["red", "blue"]


@pytest.mark.parametrize("given", [None, []])
async def test_nothing_given(alias: str, statements: list[str], given: Any) -> None:
    """None, and an empty list, take no statement."""
    await TaggedFactory.create_async(tags=given)
    assert statements == ["INSERT INTO shop_company", "INSERT INTO shop_user"]


async def test_reverse_side(alias: str) -> None:
    """The other side of the relation takes a list by its name."""
    users = await UserFactory.create_batch_async(2)
    tags = await TagFactory.create_batch_async(2, user_set=users)
    assert [await names(user.tags) for user in users] == [[tag.name for tag in tags]] * 2


@pytest.mark.parametrize("size", [1, 2])
async def test_symmetrical(alias: str, size: int) -> None:
    """Both are friends of each other."""
    friend = await PersonFactory.create_async()
    people = await PersonFactory.create_batch_async(size, friends=[friend])
    assert [await names(one.friends) for one in people] == [[friend.name]] * size
    assert await names(friend.friends) == [one.name for one in people]


@pytest.mark.parametrize("size", [1, 2])
async def test_model_in_between(alias: str, statements: list[str], size: int) -> None:
    """A model of one's own in between is no hindrance, if it needs no further value."""
    countries = [await Country.objects.using(alias).acreate(code=code) for code in ("AT", "BE")]
    statements.clear()
    shelves = await ShelfFactory.create_batch_async(size, countries=countries)
    assert statements == ["INSERT INTO shop_shelf", "INSERT INTO shop_origin"]
    for shelf in shelves:
        assert {one.pk async for one in shelf.countries.all()} == {"AT", "BE"}


@pytest.mark.parametrize("size", [1, 2])
async def test_get_or_create(alias: str, statements: list[str], size: int) -> None:
    """Only what is new is given related objects."""
    made = await NamedTaggedFactory.create_batch_async(size, name=factory.Iterator(["Ada", "Bob"]))
    statements.clear()
    found = await NamedTaggedFactory.create_batch_async(size, name=factory.Iterator(["Ada", "Bob"]))
    assert found == made
    assert not any("IGNORE" in one or "shop_user" in one for one in statements if "INS" in one)
    assert [await user.tags.acount() for user in found] == [2] * size


@pytest.mark.parametrize("size", [1, 2])
async def test_what_is_there_already(alias: str, size: int) -> None:
    """A receiver of a signal may have added one of them."""
    tag = await TagFactory.create_async()
    country = await Country.objects.using(alias).acreate(code="AT")

    def tagged(instance: User, **_: object) -> None:
        instance.tags.add(tag)

    def placed(instance: Shelf, **_: object) -> None:
        instance.countries.add(country)

    with listening(post_save, tagged, User), listening(post_save, placed, Shelf):
        users = await UserFactory.create_batch_async(size, tags=[tag])
        shelves = await ShelfFactory.create_batch_async(size, countries=[country])
    assert [await user.tags.acount() for user in users] == [1] * size
    assert [await shelf.countries.acount() for shelf in shelves] == [1] * size


async def test_signals(alias: str, statements: list[str]) -> None:
    """Where somebody listens to m2m_changed, it is sent as by add(), unless it is muted."""
    heard: list[tuple[str, str, int]] = []

    def listen(instance: User, action: str, pk_set: set[int], **_: object) -> None:
        heard.append((instance.name, action, len(pk_set)))

    tags = await TagFactory.create_batch_async(2)
    with listening(m2m_changed, listen, User.tags.through):
        await UserFactory.create_batch_async(2, name=factory.Iterator("ab"), tags=tags)
        assert heard == [(name, action, 2) for name in "ab" for action in ("pre_add", "post_add")]
        heard.clear()
        statements.clear()
        with mute_signals(m2m_changed):
            await UserFactory.create_batch_async(2, tags=tags)
        assert len(statements) == 3
    assert heard == []


@pytest.mark.parametrize("size", [1, 2])
async def test_object_of_another_database(alias: str, size: int) -> None:
    """Django's own error says that a related object is on another database."""
    elsewhere = "postgresql" if alias == "default" else "default"
    tag = await TagFactory.create_async(django_database=elsewhere)
    problem = f'is on database "{alias}", value is on database "{elsewhere}"'
    with pytest.raises(ValueError, match=problem):
        await UserFactory.create_batch_async(size, tags=[tag])


@pytest.mark.parametrize("size", [1, 2])
async def test_object_that_is_not_stored(alias: str, statements: list[str], size: int) -> None:
    """A related object that is not stored is told before anything is, whoever made its key."""
    problem = (
        "User.tags is given a Tag that is not stored, and so cannot be referred to; create it "
        "first, with await TagFactory.create_async(), or by "
        "factory.List([factory.SubFactory(TagFactory)])."
    )
    with pytest.raises(AdapterError, match=f"^{re.escape(problem)}"):
        await UserFactory.create_batch_async(size, tags=[TagFactory.build()])
    assert "INSERT INTO shop_user" not in statements
    with pytest.raises(AdapterError, match=r"^Shelf\.documents is given a Document that is not"):
        await ShelfFactory.create_batch_async(size, documents=[models.Document()])
    assert not await Shelf.objects.using(alias).aexists()


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (
            "red",
            "User.tags takes a list of Tag objects, or of their keys; got 'red'. Write tags = "
            "[...], or factory.List([factory.SubFactory(TagFactory)]).",
        ),
        (Tag(name="red"), "User.tags takes a list of Tag objects, or of their keys; got <Tag: "),
        (
            [Person(pk=1)],
            "User.tags takes a list of Tag objects, or of their keys; one of them is a Person.",
        ),
    ],
)
async def test_what_is_no_list(alias: str, given: Any, problem: str) -> None:
    """What is no list of related objects is told."""
    with pytest.raises(AdapterError, match=f"^{re.escape(problem)}"):
        await UserFactory.create_async(tags=given)


async def test_model_in_between_that_needs_values(alias: str) -> None:
    """A model in between that needs more is stored by a factory of its own."""
    problem = (
        "Club.members is stored by way of Membership, which needs values for role as well, so a "
        "list of objects does not do. Declare factory.RelatedFactory(MembershipFactory, "
        '"club") in its place, under another name.'
    )
    user = await UserFactory.create_async()
    with pytest.raises(AdapterError, match=f"^{re.escape(problem)}"):
        await ClubFactory.create_async(members=[user])
    with pytest.raises(AdapterError, match=r'RelatedFactory\(MembershipFactory, "user"\)'):
        await UserFactory.create_async(clubs=[])

    class MembershipFactory(AsyncDjangoModelFactory[models.Membership]):
        class Meta:
            model = models.Membership

        role = "chair"

    class ChairedClubFactory(ClubFactory):
        membership = factory.RelatedFactory(MembershipFactory, "club", user=user)

    club = await ChairedClubFactory.create_async()
    assert await club.membership_set.filter(user=user, role="chair").acount() == 1


async def test_objects_that_refer_to_it(alias: str) -> None:
    """What refers to the object is stored after it, by a RelatedFactoryList."""
    problem = (
        "User.posts are the Post objects that refer to a User, and are stored after it, so they "
        "cannot be given with its values. Declare posts = "
        'factory.RelatedFactoryList(PostFactory, "author", size=...).'
    )
    with pytest.raises(AdapterError, match=f"^{re.escape(problem)}"):
        await UserFactory.create_async(posts=[])


async def test_building(alias: str, statements: list[str]) -> None:
    """What is built has no related objects, whose rows would need its key."""
    for user in [
        await TaggedFactory.build_async(company_key=1),
        TaggedFactory.build(company_key=1),
    ]:
        assert user.pk is None
        with pytest.raises(ValueError, match="needs to have a value for field"):
            user.tags.all()
    assert statements == []


class FirstManager(django_models.Manager[Any]):
    """Takes the list by itself, and adds the first of it."""

    def create(self, *, tags: Any, **kwargs: Any) -> Any:
        instance = super().create(**kwargs)
        instance.tags.add(*tags[:1])
        return instance


@pytest.mark.parametrize(("manager", "added"), [(FirstManager, 1), (models.PassingManager, 2)])
@pytest.mark.parametrize("size", [1, 2])
async def test_manager_that_creates(
    alias: str, monkeypatch: pytest.MonkeyPatch, manager: Any, added: int, size: int
) -> None:
    """A manager that overrides create() is given the list if it has a parameter for it."""
    tags = await TagFactory.create_batch_async(2)
    own = manager()
    own.model, own.name = User, "objects"
    monkeypatch.setattr(User, "objects", own)
    users = await UserFactory.create_batch_async(size, tags=tags)
    assert [await user.tags.acount() for user in users] == [added] * size
