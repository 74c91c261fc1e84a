"""A batch is a loop of create_async: the same rows, values, hooks and sequence numbers.

Random graphs are built of the models that every store has. Set ``GRAPHS`` in the environment for
another number of them than 50 for each store.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import factory
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from async_factory_boy.factory import AsyncFactory
from tests.stores.base import Store, params
from tests.stores.every import STORES

Factory = type[AsyncFactory[Any]]


@dataclass(frozen=True)
class Company:
    collide: int
    """0 for a company of its own each, else get_or_create among so many names."""
    asynchronous: bool


@dataclass(frozen=True)
class Posts:
    hook: str
    """What creates them: ``"related"``, ``"sync"``, ``"async"`` or ``"single"``."""
    size: int
    asynchronous: bool


@dataclass(frozen=True)
class User:
    company: Company
    optional: bool
    """Whether every other user gets a company that was there before."""
    trait: bool
    """Whether every third user's name is changed by a trait."""
    asynchronous: bool
    posts: tuple[Posts, ...]


@dataclass(frozen=True)
class Post:
    author: User
    asynchronous: bool


companies = st.builds(Company, collide=st.sampled_from([0, 0, 1, 2, 3]), asynchronous=st.booleans())
posts = st.builds(
    Posts,
    hook=st.sampled_from(["related", "sync", "async", "single"]),
    size=st.integers(0, 3),
    asynchronous=st.booleans(),
)
users = st.builds(
    User,
    company=companies,
    optional=st.booleans(),
    trait=st.booleans(),
    asynchronous=st.booleans(),
    posts=st.lists(posts, max_size=2).map(tuple),
)
graphs = st.one_of(companies, users, st.builds(Post, author=users, asynchronous=st.booleans()))


