"""Runs the measurements, prints tables, and writes JSON and the documentation."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, cast

from benchmarks.batch import batches, others, sizes
from benchmarks.build import builds
from benchmarks.declarations import WORKS, Kind
from benchmarks.docs import write_docs
from benchmarks.machine import machine
from benchmarks.memory import memory
from benchmarks.overhead import overhead
from benchmarks.results import Results
from benchmarks.stores.base import Store
from benchmarks.suites import suites
from tests.servers import Servers

if TYPE_CHECKING:
    from benchmarks.stores.sqlalchemy import SQLAlchemyStore


@dataclass(frozen=True)
class Scale:
    """How much is measured.

    Args:
        rounds: How often each way is timed; see `benchmarks.declarations.rounds_for`.
        calls: How many objects are created one by one.
        batch: How many objects are in a batch.
        sizes: How many are in batches of several sizes.
        memory: How many are in the batch whose memory is measured.
        tests: How many are in the suite whose isolation is measured.
        kinds: The kinds of work.
    """

    rounds: int
    calls: int
    batch: int
    sizes: Sequence[int]
    memory: int
    tests: int
    kinds: Sequence[Kind] = tuple(WORKS)


FULL = Scale(rounds=9, calls=200, batch=1000, sizes=(100, 1000, 10_000, 100_000), memory=100_000, tests=300)
QUICK = Scale(rounds=2, calls=20, batch=100, sizes=(10, 100), memory=1000, tests=20)

# Imported when their turn comes, so that what is left out need not be installed.
STORES = {
    "sqlite": "benchmarks.stores.sqlalchemy.SQLite",
    "postgresql": "benchmarks.stores.sqlalchemy.PostgreSQL",
    "tortoise": "benchmarks.stores.tortoise.TortoiseStore",
    "beanie": "benchmarks.stores.beanie.BeanieStore",
    "mongo": "benchmarks.stores.mongo.MongoStore",
    "databases": "benchmarks.stores.databases.DatabasesStore",
}
BATCH_STORES = ("sqlite", "postgresql", "tortoise", "beanie", "mongo")


class Run:
    """One run of some of the benchmarks, on the same servers."""

    def __init__(self, servers: Servers, scale: Scale) -> None:
        self.servers = servers
        self.scale = scale
        self.results = Results(machine())

    async def overhead(self, store: str) -> None:
        async with _store(store).opened(self.servers) as opened:
            await self._note_server(opened)
            self.results.comparisons += await overhead(
                opened,
                calls=self.scale.calls,
                rounds=self.scale.rounds,
                kinds=self.scale.kinds,
            )

    async def batch(self, store: str) -> None:
        async with _store(store).opened(self.servers) as opened:
            await self._note_server(opened)
            self.results.comparisons += await batches(
                opened,
                size=self.scale.batch,
                rounds=self.scale.rounds,
                kinds=self.scale.kinds,
            )

    async def others(self, store: str) -> None:
        async with _store(store).opened(self.servers) as opened:
            await self._note_server(opened)
            self.results.comparisons += await others(
                opened,
                self.servers,
                size=self.scale.batch,
                rounds=self.scale.rounds,
                kinds=self.scale.kinds,
            )

    async def build(self) -> None:
        self.results.comparisons += await builds(
            size=self.scale.batch, rounds=self.scale.rounds, kinds=self.scale.kinds
        )

    async def sizes(self) -> None:
        async with _store("postgresql").opened(self.servers) as opened:
            await self._note_server(opened)
            self.results.comparisons += await sizes(
                opened, sizes=self.scale.sizes, rounds=self.scale.rounds
            )

    async def auto(self) -> None:
        async with _store("postgresql").opened(self.servers) as opened:
            from benchmarks.automatic import automatic

            await self._note_server(opened)
            self.results.comparisons += await automatic(
                cast("SQLAlchemyStore", opened), size=self.scale.batch, rounds=self.scale.rounds
            )

    async def suite(self) -> None:
        # In a thread: its runs of pytest are processes, and the servers belong to this one.
        self.results.comparisons.append(
            await asyncio.to_thread(
                suites, self.servers, tests=self.scale.tests, rounds=self.scale.rounds
            )
        )

    async def memory(self) -> None:
        taken = await memory(self.servers, size=self.scale.memory)
        self.results.memory = taken.as_json()

    async def _note_server(self, store: Store) -> None:
        server = await store.server()
        if server not in self.results.servers:
            self.results.servers.append(server)


def _store(name: str) -> type[Store]:
    module, _, attribute = STORES[name].rpartition(".")
    store: type[Store] = getattr(import_module(module), attribute)
    return store


BENCHMARKS: dict[str, Callable[[Run], Awaitable[None]]] = {
    **{f"overhead-{name}": partial(Run.overhead, store=name) for name in STORES},
    **{f"batch-{name}": partial(Run.batch, store=name) for name in BATCH_STORES},
    "build": Run.build,
    **{f"others-{name}": partial(Run.others, store=name) for name in BATCH_STORES},
    "sizes": Run.sizes,
    "auto": Run.auto,
    "suite": Run.suite,
    "memory": Run.memory,
}


async def main(names: Sequence[str], scale: Scale, json_file: Path | None) -> Results:
    """Run benchmarks one after the other, and save what there is after each."""
    with ExitStack() as stack:
        run = Run(Servers(stack), scale)
        for name in names:
            print(f"{name} …", file=sys.stderr, flush=True)
            await BENCHMARKS[name](run)
            if json_file is not None:
                run.results.write(json_file)
    return run.results


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--rounds", type=int, help=f"how often each way of a graph is timed ({FULL.rounds})"
    )
    parser.add_argument("--size", type=int, help=f"objects in a batch ({FULL.batch})")
    parser.add_argument("--quick", action="store_true", help="a little of everything, to try it")
    parser.add_argument(
        "--only",
        metavar="NAME",
        action="append",
        default=[],
        help=f"those whose name contains this; may be repeated: {', '.join(BENCHMARKS)}",
    )
    parser.add_argument(
        "--kind",
        choices=WORKS,
        action="append",
        default=[],
        help="this kind of work only; may be repeated",
    )
    parser.add_argument("--json", metavar="FILE", type=Path, help="write every duration to it")
    parser.add_argument(
        "--docs", action="store_true", help="write the figures to docs/ and the README"
    )
    arguments = parser.parse_args()
    if arguments.docs and (arguments.quick or arguments.only or arguments.kind or arguments.size):
        parser.error("--docs needs all figures: leave out --quick, --only, --kind and --size")
    for part in arguments.only:
        if not any(part in name for name in BENCHMARKS):
            parser.error(f"--only {part}: there are {', '.join(BENCHMARKS)}")
    return arguments


if __name__ == "__main__":
    arguments = _arguments()
    names = [
        name
        for name in BENCHMARKS
        if not arguments.only or any(part in name for part in arguments.only)
    ]
    scale = QUICK if arguments.quick else FULL
    scale = replace(
        scale,
        rounds=arguments.rounds or scale.rounds,
        batch=arguments.size or scale.batch,
        kinds=arguments.kind or scale.kinds,
    )
    results = asyncio.run(main(names, scale, arguments.json))
    print(results.markdown())
    if arguments.docs:
        write_docs(results)
