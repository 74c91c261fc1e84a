"""What a conftest.py calls for the fixtures of a database: a module for each store."""

from __future__ import annotations

import inspect
from types import FrameType
from typing import Any

from async_factory_boy.exceptions import FixtureError


def namespace_of(frame: FrameType, call: str) -> dict[str, Any]:
    """Return the names of the module whose body calls a function.

    Args:
        frame: The frame of the caller.
        call: The name of the function, for the error.

    Raises:
        FixtureError: When it is called in a function.
    """
    if frame.f_code.co_flags & inspect.CO_OPTIMIZED:
        raise FixtureError(
            f"{call}() was called in a function, where pytest finds no fixtures; call it in the "
            "body of a conftest.py or of a test module."
        )
    return frame.f_locals
