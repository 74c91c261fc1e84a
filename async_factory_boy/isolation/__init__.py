"""A database that a run of tests has to itself, and that each test finds as it was.

Nothing here knows pytest: `async_factory_boy.pytest_plugin` makes fixtures of it. Each store has a
module, which is imported when it is used.
"""

from async_factory_boy.isolation.base import (
    Connection,
    Database,
    Opened,
    Run,
    TransactionEndedError,
)

__all__ = ["Connection", "Database", "Opened", "Run", "TransactionEndedError"]
