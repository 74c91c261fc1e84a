"""``python -m async_factory_boy``: the commands."""

from __future__ import annotations

import sys

from async_factory_boy.commands import main

if __name__ == "__main__":
    sys.exit(main())
