"""What `fields` and `listen` promise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from async_factory_boy.adapters import Field, PersistenceAdapter
from async_factory_boy.exceptions import AdapterError
from async_factory_boy.factory.helpers import make_factory
from async_factory_boy.testing._promise import promise
from async_factory_boy.testing._subject import Factory, Subject


class Telling:
    """What an adapter tells of models, and what is made of that."""

    @promise(
        "fields() must return a sequence of Field, each of another name.",
        instead="Return one Field for each name that the constructor of the model takes.",
    )
    async def test_fields(self, subject: Subject) -> None:
        for factory in (subject.parent, subject.child):
            told = _told(subject, factory)
            assert isinstance(told, Sequence), f"it returned {told!r}"
            assert all(isinstance(one, Field) for one in told), f"it returned {told!r}"
            names = [one.name for one in told]
            assert len({*names}) == len(names), f"it returned {names}"

    @promise(
        "An object with a value for each field that fields() tells must be one that the "
        "constructor makes and the store takes.",
        instead="Leave out what the constructor does not take, set generated for what the store "
        "fills, and tell the type and limits of each field as they are.",
    )
    async def test_automatic_declarations(self, subject: Subject) -> None:
        names = tuple(
            one.name
            for one in _told(subject, subject.parent)
            if one.relation is None and one.key_of is None and not one.generated
        )
        automatic = _automatic(subject.parent, names)
        parents = [await automatic.create_async(), *await automatic.create_batch_async(5)]
        rows = await subject.rows(subject.parent)
        assert {subject.key(one) for one in parents} == rows.keys()
        assert len(rows) == 6

    @promise(
        "What listen() is given must be called whenever this process asks the store for something, "
        "until what it has returned is called.",
        instead="Listen to the driver, or to all connections, and not to the adapter; return what "
        "ends that, or return None if it cannot be done.",
    )
    async def test_listening(self, subject: Subject) -> None:
        adapter = subject.parent._meta.adapter_for_storing()
        heard: list[Callable[[object], bool]] = []
        end = adapter.listen(heard.append)
        if end is None:
            pytest.skip(f"nobody can listen to the store of {type(adapter).__name__}")
        try:
            parent = await subject.parent.create_async()
            assert heard, "nothing was heard of an object that was stored"
            stored = len(heard)
            await subject.rows(subject.parent)
            assert len(heard) > stored, "nothing was heard of what read the object"
            assert {type(may_change(parent)) for may_change in heard} == {bool}
        finally:
            end()
        read = len(heard)
        await subject.parent.create_async()
        assert len(heard) == read, "it is called after the end"


def _told(subject: Subject, factory: Factory) -> Any:
    adapter = factory._meta.adapter_for_storing()
    if type(adapter).fields is PersistenceAdapter.fields:
        pytest.skip(
            f"{type(adapter).__name__} does not tell what models are made of: it does not "
            "implement fields()"
        )
    try:
        return adapter.fields(factory._meta.model)
    except AdapterError as error:
        pytest.skip(f"the adapter does not tell what the model is made of: {error}")


def _automatic(factory: Factory, names: tuple[str, ...]) -> Factory:
    """Return a factory of the same model that declares nothing."""
    meta = factory._meta
    base: Any = next(one for one in factory.__mro__ if one._meta.model is None)  # type: ignore[attr-defined]
    options = {"abstract": True, "adapter": meta.adapter_for_storing()}
    named = type(base)(base.__name__, (base,), {"Meta": type("Meta", (), options)})
    model: Any = meta.model
    return make_factory(model, FACTORY_CLASS=named, auto_declarations=names)
