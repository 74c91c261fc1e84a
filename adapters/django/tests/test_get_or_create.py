"""Meta.django_get_or_create."""

from __future__ import annotations

import threading
from typing import Any

import factory
import pytest
from asgiref.sync import sync_to_async
from async_factory_boy_django import AsyncDjangoModelFactory
from django.db import IntegrityError, connections, transaction
from django.db.models.signals import pre_save

from async_factory_boy import MultipleFoundError, bind
from tests.conftest import HAS_POSTGRESQL
from tests.shop import models
from tests.shop.factories import CompanyFactory, NamedCompanyFactory, UserFactory
from tests.shop.models import Company, User

pytestmark = pytest.mark.django_db(databases="__all__")


class OneUserFactory(UserFactory):
    class Meta:
        django_get_or_create = ("name", "company")


async def test_found(alias: str) -> None:
    """An object with the values is returned as it is."""
    first = await NamedCompanyFactory.create_async(name="ACME", size=1)
    second = await NamedCompanyFactory.create_async(name="ACME", size=2)
    assert (second, second.size) == (first, 1)
    assert await Company.objects.using(alias).acount() == 1


async def test_batch(alias: str, statements: list[str]) -> None:
    """A batch takes one lookup and one INSERT, and duplicates in it are one object."""
    there = await NamedCompanyFactory.create_async(name="there")
    statements.clear()
    names = factory.Iterator(["there", "new", "there", "new", "newer"])
    companies = await NamedCompanyFactory.create_batch_async(5, name=names)
    assert [one.name for one in companies] == ["there", "new", "there", "new", "newer"]
    assert companies[0] == companies[2] == there
    assert companies[1] is companies[3]
    assert [one.split()[0] for one in statements if "shop_company" in one] == ["SELECT", "INSERT"]


async def test_by_a_related_object(alias: str, statements: list[str]) -> None:
    """A related object identifies, in a batch too."""
    company = await CompanyFactory.create_async()
    names = ["Ada", "Bob"]
    first = [await OneUserFactory.create_async(name=name, company=company) for name in names]
    statements.clear()
    second = await OneUserFactory.create_batch_async(
        2, name=factory.Iterator(names), company=company
    )
    assert first == second
    assert len(statements) == 1


@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize("field", ["company", "company_id", "pk", "id"])
async def test_state_of_what_is_found(alias: str, field: str, size: int) -> None:
    """What is found is stored where it was looked for; and refers to what it was looked up by."""

    class ByFieldFactory(UserFactory):
        class Meta:
            django_get_or_create = (field,)

    made = await UserFactory.create_batch_async(size)
    values = [getattr(one, field) for one in made]
    given = {field: factory.Iterator(values)}
    if field == "company_id":
        given.update(company=factory.declarations.SKIP, company_key=None)
    found = await ByFieldFactory.create_batch_async(size, **given)
    assert found == made
    assert {(one._state.adding, one._state.db) for one in found} == {(False, alias)}
    assert not any(one.get_deferred_fields() for one in found)
    if field == "company":
        assert [one.company for one in found] == values  # without a query
        assert all(one.company is value for one, value in zip(found, values, strict=True))


@pytest.mark.parametrize("size", [1, 2])
async def test_related_object_that_is_not_stored(alias: str, size: int) -> None:
    """Django's own error says that an object to look up by is not stored."""

    class ByCompanyFactory(UserFactory):
        class Meta:
            django_get_or_create = ("company",)

    companies = factory.LazyFunction(CompanyFactory.build)
    with pytest.raises(ValueError, match="must be saved"):
        await ByCompanyFactory.create_batch_async(size, company=companies, company_key=None)


@pytest.mark.parametrize("field", ["company_id", "pk"])
async def test_by_a_key(alias: str, field: str) -> None:
    """A column is a field as well, and pk is the key."""

    class ByKeyFactory(AsyncDjangoModelFactory[User]):
        class Meta:
            model = User
            django_get_or_create = (field,)

        name = "Ada"

    company = await CompanyFactory.create_async(pk=7)
    values = {"company_id": company.pk, "pk": 7}
    users = [
        await ByKeyFactory.create_async(**values),
        *await ByKeyFactory.create_batch_async(2, **values),
    ]
    assert users == users[:1] * 3


async def test_values_that_only_the_database_takes_for_equal(alias: str) -> None:
    """What the database finds is found in a batch as well."""

    class SizedFactory(CompanyFactory):
        class Meta:
            django_get_or_create = ("size",)

        size = factory.Iterator([5, "5", "6"])

    company = await SizedFactory.create_async()
    found = await SizedFactory.create_batch_async(2)
    assert found[0] == company
    assert found[1] != company


