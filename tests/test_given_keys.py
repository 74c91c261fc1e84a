"""Given means given: a call that gives a foreign key makes no object for the relation."""

from __future__ import annotations

from typing import Any

import factory
import pytest

from async_factory_boy import ConfigurationError, LeftOutError
from tests.stores import databases, sqlalchemy, tortoise
from tests.stores.base import Store, params

KEYED: list[type[Store]] = [
    *sqlalchemy.STORES,
    *tortoise.STORES,
    *(one for one in databases.STORES if issubclass(one, databases.MappedClasses)),
]

pytestmark = [
    pytest.mark.parametrize("store", params(KEYED), indirect=True),
    pytest.mark.unmeasured,
]


@pytest.fixture
async def company(store: Store) -> Any:
    return await store.CompanyFactory.create_async(name="given")


async def stored(store: Store) -> tuple[list[str], list[Any]]:
    """Return the names of all companies, and the keys that users have of theirs."""
    companies = await store.rows(store.CompanyFactory)
    users = await store.rows(store.UserFactory)
    return [row["name"] for row in companies], [row["company_key"] for row in users]


async def test_key_is_given(store: Store, company: Any) -> None:
    """A user who is given the key of a company has that company, and no other is stored."""
    key = store.key(company)
    await store.UserFactory.create_async(company_id=key, company_key=key)
    assert await stored(store) == (["given"], [key])


async def test_key_is_given_to_a_batch(store: Store, company: Any) -> None:
    """All users of a batch have the companies whose keys they are given, by an Iterator too."""
    other = await store.CompanyFactory.create_async(name="other")
    keys = [store.key(company), store.key(other)]
    await store.UserFactory.create_batch_async(2, company_id=keys[0], company_key=keys[0])
    await store.UserFactory.create_batch_async(
        3, company_id=factory.Iterator(keys), company_key=factory.SelfAttribute("company_id")
    )
    expected = [keys[0], keys[0], keys[0], keys[1], keys[0]]
    assert await stored(store) == (["given", "other"], expected)


async def test_key_is_declared_by_the_call(store: Store, company: Any) -> None:
    """A declaration that the call gives for the key leaves the company out as a value does."""
    key = store.key(company)
    await store.UserFactory.create_async(
        company_id=factory.LazyFunction(lambda: key),
        company_key=factory.LazyAttribute(lambda user: user.company_id),
    )
    assert await stored(store) == (["given"], [key])


async def test_key_is_given_to_a_part(store: Store, company: Any) -> None:
    """A part has the company whose key the call gives it."""
    key = store.key(company)
    await store.PostFactory.create_batch_async(2, author__company_id=key, author__company_key=key)
    assert await stored(store) == (["given"], [key, key])


async def test_key_of_a_part_is_given(store: Store, company: Any) -> None:
    """A post that is given the key of its author makes no user, and so no company."""
    key = store.key(company)
    author = await store.UserFactory.create_async(company=company, company_key=key)
    await store.PostFactory.create_async(author_id=store.key(author))
    (post,) = await store.rows(store.PostFactory)
    assert post["author_key"] == store.key(author)
    assert await stored(store) == (["given"], [key])


async def test_key_is_given_by_declarations_of_parts(store: Store, company: Any) -> None:
    """A SubFactory or RelatedFactory that has the key leaves the company out."""
    key = store.key(company)

    class Post(store.PostFactory):  # type: ignore[name-defined, misc]
        author = factory.SubFactory(store.UserFactory, company_id=key, company_key=key)

    class Company(store.CompanyFactory):  # type: ignore[name-defined, misc]
        user = factory.RelatedFactory(
            store.UserFactory, company_id=key, company_key=factory.SelfAttribute("company_id")
        )

    await Post.create_async()
    await Company.create_async(name="another")
    assert await stored(store) == (["given", "another"], [key, key])


