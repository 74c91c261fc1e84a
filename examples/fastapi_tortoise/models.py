from __future__ import annotations

from tortoise import fields
from tortoise.models import Model


class Event(Model):
    id = fields.IntField(primary_key=True)
    title = fields.CharField(100)
    seats = fields.IntField()
    seatings: fields.ReverseRelation[Seating]


class Guest(Model):
    id = fields.IntField(primary_key=True)
    name = fields.CharField(100)
    email = fields.CharField(100, unique=True)


class Seating(Model):
    """A guest's place at an event."""

    id = fields.IntField(primary_key=True)
    event: fields.ForeignKeyRelation[Event] = fields.ForeignKeyField("models.Event", "seatings")
    guest: fields.ForeignKeyRelation[Guest] = fields.ForeignKeyField("models.Guest", "seatings")

    class Meta:
        unique_together = (("event", "guest"),)
