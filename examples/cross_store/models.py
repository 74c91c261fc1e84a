from dataclasses import dataclass
from typing import Any

from bson import ObjectId
from sqlalchemy import String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    pass


class Customer(Base):
    __tablename__ = "customer"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(100))


@dataclass
class Visit:
    """A document of the collection ``visits``."""

    customer_id: int
    path: str
    seconds: int
    _id: ObjectId | None = None


Document = dict[str, Any]
