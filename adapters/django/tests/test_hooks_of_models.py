"""Where a model, a field or a manager overrides what Django's own call goes through."""

from __future__ import annotations

from typing import Any

import factory
import pytest
from async_factory_boy_django import AsyncDjangoModelFactory
from django.db.models import Model
from django.db.models.signals import post_init, post_save, pre_init, pre_save

from tests.shop import models

pytestmark = pytest.mark.django_db(databases="__all__")


def factory_of(model: type[Model], **declarations: Any) -> type[AsyncDjangoModelFactory[Any]]:
    """Return a factory of `model`."""
    body = {"Meta": type("Meta", (), {"model": model}), "__module__": __name__, **declarations}
    made: type[AsyncDjangoModelFactory[Any]]
    made = type(AsyncDjangoModelFactory)("OneFactory", (AsyncDjangoModelFactory,), body)
    return made


HOOKS: list[tuple[type[Model], dict[str, Any], dict[str, list[Any]]]] = [
    (models.QueryingDefault, {}, {"value": [7, 7]}),
    (models.QueryingInit, {}, {"number": [7, 7]}),
    (models.QueryingSetter, {"counted": factory.Iterator([1, 2])}, {"number": [7, 14]}),
    (models.QueryingSignal, {}, {"number": [7, 7]}),
    (models.Validated, {}, {"value": [1, 1]}),
    (models.Positioned, {}, {"position": [1, 2]}),
    (models.Prepared, {}, {"shout": ["LOUD", "LOUD"]}),
    (models.OverriddenSave, {}, {"number": [0, 1]}),
    (models.OverriddenInsert, {}, {"text": ["inserted", "inserted"]}),
    (models.OverriddenBulkCreate, {}, {"text": ["", ""]}),
    (models.BaseOverriddenBulkCreate, {}, {"text": ["", ""]}),
    (models.BaseOverriddenInsert, {}, {"text": ["by the queryset"] * 2}),
    (models.OverriddenCreate, {}, {"number": [0, 1]}),
    (models.NamedManagers, {}, {"number": [0, 1]}),
    (models.OverriddenAcreate, {}, {"number": [0, 1]}),
    (models.OverriddenQuerySet, {}, {"value": [7, 7]}),
    (models.OverriddenLoading, {}, {"text": ["", ""]}),
    (models.Inheriting, {"text": "one"}, {"text": ["one", "one"], "value": [3, 3]}),
    (models.ProxyOfParent, {"text": "one"}, {"text": ["one", "one"]}),
    (models.Made, {"text": "one"}, {"state": ["open", "open"], "length": [3, 3]}),
]


@pytest.mark.parametrize(
    ("model", "declarations", "expected"), HOOKS, ids=[model.__name__ for model, *_ in HOOKS]
)
async def test_single_call_and_batch(
    rollback: None,
    model: type[Model],
    declarations: dict[str, Any],
    expected: dict[str, list[Any]],
) -> None:
    """A batch stores what single calls do, whatever the model overrides."""
    await models.Counter.objects.acreate()
    rows = model._base_manager.order_by("pk")

    async def stored() -> dict[str, list[Any]]:
        found = [row async for row in rows.values(*expected)]
        return {name: [row[name] for row in found] for name in expected}

    one = factory_of(model, **declarations)
    singly = [await one.create_async() for _ in range(2)]
    assert await stored() == expected
    await rows.all().adelete()
    together = await one.create_batch_async(2)
    assert await stored() == expected
    for name, values in expected.items():
        if model is not models.Prepared:  # which changes what is stored, not the object
            for some in (singly, together):
                assert [getattr(instance, name) for instance in some] == values
    assert not any(instance._state.adding for instance in [*singly, *together])


async def test_order_with_respect_to(rollback: None) -> None:
    """So does one of objects that are ordered with respect to another."""
    counters = [await models.Counter.objects.acreate() for _ in range(2)]
    one = factory_of(models.Ordered)
    singly = [await one.create_async(counter=counters[0]) for _ in range(2)]
    together = await one.create_batch_async(2, counter=counters[1])
    for some in (singly, together):
        assert [instance._order for instance in some] == [0, 1]


