"""A batch without a database that notes what it does, and waits for ever at a place of choice."""

from __future__ import annotations

import asyncio
import threading
import weakref
from typing import Any

import factory

from async_factory_boy.adapters import PersistenceAdapter
from async_factory_boy.factory import AsyncFactory

SIZE = 10

PLACES = ["part", "declaration", "save", "nested save", "hook", "save in a hook"]
"""Where a `Watched` batch can wait: where the parts that a SubFactory makes are saved, in an async
declaration, where its objects are saved, where what its plain hook creates is saved, in its async
hook, and where what that creates is saved."""


class Thing:
    """A model that takes any fields."""

    def __init__(self, **fields: Any) -> None:
        vars(self).update(fields)


class Watched:
    """A factory, what is seen of it, and where it waits.

    Each object has a part that a declaration reads, and an async declaration; then a plain hook,
    which creates a batch, and an async one, which creates an object.

    Args:
        place: One of `PLACES`.
        stop_at: Which one to come there, of `SIZE`, waits for ever. All others wait for a turn of
            the event loop.
        awaits_at_the_end: Whether the async hook awaits something in its ``finally`` block, which
            Python refuses where a coroutine is closed.
    """

    def __init__(self, place: str, *, stop_at: int = 5, awaits_at_the_end: bool = True) -> None:
        self.begun: list[str] = []
        """Steps, in the order in which they began: of hooks, with the number of their object."""
        self.left: list[str] = []
        """The hooks that are over, as in `begun`, in the order in which they ended."""
        self.left_in: set[int] = set()
        """The threads that plain hooks have ended in."""
        self.made: list[weakref.ref[Thing]] = []
        """The objects, stored or not."""
        self.reached = asyncio.Event()
        """Set when it waits for ever."""
        self.place = place
        self.stop_at = stop_at
        self.awaits_at_the_end = awaits_at_the_end
        self.Factory = self._factory()

    async def step(self, place: str) -> None:
        self.begun.append(place)
        await asyncio.sleep(0)
        if place == self.place and self.begun.count(place) == self.stop_at:
            self.reached.set()
            await asyncio.get_running_loop().create_future()

    def unwound(self) -> bool:
        """Tell whether all hooks that began are over, each once, and those of a kind in order."""
        kinds = ("plain ", "async ")
        begun, left = (
            [[step for step in steps if step.startswith(kind)] for kind in kinds]
            for steps in (self.begun, self.left)
        )
        return begun == left

    def _factory(self) -> type[AsyncFactory[Thing]]:
        watched = self

        def creating(place: str) -> type[AsyncFactory[Thing]]:
            class Adapter(PersistenceAdapter[Thing]):
                def build(self, model: Any, args: Any, kwargs: Any) -> Thing:
                    thing = Thing(**kwargs)
                    watched.made.append(weakref.ref(thing))
                    return thing

                async def save(self, instance: Thing) -> Thing:
                    await watched.step(place)
                    return instance

            class Factory(AsyncFactory[Thing]):
                class Meta:
                    model = Thing
                    adapter = Adapter()

            return Factory

        nested, in_a_hook = creating("nested save"), creating("save in a hook")

        class Watching(creating("save")):  # type: ignore[misc]
            number = factory.Sequence(lambda n: n)
            part = factory.SubFactory(creating("part"))
            same = factory.LazyAttribute(lambda thing: thing.part)
            value = factory.LazyFunction(lambda: watched.step("declaration"))

            @factory.post_generation
            def plain(thing: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
                watched.begun.append(f"plain {thing.number}")
                try:
                    nested.create_batch(2)
                finally:
                    watched.left.append(f"plain {thing.number}")
                    watched.left_in.add(threading.get_ident())

            @factory.post_generation
            async def hook(thing: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
                watched.begun.append(f"async {thing.number}")
                try:
                    await watched.step("hook")
                    await in_a_hook.create_async()
                finally:
                    if watched.awaits_at_the_end:
                        await asyncio.sleep(0)
                    watched.left.append(f"async {thing.number}")

        Watching.reset_sequence(0, force=True)
        return Watching
