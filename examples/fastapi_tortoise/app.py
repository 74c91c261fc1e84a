import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, HTTPException
from pydantic import BaseModel
from tortoise.contrib.fastapi import RegisterTortoise
from tortoise.exceptions import IntegrityError
from tortoise.transactions import in_transaction

from models import Event, Guest, Seating

DATABASE_URL = os.environ.get("DATABASE_URL", "sqlite://events.sqlite")


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with RegisterTortoise(
        app, db_url=DATABASE_URL, modules={"models": ["models"]}, generate_schemas=True
    ):
        yield


app = FastAPI(lifespan=lifespan)


class ShownEvent(BaseModel):
    id: int
    title: str
    free: int


class Booking(BaseModel):
    name: str
    email: str


@app.get("/events")
async def events() -> list[ShownEvent]:
    shown = []
    for event in await Event.all().order_by("id").prefetch_related("seatings"):
        free = event.seats - len(event.seatings)
        shown.append(ShownEvent(id=event.id, title=event.title, free=free))
    return shown


@app.post("/events/{event_id}/guests", status_code=201)
async def book(event_id: int, booking: Booking) -> ShownEvent:
    async with in_transaction():
        event = await Event.get_or_none(id=event_id)
        if event is None:
            raise HTTPException(404, "There is no such event.")
        guest, _ = await Guest.get_or_create(email=booking.email, defaults={"name": booking.name})
        try:
            async with in_transaction():
                await Seating.create(event=event, guest=guest)
        except IntegrityError:
            raise HTTPException(409, "This guest has a seat.") from None
        taken = await Seating.filter(event=event).count()
        if taken > event.seats:
            raise HTTPException(409, "All seats are taken.")  # and the transaction is rolled back
    return ShownEvent(id=event.id, title=event.title, free=event.seats - taken)
