"""AsyncFactory evaluates declarations as factory_boy's builder does, error for error.

Each random family of factories is made twice: with `factory.Factory` as the base, and with
`AsyncFactory`. Then the same calls have to return the same, call the same functions with the same
arguments in the same order, log the same, and fail with the same errors.

Set ``FIDELITY`` in the environment for another number of families than 50 for each test.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import factory
import pytest
from factory.errors import FactoryError
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from async_factory_boy.adapters import PersistenceAdapter
from async_factory_boy.exceptions import (
    AbstractFactoryError,
    BatchSizeError,
    ConfigurationError,
    OptionError,
    SyncCallError,
    UnknownStrategyError,
)
from async_factory_boy.factory import AsyncFactory
from tests.factory.families import DRAWS, FACTORIES, FAULTS, POSTS, SEVERAL, Family, families
from tests.factory.realisation import Failure, Observed, Realisation, Record


def noted(instance: Any) -> Any:
    """Note that an object is stored, if it is one that can note that."""
    if isinstance(instance, Record):
        instance.realisation.note("stored", instance)
    return instance


class MemoryAdapter(PersistenceAdapter[Any]):
    async def save(self, instance: Any) -> Any:
        return noted(instance)


class Theirs(factory.Factory):  # type: ignore[type-arg]
    class Meta:
        abstract = True

    @classmethod
    def _create(cls, model_class: Any, *args: Any, **kwargs: Any) -> Any:
        return noted(super()._create(model_class, *args, **kwargs))


class Ours(AsyncFactory[Any]):
    class Meta:
        abstract = True
        adapter = MemoryAdapter()


class OursInPages(Ours):
    class Meta:
        abstract = True
        batch_size = 2


OPERATIONS = ("build", "stub", "create", "build_batch", "stub_batch", "create_batch")

# Does one of the operations: given a factory, its name, the keywords, and the size of a batch.
Call = Callable[[Any, str, Mapping[str, Any], int], Any]


def theirs(made: Any, operation: str, kwargs: Mapping[str, Any], size: int) -> Any:
    method = getattr(made, operation)
    return method(size, **kwargs) if "batch" in operation else method(**kwargs)


def ours(made: Any, operation: str, kwargs: Mapping[str, Any], size: int) -> Any:
    """Call the method of factory_boy's name, or the async one if that could not wait."""
    if operation.startswith("create"):
        return asyncio.run(theirs(made, f"{operation}_async", kwargs, size))
    return theirs(made, operation, kwargs, size)


def ours_awaited(made: Any, operation: str, kwargs: Mapping[str, Any], size: int) -> Any:
    """Await what else there is that does the same."""
    if operation.startswith("build"):
        return asyncio.run(theirs(made, f"{operation}_async", kwargs, size))
    if operation.endswith("batch"):
        strategy = operation.removesuffix("_batch")
        return asyncio.run(made.generate_batch_async(strategy, size, **kwargs))
    if operation == "create":
        return asyncio.run(made(**kwargs))
    return asyncio.run(made.generate_async(operation, **kwargs))


class Variant(NamedTuple):
    base: type[Any]
    call: Call
    asynchronous: bool = False


def seen(family: Family, variant: Variant, size: int) -> dict[str, Observed]:
    """Return what is seen of the definition of a family, and of each call."""
    try:
        made = Realisation(family, variant.base, asynchronous=variant.asynchronous)
        given = [made.given(keywords) for keywords in family.calls]
    except Exception as error:
        return {"definition": Observed(Failure.of(error))}
    root = made.factories[-1]
    observed: dict[str, Observed] = {}
    for operation in OPERATIONS:
        for number, kwargs in enumerate(given):
            observed[f"{operation} {number}"] = made.observe(
                functools.partial(variant.call, root, operation, kwargs, size),
                logs="batch" not in operation,
            )
        if operation == "create":
            value, force = family.reset
            observed["reset"] = made.observe(lambda: root.reset_sequence(value, force=force))
    observed["next numbers"] = made.observe(made.next_numbers)
    return observed


def check(family: Family, size: int, asynchronous: bool) -> None:
    """Compare what is seen with both bases, up to the first call that may differ."""
    expected = seen(family, Variant(Theirs, theirs), size)
    for variant in (Variant(Ours, ours), Variant(OursInPages, ours_awaited, asynchronous)):
        got = seen(family, variant, size)
        assert got.keys() == expected.keys()
        for occasion, one in expected.items():
            operation = occasion.split()[0]
            if may_differ(family, operation):
                break
            assert comparable(family, operation, got[occasion]) == comparable(
                family, operation, in_our_words(one, got[occasion])
            ), occasion
            if isinstance(one.result, Failure):
                event(f"{operation}: {one.result.kind}")
                if operation.endswith("batch"):
                    break  # how far the objects after the failed one have come is not told


def is_at_once(family: Family, operation: str) -> bool:
    """Tell whether several objects are made side by side."""
    return operation.endswith("batch") or (operation == "create" and family.kinds & SEVERAL)


def may_differ(family: Family, operation: str) -> bool:
    """Tell whether objects that are made side by side may have other values than one by one.

    See "Where a batch is not a loop" in docs/batches.md.
    """
    if not is_at_once(family, operation):
        return False
    if family.kinds & DRAWS and family.kinds & {*FACTORIES, *POSTS}:
        return True
    return operation.startswith("create") and family.has_shared_counter


