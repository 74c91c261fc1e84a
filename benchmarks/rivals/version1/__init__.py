"""async-factory-boy 1.0.1, which has our import name: in an environment and a process of its own."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import uv

from benchmarks.declarations import Kind
from benchmarks.measure import Way
from benchmarks.rivals import Rival

VERSION = "1.0.1"

# What it runs with, in the versions that we run with.
_OTHERS = ["aiosqlite", "asyncpg", "factory_boy", "greenlet", "SQLAlchemy"]


class Version1(Rival):
    """``AsyncSQLAlchemyFactory.create_batch`` of the last version before this library.

    It has no RelatedFactory. It commits each object, so its rows have to be deleted.
    """

    name = f"async-factory-boy {VERSION}"
    kinds = ("flat", "company")

    def __init__(self, process: Process) -> None:
        self._process = process

    @classmethod
    @asynccontextmanager
    async def opened(cls, url: str, folder: Path) -> AsyncGenerator[Version1]:
        """Start its process on the database at `url`, in which the tables exist.

        Args:
            url: For an async driver.
            folder: Where its environment is, or is to be created.
        """
        if not folder.exists():
            await asyncio.to_thread(_create_environment, folder)
        process = await asyncio.create_subprocess_exec(
            folder / "bin" / "python", Path(__file__).parent / "worker.py", url,
            stdin=PIPE, stdout=PIPE,
        )  # fmt: skip
        try:
            yield cls(process)
        finally:
            # Closing its input ends it.
            await process.communicate()

    def way(self, kind: Kind, size: int) -> Way:
        return _RemoteWay(self, kind, size)

    async def ask(self, method: str, *arguments: object) -> Any:
        """Have the process call one of its methods, and return what that returns.

        Raises:
            RuntimeError: When the process has ended; what it wrote to its stderr tells why.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([method, *arguments]).encode() + b"\n")
        await self._process.stdin.drain()
        answer = await self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the process of {self.name} has ended")
        return json.loads(answer)


class _RemoteWay(Way):
    def __init__(self, rival: Version1, kind: Kind, size: int) -> None:
        async def work() -> object:
            return await rival.ask("work", kind, size)

        async def undo() -> int:
            rows: int = await rival.ask("undo")
            return rows

        super().__init__(rival.name, work, undo)

    async def seconds(self) -> float:
        seconds: float = await self.work()  # type: ignore[assignment]
        return seconds


def _create_environment(folder: Path) -> None:
    command = uv.find_uv_bin()
    requirements = [f"async-factory-boy=={VERSION}"]
    requirements += [f"{name}=={version(name)}" for name in _OTHERS]
    for arguments in (
        ["venv", "--python", sys.executable, folder],
        ["pip", "install", "--python", folder / "bin" / "python", *requirements],
    ):
        subprocess.run([command, "--quiet", *arguments], check=True)
