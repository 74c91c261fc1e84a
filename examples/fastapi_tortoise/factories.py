import factory

from async_factory_boy.factory.tortoise import AsyncTortoiseModelFactory
from models import Event, Guest, Seating


class GuestFactory(AsyncTortoiseModelFactory[Guest]):
    class Meta:
        tortoise_get_or_create = ("email",)

    name = factory.Faker("name")
    email = factory.Sequence(lambda n: f"guest{n}@example.org")


class SeatingFactory(AsyncTortoiseModelFactory[Seating]):
    event = factory.SubFactory("factories.EventFactory")
    guest = factory.SubFactory(GuestFactory)


class EventFactory(AsyncTortoiseModelFactory[Event]):
    class Params:
        sold_out = factory.Trait(
            seats=2, seatings=factory.RelatedFactoryList(SeatingFactory, "event", size=2)
        )

    title = factory.Faker("catch_phrase")
    seats = 10

    @factory.post_generation
    async def guests(event, create, extracted, **kwargs):
        """Create so many guests, with a seat each: ``EventFactory.create_async(guests=3)``."""
        if create and extracted:
            await SeatingFactory.create_batch_async(extracted, event=event, **kwargs)
