"""Models with fields of many kinds, which factories.py is generated for."""

from __future__ import annotations

import datetime as dt
import enum
import uuid
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    pass


class Plan(enum.Enum):
    FREE = "free"
    PAID = "paid"


class Company(Base):
    __tablename__ = "company"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(40), unique=True)


class Everything(Base):
    __tablename__ = "everything"
    __table_args__ = (
        sa.CheckConstraint("amount > 0"),
        sa.UniqueConstraint("company_id", "m"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    # A name of a module that is imported, and one of a method.
    date: Mapped[dt.date]
    another_date: Mapped[dt.date]
    factory: Mapped[str]
    build: Mapped[str]
    plan: Mapped[Plan]
    name: Mapped[str]
    email: Mapped[str] = mapped_column(String(30), unique=True)
    title: Mapped[str] = mapped_column(String(30))
    code: Mapped[str] = mapped_column(String(2), unique=True)
    only: Mapped[Plan] = mapped_column(unique=True)
    status: Mapped[str] = mapped_column(
        sa.Enum(
            "waiting for an approval",
            "approved by it's",
            'say "no"',
            "gone",
            name="status",
        )
    )
    price: Mapped[Decimal] = mapped_column(sa.Numeric(8, 2))
    rate: Mapped[float]
    amount: Mapped[int]
    m: Mapped[int] = mapped_column(unique=True)
    at: Mapped[dt.time]
    at_what_time_is_that_which_is_told_by_nobody: Mapped[dt.time] = mapped_column(
        unique=True
    )
    moment: Mapped[dt.datetime] = mapped_column(sa.DateTime(timezone=True))
    moment_of_something_that_has_a_long_name: Mapped[dt.datetime] = mapped_column(
        unique=True
    )
    how_long: Mapped[dt.timedelta]
    data: Mapped[dict[str, Any]] = mapped_column(sa.JSON)
    blob: Mapped[bytes]
    flag: Mapped[bool]
    nickname: Mapped[str | None]
    usual: Mapped[int] = mapped_column(default=3)
    company_id: Mapped[int] = mapped_column(ForeignKey("company.id"))
    boss_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("everything.id"))
    boss: Mapped[Everything | None] = relationship(remote_side=id)


class Detail(Base):
    __tablename__ = "detail"

    id: Mapped[int] = mapped_column(primary_key=True)
    everything_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(Everything.id))
    everything: Mapped[Everything] = relationship()
