import pytest
from sqlalchemy import func, select

import factories
from async_factory_boy import lint
from factories import ArticleFactory, AuthorFactory
from models import Author, Comment


async def test_articles(client):
    article = await ArticleFactory.create_async(discussed=True, author__name="Ada")
    await ArticleFactory.create_async(published=False)

    response = await client.get("/articles")
    assert response.status_code == 200
    assert response.json() == [
        {
            "id": article.id,
            "title": article.title,
            "author": {"id": article.author.id, "name": "Ada"},
            "comments": [{"id": c.id, "text": c.text} for c in article.comments],
        }
    ]
    assert len(article.comments) == 3


async def test_articles_of_an_author(client):
    author = await AuthorFactory.create_async()
    theirs = await ArticleFactory.create_batch_async(3, author=author, published=True)
    await ArticleFactory.create_batch_async(2, published=True)

    response = await client.get("/articles", params={"author_id": author.id})
    assert [article["id"] for article in response.json()] == [article.id for article in theirs]


async def test_add_comment(client, session):
    article = await ArticleFactory.create_async(published=True)

    response = await client.post(f"/articles/{article.id}/comments", json={"text": "Well said."})
    assert response.status_code == 201
    comment = await session.get(Comment, response.json()["id"])
    assert (comment.text, comment.article_id) == ("Well said.", article.id)


async def test_no_comment_before_publication(client):
    article = await ArticleFactory.create_async(published=False)

    response = await client.post(f"/articles/{article.id}/comments", json={"text": "First!"})
    assert response.status_code == 404


@pytest.mark.parametrize(("taken", "status"), [(True, 409), (False, 201)])
async def test_add_author(client, session, taken, status):
    author = await AuthorFactory.create_async()
    await session.commit()
    email = author.email if taken else "new@example.org"

    response = await client.post("/authors", json={"name": "Bob", "email": email})
    assert response.status_code == status
    # The application has rolled back its own work only, and the commits are no end of the test's.
    assert await session.scalar(select(func.count()).select_from(Author)) == 2 - taken


async def test_factories(session):
    await lint(factories)
