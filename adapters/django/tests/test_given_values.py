"""Values that are given for what Django, or the database, fills in by itself."""

from __future__ import annotations

from datetime import date, datetime, timezone

import factory
import pytest
from async_factory_boy_django import AsyncDjangoModelFactory
from django.db.models import Value
from django.db.models.functions import Concat, Now

from tests.shop import models
from tests.shop.models import Invoice, Stamped

pytestmark = pytest.mark.django_db(databases="__all__")

LONG_AGO = datetime(2001, 2, 3, 4, 5, tzinfo=timezone.utc)


class StampedFactory(AsyncDjangoModelFactory[Stamped]):
    class Meta:
        model = Stamped

    name = factory.Sequence(lambda n: f"stamped{n}")


class InvoiceFactory(AsyncDjangoModelFactory[Invoice]):
    class Meta:
        model = Invoice

    number = "1"


def years(size: int) -> list[datetime]:
    return [LONG_AGO.replace(year=2001 + n) for n in range(size)]


@pytest.mark.parametrize("size", [1, 3])
async def test_times_are_stored_as_given(alias: str, statements: list[str], size: int) -> None:
    """auto_now and auto_now_add leave what is given, which takes one more statement."""
    values = {"created": LONG_AGO, "updated": LONG_AGO, "day": date(2001, 2, 3)}
    made = await StampedFactory.create_batch_async(size, **values)
    assert [one for one in statements if "SAVEPOINT" not in one] == [
        "INSERT INTO shop_stamped",
        "UPDATE shop_stamped SET",
    ]
    stored = [row async for row in Stamped.objects.using(alias).values(*values)]
    assert stored == [values] * size
    assert [{name: getattr(one, name) for name in values} for one in made] == stored


async def test_times_of_each(alias: str, statements: list[str]) -> None:
    """So it is where each object of a batch has its own."""
    made = await StampedFactory.create_batch_async(3, created=factory.Iterator(years(3)))
    assert [one.split()[0] for one in statements] == ["INSERT", "UPDATE"]
    stored = Stamped.objects.using(alias).order_by("pk").values_list("created", flat=True)
    assert [one async for one in stored] == years(3) == [one.created for one in made]
    assert all(one.updated.year > 2020 for one in made)


@pytest.mark.parametrize("size", [1, 2])
async def test_times_that_are_not_given(alias: str, statements: list[str], size: int) -> None:
    """Without a value it is the present, and takes no further statement."""
    for one in await StampedFactory.create_batch_async(size):
        assert abs(datetime.now(timezone.utc) - one.created).seconds < 60
    assert statements == ["INSERT INTO shop_stamped"]


async def test_time_of_an_expression(alias: str) -> None:
    """An expression is evaluated by the database, and loaded."""
    made = await StampedFactory.create_batch_async(2, created=Now())
    assert all(isinstance(one.created, datetime) for one in made)


@pytest.mark.parametrize("size", [1, 2])
async def test_time_of_what_a_manager_creates(
    alias: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a manager creates the object, it has what was given as well."""
    manager = models.PassingManager()
    manager.model, manager.name = Stamped, "objects"
    monkeypatch.setattr(Stamped, "objects", manager)
    for one in await StampedFactory.create_batch_async(size, created=LONG_AGO):
        assert one.created == LONG_AGO
        stored = await Stamped._base_manager.using(alias).aget(pk=one.pk)
        assert stored.created == LONG_AGO


@pytest.mark.parametrize("size", [1, 2])
async def test_key_and_defaults_of_the_database(alias: str, size: int) -> None:
    """A key, and a value for what has a default in the database, are stored as given."""
    keys = [500 + n for n in range(size)]
    made = await InvoiceFactory.create_batch_async(
        size, id=factory.Iterator(keys), state="paid", created=LONG_AGO
    )
    stored = Invoice.objects.using(alias).order_by("pk").values_list("pk", "state", "created")
    assert [row async for row in stored] == [(key, "paid", LONG_AGO) for key in keys]
    assert [(one.pk, one.state, one.created) for one in made] == [
        (key, "paid", LONG_AGO) for key in keys
    ]


@pytest.mark.parametrize("size", [1, 2])
async def test_generated_field(alias: str, size: int) -> None:
    """A generated field has what the database computes, which nothing else can be stored for."""
    made = await InvoiceFactory.create_batch_async(size, number=Concat(Value("1"), Value("2")))
    assert [one.length for one in made] == [2] * size
    given = await InvoiceFactory.create_batch_async(size, length=99)
    assert [one.length for one in given] == [1] * size
