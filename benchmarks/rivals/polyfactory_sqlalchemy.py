"""The factories of polyfactory for the models on SQLAlchemy."""

from __future__ import annotations

from typing import Any

from polyfactory import Ignore, Use
from polyfactory.factories.base import BaseFactory
from polyfactory.factories.sqlalchemy_factory import SQLAlchemyFactory, SQLAlchemyPersistenceMethod
from sqlalchemy.ext.asyncio import AsyncSession

from benchmarks.declarations import POSTS, Kind
from benchmarks.rivals.polyfactory import COMPANY, PERSON, POST
from benchmarks.stores.sqlalchemy_models import MODELS


def sqlalchemy_factories(session: AsyncSession) -> dict[Kind, type[BaseFactory[Any]]]:
    """Return factories that store in `session`, without committing."""

    def make(model: type[Any], **fields: Any) -> type[BaseFactory[Any]]:
        return SQLAlchemyFactory.create_factory(
            model,
            __async_session__=session,
            __persistence_method__=SQLAlchemyPersistenceMethod.FLUSH,
            __set_primary_key__=False,
            __set_foreign_keys__=False,
            **fields,
        )

    company = make(MODELS.company, **COMPANY, users=Ignore())
    post = make(MODELS.post, **POST, author=Ignore())
    user = {**PERSON, "company": company}
    return {
        "flat": make(MODELS.person, **PERSON),
        "company": make(MODELS.user, **user, posts=Ignore()),
        "graph": make(MODELS.user, **user, posts=Use(post.batch, size=POSTS)),
    }
