"""The tables of the tests, and a factory for each."""

from __future__ import annotations

from datetime import datetime, timezone
from enum import Enum
from typing import Any

import factory
from async_factory_boy_piccolo import AsyncPiccoloTableFactory
from piccolo.apps.user.tables import BaseUser
from piccolo.columns import (
    JSON,
    UUID,
    Array,
    BigSerial,
    Boolean,
    ForeignKey,
    Integer,
    Numeric,
    Serial,
    Timestamptz,
    Varchar,
)
from piccolo.columns.defaults.timestamptz import TimestamptzNow
from piccolo.columns.m2m import M2M
from piccolo.columns.reference import LazyTableReference
from piccolo.table import Table


class Company(Table):
    name = Varchar(unique=True)
    rank = Integer(null=True, default=None)


class User(Table, tablename="app_user"):
    id = UUID(primary_key=True)
    name = Varchar()
    company = ForeignKey(Company, null=True)
    boss: ForeignKey[Any] = ForeignKey("self", null=True)
    tags = M2M(LazyTableReference("UserToTag", module_path=__name__))


class Tag(Table):
    slug = Varchar(primary_key=True)
    users = M2M(LazyTableReference("UserToTag", module_path=__name__))


class UserToTag(Table):
    user = ForeignKey(User)
    tag = ForeignKey(Tag)


class Badge(Table):
    """A key of 64 bits, and a foreign key to another column than a key."""

    id: BigSerial = BigSerial(primary_key=True)
    issuer = ForeignKey(Company, target_column="name")


class Colour(str, Enum):
    RED = "r"
    BLUE = "b"


class Item(Table):
    """Columns of every kind that need care."""

    code: Serial = Serial(primary_key=True, db_column_name="item_code")
    label = Varchar(db_column_name="item_label", default=lambda: "by default")
    made = Timestamptz(default=TimestamptzNow())
    colour = Varchar(choices=Colour, default=Colour.RED)
    price = Numeric(digits=(7, 2))
    sizes = Array(base_column=Integer())
    extra = JSON()
    position = Integer(null=True, default=None)


class Audited(Table):
    name = Varchar(unique=True)
    saves = Integer(default=0)

    def save(self, columns: Any = None) -> Any:
        self.saves += 1
        return super().save(columns)


class Order(Table, tablename="app_order"):
    """Creates a row of another table when it is saved."""

    name = Varchar(unique=True)

    async def save(self, columns: Any = None) -> Any:  # type: ignore[override]
        await CompanyFactory.create_async(name=f"of {self.name}")
        return await super().save(columns)


class Parent(Table):
    name = Varchar(unique=True)
    size = Integer()


class Child(Table):
    name = Varchar()
    parent = ForeignKey(Parent)


class Club(Table):
    name = Varchar()
    members = M2M(LazyTableReference("Membership", module_path=__name__))


class Membership(Table):
    """Is in between, and needs a further value."""

    club = ForeignKey(Club)
    member = ForeignKey(User)
    role = Varchar(default=None)


class Stamped(Table):
    """Has values that Piccolo fills in."""

    name = Varchar()
    made = Timestamptz(default=TimestamptzNow())
    changed = Timestamptz(auto_update=lambda: datetime.now(timezone.utc))
    number = Integer(default=lambda: 7)


# Tables with what a single call goes through.


class OwnInit(Table):
    name = Varchar()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self._exists_in_db:
            self.name = self.name.upper()


class OwnInsert(Table):
    name = Varchar()

    @classmethod
    def insert(cls, *rows: Any) -> Any:
        for row in rows:
            row.name = "inserted"
        return super().insert(*rows)


class OwnSave(Table):
    name = Varchar()

    async def save(self, columns: Any = None) -> Any:  # type: ignore[override]
        self.name = str(await OwnSave.count())
        return await super().save(columns)


class OwnQueryString(Table):
    name = Varchar()

    @property
    def querystring(self) -> Any:
        self.name = "written"
        return super().querystring


class OwnObjects(Table):
    """Hides rows."""

    name = Varchar()
    hidden = Boolean()

    @classmethod
    def objects(cls, *prefetch: Any) -> Any:
        return super().objects(*prefetch).where(cls.hidden.eq(False))


class Account(BaseUser, tablename="account"):
    """Piccolo's own user, whose constructor hashes the password."""


ALL = [Company, User, Tag, UserToTag, Badge, Item, Audited, Order, Parent, Child]
ALL += [Club, Membership, Stamped, OwnInit, OwnInsert, OwnSave, OwnQueryString, OwnObjects, Account]


class CompanyFactory(AsyncPiccoloTableFactory[Company]):
    class Meta:
        model = Company

    name = factory.Sequence(lambda n: f"company{n}")
    rank = 10


class NamedCompanyFactory(CompanyFactory):
    class Meta:
        piccolo_get_or_create = ("name",)


class UserFactory(AsyncPiccoloTableFactory[User]):
    class Meta:
        model = User

    name = factory.Sequence(lambda n: f"user{n}")
    company = factory.SubFactory(CompanyFactory)


class TagFactory(AsyncPiccoloTableFactory[Tag]):
    class Meta:
        model = Tag
        piccolo_get_or_create = ("slug",)

    slug = factory.Sequence(lambda n: f"tag{n}")


class BadgeFactory(AsyncPiccoloTableFactory[Badge]):
    class Meta:
        model = Badge

    issuer = factory.SubFactory(CompanyFactory)


class ItemFactory(AsyncPiccoloTableFactory[Item]):
    class Meta:
        model = Item


class AuditedFactory(AsyncPiccoloTableFactory[Audited]):
    class Meta:
        model = Audited

    name = factory.Sequence(lambda n: f"audited{n}")


class OrderFactory(AsyncPiccoloTableFactory[Order]):
    class Meta:
        model = Order

    name = factory.Sequence(lambda n: f"order{n}")


class ParentFactory(AsyncPiccoloTableFactory[Parent]):
    class Meta:
        model = Parent

    name = factory.Sequence(lambda n: f"parent{n}")
    size = 1


class ChildFactory(AsyncPiccoloTableFactory[Child]):
    class Meta:
        model = Child

    name = factory.Sequence(lambda n: f"child{n}")
    parent = factory.SubFactory(ParentFactory)


FACTORIES = [
    CompanyFactory,
    UserFactory,
    TagFactory,
    BadgeFactory,
    ItemFactory,
    AuditedFactory,
    OrderFactory,
    ParentFactory,
    ChildFactory,
]
