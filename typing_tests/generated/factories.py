"""Factories for the models of typing_tests.generated.models."""

from datetime import date as date_
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import ClassVar
from uuid import UUID

import factory as factory_
from async_factory_boy.factory import KeyOf
from async_factory_boy.factory.sqlalchemy import AsyncSQLAlchemyModelFactory
from factory.random import randgen

from typing_tests.generated.models import Company, Detail, Everything, Plan


class CompanyFactory(AsyncSQLAlchemyModelFactory[Company]):
    name = factory_.Sequence(lambda n: f"name-{n}")


class EverythingFactory(AsyncSQLAlchemyModelFactory[Everything]):
    class Meta:
        rename: ClassVar[dict[str, str]] = {"build_": "build"}

    id = factory_.Sequence(lambda n: UUID(f"00000000-0000-4000-8000-{n:012x}"))
    date = factory_.Faker(
        "date_between", start_date=date_(2020, 1, 1), end_date=date_(2025, 12, 31)
    )
    another_date = factory_.Faker(
        "date_between", start_date=date_(2020, 1, 1), end_date=date_(2025, 12, 31)
    )
    factory = factory_.Faker("word")
    build_ = factory_.Faker("word")
    plan = factory_.Iterator(Plan)
    name = factory_.Faker("name")
    email = factory_.Sequence(lambda n: f"user{n}@example.com")
    title = factory_.Transformer(
        factory_.Faker("sentence", nb_words=4), transform=lambda value: value[:30]
    )
    # Decide: code is unique and at most 2 characters long: its values may run out.
    code = factory_.Sequence(lambda n: f"{n:x}")
    # Decide: only is unique: there are 2 values.
    only = factory_.Iterator(Plan)
    status = factory_.Iterator(
        ["waiting for an approval", "approved by it's", 'say "no"', "gone"]
    )
    price = factory_.LazyFunction(lambda: Decimal(randgen.randint(100, 100000)) / 100)
    rate = factory_.LazyFunction(lambda: float(randgen.randint(0, 10000)) / 100)
    amount = factory_.Faker("pyint", min_value=1, max_value=1000)
    m = factory_.Sequence(lambda n: n + 1)
    at = factory_.Sequence(
        lambda n: (datetime(2000, 1, 1) + timedelta(seconds=n)).time()
    )
    # Decide: at_what_time_is_that_which_is_told_by_nobody is unique: its values may run
    #   out.
    at_what_time_is_that_which_is_told_by_nobody = factory_.Sequence(
        lambda n: (datetime(2000, 1, 1) + timedelta(seconds=n)).time()
    )
    moment = factory_.Faker(
        "date_time_between",
        start_date=datetime(2020, 1, 1, tzinfo=timezone.utc),
        end_date=datetime(2025, 12, 31, tzinfo=timezone.utc),
        tzinfo=timezone.utc,
    )
    moment_of_something_that_has_a_long_name = factory_.Sequence(
        lambda n: datetime(2000, 1, 1) + timedelta(seconds=n)
    )
    how_long = factory_.Sequence(lambda n: timedelta(seconds=n + 1))
    data = factory_.LazyFunction(dict)
    blob = factory_.Faker("binary", length=16)
    flag = False
    company_id = KeyOf(CompanyFactory, "id")


class DetailFactory(AsyncSQLAlchemyModelFactory[Detail]):
    everything = factory_.SubFactory(EverythingFactory)
