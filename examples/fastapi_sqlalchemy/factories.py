import factory

from async_factory_boy.factory.sqlalchemy import AsyncSQLAlchemyModelFactory
from models import Article, Author, Comment


class AuthorFactory(AsyncSQLAlchemyModelFactory[Author]):
    name = factory.Faker("name")
    email = factory.Sequence(lambda n: f"author{n}@example.org")


class CommentFactory(AsyncSQLAlchemyModelFactory[Comment]):
    text = factory.Faker("sentence")
    article = factory.SubFactory("factories.ArticleFactory")


class ArticleFactory(AsyncSQLAlchemyModelFactory[Article]):
    class Meta:
        sqlalchemy_load = ("comments",)

    class Params:
        discussed = factory.Trait(
            published=True,
            comments=factory.RelatedFactoryList(CommentFactory, "article", size=3),
        )

    title = factory.Faker("sentence", nb_words=4)
    author = factory.SubFactory(AuthorFactory)
