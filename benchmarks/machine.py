"""What the measurements were made with."""

from __future__ import annotations

import os
import platform
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

_DISTRIBUTIONS = [
    "aiosqlite", "async-factory-boy", "asyncpg", "beanie", "databases", "factory_boy", "Faker",
    "greenlet", "polyfactory", "psycopg", "pymongo", "SQLAlchemy", "tortoise-orm",
]  # fmt: skip


def machine() -> dict[str, Any]:
    """Return the time, the machine, and the versions of all that is measured, but of servers."""
    return {
        "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "system": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "versions": {name: version(name) for name in _DISTRIBUTIONS},
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())
