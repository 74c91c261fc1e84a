"""How much memory a batch takes over that of the objects it returns.

Run as a program, it is the process that is measured; see `memory`.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
from collections.abc import Callable, Coroutine
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.declarations import Factories
from benchmarks.stores.sqlalchemy import PostgreSQL, SQLAlchemyStore
from tests.servers import Servers

PAGE = 1000


@dataclass(frozen=True)
class Footprint:
    """The memory of a process that has created a batch and still has its objects, in bytes.

    Args:
        peak: The most that it ever took.
        held: What it takes now.
    """

    peak: int
    held: int


@dataclass(frozen=True)
class Memory:
    """What a batch takes.

    Args:
        size: The number of objects.
        waves: Created by ``create_batch_async``.
        pages: Created by hand, in pages, so that little but the objects is ever in memory.
        at_once: Created by hand, and stored by one flush.
    """

    size: int
    waves: Footprint
    pages: Footprint
    at_once: Footprint

    @property
    def over_objects(self) -> int:
        """What ``create_batch_async`` takes at most, over the objects themselves."""
        return self.waves.peak - self.pages.held

    def as_json(self) -> dict[str, Any]:
        """Return all of it, to be written as JSON."""
        return {**asdict(self), "over_objects": self.over_objects}


async def memory(servers: Servers, *, size: int) -> Memory:
    """Create `size` flat rows on PostgreSQL, in each way in a process of its own."""
    url, _ = PostgreSQL.urls(servers)
    return Memory(size, *[await _footprint(way, url, size) for way in WAYS])


async def _footprint(way: str, url: str, size: int) -> Footprint:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", __name__, way, url, str(size), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"the process that measures the memory for {way!r} has failed")
    return Footprint(**json.loads(output))


async def _waves(store: SQLAlchemyStore, size: int) -> object:
    person = Factories(store.base, store.models).person
    created: object = await person.create_batch_async(size, **store.options)
    return created


async def _pages(store: SQLAlchemyStore, size: int) -> object:
    sizes = (min(PAGE, size - n) for n in range(0, size, PAGE))
    return [await store.insert_many(store.plain, "flat", page) for page in sizes]


async def _at_once(store: SQLAlchemyStore, size: int) -> object:
    return await store.insert_many(store.plain, "flat", size)


# In the order of the fields of Memory.
WAYS: dict[str, Callable[[SQLAlchemyStore, int], Coroutine[Any, Any, object]]] = {
    "waves": _waves,
    "pages": _pages,
    "at_once": _at_once,
}


async def main(way: str, url: str, size: int) -> Footprint:
    """Create a batch, and return what this process takes."""
    async with PostgreSQL.opened_at(url) as store:
        created = await WAYS[way](store, size)
        gc.collect()
        footprint = _read_footprint()
        del created
        return footprint


def _read_footprint() -> Footprint:
    # Not getrusage(): on Linux, a process begins with the maximum of the one that has started it.
    lines = Path("/proc/self/status").read_text().splitlines()
    kilobytes = {line.split()[0]: line.split()[1] for line in lines if line.endswith("kB")}
    return Footprint(
        peak=int(kilobytes["VmHWM:"]) * 1024,
        held=int(kilobytes["VmRSS:"]) * 1024,
    )


if __name__ == "__main__":
    print(json.dumps(asdict(asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]))))))
