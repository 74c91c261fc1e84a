"""Tests for adapters: what `PersistenceAdapter` promises, ready to be run on one of your own.

Needs pytest, and pytest-asyncio or anyio; nothing else of the library imports it.
"""

import pytest

# Before they are imported: a failure then shows the values that were compared.
pytest.register_assert_rewrite(
    *(f"{__name__}.{name}" for name in ("_calls", "_connections", "_factories", "_finding")),
    *(f"{__name__}.{name}" for name in ("_nesting", "_saving", "_subject", "_telling")),
)

from async_factory_boy.testing.conformance import AdapterConformance  # noqa: E402

__all__ = ["AdapterConformance"]
