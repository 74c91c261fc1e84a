from contextlib import asynccontextmanager
from sqlite3 import IntegrityError

import aiosqlite
import pytest

from async_factory_boy.testing import AdapterConformance
from factories import AuthorFactory, BookFactory


class TestSqliteAdapter(AdapterConformance):
    @pytest.fixture
    def options(self, connection):
        return {"sqlite_connection": connection}

    @pytest.fixture
    def rollback(self, connection):
        return connection.rollback

    @pytest.fixture
    def another(self, database):
        @asynccontextmanager
        async def another():
            async with aiosqlite.connect(database) as connection:
                yield {"sqlite_connection": connection}
                await connection.commit()

        return another

    @pytest.fixture
    def conflict(self):
        return IntegrityError

    @pytest.fixture
    def parent(self):
        return AuthorFactory

    @pytest.fixture
    def child(self):
        return BookFactory

    @pytest.fixture
    def relation(self):
        return "author"

    @pytest.fixture
    def rows(self, connection):
        async def rows(factory):
            if factory._meta.model.__name__ == "Author":
                query = "SELECT id AS key, name, size FROM author"
            else:
                query = "SELECT id AS key, name, author_id AS author FROM book"
            async with connection.execute(query) as cursor:
                names = [column[0] for column in cursor.description]
                return [dict(zip(names, row, strict=True)) async for row in cursor]

        return rows
