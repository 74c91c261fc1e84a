"""Batches of more than a statement takes."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import factory
import pytest
from asgiref.sync import sync_to_async
from async_factory_boy_django import AsyncDjangoModelFactory
from django.contrib.auth.models import User as AuthUser
from django.db import connections

from async_factory_boy import bind
from tests.conftest import HAS_POSTGRESQL, Transaction
from tests.shop.models import Packet, Stamped
from tests.test_given_values import LONG_AGO, StampedFactory, years

pytestmark = pytest.mark.django_db(databases="__all__")


class ManyFieldsFactory(AsyncDjangoModelFactory[AuthUser]):
    """Looks objects up by many fields."""

    class Meta:
        model = AuthUser
        django_get_or_create = (
            *("username", "first_name", "last_name", "email", "password"),
            *("is_staff", "is_active", "is_superuser"),
        )

    username = factory.Sequence(lambda n: f"user{n}")
    first_name = last_name = email = password = ""
    is_staff = is_active = is_superuser = False


class PacketFactory(AsyncDjangoModelFactory[Packet]):
    class Meta:
        model = Packet
        batch_size = 22_000


@pytest.fixture
async def old_sqlite(rollback: None) -> AsyncGenerator[None]:
    """Have SQLite take no more variables than it did before 3.32."""

    def limit(variables: int) -> int:
        connection = connections["default"].connection
        before: int = connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, variables)
        return before

    before = await sync_to_async(limit)(999)
    yield
    await sync_to_async(limit)(before)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="sqlite3 sets limits from Python 3.11 on")
async def test_variables_of_sqlite(old_sqlite: None) -> None:
    """Neither lookups, nor what is inserted and loaded, exceeds what SQLite takes."""
    made = await ManyFieldsFactory.create_batch_async(600)
    ManyFieldsFactory.reset_sequence(0)
    assert await ManyFieldsFactory.create_batch_async(600) == made
    times = years(1000)
    await StampedFactory.create_batch_async(1000, created=LONG_AGO, updated=LONG_AGO)
    await StampedFactory.create_batch_async(
        1000, created=factory.Iterator(times), updated=factory.Iterator(times)
    )
    stored = Stamped.objects.order_by("pk").values_list("created", "updated")
    assert [row async for row in stored] == [
        *[(LONG_AGO, LONG_AGO)] * 1000,
        *zip(times, times, strict=True),
    ]


@pytest.mark.skipif(not HAS_POSTGRESQL, reason="set POSTGRES_URL")
async def test_parameters_of_postgresql(db: None) -> None:
    """Nor does what is inserted, where PostgreSQL is given values apart from the statement."""
    transaction = Transaction("postgresql2")
    await transaction.begin()
    try:
        with bind(django_database="postgresql2"):
            packets = await PacketFactory.create_batch_async(22_000, data=b"x")
            assert len({packet.pk for packet in packets}) == 22_000
            await StampedFactory.create_batch_async(1000, created=factory.Iterator(years(1000)))
        assert await Packet.objects.using("postgresql2").acount() == 22_000
    finally:
        await transaction.end()


MYSQL = r"""
import asyncio
import sys
from urllib.parse import urlsplit

import pymysql

pymysql.version_info = (2, 2, 1, "final", 0)  # what Django takes it for
pymysql.install_as_MySQLdb()

import django
from django.conf import settings

url = urlsplit(sys.argv[1])
server = {
    "HOST": url.hostname,
    "PORT": url.port or 3306,
    "USER": url.username,
    "PASSWORD": url.password or "",
}
settings.configure(
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "tests.shop"],
    DATABASES={"default": {"ENGINE": "django.db.backends.mysql", "NAME": sys.argv[2], **server}},
)
django.setup()

from asgiref.sync import sync_to_async
from async_factory_boy_django import AsyncDjangoModelFactory
from django.db import connection, connections
from tests.shop.models import Packet


class PacketFactory(AsyncDjangoModelFactory[Packet]):
    pass


def set_up():
    with connection.schema_editor() as editor:
        editor.create_model(Packet)


async def main():
    await sync_to_async(set_up)()
    for values in (
        {"text": "x" * 1_000_000},
        {"text": "\u20ac'" * 200_000},
        {"data": b"\0'" * 300_000},
        {"extra": {"a": '"' * 300_000}},
    ):
        await PacketFactory.create_batch_async(40, **values)
    print(await Packet.objects.acount())
    await sync_to_async(connections.close_all)()


asyncio.run(main())
"""


@pytest.fixture
def mysql(tmp_path: Path) -> Any:
    """Run MYSQL in a database of its own."""
    url = os.environ.get("MYSQL_URL")
    if url is None:
        pytest.skip("set MYSQL_URL")
    pymysql = pytest.importorskip("pymysql", reason="MySQL is tested by way of PyMySQL")
    parts = urlsplit(url)
    connection = pymysql.connect(
        host=parts.hostname,
        port=parts.port or 3306,
        user=parts.username,
        password=parts.password or "",
    )
    name = f"afb_{os.urandom(6).hex()}"
    with connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        try:
            yield subprocess.run(
                [sys.executable, "-c", MYSQL, url, name],
                cwd=Path(__file__).parent.parent,
                capture_output=True,
                text=True,
                check=False,
                timeout=120,
            )
        finally:
            cursor.execute(f"DROP DATABASE {name}")


def test_packets_of_mysql(mysql: Any) -> None:
    """Nor does what is inserted exceed the packets of MySQL, however its values are escaped."""
    assert mysql.returncode == 0, mysql.stderr
    assert mysql.stdout.strip() == "160"