async def test_values_without_a_hash(alias: str) -> None:
    """The value of a JSONField may be a dict."""

    class SettingFactory(AsyncDjangoModelFactory[models.Setting]):
        class Meta:
            model = models.Setting
            django_get_or_create = ("key",)

    keys = factory.Iterator([{"a": 1}, {"b": 2}, {"a": 1}])
    first, second, third = await SettingFactory.create_batch_async(3, key=keys)
    assert first is third
    assert first != second
    again = await SettingFactory.create_batch_async(2, key=factory.Iterator([{"a": 1}, {"c": 1}]))
    assert again[0] == first


async def test_null(alias: str) -> None:
    """None finds what has no value."""

    class ByKeyFactory(UserFactory):
        class Meta:
            django_get_or_create = ("company_key",)

    user = await ByKeyFactory.create_async(company_key=None)
    keys = factory.Iterator([None, 5])
    assert (await ByKeyFactory.create_batch_async(2, company_key=keys))[0] == user


@pytest.mark.parametrize("size", [1, 2])
async def test_more_than_one(alias: str, size: int) -> None:
    """get_or_create by what several objects have is an error."""

    class SizedFactory(CompanyFactory):
        class Meta:
            django_get_or_create = ("size",)

        size = factory.Iterator([10, 11])

    await CompanyFactory.create_batch_async(2)
    with pytest.raises(MultipleFoundError, match="one Company by"):
        await SizedFactory.create_batch_async(size)


async def test_manager_that_overrides_create(alias: str) -> None:
    """get_or_create() of such a manager is called."""

    class QuietFactory(AsyncDjangoModelFactory[models.Quiet]):
        class Meta:
            model = models.Quiet
            django_get_or_create = ("number",)
            inline_args = ("number",)

        name = "Ada"
        number = 1

    first, second = await QuietFactory.create_batch_async(2)
    assert (first, first.name) == (second, "quiet")


async def test_manager_that_hides(alias: str) -> None:
    """An object is looked up by the model's manager."""

    class PresentFactory(AsyncDjangoModelFactory[models.Present]):
        class Meta:
            model = models.Present
            django_get_or_create = ("name",)

        name = "Ada"

    gone = await PresentFactory.create_async(deleted=True)
    there = await PresentFactory.create_async()
    assert gone != there
    assert await PresentFactory.create_async() == there


@pytest.mark.parametrize("size", [1, 2])
async def test_refused_object_leaves_the_transaction_usable(alias: str, size: int) -> None:
    """What is refused for another reason raises, and the caller's transaction goes on."""
    before = await CompanyFactory.create_async(name="ACME")

    class SizedFactory(CompanyFactory):
        class Meta:
            django_get_or_create = ("size",)

        size = factory.Sequence(int)

    with pytest.raises(IntegrityError):
        await SizedFactory.create_batch_async(size, name="ACME")
    assert await Company.objects.using(alias).aget(name="ACME") == before
    await CompanyFactory.create_async()


async def test_refused_object_is_found_by_what_was_given(alias: str) -> None:
    """As by factory_boy, an object that is refused is looked up by the call's own values."""

    class BothFactory(CompanyFactory):
        class Meta:
            django_get_or_create = ("name", "size")

        size = factory.Sequence(int)

    first = await BothFactory.create_async(name="ACME")
    assert await BothFactory.create_async(name="ACME") == first


@pytest.mark.skipif(not HAS_POSTGRESQL, reason="set POSTGRES_URL")
@pytest.mark.django_db(databases="__all__", transaction=True)
@pytest.mark.parametrize("size", [1, 2])
async def test_lost_race(size: int) -> None:
    """Where another process is faster, its row is found, and the transaction goes on."""

    def faster() -> None:
        try:
            Company.objects.using("postgresql").get_or_create(name="ACME", defaults={"size": 99})
        finally:
            connections.close_all()

    def race(instance: Any, **_: object) -> None:
        if instance.name == "ACME" and instance.size != 99:
            thread = threading.Thread(target=faster)
            thread.start()
            thread.join()

    atomic = transaction.atomic(using="postgresql")
    await sync_to_async(atomic.__enter__)()
    pre_save.connect(race, sender=Company)
    try:
        with bind(django_database="postgresql"):
            before = await CompanyFactory.create_async(name="before")
            names = factory.Iterator(["ACME", "other"])
            companies = await NamedCompanyFactory.create_batch_async(size, name=names)
            assert [one.size for one in companies] == [99, 10][:size]
            assert await Company.objects.using("postgresql").aget(name="before") == before
    finally:
        pre_save.disconnect(race, sender=Company)
        await sync_to_async(atomic.__exit__)(None, None, None)
