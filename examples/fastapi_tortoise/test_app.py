import pytest

from async_factory_boy.linting import lint_cases
from factories import EventFactory, GuestFactory, SeatingFactory
from models import Guest, Seating

ADA = {"name": "Ada", "email": "ada@example.org"}


async def test_events(client):
    concert = await EventFactory.create_async(title="Concert", seats=5, guests=2)
    lecture = await EventFactory.create_async(title="Lecture", sold_out=True)

    response = await client.get("/events")
    assert response.json() == [
        {"id": concert.id, "title": "Concert", "free": 3},
        {"id": lecture.id, "title": "Lecture", "free": 0},
    ]


async def test_book(client):
    event = await EventFactory.create_async(seats=5, guests=2)

    response = await client.post(f"/events/{event.id}/guests", json=ADA)
    assert response.status_code == 201
    assert response.json()["free"] == 2
    assert await Seating.filter(event=event, guest__email=ADA["email"]).exists()


async def test_a_guest_who_is_known(client):
    event = await EventFactory.create_async()
    guest = await GuestFactory.create_async(**ADA)

    await client.post(f"/events/{event.id}/guests", json=ADA)
    assert await Seating.filter(guest=guest).count() == 1
    assert await Guest.all().count() == 1


async def test_sold_out(client):
    event = await EventFactory.create_async(sold_out=True)

    response = await client.post(f"/events/{event.id}/guests", json=ADA)
    assert response.status_code == 409
    assert await Guest.filter(email=ADA["email"]).count() == 0
    assert await Seating.filter(event=event).count() == 2


async def test_twice(client):
    seating = await SeatingFactory.create_async(guest__email=ADA["email"])

    response = await client.post(f"/events/{seating.event.id}/guests", json=ADA)
    assert (response.status_code, response.json()["detail"]) == (409, "This guest has a seat.")


@pytest.mark.parametrize("case", lint_cases([EventFactory, SeatingFactory]), ids=str)
async def test_factory(case):
    await case.run()
    assert await Guest.all().count() == 0
