"""What the factories of all stores and all libraries declare.

There is no Faker among it: what it takes to invent a name is the same in every way, and more than
all the rest of a row, so it would only make the ways look alike.

This module and `benchmarks.measure` are also imported where async-factory-boy 1.0.1 is installed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import factory

Kind = Literal["flat", "company", "graph"]

POSTS = 2
WORKS: dict[Kind, str] = {
    "flat": "flat rows",
    "company": "users with company",
    "graph": f"users with company and {POSTS} posts",
}
ROWS: dict[Kind, int] = {"flat": 1, "company": 2, "graph": 2 + POSTS}

PERSON = {
    "name": factory.Sequence(lambda n: f"Person {n}"),
    "email": factory.LazyAttribute(lambda person: f"{person.name}@example.org"),
    "age": 40,
    "active": True,
}
COMPANY = {"name": factory.Sequence(lambda n: f"Company {n}")}
POST = {"title": factory.Sequence(lambda n: f"Post {n}")}


@dataclass(frozen=True)
class Models:
    """The models of a store, or some of them.

    Args:
        person: Refers to nothing.
        company: Refers to nothing.
        user: A person with a ``company``.
        post: Has a user as its ``author``.
    """

    person: Any
    company: Any = None
    user: Any = None
    post: Any = None


class Factories:
    """The factories of a store's models.

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

    def of(self, kind: Kind) -> Any:
        """Return the factory whose objects are of this kind."""
        return getattr(self, {"flat": "person", "company": "user", "graph": "graph"}[kind])
