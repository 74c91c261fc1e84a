"""Classes of SQLModel, which reads annotations that are no strings."""

import datetime as dt
import enum
from decimal import Decimal
from typing import Annotated, List, Literal, Optional  # noqa: UP035

import pydantic
import sqlalchemy as sa
import sqlmodel
from annotated_types import Len
from sqlalchemy.orm import registry


class Size(str, enum.Enum):
    S = "small"
    L = "large"


class Registered(sqlmodel.SQLModel, registry=registry()):
    """The base of these classes, whose names are taken elsewhere."""

    metadata = sa.MetaData()


class Team(Registered, table=True):
    id: int | None = sqlmodel.Field(default=None, primary_key=True)
    name: str = sqlmodel.Field(min_length=2, max_length=50, unique=True)
    code: Annotated[str, pydantic.StringConstraints(pattern="^[a-z]+$")]
    rating: int = sqlmodel.Field(ge=1, le=5, sa_column_args=[sa.CheckConstraint("rating > 2")])
    budget: Decimal = sqlmodel.Field(max_digits=8, decimal_places=2, gt=0)
    size: Size = Size.S
    motto: Optional[Annotated[str, Len(3)]] = None  # noqa: UP045
    members: List["Player"] = sqlmodel.Relationship(back_populates="team")  # noqa: UP006


class Player(Registered, table=True):
    id: int | None = sqlmodel.Field(default=None, primary_key=True)
    email: pydantic.AnyUrl = sqlmodel.Field(sa_type=sa.String)
    joined: dt.datetime
    role: Literal["keeper", "striker"] = sqlmodel.Field(sa_type=sa.String)
    team_id: int = sqlmodel.Field(foreign_key="team.id")
    team: Team = sqlmodel.Relationship(back_populates="members")
