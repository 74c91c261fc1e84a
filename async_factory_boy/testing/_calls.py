"""What the methods around storing promise: build, check, ambient_options, flush and so on."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pytest
from factory.declarations import Iterator
from factory.helpers import post_generation

from async_factory_boy import AsyncFactoryError, OptionError, bind, options
from async_factory_boy.testing._promise import promise
from async_factory_boy.testing._subject import Factory, Subject


class Calls:
    """Direct calls of what the core asks of an adapter before, around and after storing."""

    @promise(
        "build() must construct an object with the values given, and store nothing.",
        instead="Construct only, without any I/O.",
    )
    async def test_build_constructs(self, subject: Subject) -> None:
        adapter = subject.parent._meta.adapter_for_storing()
        model = subject.parent._meta.model
        with bind(**dict.fromkeys(subject.options)):  # build_async() takes none
            built = adapter.build(model, (), {"name": "one", "size": 1})
        if inspect.iscoroutine(built):
            built.close()  # or Python warns of it some time later
            raise AssertionError("it is an async function; write def build(...)")
        assert (subject.get(built, "name"), subject.get(built, "size")) == ("one", 1)
        assert await subject.names(subject.parent) == []

    @promise(
        "build() must make a new object each time.",
        instead="Call the model, and keep nothing of what it returned.",
    )
    async def test_build_makes_a_new_object(self, subject: Subject) -> None:
        adapter = subject.parent._meta.adapter_for_storing()
        model = subject.parent._meta.model
        first = adapter.build(model, (), {"name": "first", "size": 1})
        other = adapter.build(model, (), {"name": "other", "size": 2})
        assert first is not other
        assert (subject.get(first, "name"), subject.get(first, "size")) == ("first", 1)

    @promise(
        "handles() must be false for a class that the store knows nothing of.",
        instead="Leave handles() out, or ask whether the class is one of your ORM's models.",
    )
    async def test_handles(self, subject: Subject) -> None:
        adapter = subject.parent._meta.adapter_for_storing()
        adapter.handles(subject.parent._meta.model)
        assert not adapter.handles(_OnPurpose)

    @promise(
        "check() must raise nothing when an object could be stored, and store nothing.",
        instead="Have it look at the model and the options only.",
    )
    async def test_check_passes(self, subject: Subject) -> None:
        for factory in (subject.parent, subject.child):
            factory._meta.adapter_for_storing().check(factory._meta.model)
            assert await subject.names(factory) == []

    @promise(
        "check() must raise one of the library's errors, such as MissingOptionError, when an "
        "option that the adapter needs is given nowhere.",
        instead="Read the option in check(), and raise MissingOptionError if it is None.",
    )
    async def test_check_notices_missing_options(self, subject: Subject) -> None:
        adapter = subject.parent._meta.adapter_for_storing()
        # It may have a default; then nothing is raised.
        with bind(**dict.fromkeys(subject.options)), suppress(AsyncFactoryError):
            adapter.check(subject.parent._meta.model)

    @promise(
        "The function given to a CallOption must raise OptionError for a value that the adapter "
        "cannot use.",
        instead="raise OptionError(...) there, saying what to pass.",
    )
    async def test_options_are_checked(self, subject: Subject) -> None:
        for name in subject.options:
            given: dict[str, Any] = {name: object()}
            # It may have been given none; then nothing is raised.
            with suppress(OptionError), bind(**given):
                pass

    @promise(
        "ambient_options() must return call-time options, by their names.",
        instead="Return a mapping of names of the adapter's CallOptions to values they take.",
    )
    async def test_ambient_options(self, subject: Subject) -> None:
        for factory in (subject.parent, subject.child):
            ambient = factory._meta.adapter_for_storing().ambient_options(factory._meta.model)
            assert isinstance(ambient, Mapping)
            with bind(**ambient):
                assert {name: options.in_force()[name] for name in ambient} == dict(ambient)

    @promise(
        "refresh() must leave the objects stored as they are, with their keys and values.",
        instead="Load what is out of date; store, copy and remove nothing.",
    )
    async def test_refresh_changes_nothing(self, subject: Subject) -> None:
        saved = [await subject.save(subject.parent, name=f"name{n}", size=n) for n in range(3)]
        before = await subject.rows(subject.parent)
        for _ in range(2):  # a call made in a hook is finished, and then the outer one
            async with subject.adapter(subject.parent) as adapter:
                finished = adapter.refresh(saved)
                assert inspect.isawaitable(finished)
                await finished
        assert await subject.rows(subject.parent) == before
        for n, instance in enumerate(saved):
            assert before[subject.key(instance)]["name"] == subject.get(instance, "name")
            assert (subject.get(instance, "name"), subject.get(instance, "size")) == (f"name{n}", n)

    @promise(
        "refresh() must accept objects that find() returned.",
        instead="Treat an object that was found like one that was saved.",
    )
    async def test_refresh_accepts_what_was_found(self, subject: Subject) -> None:
        subject.needs_find()
        await subject.save(subject.parent, name="one", size=1)
        found = await subject.find(subject.parent, name="one")
        async with subject.adapter(subject.parent) as adapter:
            await adapter.refresh([found])
        assert (subject.get(found, "name"), subject.get(found, "size")) == ("one", 1)

    @promise(
        "refresh() must take objects of several models at once.",
        instead="Group the objects by their class, where the store is asked for one model at a "
        "time.",
    )
    async def test_refresh_takes_several_models(self, subject: Subject) -> None:
        adapters = [one._meta.adapter_for_storing() for one in (subject.parent, subject.child)]
        if adapters[0] is not adapters[1]:
            pytest.skip("the factories of parents and of children have an adapter each")
        parent = await subject.save(subject.parent, name="parent", size=1)
        child = await subject.save(subject.child, name="child", **{subject.relation: parent})
        other = await subject.save(subject.parent, name="other", size=2)
        async with subject.adapter(subject.parent) as adapter:
            await adapter.refresh([child, parent, other])
        assert subject.get(child, "name") == "child"
        for one, name, size in ((parent, "parent", 1), (other, "other", 2)):
            assert (subject.get(one, "name"), subject.get(one, "size")) == (name, size)

    @promise(
        "flush() must write what hooks have changed of the objects of a call, stored or found.",
        instead="Have it update the objects whose values are no longer those that are stored.",
    )
    async def test_flush(self, subject: Subject) -> None:
        subject.needs_flush()
        growing = _growing(subject, subject.parent)
        await growing.create_async(name="one")
        await growing.create_batch_async(2, name=Iterator(["two", "three"]))
        assert await _sizes(subject) == dict.fromkeys(("one", "two", "three"), 301)
        if not subject.can_find:
            return
        known = _growing(subject, subject.get_or_create("name"))
        await known.create_async(name="one")
        await known.create_batch_async(3, name=Iterator(["two", "new", "three"]))
        found = dict.fromkeys(("one", "two", "three"), 601)
        assert await _sizes(subject) == {**found, "new": 301}

    @promise(
        "An adapter that was told to commit must commit what hooks have changed, too.",
        instead="Write it in flush(), which is called before commit().",
    )
    async def test_flush_comes_before_commit(self, subject: Subject) -> None:
        subject.needs_flush()
        subject.needs_transactions()
        growing = _growing(subject, subject.committing)
        await growing.create_async(name="one")
        await subject.rollback()
        assert await _sizes(subject) == {"one": 301}

    @promise(
        "commit() must leave what is stored as it is, and commit nothing unless it was told to.",
        instead="Leave it out, unless the adapter has an option that asks for commits.",
    )
    async def test_commit_does_not_commit_unasked(self, subject: Subject) -> None:
        await subject.save(subject.parent, name="one", size=1)
        async with subject.adapter(subject.parent) as adapter:
            completed = adapter.commit()
            assert inspect.isawaitable(completed)
            await completed
        assert await subject.names(subject.parent) == ["one"]
        if subject.transactional:
            await subject.rollback()
            assert await subject.names(subject.parent) == []


class _OnPurpose(Exception):  # noqa: N818
    pass


def _growing(subject: Subject, factory: Factory) -> Factory:
    """Return a factory of parents of size 1, which hooks add 300 to."""

    def in_sync_hook(parent: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
        subject.set(parent, "size", subject.get(parent, "size") + 100)

    async def in_async_hook(parent: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
        subject.set(parent, "size", subject.get(parent, "size") + 200)

    return subject.extended(
        factory,
        size=1,
        sync=post_generation(in_sync_hook),
        asynchronous=post_generation(in_async_hook),
    )


async def _sizes(subject: Subject) -> dict[str, int]:
    return {row["name"]: row["size"] for row in (await subject.rows(subject.parent)).values()}
