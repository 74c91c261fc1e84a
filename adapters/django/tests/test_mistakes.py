"""Mistakes, and the errors that say what to write instead."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import Any

import factory
import pytest
from async_factory_boy_django import AsyncDjangoModelFactory, DjangoAdapter
from django.db.models.signals import post_save

from async_factory_boy import (
    AdapterError,
    ConfigurationError,
    OptionError,
    SyncCallError,
    bind,
)
from async_factory_boy.adapters import PersistenceAdapter
from async_factory_boy.factory import AsyncFactory
from tests.shop import models
from tests.shop.factories import CompanyFactory, UserFactory
from tests.shop.models import Company, User


def factory_of(model: Any, **meta: Any) -> type[AsyncDjangoModelFactory[Any]]:
    """Return a factory, with what is to be in its Meta."""
    options = type("Meta", (), {"model": model, **meta})
    body = {"Meta": options, "__module__": __name__, "name": "one", "size": 1}
    made: type[AsyncDjangoModelFactory[Any]]
    made = type(AsyncDjangoModelFactory)("OneFactory", (AsyncDjangoModelFactory,), body)
    return made


class Plain:
    """Not a model."""


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        (
            Plain,
            "Plain is not a model of Django, so it cannot be stored; set Meta.model to a class "
            'that derives from django.db.models.Model, or to its "app_label.ModelName".',
        ),
        (
            models.Abstract,
            "Abstract is an abstract model, which has no table; set Meta.model to a model that "
            "derives from it.",
        ),
        (
            models.Swapped,
            "Swapped has been swapped for auth.User by settings.SHOP_SWAPPED_MODEL; set "
            "Meta.model to that one.",
        ),
    ],
)
async def test_model_that_cannot_be_stored(settings: Any, model: Any, problem: str) -> None:
    """A class without a table is refused before anything is evaluated."""
    settings.SHOP_SWAPPED_MODEL = "auth.User"
    with pytest.raises(AdapterError, match=f"^{re.escape(problem)}$"):
        await factory_of(model).create_async(name=factory.LazyFunction(lambda: 1 // 0))


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        (
            "shop.Compnay",
            "OneFactory.Meta.model is 'shop.Compnay', which is not installed: App 'shop' doesn't "
            "have a 'Compnay' model. Add the app to settings.INSTALLED_APPS, or correct it.",
        ),
        (
            "shopping.Company",
            "OneFactory.Meta.model is 'shopping.Company', which is not installed: No installed "
            "app with label 'shopping'. Add the app to settings.INSTALLED_APPS, or correct it.",
        ),
        (
            "Company",
            "OneFactory.Meta.model is 'Company', which is no name of a model; write "
            '"app_label.ModelName".',
        ),
    ],
)
def test_unknown_name_of_a_model(model: str, problem: str) -> None:
    """A name that no installed model has is refused when the factory is defined."""
    with pytest.raises(ConfigurationError, match=f"^{re.escape(problem)}$"):
        factory_of(model)


def run(code: str) -> str:
    """Run `code` in a Python where Django is not set up; return what it prints."""
    environment = {n: v for n, v in os.environ.items() if n != "DJANGO_SETTINGS_MODULE"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


NOT_SET_UP = """
import asyncio
import django
from django.conf import settings
from async_factory_boy.adapters import PersistenceAdapter
from async_factory_boy.factory import AsyncFactory
from async_factory_boy_django import AsyncDjangoModelFactory

class UserFactory(AsyncDjangoModelFactory):
    class Meta:
        model = "auth.User"

class AdminFactory(UserFactory):
    is_superuser = True

def attempt():
    for call in (UserFactory.create_async, UserFactory.build_async):
        try:
            print((asyncio.run(call())).username)
        except Exception as error:
            print(f"{type(error).__name__}: {error}")
