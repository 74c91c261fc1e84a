import factory

from async_factory_boy.factory import AsyncFactory
from models import Author, Book
from sqlite_adapter import SqliteAdapter


class AuthorFactory(AsyncFactory[Author]):
    class Meta:
        adapter = SqliteAdapter()

    name = factory.Sequence(lambda n: f"author {n}")
    size = 1


class KnownAuthorFactory(AuthorFactory):
    class Meta:
        adapter = SqliteAdapter(get_or_create=("name",))


class BookFactory(AsyncFactory[Book]):
    class Meta:
        adapter = SqliteAdapter()

    class Params:
        author = factory.SubFactory(AuthorFactory)

    name = factory.Sequence(lambda n: f"book {n}")
    author_id = factory.SelfAttribute("author.id")
