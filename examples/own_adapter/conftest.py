import aiosqlite
import pytest

from async_factory_boy import bind

TABLES = """
CREATE TABLE author (id INTEGER PRIMARY KEY, name TEXT UNIQUE, size INTEGER);
CREATE TABLE book (id INTEGER PRIMARY KEY, name TEXT, author_id INTEGER REFERENCES author);
"""


@pytest.fixture
def database(tmp_path):
    return tmp_path / "library.sqlite"


@pytest.fixture
async def connection(database):
    async with aiosqlite.connect(database) as connection:
        await connection.executescript(TABLES)
        with bind(sqlite_connection=connection):
            yield connection
