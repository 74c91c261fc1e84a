"""Small projects on Django whose tests use `django_database`: with pytest-django, and without."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from textwrap import dedent

import psycopg

from tests.conftest import server_settings
from tests.isolation.projects import Kind

MODELS = """
    from django.db import models


    class Company(models.Model):
        name = models.CharField(max_length=50)

    class User(models.Model):
        name = models.CharField(max_length=50, unique=True)
        company = models.ForeignKey(Company, models.CASCADE, null=True)
"""

SHOP = """
    import factory

    from accounts.models import Company, User
    from async_factory_boy_django import AsyncDjangoModelFactory


    class CompanyFactory(AsyncDjangoModelFactory[Company]):
        name = factory.Faker("company")


    class UserFactory(AsyncDjangoModelFactory[User]):
        name = factory.Sequence(lambda n: f"user{n}")
        company = factory.SubFactory(CompanyFactory)
"""

CONFTEST = """
    import pytest
    from asgiref.sync import sync_to_async
    from django.db import transaction

    from async_factory_boy.pytest_plugin import register, shared
    from async_factory_boy_django.pytest_plugin import django_database
    from shop import Company, CompanyFactory, User, UserFactory

    django_database(databases=None)


    class Store:
        async def count(self, model):
            return await model.objects.acount()

        async def names(self, model):
            return [name async for name in model.objects.order_by("name").values_list(
                "name", flat=True)]

        async def commit(self):
            def commit():
                with transaction.atomic(durable=True):
                    pass

            await sync_to_async(commit)()

        async def save(self, instance):
            await instance.asave()

        async def delete(self, instance):
            await instance.adelete()


    @pytest.fixture
    def store(async_db):
        return Store()
"""

SET_UP = """
    import os
    import django
    os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
    django.setup()
"""


class Django(Kind):
    """Django on SQLite or PostgreSQL.

    Args:
        alone: Whether there is no pytest-django.
        on_postgresql: Whether it is on PostgreSQL.
    """

    apart = True  # settings and apps are those of a process

    def __init__(self, *, alone: bool = False, on_postgresql: bool = False) -> None:
        conftest = dedent(SET_UP) + dedent(CONFTEST) if alone else CONFTEST
        super().__init__("django_database", SHOP, conftest, "async_db")
        self.on_postgresql = on_postgresql
        self.arguments = ("-o", "pythonpath=.", "-p", "no:django" if alone else "django")
        if not alone:
            self.arguments += ("--ds=settings",)

    def url(self, servers: Callable[[], str], name: str) -> str:  # type: ignore[override]
        if not self.on_postgresql:
            settings = {"ENGINE": "django.db.backends.sqlite3", "NAME": "shop.sqlite3"}
            return repr(settings)
        server = {**server_settings(servers()), "NAME": name, "TEST": {"NAME": name}}
        return repr({"ENGINE": "django.db.backends.postgresql", **server})

    def modules(self, url: str) -> Mapping[str, str]:
        settings = (
            'INSTALLED_APPS = ["accounts"]\n'
            f'DATABASES = {{"default": {url}}}\n'
            'DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"\n'
            "USE_TZ = True\n"
        )
        models = dedent(MODELS)
        return {
            "accounts/__init__": "",
            "accounts/models": models,
            "shop": self.shop,
            "settings": settings,
        }

    def unreachable(self, text: str) -> str:
        return text.replace("'HOST': '", "'HOST': '/nowhere").replace(
            "'NAME': 'shop", "'TEST': {'NAME': '/nowhere/shop'}, 'NAME': 'shop"
        )

    def databases(self, servers: Callable[[], str]) -> set[str]:  # type: ignore[override]
        if not self.on_postgresql:
            return set()
        with psycopg.connect(servers()) as connection:
            return {name for (name,) in connection.execute("SELECT datname FROM pg_database")}

    def drop(self, servers: Callable[[], str], name: str) -> None:  # type: ignore[override]
        with psycopg.connect(servers(), autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name}")


KINDS: Mapping[str, Django] = {
    "pytest-django-sqlite": Django(),
    "alone-postgresql": Django(alone=True, on_postgresql=True),
}