async def test_key_is_given_by_a_trait(store: Store, company: Any) -> None:
    """A trait that has the key leaves the company out where it is switched on, in a batch too."""
    key = store.key(company)

    class User(store.UserFactory):  # type: ignore[name-defined, misc]
        class Params:
            of_company = factory.Trait(company_id=key, company_key=key)

    await User.create_async(of_company=True)
    await User.create_async(of_company=False, company__name="made")
    await User.create_batch_async(4, of_company=factory.Iterator([True, False]))
    companies, keys = await stored(store)
    assert [name == "given" or name == "made" for name in companies] == [True, True, False, False]
    assert [one == key for one in keys] == [True, False, True, False, True, False]


async def test_key_is_declared_by_a_subclass(store: Store, company: Any) -> None:
    """A subclass that declares the key leaves out the company that its base declares."""
    key = store.key(company)

    class User(store.UserFactory):  # type: ignore[name-defined, misc]
        company_id = key
        company_key = key

    await User.create_async()
    assert await stored(store) == (["given"], [key])
    other = await store.CompanyFactory.create_async(name="other")
    await User.create_async(company=other, company_key=store.key(other))
    await User.create_async(company__name="made", company_key=factory.SelfAttribute("company.id"))
    companies, keys = await stored(store)
    assert (companies, keys[1]) == (["given", "other", "made"], store.key(other))


async def test_key_is_read_off_the_relation(store: Store) -> None:
    """A key that a subclass declares by the company has the company made, as before."""

    class User(store.UserFactory):  # type: ignore[name-defined, misc]
        company_id = factory.LazyAttribute(lambda user: user.company.id)

    await User.create_batch_async(2)
    companies, keys = await stored(store)
    assert (len(companies), len(set(keys))) == (2, 2)


async def test_contradiction(store: Store, company: Any) -> None:
    """A company given besides the key of another is refused, before anything is stored."""
    other = await store.CompanyFactory.create_async(name="other")
    mine, others = store.key(company), store.key(other)
    message = (
        f"UserFactory.company_id is given as {others}, but the company that is given has {mine} "
        "for its id; give company_id or company, not both."
    )
    with pytest.raises(ConfigurationError, match=message):
        await store.UserFactory.create_async(company=company, company_id=others)
    with pytest.raises(ConfigurationError, match=message):
        await store.PostFactory.create_async(author__company=company, author__company_id=others)
    with pytest.raises(ConfigurationError, match=message):
        await store.UserFactory.create_async(
            company=factory.LazyFunction(lambda: company), company_id=others
        )
    with pytest.raises(ConfigurationError, match="but the company that is given is None; give"):
        await store.UserFactory.create_async(company=None, company_id=mine)
    assert await stored(store) == (["given", "other"], [])
    await store.UserFactory.create_async(company=company, company_id=mine, company_key=mine)
    assert await stored(store) == (["given", "other"], [mine])


async def test_relation_is_read(store: Store, company: Any) -> None:
    """A declaration that reads the company which is left out is told what to read."""
    message = (
        "UserFactory.company is left out, since company_id is given; read company_id here, or "
        "give company to the call in place of company_id."
    )
    key = store.key(company)
    for reads in (
        factory.LazyAttribute(lambda user: user.company.id),
        factory.SelfAttribute("company.id"),
        factory.LazyAttribute(lambda user: user.company),
    ):
        with pytest.raises(LeftOutError) as caught:
            await store.UserFactory.create_async(company_id=key, company_key=reads)
        assert str(caught.value) == message
    await store.UserFactory.create_async(
        company_id=key, company_key=factory.SelfAttribute("company.id", default=key)
    )
    assert await stored(store) == (["given"], [key])


async def test_build_and_stub(store: Store, company: Any) -> None:
    """What is built or stubbed by the key has it, and has made no company."""
    key = store.key(company)
    before = store.CompanyFactory._meta.next_sequence()
    built = await store.UserFactory.build_async(company_id=key, company_key=key)
    also_built = store.UserFactory.build(company_id=key, company_key=key)
    stub = store.UserFactory.stub(company_id=key, company_key=key)
    assert [one.company_id for one in (built, also_built, stub)] == [key, key, key]
    assert not hasattr(stub, "company")
    assert store.CompanyFactory._meta.next_sequence() == before + 1
