"""The library's tests of the fixtures of a database, on Django."""

from tests.isolation.test_isolation import *  # noqa: F403
from tests.isolation.test_shared import (  # noqa: F401
    test_for_real as test_shared_for_real,
)
from tests.isolation.test_shared import (  # noqa: F401
    test_nested,
    test_seeded,
    test_shared,
)
