"""Says which attribute was not loaded, where a test fails with SQLAlchemy's MissingGreenlet."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import TracebackType
from typing import Any

_GREENLET = "https://docs.sqlalchemy.org/en/20/errors.html#error-xd2s"


def explained(error: BaseException) -> str | None:
    """Return what to write so that an attribute is loaded; ``None`` for another error.

    It is for objects of classes that factories have stored. SQLAlchemy is not imported: without
    it, there is no such error.
    """
    adapter: Any = sys.modules.get("async_factory_boy.adapters.sqlalchemy")
    if adapter is None:
        return None
    chain = list(_chain(error))
    if not any(type(one).__name__ == "MissingGreenlet" for one in chain):
        return None
    read = [found for one in chain for found in _attributes_read(one.__traceback__)]
    if not read:
        return None
    instance, name = read[-1]
    is_relationship = adapter.is_relationship(type(instance), name)
    if is_relationship is None:
        return None
    model = type(instance).__name__
    if is_relationship:
        return (
            f"{model}.{name} is a relationship that is not loaded, and async code cannot load it "
            f"by reading it. Name it in the factory of {model}, "
            f"Meta.sqlalchemy_load = ({name!r},); or write "
            f"await session.refresh(instance, [{name!r}]).\n{_GREENLET}"
        )
    return (
        f"{model}.{name} is a column that is not loaded: factories return objects whole, so it "
        "has expired since, by a commit or a rollback of the test's own, for example. Make the "
        f"session with expire_on_commit=False, or write await session.refresh(instance).\n"
        f"{_GREENLET}"
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error, and those that it was raised from."""
    seen = set[int]()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _attributes_read(traceback: TracebackType | None) -> Iterator[tuple[Any, str]]:
    """Yield the mapped attributes that were being read, each as its object and its name."""
    attributes: Any = sys.modules.get("sqlalchemy.orm.attributes")
    while traceback is not None and attributes is not None:
        values = traceback.tb_frame.f_locals
        attribute: Any = values.get("self")
        instance = values.get("instance")
        if (
            isinstance(attribute, attributes.QueryableAttribute)
            and instance is not None
            and traceback.tb_frame.f_code.co_name == "__get__"
        ):
            yield instance, attribute.key
        traceback = traceback.tb_next
