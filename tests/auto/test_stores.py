"""Automatic factories of the models that every store has, and what a batch of them draws."""

from __future__ import annotations

from typing import Any

import factory
import pytest

from async_factory_boy.auto.uniques import begin_anew
from async_factory_boy.exceptions import AdapterError
from async_factory_boy.factory.automatic import KeyOf
from async_factory_boy.factory.helpers import make_factory
from async_factory_boy.factory.upstream import written
from tests.stores.base import Store, params
from tests.stores.every import STORES

pytestmark = pytest.mark.unmeasured


def base_of(made: Any) -> Any:
    """Return the base class that a factory of a store's has: it has no model."""
    return next(one for one in made.__mro__ if one._meta.model is None)


def automatic(made: Any, **declared: Any) -> Any:
    """Return an automatic factory of the same model and options."""
    meta = made._meta
    adapter = {name: getattr(meta, name) for name in ("adapter", *meta.adapter_options)}
    options = {"abstract": True, "auto_declarations": True, **adapter}
    base = type("Base", (base_of(made),), {"Meta": type("Meta", (), options)})
    return make_factory(meta.model, FACTORY_CLASS=base, **declared)


def tells(store: type[Store]) -> bool:
    """Return whether a store's models are more than dicts of anything."""
    return store.CompanyFactory._meta.model is not dict


TELLING = [store for store in STORES if tells(store)]
MUTE = [store for store in STORES if not tells(store)]


@pytest.mark.parametrize("store", params(TELLING), indirect=True)
async def test_a_batch_of_companies(store: Store) -> None:
    """All that is required is filled, and unique names are distinct."""
    companies = await automatic(store.CompanyFactory).create_batch_async(5)
    rows = await store.rows(store.CompanyFactory)
    assert len({row["name"] for row in rows}) == 5
    assert {store.key(one) for one in companies} == {row["key"] for row in rows}
    assert all(isinstance(row["size"], int) for row in rows)


@pytest.mark.parametrize("store", params(MUTE), indirect=True)
async def test_dicts_of_anything(store: Store) -> None:
    """A dict has no fields to tell, so it is refused, and nothing is stored."""
    with pytest.raises(AdapterError, match="has no fields to tell"):
        await automatic(store.CompanyFactory).create_async()
    assert await store.rows(store.CompanyFactory) == []


@pytest.mark.parametrize("store", params(TELLING), indirect=True)
async def test_a_batch_draws_what_a_loop_does(store: Store) -> None:
    """A batch of a flat model has, for the same seed, the values that a loop has."""
    made = automatic(store.CompanyFactory)

    async def loop() -> list[Any]:
        return [await made.build_async() for _ in range(5)]

    async def batch() -> list[Any]:
        return list(await made.create_batch_async(5))

    outcomes = []
    for make in (loop, batch):
        begin_anew()
        factory.random.reseed_random("the same")
        companies = await make()
        outcomes.append([(store.get(one, "name"), store.get(one, "size")) for one in companies])
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize("store", params(TELLING), indirect=True)
async def test_a_batch_draws_the_same_again(store: Store) -> None:
    """Two batches have, for the same seed, the same values, in their relations too."""
    seen: list[dict[str, list[Any]]] = []

    def noted(name: str) -> Any:
        def note(instance: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
            seen[-1].setdefault(name, []).append(store.get(instance, name))

        return factory.PostGeneration(note)

    companies = automatic(store.CompanyFactory, noted=noted("size"))
    users = automatic(store.UserFactory, noted=noted("name"), **_declared(store, companies))
    posts = automatic(store.PostFactory, noted=noted("title"), **_related(store, "author", users))

    for make in (posts.build_batch_async, posts.create_batch_async):
        begin_anew()
        factory.random.reseed_random("the same")
        for one in (companies, users, posts):
            one.reset_sequence(0, force=True)
        seen.append({})
        await make(5)
    assert seen[0] == seen[1]
    assert {name: len(values) for name, values in seen[0].items()} == {
        "size": 5,
        "name": 5,
        "title": 5,
    }


@pytest.mark.parametrize("store", params(TELLING), indirect=True)
async def test_relations_are_stored(store: Store) -> None:
    """A post has an author who has a company, and all of them are rows of their own."""
    users = automatic(store.UserFactory, **_declared(store, automatic(store.CompanyFactory)))
    posts = automatic(store.PostFactory, **_related(store, "author", users))
    await posts.create_batch_async(5)
    stored = {row["key"]: row for row in await store.rows(store.UserFactory)}
    companies = {row["key"] for row in await store.rows(store.CompanyFactory)}
    rows = await store.rows(store.PostFactory)
    assert {row["author_key"] for row in rows} == stored.keys()
    assert {row["company_key"] for row in stored.values()} == companies
    assert (len(rows), len(companies)) == (5, 5)


def _declared(store: Store, companies: Any) -> dict[str, Any]:
    """Return what a user's model does not tell: that it has the key of its company twice."""
    declared = written(store.UserFactory._meta)
    if "company_id" in declared:  # of a table, which has no relations; and two factories make it
        return {
            "company_id": KeyOf(companies, "id"),
            "company_key": factory.SelfAttribute("company_id"),
        }
    # Of the factories for a company there may be several, in other tests.
    company = factory.SubFactory(companies)
    return {"company": company, "company_key": declared["company_key"]}


def _related(store: Store, name: str, users: Any) -> dict[str, Any]:
    if f"{name}_id" in written(store.PostFactory._meta):
        return {f"{name}_id": KeyOf(users, "id")}
    return {name: factory.SubFactory(users)}
