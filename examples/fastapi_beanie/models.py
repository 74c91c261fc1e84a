from typing import Annotated

from beanie import Document, Indexed, Link


class Category(Document):
    name: Annotated[str, Indexed(unique=True)]


class Product(Document):
    name: str
    price: int
    stock: int = 0
    category: Link[Category]


MODELS = [Category, Product]