"""


def test_settings_that_are_not_configured() -> None:
    """Without settings, a factory can be defined; and its use says how to configure them."""
    lines = run(NOT_SET_UP + "attempt()").splitlines()
    for line in lines:
        assert line.startswith(
            "ConfigurationError: UserFactory.Meta.model is 'auth.User', which cannot be looked "
            "up: Requested setting INSTALLED_APPS, but settings are not configured."
        )
        assert line.endswith(
            "With pytest-django, set DJANGO_SETTINGS_MODULE in the configuration of pytest; "
            "elsewhere, in the environment, and call django.setup()."
        )
    assert len(lines) == 2


APPS = "['django.contrib.auth', 'django.contrib.contenttypes']"


def test_apps_that_are_not_loaded() -> None:
    """Before django.setup(), a factory's use says so; after it, its model is found."""
    setup = f"settings.configure(INSTALLED_APPS={APPS})\nattempt()\ndjango.setup()\n"
    use = (
        "user = AdminFactory.build(username='ada')\n"
        "print(type(user).__name__, AdminFactory._meta.counter_reference is UserFactory._meta)"
    )
    *lines, last = run(NOT_SET_UP + setup + use).splitlines()
    assert (
        lines
        == [
            "ConfigurationError: UserFactory.Meta.model is 'auth.User', which cannot be looked up, "
            "since Django has not loaded its apps yet. Call django.setup() before, and create no "
            "objects while modules are imported."
        ]
        * 2
    )
    assert last == "User True"


def test_factory_before_apps_are_loaded() -> None:
    """With settings, too, a factory can be defined before django.setup(), which is for later."""
    configure = f"from django.conf import settings\nsettings.configure(INSTALLED_APPS={APPS})\n"
    use = "django.setup()\nprint(type(AdminFactory.build(username='ada')).__name__)"
    assert run(configure + NOT_SET_UP + use) == "User"