class Graph:
    """The factories of a random graph, each in one place of it, and what their hooks were given."""

    def __init__(self, store: Store, root: Company | User | Post, existing: Any) -> None:
        self.store = store
        self.existing = existing
        self.hooks: list[tuple[Any, ...]] = []
        self.factories: list[Factory] = []
        self.root = self.of(root)

    def of(self, node: Company | User | Post) -> Factory:
        if isinstance(node, Company):
            return self.company(node)
        if isinstance(node, User):
            return self.user(node)
        return self.factory(
            self.store.PostFactory,
            title=named(f"post{len(self.factories)}-", node.asynchronous),
            author=factory.SubFactory(self.user(node.author)),
            noted=self.noting(node.asynchronous),
        )

    def company(self, node: Company) -> Factory:
        base = self.store.NamedCompanyFactory if node.collide else self.store.CompanyFactory
        prefix = f"company{len(self.factories)}-"
        return self.factory(
            base,
            name=named(prefix, node.asynchronous, modulo=node.collide),
            size=maybe_async(lambda company: len(company.name), node.asynchronous),
            noted=self.noting(node.asynchronous),
        )

    def user(self, node: User) -> Factory:
        company: Any = factory.SubFactory(self.company(node.company))
        if node.optional:
            company = factory.Maybe("odd", company, self.existing)
        prefix = f"user{len(self.factories)}-"
        declarations: dict[str, Any] = {
            "name": named(prefix, node.asynchronous),
            "company": company,
            "noted": self.noting(node.asynchronous),
        }
        for number, some in enumerate(node.posts):
            declarations[f"posts{number}"] = self.posts(some)
        if node.trait:
            parameters = {
                "odd": factory.Sequence(lambda n: n % 2 == 1),
                "third": factory.Sequence(lambda n: n % 3 == 0),
                "loud": factory.Trait(name=factory.Sequence(lambda n: f"{prefix}loud{n}")),
            }
            declarations["loud"] = factory.SelfAttribute("third")
        else:
            parameters = {"odd": factory.Sequence(lambda n: n % 2 == 1)}
        return self.factory(self.store.UserFactory, parameters, **declarations)

    def posts(self, node: Posts) -> Any:
        made = self.factory(
            self.store.PostFactory,
            title=named(f"post{len(self.factories)}-", node.asynchronous),
            noted=self.noting(node.asynchronous),
        )
        if node.hook == "related":
            return factory.RelatedFactoryList(made, "author", size=node.size)

        def sync(user: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
            made.create_batch(node.size, author=user)

        async def asynchronous(user: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
            await made.create_batch_async(node.size, author=user)

        async def single(user: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
            # Not in a loop: siblings would take turns, and so share the numbers out differently.
            await made.create_async(author=user)

        hooks = {"sync": sync, "async": asynchronous, "single": single}
        return factory.post_generation(hooks[node.hook])

    def noting(self, asynchronous: bool) -> Any:
        def note(instance: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
            name = "title" if isinstance_of_post(self.store, instance) else "name"
            self.hooks.append((self.store.get(instance, name), create, extracted, kwargs))

        async def note_async(*args: Any, **kwargs: Any) -> None:
            await asyncio.sleep(0)
            note(*args, **kwargs)

        return factory.post_generation(note_async if asynchronous else note)

    def factory(self, base: Factory, parameters: Any = None, **declarations: Any) -> Factory:
        if parameters:
            declarations["Params"] = type("Params", (), parameters)
        made: Factory = type(base)(f"Factory{len(self.factories)}", (base,), declarations)
        # Its own numbers: a factory that stands in two places of a graph draws the same ones as a
        # loop does, but not each in the same place.
        made._meta.counter_reference = made._meta  # type: ignore[attr-defined]
        self.factories.append(made)
        return made

    async def outcome(self, size: int, create: Callable[[Factory, int], Any]) -> Any:
        """Return all that can be observed of creating so many roots."""
        self.hooks.clear()
        for one in self.factories:
            one.reset_sequence(0)
        made = await create(self.root, size)
        field = "title" if issubclass(self.root, self.store.PostFactory) else "name"
        names = [self.store.get(instance, field) for instance in made]
        keys = [self.store.key(instance) for instance in made]
        next_numbers = [one._meta.next_sequence() for one in self.factories]  # type: ignore[no-untyped-call]
        return {
            "returned": names,
            "order of keys": [sorted(set(keys)).index(key) for key in keys],
            "rows": await self.rows(),
            "hooks": sorted(self.hooks),
            "next numbers": next_numbers,
        }

    async def rows(self) -> list[Any]:
        """Return what is stored, with names in place of keys."""
        store = self.store
        companies = {row["key"]: row for row in await store.rows(store.CompanyFactory)}
        users = {row["key"]: row for row in await store.rows(store.UserFactory)}
        return sorted(
            [("company", row["name"], row["size"]) for row in companies.values()]
            + [
                ("user", row["name"], companies[row["company_key"]]["name"])
                for row in users.values()
            ]
            + [
                ("post", row["title"], users[row["author_key"]]["name"])
                for row in await store.rows(store.PostFactory)
            ]
        )


def isinstance_of_post(store: Store, instance: Any) -> bool:
    try:
        store.get(instance, "title")
    except (AttributeError, KeyError):
        return False
    return True


def maybe_async(function: Callable[[Any], Any], asynchronous: bool) -> Any:
    async def call(resolver: Any) -> Any:
        await asyncio.sleep(0)
        return function(resolver)

    return factory.LazyAttribute(call if asynchronous else function)


def named(prefix: str, asynchronous: bool, modulo: int = 0) -> Any:
    def name(number: int) -> str:
        return f"{prefix}{number % modulo if modulo else number}"

    async def call(number: int) -> str:
        await asyncio.sleep(0)
        return name(number)

    return factory.Sequence(call if asynchronous else name)


async def in_a_loop(made: Factory, size: int) -> list[Any]:
    return [await made.create_async() for _ in range(size)]


async def in_a_batch(made: Factory, size: int) -> list[Any]:
    return await made.create_batch_async(size)


TRANSACTIONAL = [store for store in STORES if store.transactional]


@pytest.mark.unmeasured
@pytest.mark.parametrize("store", params(TRANSACTIONAL), indirect=True)
@settings(
    max_examples=int(os.environ.get("GRAPHS", "50")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(root=graphs, size=st.integers(0, 5))
async def test_batch_is_a_loop(store: Store, root: Company | User | Post, size: int) -> None:
    """Whatever the graph, a batch is observably a loop of create_async."""
    outcomes = []
    for create in (in_a_loop, in_a_batch):
        store.CompanyFactory.reset_sequence(0, force=True)
        existing = await store.CompanyFactory.create_async(name="existing")
        outcomes.append(await Graph(store, root, existing).outcome(size, create))
        await store.rollback()
    assert outcomes[0] == outcomes[1]
