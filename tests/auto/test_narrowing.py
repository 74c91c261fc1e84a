"""How what several sources say of one field is put together."""

from __future__ import annotations

from typing import Any

import pytest

from async_factory_boy.adapters.narrowing import narrow


@pytest.mark.parametrize(
    ("name", "first", "second", "both"),
    [
        ("ge", 1, 2, 2),
        ("lt", 1, 2, 1),
        ("min_length", 3, 2, 3),
        ("max_length", 3, 2, 2),
        ("choices", (1, 2, 3), (3, 1, 4), (1, 3)),
        ("pattern", "a", "a", "a"),
        ("scale", 2, None, 2),
        ("scale", None, 2, 2),
    ],
)
def test_narrow(name: str, first: Any, second: Any, both: Any) -> None:
    """Of two limits the narrower one holds; one that is not there changes nothing."""
    limits: dict[str, Any] = {}
    narrow(limits, **{name: first})
    narrow(limits, **{name: second})
    assert limits == {name: both}
