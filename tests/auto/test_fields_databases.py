"""What the adapter for databases tells of the columns of a table."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from async_factory_boy.adapters.databases import DatabasesAdapter
from async_factory_boy.adapters.fields import Field, Relation
from async_factory_boy.adapters.sqlalchemy import SQLAlchemyAdapter
from async_factory_boy.exceptions import AdapterError

metadata = sa.MetaData()

companies = sa.Table(
    "companies",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("country", sa.String(2), primary_key=True, key="land"),
)
users = sa.Table(
    "users",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("user_name", sa.String(20), key="name", nullable=False, unique=True),
    sa.Column("balance", sa.Numeric(8, 2), sa.CheckConstraint("balance >= 0"), nullable=False),
    sa.Column("active", sa.Boolean, default=True, nullable=False),
    sa.Column("company_id", sa.Integer, nullable=False),
    sa.Column("company_country", sa.String(2), nullable=False),
    sa.Column("boss_id", sa.ForeignKey("users.id")),
    sa.Column("xmin", sa.Integer, system=True),
    sa.ForeignKeyConstraint(["company_id", "company_country"], ["companies.id", "companies.land"]),
    sa.CheckConstraint("user_name <> ''"),
    sa.UniqueConstraint("company_id", "name"),
)


def fields(model: Any) -> dict[str, Field]:
    return {field.name: field for field in DatabasesAdapter[Any]().fields(model)}


def test_table() -> None:
    """The fields of a table are its columns, by their keys; those of the system are left out."""
    told = fields(users)
    assert list(told) == [
        "id", "name", "balance", "active", "company_id", "company_country", "boss_id",
    ]  # fmt: skip
    assert told["id"].generated
    name = told["name"]
    assert (name.type, name.required, name.min_length, name.max_length) == (str, True, 1, 20)
    assert set(name.unique) == {frozenset({"name"}), frozenset({"company_id", "name"})}
    balance = told["balance"]
    assert (balance.type, balance.ge, balance.precision, balance.scale) == (Decimal, 0, 8, 2)
    assert (told["active"].default, told["active"].required) == (True, False)


def test_keys_of_a_table() -> None:
    """A foreign key refers to a table; of several columns, each names all of them."""
    told = fields(users)
    boss = told["boss_id"]
    assert boss.relation == Relation(target=users, attribute="id")
    assert (boss.type, boss.required, boss.nullable) == (int, False, True)
    keys = {"company_id": "id", "company_country": "land"}
    for name, remote in keys.items():
        assert told[name].relation == Relation(target=companies, keys=keys, attribute=remote)
        assert told[name].required


def test_table_without_keys() -> None:
    """The parts of a composite key have to be given, and are unique together."""
    told = fields(companies)
    both = (frozenset({"id", "land"}),)
    assert {name: (field.required, field.unique) for name, field in told.items()} == {
        "id": (True, both),
        "land": (True, both),
    }


class Base(DeclarativeBase):
    pass


class Company(Base):
    __tablename__ = "company"
    id: Mapped[int] = mapped_column(primary_key=True)


class User(Base):
    __tablename__ = "user"
    id: Mapped[int] = mapped_column(primary_key=True)
    company_id: Mapped[int] = mapped_column(sa.ForeignKey("company.id"))
    company: Mapped[Company] = relationship()
    version: Mapped[int] = mapped_column()
    __mapper_args__ = {"version_id_col": version}


def test_mapped_class() -> None:
    """A mapped class has the fields that it has for SQLAlchemy, of which nobody counts versions."""
    told, by_orm = fields(User), {one.name: one for one in SQLAlchemyAdapter[Any]().fields(User)}
    assert list(told) == ["id", "company_id", "version", "company"]
    assert (told["version"].required, told["version"].generated) == (True, False)
    assert (by_orm["version"].required, by_orm["version"].generated) == (False, True)
    assert told["company"] == by_orm["company"]
    assert told["company"].relation == Relation(target=Company, keys={"company_id": "id"})


def test_neither_table_nor_mapped() -> None:
    """Another model is refused, with what to set instead."""
    with pytest.raises(AdapterError, match=r"int is neither a Table nor a mapped class.*set Meta"):
        fields(int)
