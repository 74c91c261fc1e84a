"""Counts greenlets, for the tests that none is left behind."""

from __future__ import annotations

import gc

from greenlet import greenlet

from async_factory_boy.engine import fibers


def suspended_greenlets() -> list[greenlet]:
    """Return the greenlets that were started, have not ended, and are not running.

    Without those that a thread has begun in, which end with it, and the fibers that are idle.
    """
    gc.collect()
    idle = set(fibers._pool.of_thread.idle)
    # Not isinstance(): it asks a weakref.proxy for the class of what may be gone.
    every = {one for one in gc.get_objects() if issubclass(type(one), greenlet)}
    # A fiber that is used again may be among what conftest.py has frozen.
    every |= {fiber for waves in fibers._pool.of_thread.under_way for fiber in waves._busy}
    suspended = [one for one in every if one.gr_frame is not None and one.parent is not None]
    return [one for one in suspended if one not in idle]
