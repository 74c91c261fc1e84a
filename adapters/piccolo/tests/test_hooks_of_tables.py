"""Where a table overrides what a single call goes through, and what is given with its values."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import Any

import factory
import pytest
import tables
from async_factory_boy_piccolo import AsyncPiccoloTableFactory
from piccolo.engine import Engine
from piccolo.table import Table
from tables import (
    Club,
    CompanyFactory,
    Membership,
    OwnObjects,
    Stamped,
    Tag,
    TagFactory,
    User,
    UserFactory,
    UserToTag,
)

from async_factory_boy import AdapterError

LONG_AGO = datetime(2001, 2, 3, 4, 5, tzinfo=timezone.utc)


def factory_of(model: type[Table], **declarations: Any) -> type[AsyncPiccoloTableFactory[Any]]:
    """Return a factory of `model`."""
    body = {"Meta": type("Meta", (), {"model": model}), "__module__": __name__, **declarations}
    made: type[AsyncPiccoloTableFactory[Any]]
    made = type(AsyncPiccoloTableFactory)("OneFactory", (AsyncPiccoloTableFactory,), body)
    return made


# Hooks


HOOKS: list[tuple[type[Table], dict[str, Any], str, list[Any]]] = [
    (tables.OwnInit, {"name": "ada"}, "name", ["ADA", "ADA"]),
    (tables.OwnInsert, {"name": "ada"}, "name", ["inserted", "inserted"]),
    (tables.OwnSave, {"name": "ada"}, "name", ["0", "1"]),
    (tables.OwnQueryString, {"name": "ada"}, "name", ["written", "written"]),
    (tables.Stamped, {"name": "ada"}, "number", [7, 7]),
]


@pytest.mark.parametrize(
    ("model", "declarations", "column", "expected"),
    HOOKS,
    ids=[model.__name__ for model, *_ in HOOKS],
)
async def test_single_call_and_batch(
    database: Engine[Any],
    model: Any,
    declarations: dict[str, Any],
    column: str,
    expected: list[Any],
) -> None:
    """A batch stores what single calls do, whatever the table overrides."""
    one = factory_of(model, **declarations)

    async def stored() -> list[Any]:
        rows = await model.select(column).order_by(model._meta.primary_key)
        return [row[column] for row in rows]

    singly = [await one.create_async() for _ in range(2)]
    assert await stored() == [row[column] for row in singly] == expected
    await model.delete(force=True)
    together = await one.create_batch_async(2)
    assert await stored() == [row[column] for row in together] == expected


@pytest.mark.parametrize("size", [1, 2])
async def test_piccolos_user(database: Engine[Any], size: int) -> None:
    """The password of Piccolo's own user is stored hashed, and is the one to log in with."""
    one = factory_of(
        tables.Account,
        username=factory.Sequence(lambda n: f"user{n}"),
        email=factory.LazyAttribute(lambda account: f"{account.username}@example.org"),
        password="secret",
        active=True,
    )
    for account in await one.create_batch_async(size):
        assert account.password.startswith("pbkdf2_sha256")
        assert await tables.Account.login(account.username, "secret") == account.id


@pytest.mark.parametrize("size", [1, 2])
async def test_own_objects(database: Engine[Any], size: int) -> None:
    """Rows are looked up by the table's objects()."""
    names = ["ada", "bob"]

    class ByName(AsyncPiccoloTableFactory[OwnObjects]):
        class Meta:
            model = OwnObjects
            piccolo_get_or_create = ("name",)

    hidden = await ByName.create_batch_async(size, name=factory.Iterator(names), hidden=True)
    shown = await ByName.create_batch_async(size, name=factory.Iterator(names))
    again = await ByName.create_batch_async(size, name=factory.Iterator(names))
    assert [row.id for row in again] == [row.id for row in shown]
    assert not {row.id for row in shown} & {row.id for row in hidden}


# Values that Piccolo fills in


@pytest.mark.parametrize("size", [1, 3])
async def test_given_values(database: Engine[Any], statements: list[str], size: int) -> None:
    """Keys, and what has a default or auto_update, are stored as given, by one statement."""
    values = {"made": LONG_AGO, "changed": LONG_AGO, "number": 1}
    keys = [500 + n for n in range(size)]
    rows = await factory_of(Stamped).create_batch_async(size, id=factory.Iterator(keys), **values)
    assert statements == ["INSERT"]
    stored = await Stamped.select().order_by(Stamped.id)
    assert stored == [{"id": key, "name": "", **values} for key in keys]
    assert [row.to_dict() for row in rows] == stored


# Relations of many to many


class Tagged(UserFactory):
    tags = factory.List([factory.SubFactory(TagFactory), "given"])


@pytest.fixture
async def given(database: Engine[Any]) -> Tag:
    return await TagFactory.create_async(slug="given")


