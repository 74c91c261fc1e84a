"""Foreign keys that a call gives beside a declared SubFactory."""

from __future__ import annotations

import factory
import pytest
from asgiref.sync import sync_to_async

from async_factory_boy import ConfigurationError, LeftOutError
from tests.shop.factories import CompanyFactory, PostFactory, UserFactory
from tests.shop.models import Company, Post, User

pytestmark = pytest.mark.django_db(databases="__all__")


@pytest.fixture(autouse=True)
def sequences() -> None:
    for one in (CompanyFactory, UserFactory, PostFactory):
        one.reset_sequence(0, force=True)


async def test_key_is_given(alias: str) -> None:
    """Objects that are given the key of a company have that company, and no other is stored."""
    company = await CompanyFactory.create_async()
    given = {"company_id": company.pk, "company_key": company.pk}

    class TraitFactory(UserFactory):
        class Params:
            known = factory.Trait(**given)

    users = [
        await UserFactory.create_async(**given),
        *await UserFactory.create_batch_async(2, **given),
        (
            await PostFactory.create_async(author__company_id=company.pk, author__company_key=1)
        ).author,
        await TraitFactory.create_async(known=True),
    ]
    assert [user.company_id for user in users] == [company.pk] * 5
    assert await Company.objects.using(alias).acount() == 1
    assert (await sync_to_async(lambda: users[0].company)()) == company


async def test_key_of_a_part_is_given(alias: str) -> None:
    """A post that is given its author makes no user."""
    user = await UserFactory.create_async()
    posts = await PostFactory.create_batch_async(2, author_id=user.pk)
    assert [post.author_id for post in posts] == [user.pk] * 2
    assert await User.objects.using(alias).acount() == 1
    assert await Post.objects.using(alias).acount() == 2


async def test_relation_over_a_declared_key(alias: str) -> None:
    """A company that is given is the user's, whatever key the class declares."""
    first, second = await CompanyFactory.create_batch_async(2)

    class FixedFactory(UserFactory):
        company_id = first.pk
        company_key = None

    user = await FixedFactory.create_async(company=second)
    assert user.company_id == second.pk
    user = await FixedFactory.create_async()
    assert user.company_id == first.pk
    assert await Company.objects.using(alias).acount() == 2


async def test_contradiction(alias: str) -> None:
    """A company besides the key of another is refused; its own key may be given as a string."""
    first, second = await CompanyFactory.create_batch_async(2)
    with pytest.raises(ConfigurationError, match="give company_id or company, not both"):
        await UserFactory.create_async(company=first, company_id=second.pk)
    user = await UserFactory.create_async(company=first, company_id=str(first.pk))
    assert int(user.company_id) == first.pk
    assert await User.objects.using(alias).acount() == 1


async def test_relation_is_read() -> None:
    """A declaration that reads a company which is left out is told what to read."""
    with pytest.raises(LeftOutError, match=r"UserFactory\.company is left out, since company_id"):
        await UserFactory.create_async(company_id=3)


def test_build() -> None:
    """What is built by the key has it, and no company."""
    user = UserFactory.build(company_id=3, company_key=3)
    assert (user.company_id, user._state.fields_cache) == (3, {})
