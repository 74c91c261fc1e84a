"""What is stored within other objects, and within itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import BaseModel

from async_factory_boy import ConfigurationError
from async_factory_boy.factory import make_factory
from async_factory_boy.factory.mongo import AsyncMongoFactory


class Comment(BaseModel):
    text: str
    answered_by: Comment | None
    answers: list[Comment]


class First(BaseModel):
    second: Second


class Second(BaseModel):
    first: First


@dataclass
class Loop:
    loop: Loop


def build(model: Any) -> Any:
    return make_factory(model, FACTORY_CLASS=AsyncMongoFactory, auto_declarations=True).build()


def test_what_may_end_ends() -> None:
    """A field that takes None has none, where it would go on for ever."""
    comment = build(Comment)
    assert comment.text
    assert comment.answered_by is None
    assert comment.answers == []


@pytest.mark.parametrize(
    ("model", "field", "way"),
    [(First, "Second.first", "First → Second → First"), (Loop, "Loop.loop", "Loop → Loop")],
)
def test_what_cannot_end(model: Any, field: str, way: str) -> None:
    """Classes that require each other are refused, with the way."""
    with pytest.raises(ConfigurationError) as caught:
        build(model)
    assert str(caught.value) == (
        f"{field} leads back to {model.__name__}, and each of these is required: {way}. No object "
        "ends that; let one of the fields take None, or an empty list."
    )
