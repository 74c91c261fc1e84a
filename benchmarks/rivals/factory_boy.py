"""factory_boy itself, with a synchronous session."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from factory.alchemy import SQLAlchemyModelFactory
from sqlalchemy import create_engine, func, select
from sqlalchemy.orm import Session

from benchmarks.declarations import Factories, Kind
from benchmarks.measure import Way
from benchmarks.rivals import Rival, titled
from benchmarks.stores.sqlalchemy_models import MODELS, Base


class FactoryBoy(Rival):
    """``SQLAlchemyModelFactory.create_batch`` of factory_boy."""

    name = titled("factory_boy", "sync session")

    def __init__(self, session: Session) -> None:
        class Factory(SQLAlchemyModelFactory):
            class Meta:
                abstract = True
                sqlalchemy_session = session
                sqlalchemy_session_persistence = "flush"

        self._session = session
        self._factories = Factories(Factory, MODELS)

    @classmethod
    @asynccontextmanager
    async def opened(cls, url: str) -> AsyncGenerator[FactoryBoy]:
        """Open a session on the database at `url`, in which the tables exist."""
        engine = create_engine(url)
        with Session(engine) as session:
            yield cls(session)
        engine.dispose()

    def way(self, kind: Kind, size: int) -> Way:
        factory = self._factories.of(kind)

        # There is no other task that these two would keep waiting.
        async def work() -> object:
            created: object = factory.create_batch(size)
            return created

        return Way(self.name, work, self._undo)

    async def _undo(self) -> int:
        rows = sum(
            self._session.scalar(select(func.count()).select_from(table)) or 0
            for table in Base.metadata.sorted_tables
        )
        self._session.rollback()
        return rows
