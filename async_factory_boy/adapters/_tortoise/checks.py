"""Finds what is wrong before Tortoise ORM would tell, in other words."""

from __future__ import annotations

import sys
from typing import Any, cast

from tortoise.backends.base.client import (
    BaseDBAsyncClient,
    TransactionalDBClient,
    TransactionContext,
)
from tortoise.context import TortoiseContext, get_current_context
from tortoise.fields.relational import RelationalField
from tortoise.models import Model

from async_factory_boy.adapters._tortoise.connections import is_initialised, outermost_transaction
from async_factory_boy.exceptions import (
    AdapterError,
    ConfigurationError,
    MissingOptionError,
    OptionError,
    shown,
)

_HOW_TO_GET_ONE = (
    "Pass the connection that a transaction gives you: "
    "async with in_transaction() as connection: "
    "await UserFactory.create_async(tortoise_using_db=connection); "
    'or a connection by its name, tortoise.connection.get_connection("default").'
)


def check_model(model: type[Model]) -> None:
    """Refuse what is no model, or has no table."""
    name = getattr(model, "__name__", repr(model))
    if not (isinstance(model, type) and issubclass(model, Model)):
        raise AdapterError(
            f"{name} is not a model of Tortoise ORM, so it cannot be stored; set Meta.model "
            "to a class that derives from tortoise.models.Model."
        )
    if model._meta.abstract:
        raise AdapterError(
            f"{name} is an abstract model, which has no table; set Meta.model to a model "
            "that derives from it."
        )


def check_resolved(model: type[Model]) -> None:
    """Refuse a model whose relations are names still, and not models."""
    if not model._meta._inited:
        raise AdapterError(
            f"What the fields of {model.__name__} are is known when Tortoise ORM has been "
            "initialised with it; call Tortoise.init(...) first. In a fixture that the test uses, "
            f"write {_how_to_initialise(model)}"
        )


def check_connection(value: object) -> None:
    if isinstance(value, BaseDBAsyncClient):
        return
    if isinstance(value, str):
        problem = f"the name {shown(value)}"
    elif isinstance(value, TransactionContext):
        problem = "a transaction that is not entered"
    elif isinstance(value, TortoiseContext):
        problem = "a TortoiseContext, which has connections and is none"
    else:
        problem = f"an object of type {type(value).__name__}"
    raise OptionError(
        f"tortoise_using_db takes a connection of Tortoise; got {problem}. {_HOW_TO_GET_ONE}"
    )


def check_initialised(model: type[Model], connection: BaseDBAsyncClient | None) -> None:
    context = get_current_context()
    if connection is None and not is_initialised(context):
        raise MissingOptionError(
            "Tortoise ORM is not initialised here. In a fixture that the test uses, write "
            f"{_how_to_initialise(model)} (Tortoise keeps what it sets up in a context variable, "
            "so another task sees it only if it was started from there.)"
        )
    if not _is_registered(model, context if connection is None else None):
        raise MissingOptionError(
            f"{model.__name__} is not among the models that Tortoise ORM was initialised with. "
            f"Name the module that it is in: {_how_to_initialise(model)}"
        )


def _how_to_initialise(model: type[Model]) -> str:
    module, app = model.__module__, _app_of(model)
    label = "" if app == _USUAL_APP else f', app_label="{app}"'
    return (
        f'await Tortoise.init(db_url=..., modules={{"{app}": ["{module}"]}}), or '
        f'async with tortoise_test_context(["{module}"]{label}): ...'
    )


# What tortoise_test_context() calls an app.
_USUAL_APP = "models"


def _app_of(model: type[Model]) -> str:
    """Return the app that a model is of, as the models of its module refer to each other."""
    if model._meta.app is not None:
        return model._meta.app
    names = vars(sys.modules.get(model.__module__, sys))
    for other in list(names.values()):
        if isinstance(other, type) and issubclass(other, Model):
            for field in other._meta.fields_map.values():
                app, _, name = str(getattr(field, "model_name", "")).partition(".")
                if name in names:
                    return app
    return _USUAL_APP


def _is_registered(model: type[Model], context: TortoiseContext | None) -> bool:
    meta = model._meta
    if context is None:
        return meta.default_connection is not None
    if meta.app is None or context.apps is None or meta.app not in context.apps:
        return False
    return context.apps[meta.app].get(model.__name__) is model


def check_usable(connection: BaseDBAsyncClient) -> None:
    """Refuse what would make the driver fail in ways that are hard to read, or not fail."""
    if isinstance(connection, TransactionalDBClient) and connection._finalized:
        raise OptionError(
            "tortoise_using_db is the connection of a transaction that has ended; use the "
            "factory inside of async with in_transaction() as connection: ..."
        )
    if not _is_of_this_loop(connection):
        raise OptionError(
            "tortoise_using_db is a connection that another event loop has opened. Initialise "
            "Tortoise ORM in the loop that the test runs in (with pytest-asyncio: give fixture "
            "and test the same loop_scope), and take the connection from there."
        )


def check_ambient(connection: BaseDBAsyncClient) -> None:
    """Refuse the connection of a transaction that another event loop has begun."""
    if not _is_of_this_loop(connection):
        raise OptionError(
            "The transaction that this code is in was begun in another event loop. Enter "
            "in_transaction() in the loop that the test runs in (with pytest-asyncio: give "
            "fixture and test the same loop_scope)."
        )


def _is_of_this_loop(connection: BaseDBAsyncClient) -> bool:
    """Tell whether the running event loop has opened a connection."""
    transaction = outermost_transaction(connection)
    return (connection if transaction is None else transaction._parent)._check_loop()


def check_relation(model: type[Model], path: str, owner: str) -> None:
    for name in path.split("__"):
        if name not in model._meta.fetch_fields:
            raise ConfigurationError(
                "fetch",
                f"names {path!r}, but {name!r} is not a relation of {model.__name__}; it has: "
                f"{', '.join(sorted(model._meta.fetch_fields)) or 'none'}.",
                owner=owner,
            )
        model = cast("RelationalField[Any]", model._meta.fields_map[name]).related_model
