"""Declarations taken from the model: what is chosen for a field that a factory does not declare.

`rule` says what to choose for a type, a name or a field. What there is without it is in a table
for names, `async_factory_boy.auto.names`, and in rules for types, `async_factory_boy.auto.types`.
"""

from async_factory_boy.adapters.fields import Field as Field
from async_factory_boy.auto.chosen import Choice, Nested
from async_factory_boy.auto.rules import choose, rule, rules_kept

__all__ = ["Choice", "Nested", "choose", "rule", "rules_kept"]
