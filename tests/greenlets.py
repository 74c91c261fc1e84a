"""Counts greenlets, for the tests that none is left behind."""

from __future__ import annotations

import gc

from greenlet import greenlet


def suspended_greenlets() -> list[greenlet]:
    """Return the greenlets that were started, have not ended, and are not running."""
    gc.collect()
    return [
        one for one in gc.get_objects() if isinstance(one, greenlet) and one.gr_frame is not None
    ]
