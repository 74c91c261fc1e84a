"""Which connections there are, and which of them are in a transaction."""

from __future__ import annotations

from tortoise.backends.base.client import BaseDBAsyncClient, TransactionalDBClient
from tortoise.context import TortoiseContext
from tortoise.exceptions import ConfigurationError as TortoiseConfigurationError


def is_initialised(context: TortoiseContext | None) -> bool:
    if context is None or not context.inited:
        return False
    try:
        return bool(context.connections.db_config)
    except TortoiseConfigurationError:  # its connections have been closed
        return False


def outermost_transaction(connection: BaseDBAsyncClient) -> TransactionalDBClient | None:
    outermost = None
    while isinstance(connection, TransactionalDBClient):
        outermost = connection
        connection = connection._parent
    return outermost
