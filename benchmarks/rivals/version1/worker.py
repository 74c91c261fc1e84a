"""The process in which async-factory-boy 1.0.1 is measured.

It reads lines of JSON, each a list of the name of a method of `Worker` and its arguments, and
answers each with a line.
"""

from __future__ import annotations

import asyncio
import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from async_factory_boy.factory.sqlalchemy import AsyncSQLAlchemyFactory

# Last, since the async_factory_boy in that folder is not the one that is wanted here.
sys.path.append(str(Path(__file__).parents[3]))

from benchmarks.declarations import Factories, Kind
from benchmarks.measure import Way
from benchmarks.stores.sqlalchemy_models import MODELS, Base


class Worker:
    def __init__(self, session: AsyncSession) -> None:
        class Factory(AsyncSQLAlchemyFactory):
            class Meta:
                abstract = True
                sqlalchemy_session = session

        self._session = session
        self._factories = Factories(Factory, MODELS)

    async def work(self, kind: Kind, size: int) -> float:
        """Create a batch, and return how long it took."""
        create = partial(self._factories.of(kind).create_batch, size)
        return await Way("", create, self.undo).seconds()

    async def undo(self) -> int:
        """Delete all rows, and return their number."""
        self._session.expunge_all()
        rows = 0
        for table in reversed(Base.metadata.sorted_tables):
            result: Any = await self._session.execute(delete(table))
            rows += result.rowcount
        await self._session.commit()
        return rows


async def main(url: str) -> None:
    engine = create_async_engine(url)
    # Without expire_on_commit=False each user would read its company again.
    async with AsyncSession(engine, expire_on_commit=False) as session:
        worker = Worker(session)
        for line in sys.stdin:
            method, *arguments = json.loads(line)
            print(json.dumps(await getattr(worker, method)(*arguments)), flush=True)
    await engine.dispose()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
