"""Factories written out: the text of a module, or what an existing one lacks."""

from async_factory_boy.generating.drafting import Draft, Drafting
from async_factory_boy.generating.finding import Found, models_of
from async_factory_boy.generating.merging import Merged, merged
from async_factory_boy.generating.naming import lowest_python
from async_factory_boy.generating.reading import Written, read
from async_factory_boy.generating.writing import new_file

__all__ = [
    "Draft",
    "Drafting",
    "Found",
    "Merged",
    "Written",
    "lowest_python",
    "merged",
    "models_of",
    "new_file",
    "read",
]
