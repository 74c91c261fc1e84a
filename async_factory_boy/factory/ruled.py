"""What a rule of the user's declares for a field, such that an error names that rule."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from factory.declarations import SubFactory

from async_factory_boy.adapters import Field
from async_factory_boy.auto.chosen import name_of
from async_factory_boy.auto.rules import Rule, misfit, rule_for
from async_factory_boy.exceptions import AsyncFactoryError, ConfigurationError
from async_factory_boy.factory.notes import add_note
from async_factory_boy.factory.upstream import BaseDeclaration

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True


class Ruled(BaseDeclaration):
    """Evaluates what a rule declares, and says of what goes wrong where that comes from.

    The value of a rule that is for many fields is looked at: its author has not seen them all.

    Args:
        declaration: What the rule declares.
        rule: The rule.
        field: The field that it is for.
        model: The model that has the field.
        owner: What an error calls the factory.
    """

    def __init__(self, declaration: Any, rule: Rule, field: Field, model: Any, owner: str) -> None:
        super().__init__()
        self.declaration = declaration
        self._rule, self._field, self._model, self._owner = rule, field, model, owner

    def evaluate(self, instance: Any, step: Any, extra: dict[str, Any]) -> Any:
        return self.looked_at(
            lambda: self.declaration.evaluate_pre(instance=instance, step=step, overrides=extra)
        )

    def looked_at(self, evaluate: Callable[[], Any]) -> Any:
        """Return the value that a function returns, if the field takes it."""
        try:
            value = evaluate()
        except Exception as error:
            _note(error, self._rule, self._field, self._owner)
            raise
        problem = misfit(self._field, value) if self._rule.is_general else ""
        if problem:
            name, model = self._field.name, name_of(self._model)
            raise ConfigurationError(
                name,
                f"{problem}, by {self._rule.words}. Declare {name} in {self._owner}; or register "
                f"a rule that fits: async_factory_boy.auto.rule(({model}, {name!r}), ...).",
                owner=self._owner,
            )
        return value


def by_rule(declaration: Any, field: Field, model: Any, owner: str) -> Any:
    """Return what was chosen for a field, such that errors name the user's rule if there is one."""
    rule = rule_for(field, model)
    # What a part is, no rule of a value tells; and it is built as any other.
    if rule is None or isinstance(declaration, SubFactory):
        return declaration
    return Ruled(declaration, rule, field, model, owner)


@contextmanager
def asked(field: Field, model: Any, owner: str) -> Generator[None]:
    """Have errors of the function that is the user's rule for a field name that rule."""
    try:
        yield
    except Exception as error:
        rule = rule_for(field, model)
        if rule is not None:
            _note(error, rule, field, owner)
        raise


def _note(error: Exception, rule: Rule, field: Field, owner: str) -> None:
    if not isinstance(error, AsyncFactoryError):  # which says what is wrong itself
        add_note(error, f"raised by {rule.words}, for {owner}.{field.name}")