@pytest.mark.parametrize(
    ("meta", "problem"),
    [
        (
            {"database": "defualt"},
            "OneFactory.Meta.database names 'defualt', which is not in settings.DATABASES. Did "
            "you mean 'default'? Known databases: default",
        ),
        (
            {"django_get_or_create": ("nmae",)},
            "OneFactory.Meta.django_get_or_create names 'nmae', which is not a stored field of "
            "Company. Did you mean 'name'? It has: id, name, size.",
        ),
    ],
)
async def test_meta_that_does_not_fit(meta: dict[str, Any], problem: str) -> None:
    """An unknown database or field is told in the words of Meta, before anything is evaluated."""
    with pytest.raises(ConfigurationError, match=f"^{re.escape(problem)}"):
        await factory_of(Company, **meta).create_async(name=factory.LazyFunction(lambda: 1 // 0))


@pytest.mark.parametrize(
    ("meta", "problem"),
    [
        (
            {"database": 1},
            "OneFactory.Meta.database takes the alias of a database, as a string; got 1.",
        ),
        (
            {"django_get_or_create": "name"},
            "OneFactory.Meta.django_get_or_create takes a sequence of field names; write "
            "('name',).",
        ),
        ({"get_or_create": ("name",)}, "OneFactory.Meta.get_or_create is not an option."),
    ],
)
def test_meta_of_the_wrong_kind(meta: dict[str, Any], problem: str) -> None:
    """What no value of its kind could be right is refused when the factory is defined."""
    with pytest.raises(ConfigurationError, match=f"^{re.escape(problem)}"):
        factory_of(Company, **meta)


@pytest.mark.parametrize("field", ["tags", "posts"])
async def test_relation_that_is_no_column(field: str) -> None:
    """What is not stored with the object cannot identify it."""
    problem = (
        f"OneFactory.Meta.django_get_or_create names '{field}', which is not a stored field of "
        "User. It has: company, company_key, id, name, password."
    )
    with pytest.raises(ConfigurationError, match=f"^{re.escape(problem)}$"):
        await factory_of(User, django_get_or_create=(field,)).create_async()


async def test_get_or_create_without_a_value() -> None:
    """A field to look up by needs a value."""
    problem = (
        "OneFactory.Meta.django_get_or_create looks objects up by 'company', but OneFactory gives "
        "that field no value; declare it in the factory, or pass company=... to the call."
    )
    with pytest.raises(ConfigurationError, match=f"^{re.escape(problem)}$"):
        await factory_of(User, django_get_or_create=("company",)).create_async()


@pytest.mark.parametrize(
    ("database", "problem"),
    [
        (
            "defualt",
            "django_database names 'defualt', which is not in settings.DATABASES. Did you mean "
            "'default'? Known databases: default",
        ),
        (7, "django_database takes the alias of a database, as a string; got 7."),
    ],
)
async def test_call_option(database: Any, problem: str) -> None:
    """A database that is not there is refused by the call, and by bind()."""
    with pytest.raises(OptionError, match=f"^{re.escape(problem)}"):
        await CompanyFactory.create_async(django_database=database)
    with pytest.raises(OptionError, match=f"^{re.escape(problem)}"), bind(django_database=database):
        pass


async def test_misspelt_call_option() -> None:
    """A keyword that looks like the option, and is no field, is no value for a field either."""
    with pytest.raises(OptionError, match=r"Did you mean 'django_database'\?$"):
        await CompanyFactory.create_async(django_databse="default")


@pytest.mark.parametrize("signals", [post_save, "post_save", ["post_save"], 1])
async def test_what_is_no_signal(signals: Any) -> None:
    """Signals to mute are given as such."""
    problem = "django_muted_signals takes signals of Django, such as [post_save]; got "
    with pytest.raises(OptionError, match=f"^{re.escape(problem)}"):
        await CompanyFactory.create_async(django_muted_signals=signals)


def test_synchronous_call() -> None:
    """create() says what to await."""
    with pytest.raises(SyncCallError, match=r"write await CompanyFactory\.create_async\(\.\.\.\)"):
        CompanyFactory.create()
    with pytest.raises(SyncCallError, match=r"await CompanyFactory\.create_batch_async\("):
        CompanyFactory.create_batch(2)


def test_synchronous_call_through_another_factory() -> None:
    """So does a factory_boy factory that leads to one of ours, whatever the manager."""

    class LoudFactory(AsyncDjangoModelFactory[models.Loud]):
        class Meta:
            model = models.Loud

        name = "Ada"

    class Pair(factory.DictFactory):
        loud = factory.SubFactory(LoudFactory)

    with pytest.raises(SyncCallError):
        Pair.create()


async def test_another_adapter() -> None:
    """The dedicated factory has no use for another adapter."""

    class Other(DjangoAdapter[Any]):
        pass

    assert isinstance(factory_of(Company, adapter=Other)._django_adapter(), Other)

    class ListAdapter(PersistenceAdapter[Any]):
        async def save(self, instance: Any) -> Any:
            return instance

    problem = r"^OneFactory\.Meta\.adapter has to be a DjangoAdapter; got .*Derive from Async"
    with pytest.raises(ConfigurationError, match=problem):
        await factory_of(Company, adapter=ListAdapter()).create_async()


async def test_database_that_the_test_may_not_use() -> None:
    """pytest-django's own error says that the test has no database."""
    with pytest.raises(RuntimeError, match=r"^Database access not allowed, use the \"django_db\""):
        await UserFactory.create_async()


def test_name() -> None:
    """An AsyncFactory finds the adapter by its name."""

    class NamedFactory(AsyncFactory[Company]):
        class Meta:
            model = Company
            adapter = "django"

    assert isinstance(NamedFactory._meta.adapter_for_storing(), DjangoAdapter)


def test_sequences_of_abstract_models() -> None:
    """Factories of models that have an abstract one in common count for themselves."""
    base = factory_of(models.Abstract)

    class ConcreteFactory(base):  # type: ignore[valid-type, misc]
        class Meta:
            model = models.Concrete

        name = factory.Sequence(str)

    class GrandchildFactory(ConcreteFactory):
        pass

    assert ConcreteFactory._meta.counter_reference is ConcreteFactory._meta
    assert GrandchildFactory._meta.counter_reference is ConcreteFactory._meta
