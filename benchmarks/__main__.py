"""Runs the measurements, prints them as a table, and writes them as JSON."""

from __future__ import annotations

import argparse
import asyncio
import json
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from benchmarks.measure import HEADER, Comparison
from benchmarks.overhead import overhead
from tests.servers import Servers


async def measure(rounds: int) -> list[Comparison]:
    """Measure on each backend in turn."""
    with ExitStack() as stack:
        servers = Servers(stack)
        return [
            await overhead("SQLite", f"sqlite+aiosqlite:///{servers.folder / 'db'}", rounds),
            await overhead(
                "PostgreSQL (asyncpg)",
                servers.postgres.replace("postgresql:", "postgresql+asyncpg:"),
                rounds,
            ),
        ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="how often each way is timed")
    parser.add_argument("--json", type=Path, help="write every duration to this file")
    arguments = parser.parse_args()
    comparisons = asyncio.run(measure(arguments.rounds))
    print("\n".join([*HEADER, *(row for one in comparisons for row in one.rows())]))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps([asdict(one) for one in comparisons], indent=1))
