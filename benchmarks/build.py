"""What ``build_batch`` of our factories costs over factory_boy's own. Nothing is stored."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import factory

from async_factory_boy.factory.sqlalchemy import AsyncSQLAlchemyModelFactory
from benchmarks.declarations import ROWS, WORKS, Factories, Kind, rounds_for
from benchmarks.measure import BY_HAND, Comparison, Way, compare
from benchmarks.stores.sqlalchemy_models import MODELS

BUILD_BATCH = "build_batch"
KINDS: Sequence[Kind] = ("flat", "graph")


async def builds(*, size: int, rounds: int, kinds: Collection[Kind]) -> Sequence[Comparison]:
    """Compare the two for models of SQLAlchemy."""
    return [await _build(kind, size, rounds) for kind in KINDS if kind in kinds]


async def _build(kind: Kind, size: int, rounds: int) -> Comparison:
    comparison = Comparison(
        benchmark="build",
        store="models of SQLAlchemy, not stored",
        kind=kind,
        work=f"{size:,} {WORKS[kind]}",
        rows=size * ROWS[kind],
        calls={BY_HAND: "`build_batch` of factory_boy"},
    )
    ways = [
        _way(BY_HAND, factory.Factory, kind, size),
        _way(BUILD_BATCH, AsyncSQLAlchemyModelFactory, kind, size),
    ]
    return await compare(comparison, ways, rounds=rounds_for(kind, rounds))


def _way(name: str, base: Any, kind: Kind, size: int) -> Way:
    factories = Factories(base, MODELS)
    built: list[Any] = []

    async def work() -> None:
        built.extend(factories.batch(kind, size))

    async def undo() -> int:
        objects = len(built)
        if kind == "graph":
            objects += sum(1 + len(user.posts) for user in built)  # 1: its company
        built.clear()
        return objects

    return Way(name, work, undo)
