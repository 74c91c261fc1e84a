"""What has to hold where no ORM is installed.

Ends with a traceback where it does not. Needs neither pytest nor the test suite:

    python tests/without_orm/check.py           # where none is installed
    python tests/without_orm/check.py --hide    # hides those that are
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import sys
from collections.abc import Mapping, Sequence
from importlib.abc import MetaPathFinder
from types import ModuleType
from typing import Any

ORMS = ("sqlalchemy", "sqlmodel", "tortoise", "beanie", "pymongo", "motor", "databases")

EXTRAS = {
    "sqlalchemy": "SQLAlchemy",
    "tortoise": "Tortoise ORM",
    "beanie": "Beanie",
    "mongo": "PyMongo",
    "databases": "databases",
}
"""The modules of the stores, which are the extras too, each with the name of what is missing."""


class Hiding(MetaPathFinder):
    """Has Python find no ORM."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> None:
        if name.partition(".")[0] in ORMS:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def refused(module: str) -> str:
    """Return the message of the ImportError that importing `module` raises."""
    try:
        importlib.import_module(module)
    except ImportError as error:
        return str(error)
    raise AssertionError(f"{module} was imported without its ORM")


def check_imports() -> None:
    """The library and AsyncFactory are imported without any adapter; a factory names its extra."""
    importlib.import_module("async_factory_boy.factory")
    adapters = {name for name in sys.modules if name.startswith("async_factory_boy.adapters.")}
    named = {f"async_factory_boy.adapters.{name}" for name in EXTRAS}
    assert not adapters & named, adapters
    for extra, missing in EXTRAS.items():
        message = (
            f"{missing} is not installed. Install it with: pip install 'async-factory-boy[{extra}]'"
        )
        for package in ("factory", "adapters"):
            assert refused(f"async_factory_boy.{package}.{extra}") == message


def check_names() -> None:
    """Naming an adapter whose ORM is missing says which extra to install, too."""
    from async_factory_boy.factory import AsyncFactory

    for extra in EXTRAS:
        try:

            class Named(AsyncFactory[dict[str, Any]]):
                class Meta:
                    model = dict
                    adapter = extra

        except ImportError as error:
            message = str(error)
        else:
            raise AssertionError(f"{extra!r} was found without its ORM")
        assert f"async-factory-boy[{extra}]" in message, message


async def check_factory() -> None:
    """An AsyncFactory works with an adapter of one's own."""
    import factory

    from async_factory_boy import ConfigurationError, bind
    from async_factory_boy.adapters import PersistenceAdapter
    from async_factory_boy.factory import AsyncFactory
    from async_factory_boy.options import CallOption

    class RowsAdapter(PersistenceAdapter[dict[str, Any]]):
        own_rows: CallOption[list[dict[str, Any]]] = CallOption()

        def __init__(self, get_or_create: tuple[str, ...] = ()) -> None:
            self.get_or_create = get_or_create

        async def save(self, instance: dict[str, Any]) -> dict[str, Any]:
            await asyncio.sleep(0)
            assert self.own_rows is not None
            instance["id"] = len(self.own_rows)
            self.own_rows.append(instance)
            return instance

        async def find(
            self, model: type[dict[str, Any]], lookup: Mapping[str, Any]
        ) -> dict[str, Any] | None:
            assert self.own_rows is not None
            for row in self.own_rows:
                if lookup.items() <= row.items():
                    return row
            return None

    class CompanyFactory(AsyncFactory[dict[str, Any]]):
        class Meta:
            model = dict
            adapter = RowsAdapter(get_or_create=("name",))

        name = "acme"

    class UserFactory(AsyncFactory[dict[str, Any]]):
        class Meta:
            model = dict
            adapter = RowsAdapter
            exclude = ("company",)

        name = factory.Sequence(lambda n: f"user{n}")
        company = factory.SubFactory(CompanyFactory)
        company_id = factory.LazyAttribute(lambda user: user.company["id"])

    rows: list[dict[str, Any]] = []
    with bind(own_rows=rows):
        await UserFactory.create_async()
        await UserFactory.create_batch_async(2)
    names = [row["name"] for row in rows]
    assert names == ["acme", "user0", "user1", "user2"], names
    assert [row.get("company_id") for row in rows] == [None, 0, 0, 0], rows

    class Unconfigured(AsyncFactory[dict[str, Any]]):
        class Meta:
            model = dict

    try:
        await Unconfigured.create_async()
    except ConfigurationError as error:
        message = str(error)
    else:
        raise AssertionError("a dict was stored, nobody knows where")
    assert message.startswith("Unconfigured.Meta.adapter is not set"), message


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hide", action="store_true", help="hide the ORMs that are installed")
    if parser.parse_args().hide:
        sys.meta_path.insert(0, Hiding())
    else:
        installed = [name for name in ORMS if importlib.util.find_spec(name) is not None]
        if installed:
            sys.exit(f"here are {', '.join(installed)}; use --hide, or another environment")
    check_imports()
    check_names()
    asyncio.run(check_factory())
