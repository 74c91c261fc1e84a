import pytest

from async_factory_boy import MultipleFoundError
from factories import AuthorFactory, BookFactory, KnownAuthorFactory
from models import Author
from sqlite_adapter import SqliteAdapter


async def test_book_with_its_author(connection):
    book = await BookFactory.create_async(name="Emma", author__name="Jane Austen")
    rows = await connection.execute_fetchall(
        "SELECT book.name, author.name FROM book JOIN author ON author.id = author_id"
    )
    assert list(rows) == [("Emma", "Jane Austen")]
    assert book.id == 1


async def test_batch(connection):
    books = await BookFactory.create_batch_async(100)
    rows = await connection.execute_fetchall("SELECT id, name, author_id FROM book ORDER BY id")
    assert list(rows) == [(book.id, book.name, book.author_id) for book in books]
    assert len({book.author_id for book in books}) == 100


async def test_get_or_create(connection):
    first = await KnownAuthorFactory.create_async(name="Jane Austen", size=3)
    again = await KnownAuthorFactory.create_async(name="Jane Austen", size=4)
    assert first == again == Author("Jane Austen", 3, first.id)
    assert await connection.execute_fetchall("SELECT name FROM author") == [("Jane Austen",)]


async def test_several_match(connection):
    class SizedAuthorFactory(AuthorFactory):
        class Meta:
            adapter = SqliteAdapter(get_or_create=("size",))

    await AuthorFactory.create_batch_async(2)
    with pytest.raises(MultipleFoundError, match="one Author by 'size'"):
        await SizedAuthorFactory.create_async()


async def test_nothing_is_committed(connection):
    await AuthorFactory.create_async()
    await KnownAuthorFactory.create_batch_async(2)
    await connection.rollback()
    assert await connection.execute_fetchall("SELECT * FROM author") == []
