"""The fixtures of a database for Django, beside those of pytest-django or without them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import pytest
from django.db import OperationalError, ProgrammingError

from async_factory_boy.exceptions import FixtureError
from async_factory_boy.isolation import Run
from async_factory_boy.pytest_plugin.databases import DatabaseFixtures, apart, define
from async_factory_boy.pytest_plugin.stores import namespace_of
from async_factory_boy_django.isolation import DjangoDatabase

__all__ = ["django_database"]

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True


def django_database(
    *, databases: Sequence[str] | None = None, prefix: str = "", autouse: bool = False
) -> None:
    """Make the fixtures ``async_db`` and ``database``, where a conftest.py calls this.

    ```python
    django_database()


    async def test_user(async_db):
        await UserFactory.create_async()
        assert await User.objects.acount() == 1
    ```

    The test databases are created for the run, and for each of pytest-xdist's workers, and dropped
    at its end: by pytest-django where it does so, with its options and its ``django_db_setup``, or
    else as Django's own test runner does. Each test that asks for ``async_db`` works in a
    transaction on each database, which is rolled back: async code, synchronous code and factories
    work in the same.

    ``database`` is the `DjangoDatabase` of the run: ``database.run()`` is for synchronous tests.

    Args:
        databases: The aliases of the databases. Default: all of ``settings.DATABASES``, but for
            those that mirror another in tests.
        prefix: What the names of the fixtures begin with.
        autouse: Whether each test has the databases, also one that asks for no fixture.

    Raises:
        FixtureError: When it is called in a function, or when a name is taken. What is wrong with
            the settings, or with a server, is raised by the fixture ``database``.
    """
    namespace = namespace_of(sys._getframe(1), "django_database")
    database = DjangoDatabase(databases)
    define("django_database", database, prefix, autouse, namespace, DjangoFixtures)


class DjangoFixtures(DatabaseFixtures):
    """The fixtures of Django's databases."""

    database: DjangoDatabase

    def create(self, request: pytest.FixtureRequest, run: Run) -> None:
        # Not apart: connections belong to a thread, and databases in memory to a connection.
        if not request.config.pluginmanager.has_plugin("django"):
            self.database.create(run)
            return
        self.database.use_connections()
        ours = self.database.connections
        self.database.unblocked = request.getfixturevalue("django_db_blocker").unblock
        # It sets up the databases that tests ask for by means of its own: so the others are ours,
        # and there before it, for a project's django_db_setup may store something in them.
        theirs = _set_up_by_pytest_django(request)
        request.getfixturevalue("django_db_modify_db_settings")
        if not request.getfixturevalue("django_db_use_migrations"):
            for connection in ours.values():
                connection.settings_dict["TEST"]["MIGRATE"] = False
        keep = request.getfixturevalue("django_db_keepdb")
        own = [alias for alias in ours if alias not in theirs]
        self._keeps = keep or not own
        if own:
            anew = request.getfixturevalue("django_db_createdb")
            self.database.set_up(own, keep=keep and not anew)
        request.getfixturevalue("django_db_setup")

    _keeps = False

    def drop(self) -> None:
        if self._keeps:
            apart(self.database.disconnect)
        else:
            self.database.drop()

    def commits(self, node: pytest.Item) -> bool:
        return _transaction_of_pytest_django(node) == "committed"

    def check(self, node: pytest.Item, shares: bool) -> None:
        if _transaction_of_pytest_django(node) != "rolled back":
            return
        if not self.rolls_back(node):
            raise FixtureError(
                f"{node.nodeid} is to commit for real, and pytest-django has a transaction around "
                "it: write @pytest.mark.django_db(transaction=True) in place of "
                "@pytest.mark.factory_database(rollback=False), and 'transactional_db' in place of "
                "'db'."
            )
        if shares:
            raise FixtureError(
                f"{node.nodeid} shares data with other tests, which stay in a transaction around "
                "them, and pytest-django begins another one for this test alone: leave out "
                "@pytest.mark.django_db and the fixture 'db'. A test with "
                f"{next(iter(self.values))!r} needs neither."
            )

    def is_not_allowed(self, error: BaseException) -> bool:
        if isinstance(error, RuntimeError):  # of pytest-django
            return "Database access not allowed" in str(error)
        # Without it, the test has reached another database: most likely one without its tables.
        return isinstance(error, OperationalError | ProgrammingError)


def _set_up_by_pytest_django(request: pytest.FixtureRequest) -> set[str]:
    """Return the aliases of the databases that ``django_db_setup`` is for."""
    # It has no public name: what it looks at are marks, fixtures and Django's classes of tests.
    fixtures: Any = import_module("pytest_django.fixtures")
    aliases: set[str] = fixtures._get_databases_for_setup(request.session.items)[0]
    return aliases


def _transaction_of_pytest_django(node: pytest.Item) -> str | None:
    """Return what becomes of what a test stores, where it asks pytest-django for a database."""
    fixtures = getattr(node, "fixturenames", ())
    marker = node.get_closest_marker("django_db")
    commits = {"transactional_db", "live_server", "django_db_reset_sequences"} & {*fixtures}
    if marker is not None:
        options = marker.kwargs
        commits |= {*filter(options.get, ("transaction", "reset_sequences"))}
        if marker.args and marker.args[0]:
            commits.add("transaction")
    if commits:
        return "committed"
    return "rolled back" if marker is not None or "db" in fixtures else None
