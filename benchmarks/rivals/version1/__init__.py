"""async-factory-boy 1.0.1, in an environment and a process of its own: it has our import name."""

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

    name = f"async-factory-boy {VERSION}, commits each"
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
        python = await asyncio.to_thread(_python, folder)
        # Isolated (-I): a PYTHONPATH would have it import the async_factory_boy that is here.
        command = (python, "-I", Path(__file__).with_name("worker.py"), url)
        process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE)
        assert process.stdin is not None
        try:
            yield cls(process)
        finally:
            process.stdin.close()  # at the end of its input, it ends
            await process.wait()

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


def _python(folder: Path) -> str:
    """Return the interpreter of the environment in `folder`, which is created if there is none."""
    import uv  # here, since what has no version 1 to measure does without it

    python = str(folder / "bin" / "python")
    if not folder.exists():
        requirements = [f"async-factory-boy=={VERSION}"]
        requirements += [f"{name}=={version(name)}" for name in _OTHERS]
        for arguments in (
            ["venv", "--python", sys.executable, str(folder)],
            ["pip", "install", "--python", python, *requirements],
        ):
            subprocess.run([uv.find_uv_bin(), "--quiet", *arguments], check=True)
    return python