def comparable(family: Family, operation: str, observed: Observed) -> Observed:
    """Return what has to be the same, leaving out in which order siblings come."""
    if operation == "reset":
        # AsyncFactory does not ask for a first number that is not needed.
        return Observed(observed.result)
    if not is_at_once(family, operation):
        return observed
    if isinstance(observed.result, Failure):
        return Observed(observed.result)
    return Observed(observed.result, sorted(observed.notes, key=repr))


# Errors of factory_boy, and what may be raised in their place: how the messages begin.
REPLACED = [
    # On the same occasion; ours goes on to say what to write instead.
    (
        Failure("FactoryError", "Cannot generate instances of abstract factory"),
        Failure("AbstractFactoryError", "Cannot generate instances of abstract factory"),
    ),
    # No coroutine can raise StopIteration: neither ours, nor one of the user's.
    (Failure("StopIteration", ""), Failure("RuntimeError", "StopIteration in a build")),
    (Failure("StopIteration", ""), Failure("RuntimeError", "coroutine raised StopIteration")),
]


def in_our_words(expected: Observed, got: Observed) -> Observed:
    """Return what is expected, with our error if that is a replacement of factory_boy's."""
    if isinstance(expected.result, Failure) and isinstance(got.result, Failure):
        for one, instead in REPLACED:
            if expected.result.begins_as(one) and got.result.begins_as(instead):
                return replace(expected, result=got.result)
    return expected


CASES = int(os.environ.get("FIDELITY", "50"))
randomly = functools.partial(
    settings,
    deadline=None,
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.too_slow],
)


@pytest.mark.unmeasured
@randomly(max_examples=CASES)
@given(family=families(), size=st.integers(0, 3), asynchronous=st.booleans())
def test_sound_families(family: Family, size: int, asynchronous: bool) -> None:
    """Whatever the factories declare, AsyncFactory does what factory_boy does."""
    check(family, size, asynchronous)


@pytest.mark.unmeasured
@pytest.mark.parametrize("fault", FAULTS)
@randomly(max_examples=CASES // 2)
@given(data=st.data(), size=st.integers(0, 3), asynchronous=st.booleans())
def test_faulty_families(fault: str, data: st.DataObject, size: int, asynchronous: bool) -> None:
    """Whatever is wrong with the factories, AsyncFactory fails where and as factory_boy does."""
    check(data.draw(families(fault)), size, asynchronous)


def define(base: Any, model: Any = dict, meta: Any = None, **body: Any) -> Any:
    body["Meta"] = type("Meta", (), {"model": model, **(meta or {})})
    return type(base)("UserFactory", (base,), body)


class Difference(NamedTuple):
    """An error of ours on purpose: what raises it, and what factory_boy does there."""

    why: str
    theirs: Callable[[], Any]
    theirs_gives: Any
    ours: Callable[[], Any]
    ours_raises: type[Exception]


def once() -> Any:
    return factory.Iterator([], cycle=False)


DIFFERENCES = [
    Difference(
        "A synchronous call cannot wait for the store.",
        lambda: define(Theirs).create(),
        {},
        lambda: define(Ours).create(),
        SyncCallError,
    ),
    Difference(
        "An abstract factory says what to set.",
        lambda: define(Theirs, None).build(),
        FactoryError,
        lambda: define(Ours, None).build(),
        AbstractFactoryError,
    ),
    Difference(
        "No coroutine can raise StopIteration.",
        lambda: define(Theirs, name=once()).build(),
        StopIteration,
        lambda: define(Ours, name=once()).build_async(),
        RuntimeError,
    ),
    Difference(
        "A negative size is a mistake.",
        lambda: define(Theirs).build_batch(-1),
        [],
        lambda: define(Ours).build_batch_async(-1),
        BatchSizeError,
    ),
    Difference(
        "An assertion does not say which strategies there are.",
        lambda: define(Theirs).generate("store"),
        AssertionError,
        lambda: define(Ours).generate_async("store"),
        UnknownStrategyError,
    ),
    Difference(
        "An unknown option of Meta may be misspelt.",
        lambda: define(Theirs, meta={"modle": dict}),
        TypeError,
        lambda: define(Ours, meta={"modle": dict}),
        ConfigurationError,
    ),
    Difference(
        "A misspelt call-time option would become a field.",
        lambda: define(Theirs).build(sqlalchemy_sesion=1),
        {"sqlalchemy_sesion": 1},
        lambda: define(Ours).build(sqlalchemy_sesion=1),
        OptionError,
    ),
    Difference(
        "A string is no model.",
        lambda: define(Theirs, "User").build(),
        TypeError,
        lambda: define(Ours, "User").build(),
        ConfigurationError,
    ),
]


@pytest.mark.parametrize("difference", DIFFERENCES, ids=lambda difference: difference.why)
def test_errors_of_ours(difference: Difference) -> None:
    """Where factory_boy has another error or none, ours says what to write instead."""
    assert outcome(difference.theirs) == difference.theirs_gives
    assert outcome(difference.ours) is difference.ours_raises


def outcome(call: Callable[[], Any]) -> Any:
    """Return what `call` returns, awaited if need be, or the class of what it raises."""
    try:
        returned = call()
        return asyncio.run(returned) if inspect.iscoroutine(returned) else returned
    except Exception as error:
        return type(error)
