"""What a command ends with that cannot be done."""

from __future__ import annotations

__all__ = ["CommandError"]


class CommandError(Exception):
    """A command cannot be done.

    Args:
        problem: What is wrong, and what to write instead.
        status: The exit status: 2 for a wrong usage.
    """

    def __init__(self, problem: str, *, status: int = 1) -> None:
        super().__init__(problem)
        self.status = status
