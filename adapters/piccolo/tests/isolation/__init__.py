"""What is the same for every store is tested by the library's own tests of isolation."""

from pathlib import Path

import pytest

__path__.append(str(Path(__file__).parents[4] / "tests" / "isolation"))
pytest.register_assert_rewrite("tests.isolation.projects", "tests.isolation.test_isolation")
