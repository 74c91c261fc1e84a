import factory

from async_factory_boy.factory.mongo import AsyncMongoFactory
from async_factory_boy.factory.sqlalchemy import AsyncSQLAlchemyModelFactory
from models import Customer, Visit


class VisitFactory(AsyncMongoFactory[Visit]):
    class Meta:
        mongo_collection = "visits"
        # The customer is there for its key only, and is no field of the document.
        exclude = ("customer",)

    customer = factory.SubFactory("factories.CustomerFactory")
    customer_id = factory.SelfAttribute("customer.id")
    path = "/"
    seconds = 10


class CustomerFactory(AsyncSQLAlchemyModelFactory[Customer]):
    class Params:
        curious = factory.Trait(visits=factory.RelatedFactoryList(VisitFactory, "customer", size=3))

    name = factory.Faker("name")
