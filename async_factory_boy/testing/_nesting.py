"""What holds where something that is being stored, or constructed, creates further objects."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from async_factory_boy.testing._promise import promise
from async_factory_boy.testing._subject import Factory, Subject


class Nesting:
    """Calls of factories whose objects create others, as models with signals or hooks do."""

    @promise(
        "What is being saved must be able to create further objects through the same connection.",
        instead="Hold nothing in save() and save_many() that a further save() would wait for: "
        "whose turn it is on a connection, the core sees to by connection_key().",
    )
    async def test_creating_while_saving(self, subject: Subject) -> None:
        creating = _creating_when_saved(subject)
        made = [await creating.create_async(), *await creating.create_batch_async(3)]
        await _check_children(subject, made)

    @promise(
        "Tasks must be able to store at once what creates further objects when it is saved.",
        instead="If only one task at a time may use a connection, return it from connection_key().",
    )
    async def test_creating_while_saving_in_tasks(self, subject: Subject) -> None:
        creating = _creating_when_saved(subject)
        calls = [creating.create_batch_async(size) for size in (1, 2, 1, 3, 1, 2)]
        made = [one for batch in await asyncio.gather(*calls) for one in batch]
        await _check_children(subject, made)

    @promise(
        "What is being constructed must be able to create further objects through the same "
        "connection.",
        instead="Hold nothing in save_new() that a save() would wait for, while `build` is "
        "awaited.",
    )
    async def test_creating_while_constructing(self, subject: Subject) -> None:
        creating = _creating_when_constructed(subject, subject.parent)
        await creating.create_async()
        await creating.create_batch_async(3)
        assert len(await subject.rows(subject.parent)) == 8
        if subject.can_find:
            finding = _creating_when_constructed(subject, subject.get_or_create("name"))
            await finding.create_async()
            await finding.create_batch_async(3)
            assert len(await subject.rows(subject.parent)) == 16


def _creating_when_saved(subject: Subject) -> Factory:
    """Return a factory of parents that create a parent before they are saved, and two children."""
    base = subject.adapter_class(subject.parent)
    with_parent: dict[int, Any] = {}
    with_children: dict[int, Any] = {}

    # Once for each: either method may call the other.
    async def create_parent(instance: Any) -> None:
        if id(instance) not in with_parent:
            with_parent[id(instance)] = instance
            await subject.parent.create_async()

    async def create_children(instance: Any) -> None:
        if id(instance) not in with_children:
            with_children[id(instance)] = instance
            await subject.child.create_batch_async(2, **{subject.relation: instance})

    async def save(adapter: Any, instance: Any) -> Any:
        await create_parent(instance)
        saved = await base.save(adapter, instance)
        await create_children(saved)
        return saved

    async def save_many(adapter: Any, instances: Sequence[Any]) -> Any:
        saved = await base.save_many(adapter, instances)
        for instance in saved:
            await create_parent(instance)
            await create_children(instance)
        return saved

    return subject.overriding(subject.parent, save=save, save_many=save_many)


async def _check_children(subject: Subject, parents: Sequence[Any]) -> None:
    children = (await subject.rows(subject.child)).values()
    keys = [subject.key(parent) for parent in parents]
    assert sorted(row[subject.relation] for row in children) == sorted([*keys, *keys])
    rows = await subject.rows(subject.parent)
    assert len(rows) == 2 * len(parents)
    for parent in parents:
        assert rows[subject.key(parent)]["name"] == subject.get(parent, "name")


def _creating_when_constructed(subject: Subject, factory: Factory) -> Factory:
    """Return a factory of parents, each of which creates another one when it is constructed."""
    base = subject.adapter_class(factory)

    def build(adapter: Any, model: Any, args: Sequence[Any], kwargs: Any) -> Any:
        subject.parent.create()
        return base.build(adapter, model, args, kwargs)

    return subject.overriding(factory, build=build)