@pytest.mark.parametrize("signal", [pre_init, post_init, pre_save, post_save])
async def test_signals(rollback: None, signal: Any) -> None:
    """Each signal is sent for each object, in a batch too."""
    heard: list[type[Model]] = []

    def listen(sender: type[Model], **_: object) -> None:
        heard.append(sender)

    one = factory_of(models.ProxyOfParent)
    signal.connect(listen, sender=models.ProxyOfParent)
    try:
        await one.create_async()
        await one.create_batch_async(2)
    finally:
        signal.disconnect(listen, sender=models.ProxyOfParent)
    assert heard == [models.ProxyOfParent] * 3


async def test_method_that_a_test_replaces(rollback: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A save() that a test has put in place is called, though a batch was stored before."""
    one = factory_of(models.PlainParent)
    await one.create_batch_async(2)
    saved: list[Model] = []
    save = Model.save

    def spy(self: Any, *args: Any, **kwargs: Any) -> None:
        saved.append(self)
        save(self, *args, **kwargs)

    monkeypatch.setattr(models.PlainParent, "save", spy)
    assert await one.create_batch_async(2) == saved


async def test_building_with_a_default_that_queries(rollback: None) -> None:
    """build_async() evaluates such a default as well, where Django allows it."""
    await models.Counter.objects.acreate()
    assert (await factory_of(models.QueryingDefault).build_async()).value == 7
    built = await factory_of(models.QueryingDefault).build_batch_async(2)
    assert [one.value for one in built] == [7, 7]


async def test_found_object_is_loaded_by_from_db(rollback: None) -> None:
    """from_db() makes what get_or_create finds, and refresh_from_db() is not called."""
    one = factory_of(models.OverriddenLoading)
    meta = type("Meta", (), {"django_get_or_create": ("number",)})
    finding = type(one)("FindingFactory", (one,), {"Meta": meta, "__module__": __name__})
    await one.create_batch_async(2, number=factory.Iterator([1, 2]))
    found = [
        await finding.create_async(number=1),
        *await finding.create_batch_async(2, number=factory.Iterator([1, 2])),
    ]
    assert [instance.is_loaded for instance in found] == [True] * 3


@pytest.mark.parametrize("size", [1, 2])
async def test_manager_that_overrides_get_or_create(rollback: None, size: int) -> None:
    """get_or_create() of the manager is called where the factory looks objects up."""
    one = factory_of(models.OverriddenGetOrCreate, number=factory.Sequence(int), text="")
    meta = type("Meta", (), {"django_get_or_create": ("number",)})
    finding = type(one)("FindingFactory", (one,), {"Meta": meta, "__module__": __name__})
    made = await finding.create_batch_async(size)
    assert [instance.text for instance in made] == ["found"] * size
    again = await finding.create_batch_async(size, number=factory.Iterator([0, 1]))
    assert [instance.pk for instance in again] == [instance.pk for instance in made]
    assert [instance.text for instance in await one.create_batch_async(size)] == [""] * size


@pytest.mark.parametrize("size", [1, 2])
async def test_foreign_key_to_what_is_not_stored(rollback: None, size: int) -> None:
    """Django's own error says that what an object refers to has no key."""
    problem = r"prohibited to prevent data loss due to unsaved related object 'company'"
    with pytest.raises(ValueError, match=problem):
        await factory_of(models.User).create_batch_async(size, company=models.Company())


@pytest.mark.parametrize("size", [1, 2])
async def test_key_that_a_related_object_gets_later(
    rollback: None, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What save() stores first is referred to by the key that it has then."""

    def save(self: Any, *args: Any, **kwargs: Any) -> None:
        self.company.save()
        Model.save(self, *args, **kwargs)

    monkeypatch.setattr(models.User, "save", save)
    companies = [models.Company(name=f"company{n}", size=1) for n in range(size)]
    await factory_of(models.User, company=factory.Iterator(companies)).create_batch_async(size)
    stored = models.User.objects.order_by("pk").values_list("company__name", flat=True)
    assert [name async for name in stored] == [company.name for company in companies]
