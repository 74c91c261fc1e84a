import factory
from factory.fuzzy import FuzzyInteger

from async_factory_boy.factory.beanie import AsyncBeanieDocumentFactory
from models import Category, Product


class CategoryFactory(AsyncBeanieDocumentFactory[Category]):
    class Meta:
        beanie_get_or_create = ("name",)

    name = factory.Sequence(lambda n: f"category{n}")


class ProductFactory(AsyncBeanieDocumentFactory[Product]):
    class Params:
        sold_out = factory.Trait(stock=0)

    name = factory.Faker("word")
    price = FuzzyInteger(1, 100)
    stock = 5
    category = factory.SubFactory(CategoryFactory)
