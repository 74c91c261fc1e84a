"""What the factories of all stores and all libraries declare.

Only the realistic work has Faker among its declarations. To invent a name takes longer than all the
rest of a row, so in the other works Faker would make all ways look alike.

This module and `benchmarks.measure` are also imported where async-factory-boy 1.0.1 is installed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import factory

Kind = Literal["flat", "company", "graph", "realistic"]

POSTS = 2
WORKS: dict[Kind, str] = {
    "flat": "flat rows",
    "company": "users with company",
    "graph": f"users with company and {POSTS} posts",
    "realistic": f"realistic users with company and {POSTS} posts",
}
ROWS: dict[Kind, int] = {"flat": 1, "company": 2, "graph": 2 + POSTS, "realistic": 2 + POSTS}

_TIMES: dict[Kind, int] = {"flat": 4, "company": 2, "graph": 1, "realistic": 1}


def rounds_for(kind: Kind, rounds: int) -> int:
    """Return how often a kind of work is timed when a graph is timed `rounds` times.

    Short work is timed more often: what disturbs the machine for a moment changes more of it.
    """
    return rounds * _TIMES[kind]


PERSON = {
    "name": factory.Sequence(lambda n: f"Person {n}"),
    "email": factory.LazyAttribute(lambda person: f"{person.name}@example.org"),
    "age": 40,
    "active": True,
}
COMPANY = {"name": factory.Sequence(lambda n: f"Company {n}")}
POST = {"title": factory.Sequence(lambda n: f"Post {n}")}

REALISTIC_COMPANY = {"name": factory.Faker("company")}
REALISTIC_USER = {
    "name": factory.Faker("name"),
    "email": factory.Faker("email"),
    "address": factory.Faker("address"),
}
REALISTIC_POST = {"title": factory.Faker("sentence"), "text": factory.Faker("text")}


@dataclass(frozen=True)
class Models:
    """The models of a store, or some of them.

    Args:
        person: Refers to nothing.
        company: Refers to nothing.
        user: A person with a ``company``.
        post: Has a user as its ``author``.
        realistic_user: Has an address, and a ``company``.
        realistic_post: Has a text, and a realistic user as its ``author``.
    """

    person: Any
    company: Any = None
    user: Any = None
    post: Any = None
    realistic_user: Any = None
    realistic_post: Any = None


class Builder(Protocol):
    """Builds objects, to be stored by hand."""

    def batch(self, kind: Kind, size: int) -> list[Any]:
        """Build `size` objects of a kind, with the objects that they refer to."""

    def companies(self, size: int) -> list[Any]:
        """Build companies."""

    def users(self, companies: Sequence[Any]) -> list[Any]:
        """Build a user for each of `companies`."""

    def posts(self, users: Sequence[Any]) -> list[Any]:
        """Build the posts of `users`."""


class Factories:
    """The factories of a store's models. As a `Builder`, they build by ``build_batch``.

    Args:
        base: The factory class that they derive from.
        models: The store's models.
    """

    def __init__(self, base: Any, models: Models) -> None:
        def make(model: Any, **declarations: Any) -> Any:
            # Not factory.make_factory(), which takes nothing but a class for a model.
            meta = type("Meta", (), {"model": model})
            return type(base)("Factory", (base,), {"Meta": meta, **declarations})

        self.person = make(models.person, **PERSON)
        if models.user is None:
            return
        self.company = make(models.company, **COMPANY)
        user = {**PERSON, "company": factory.SubFactory(self.company)}
        self.user = make(models.user, **user)
        self.post = make(models.post, **POST, author=factory.SubFactory(self.user))
        posts = factory.RelatedFactoryList(self.post, "author", size=POSTS)
        self.graph = make(models.user, **user, posts=posts)
        if models.realistic_user is None:
            return
        company = make(models.company, **REALISTIC_COMPANY)
        post = make(models.realistic_post, **REALISTIC_POST)
        self.realistic = make(
            models.realistic_user,
            **REALISTIC_USER,
            company=factory.SubFactory(company),
            posts=factory.RelatedFactoryList(post, "author", size=POSTS),
        )

    def of(self, kind: Kind) -> Any:
        """Return the factory whose objects are of this kind."""
        return getattr(self, {"flat": "person", "company": "user"}.get(kind, kind))

    def batch(self, kind: Kind, size: int) -> list[Any]:
        built: list[Any] = self.of(kind).build_batch(size)
        return built

    def companies(self, size: int) -> list[Any]:
        built: list[Any] = self.company.build_batch(size)
        return built

    def users(self, companies: Sequence[Any]) -> list[Any]:
        return [self.user.build(company=company) for company in companies]

    def posts(self, users: Sequence[Any]) -> list[Any]:
        return [self.post.build(author=user) for user in users for _ in range(POSTS)]


class Constructors:
    """A `Builder` without factories: it calls the models with the values that factories give.

    It has no realistic work: without Faker, there is nothing realistic to compare.
    """

    kinds: Sequence[Kind] = ("flat", "company", "graph")

    def __init__(self, models: Models) -> None:
        self._models = models

    def batch(self, kind: Kind, size: int) -> list[Any]:
        if kind == "flat":
            model = self._models.person
            return [
                model(name=f"Person {n}", email=f"Person {n}@example.org", age=40, active=True)
                for n in range(size)
            ]
        users = self.users(self.companies(size))
        if kind == "graph":
            self.posts(users)
        return users

    def companies(self, size: int) -> list[Any]:
        return [self._models.company(name=f"Company {n}") for n in range(size)]

    def users(self, companies: Sequence[Any]) -> list[Any]:
        return [
            self._models.user(
                name=f"Person {n}",
                email=f"Person {n}@example.org",
                age=40,
                active=True,
                company=company,
            )
            for n, company in enumerate(companies)
        ]

    def posts(self, users: Sequence[Any]) -> list[Any]:
        authors = (user for user in users for _ in range(POSTS))
        return [self._models.post(title=f"Post {n}", author=user) for n, user in enumerate(authors)]
