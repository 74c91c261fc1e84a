import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import selectinload

from models import Article, Author, Base, Comment

DATABASE_URL = os.environ.get("DATABASE_URL", "sqlite+aiosqlite:///articles.sqlite")


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    engine = create_async_engine(DATABASE_URL)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    app.state.sessions = async_sessionmaker(engine)
    yield
    await engine.dispose()


app = FastAPI(lifespan=lifespan)


async def get_session() -> AsyncIterator[AsyncSession]:
    async with app.state.sessions() as session:
        yield session


Session = Annotated[AsyncSession, Depends(get_session)]


class NewAuthor(BaseModel):
    name: str
    email: str


class NewComment(BaseModel):
    text: str = Field(min_length=1)


class Shown(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: int


class ShownAuthor(Shown):
    name: str


class ShownComment(Shown):
    text: str


class ShownArticle(Shown):
    title: str
    author: ShownAuthor
    comments: list[ShownComment]


@app.post("/authors", status_code=201)
async def add_author(new: NewAuthor, session: Session) -> ShownAuthor:
    author = Author(name=new.name, email=new.email)
    session.add(author)
    try:
        await session.commit()
    except IntegrityError:
        await session.rollback()
        raise HTTPException(409, "There is an author with this e-mail address.") from None
    await session.refresh(author)
    return ShownAuthor.model_validate(author)


@app.get("/articles")
async def published_articles(session: Session, author_id: int | None = None) -> list[ShownArticle]:
    statement = select(Article).where(Article.published).order_by(Article.id)
    if author_id is not None:
        statement = statement.where(Article.author_id == author_id)
    articles = await session.scalars(
        statement.options(selectinload(Article.author), selectinload(Article.comments))
    )
    return [ShownArticle.model_validate(article) for article in articles]


@app.post("/articles/{article_id}/comments", status_code=201)
async def add_comment(article_id: int, new: NewComment, session: Session) -> ShownComment:
    article = await session.get(Article, article_id)
    if article is None or not article.published:
        raise HTTPException(404, "There is no such article.")
    comment = Comment(text=new.text, article_id=article.id)
    session.add(comment)
    await session.commit()
    await session.refresh(comment)
    return ShownComment.model_validate(comment)
