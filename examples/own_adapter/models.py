from dataclasses import dataclass


@dataclass
class Author:
    name: str
    size: int
    id: int | None = None


@dataclass
class Book:
    name: str
    author_id: int
    id: int | None = None