@pytest.mark.parametrize("inside", [True, False], ids=["transaction", "autocommit"])
@pytest.mark.parametrize("size", [1, 3])
async def test_declared_list(
    given: Tag, database: Engine[Any], statements: list[str], size: int, inside: bool
) -> None:
    """A list of SubFactories, and of keys, is related by one statement."""
    statements.clear()
    if inside:
        async with database.transaction():
            users = await Tagged.create_batch_async(size)
    else:
        users = await Tagged.create_batch_async(size)
    assert statements.count("INSERT") == 4  # companies, tags, users, and what is in between
    for user in users:
        tags = {tag.slug for tag in await user.get_m2m(User.tags)}
        assert len(tags) == 2
        assert "given" in tags
    assert await Tag.count() == 1 + size


@pytest.mark.parametrize("size", [1, 2])
async def test_list_that_is_given(given: Tag, size: int) -> None:
    """A list may be given to the call, from either side; each row counts once."""
    users = await UserFactory.create_batch_async(size, tags=[given, given, "given"])
    assert await UserToTag.count() == size
    tags = await TagFactory.create_batch_async(size, users=factory.LazyFunction(lambda: users))
    assert await UserToTag.count() == size + size * size
    assert {one.id for one in await tags[0].get_m2m(Tag.users)} == {user.id for user in users}
    await UserFactory.create_async(tags=None)
    await UserFactory.create_async(tags=[])
    assert await UserToTag.count() == size + size * size


@pytest.mark.parametrize("size", [1, 2])
async def test_get_or_create(given: Tag, size: int) -> None:
    """Only what is new is related to others."""
    names = ["ada", "bob"]

    class ByName(Tagged):
        class Meta:
            piccolo_get_or_create = ("name",)

    made = await ByName.create_batch_async(size, name=factory.Iterator(names))
    found = await ByName.create_batch_async(size, name=factory.Iterator(names))
    assert [row.id for row in found] == [row.id for row in made]
    assert await UserToTag.count() == 2 * size


async def test_all_or_nothing(database: Engine[Any]) -> None:
    """Outside of a transaction too, a row whose relations are refused is not stored."""
    with pytest.raises(Exception, match=r"(?i)foreign key"):
        await UserFactory.create_async(company=None, tags=["unknown"])
    assert await User.count() == 0


@pytest.mark.parametrize("size", [1, 2])
async def test_row_that_is_not_stored(database: Engine[Any], size: int) -> None:
    """A related row that is not stored is told, where Piccolo would store it by the way."""
    problem = (
        "User.tags is given a Tag that is not stored, and so cannot be referred to; create it "
        "first, with await TagFactory.create_async(), or by "
        "factory.List([factory.SubFactory(TagFactory)])."
    )
    with pytest.raises(AdapterError, match=f"^{re.escape(problem)}"):
        await UserFactory.create_batch_async(size, tags=[Tag(slug="new")])
    assert await User.count() == await Tag.count() == 0


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        (
            lambda: "red",
            "User.tags takes a list of Tag rows, or of their keys; got 'red'. Write tags = [...], "
            "or factory.List([factory.SubFactory(TagFactory)]).",
        ),
        (lambda: Tag(slug="red"), "User.tags takes a list of Tag rows, or of their keys; got "),
        (
            lambda: [Club()],
            "User.tags takes a list of Tag rows, or of their keys; one of them is a Club.",
        ),
    ],
)
async def test_what_is_no_list(database: Engine[Any], rows: Any, problem: str) -> None:
    """What is no list of related rows is told."""
    with pytest.raises(AdapterError, match=f"^{re.escape(problem)}"):
        await UserFactory.create_async(tags=rows())


async def test_table_in_between_that_needs_values(database: Engine[Any]) -> None:
    """A table in between that needs more is stored by a factory of its own."""
    problem = (
        "Club.members is stored by way of Membership, which needs values for role as well, so a "
        "list of rows does not do. Declare factory.RelatedFactory(MembershipFactory, "
        '"club") in its place, under another name.'
    )
    user = await UserFactory.create_async()
    with pytest.raises(AdapterError, match=f"^{re.escape(problem)}"):
        await factory_of(Club).create_async(members=[user])
    through = factory_of(Membership, role="chair", member=user)
    club = await factory_of(Club, membership=factory.RelatedFactory(through, "club")).create_async()
    assert [row.id for row in await club.get_m2m(Club.members)] == [user.id]


async def test_building(database: Engine[Any]) -> None:
    """What is built is related to nothing, since that takes rows."""
    for user in (await Tagged.build_async(), Tagged.build()):
        assert not user._exists_in_db
        assert user.company.name.startswith("company")
    assert await Tag.count() == await UserToTag.count() == 0
    assert CompanyFactory.build().name
