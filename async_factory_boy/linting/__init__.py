"""`lint`: finds the factories, and the traits, that do not create an object.

Where it is strict, it finds those as well that do not fit their model.

The name and the idea are factory_bot's:
https://thoughtbot.github.io/factory_bot/linting-factories/summary.html
"""

from __future__ import annotations

import contextlib
import pkgutil
import re
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any, Literal, TypeGuard, overload

from async_factory_boy import observing, options
from async_factory_boy.adapters import PersistenceAdapter
from async_factory_boy.exceptions import (
    AbstractFactoryError,
    AdapterError,
    AsyncFactoryError,
    ConfigurationError,
    OptionError,
    UnknownStrategyError,
)
from async_factory_boy.factory import AsyncFactory, inspection, upstream
from async_factory_boy.factory.calls import uncommitted
from async_factory_boy.linting.coverage import A_VALUE as A_VALUE
from async_factory_boy.linting.coverage import LintReport, NotCovered
from async_factory_boy.linting.strict import ModelMismatchError, Strict

__all__ = [
    "LintCase",
    "LintError",
    "LintFailure",
    "LintReport",
    "ModelMismatchError",
    "NotCovered",
    "lint",
    "lint_cases",
]

AnyFactory = type[AsyncFactory[Any]]
Factories = ModuleType | AnyFactory | Iterable[ModuleType | AnyFactory]
Strategy = Literal["create", "build"]

_KEYWORDS = ("strategy", "rollback", "strict")
"""What `lint` and `LintCase.run` take besides call-time options."""


@dataclass(frozen=True)
class LintCase:
    """A factory, or a trait of one, that `lint_cases` has found.

    ``str(case)`` is how the factory would be called: ``UserFactory(admin=True)``.
    """

    factory: AnyFactory
    trait: str | None = None

    def __str__(self) -> str:
        return f"{self.factory.__qualname__}{self._keywords}"

    @property
    def _keywords(self) -> str:
        return "" if self.trait is None else f"({self.trait}=True)"

    async def run(
        self,
        *,
        strategy: Strategy = "create",
        rollback: bool = True,
        strict: bool | None = None,
        **call_options: Any,
    ) -> None:
        """Create the object, and undo that.

        ```python
        await LintCase(UserFactory).run(sqlalchemy_session=session)
        ```

        Args:
            strategy: As for `lint`.
            rollback: As for `lint`.
            strict: As for `lint`. What is not covered, pytest tells for all cases together, with
                ``--factory-lint-strict``.
            **call_options: As for `lint`.

        Raises:
            AdapterError: When the store cannot undo anything.
            LintError: When it is strict, and the factory does not fit its model.
            Exception: What creating the object raised otherwise, untouched.
        """
        options.refuse_unknown(call_options, owner="LintCase.run()", further=_KEYWORDS)
        _check_strategy(strategy)
        try:
            await _run([self], strategy, rollback, strict, call_options, shows_report=False)
        except LintError as error:
            only, *others = error.failures
            if others or isinstance(only.error, ModelMismatchError):
                raise
            cause = only.error
        else:
            return
        raise cause

    async def _errors(
        self, strategy: Strategy, rollback: bool, strict: Strict | None
    ) -> list[Exception]:
        given = {} if self.trait is None else {self.trait: True}
        name = f"{self.factory.__name__}{self._keywords}"
        undoes = rollback and strategy == "create"
        found: list[Exception] = []
        if strict is not None:
            found += strict.declared(self.factory, self.trait)
        error = None
        # What is raised by this is no fault of the factory.
        undone = await undoing(self.factory) if undoes else AsyncExitStack()
        try:
            async with undone:
                if strategy == "build":
                    await self.factory.build_async(**given)
                else:
                    made = await self.factory.create_async(**given)
                    if strict is not None:
                        found += strict.made(self.factory, self.trait, name, [made], stored=True)
        except Exception as caught:
            error = caught
        if strict is not None and strict.knows(self.factory):
            undone = await undoing(self.factory) if undoes else AsyncExitStack()
            works = error is None
            found += await strict.sampled(self.factory, self.trait, name, undone, works=works)
        if strict is None or error is None:
            return found if error is None else [error]
        told = strict.explains(self.factory, found, _in_one_line(error))
        if told is not None:
            # The store, or the model, has refused what is told already.
            told.__cause__ = told.__cause__ or error
            return found
        return [*found, error]


@dataclass(frozen=True)
class LintFailure:
    """A factory, or a trait of one, that did not create its object.

    Attributes:
        case: The factory, with the trait.
        error: What was raised, with its traceback.
    """

    case: LintCase
    error: Exception

    @property
    def factory(self) -> AnyFactory:
        """The factory."""
        return self.case.factory

    @property
    def trait(self) -> str | None:
        """The name of the trait; ``None`` for the factory without one."""
        return self.case.trait

    def __str__(self) -> str:
        return f"{self.case} in {self.factory.__module__}: {_in_one_line(self.error)}"


# What says nothing of the cause: SQLAlchemy's statement with its values, and links to manuals.
_ADDED = re.compile(
    r"\n(\[SQL: |\[parameters: |\(Background on this error )(?s:.*)"
    r"|\n *For further information visit .*"
)


def _in_one_line(error: BaseException) -> str:
    lines = _ADDED.sub("", str(error).strip()).splitlines()
    reason = " ".join(filter(None, map(str.strip, lines)))
    text = type(error).__name__ + (f": {reason}" if reason else "")
    within = getattr(error, "exceptions", None)  # an ExceptionGroup, which Python 3.10 has not
    if isinstance(within, tuple):
        parts = [_in_one_line(one) for one in within if isinstance(one, BaseException)]
        text += f" [{'; '.join(parts)}]"
    return text


class LintError(AsyncFactoryError, AssertionError):
    """What `lint` found.

    Args:
        failures: What is wrong with factories, and with traits of theirs. There are several for
            one only where `lint` is strict.
        checked: How many were tried.
        report: What a strict `lint` tells besides.
        shows_report: Whether the text ends with the report. It is not if that is shown elsewhere.
    """

    def __init__(
        self,
        failures: Iterable[LintFailure],
        checked: int,
        report: LintReport | None = None,
        *,
        shows_report: bool = False,
    ) -> None:
        self.failures = tuple(failures)
        self.checked = checked
        self.report = report
        failed = len({failure.case for failure in self.failures})
        lines = "".join(f"\n- {failure}" for failure in self.failures)
        besides = ""
        if shows_report and report is not None and (report.not_covered or report.notes):
            besides = (
                f"\n\nNo object of the others has these values, which is no failure:\n{report}"
            )
        super().__init__(f"{failed} of {checked} factories and traits do not work:{lines}{besides}")


class BrokenUndoError(AdapterError):
    """An ``undo()`` does not do what the protocol has it do."""


@overload
async def lint(
    factories: Factories,
    *,
    traits: bool = True,
    strategy: Strategy = "create",
    rollback: bool = True,
    strict: Literal[True],
    **call_options: Any,
) -> LintReport: ...
@overload
async def lint(
    factories: Factories,
    *,
    traits: bool = True,
    strategy: Strategy = "create",
    rollback: bool = True,
    strict: bool | None = None,
    **call_options: Any,
) -> LintReport | None: ...
async def lint(
    factories: Factories,
    *,
    traits: bool = True,
    strategy: Strategy = "create",
    rollback: bool = True,
    strict: bool | None = None,
    **call_options: Any,
) -> LintReport | None:
    """Create an object by each of the factories, and by each of their traits, and undo that.

    ```python
    await async_factory_boy.lint([UserFactory, CompanyFactory], sqlalchemy_session=session)
    ```

    Each object is created in a savepoint, or a transaction, of its own, which is rolled back. So
    one failure does not lead to others, and what was stored before stays. No other task may use
    the session meanwhile.

    Args:
        factories: A module, a package (with all its modules), a factory, or several of these. Of
            a module, those factories count that are not abstract.
        traits: Whether to try each trait, by itself, as well.
        strategy: ``"create"``, or ``"build"`` to store nothing.
        rollback: Whether to undo what was stored. ``False`` is for a store that cannot do so.
        strict: Whether to compare factories with their models, too: required fields, names, and
            the values that objects have. Default: with pytest's ``--factory-lint-strict``.
        **call_options: Call-time options, as for `async_factory_boy.bind`.

    Returns:
        If it is strict, which values of the models no object has. Else ``None``.

    Raises:
        LintError: When any of them failed; it has all the failures.
        AbstractFactoryError: When one of several factories given is abstract.
        ConfigurationError: When `factories` is something else, or has no factory in it.
        AdapterError: When the store cannot undo anything.
    """
    options.refuse_unknown(call_options, owner="lint()", further=("traits", *_KEYWORDS))
    cases = lint_cases(factories, traits=traits)
    _check_strategy(strategy)
    return await _run(cases, strategy, rollback, strict, call_options, shows_report=True)


async def _run(
    cases: Sequence[LintCase],
    strategy: Strategy,
    rollback: bool,
    strict: bool | None,
    call_options: Mapping[str, Any],
    *,
    shows_report: bool,
) -> LintReport | None:
    observer = observing.lint_observer
    checks = None
    failures: list[LintFailure] = []
    with options.bind(**call_options):
        if observer is not None if strict is None else strict:
            checks = Strict(case.factory for case in cases)
        for case in cases:
            errors = await case._errors(strategy, rollback, checks)
            failures += (LintFailure(case, error) for error in errors)
    report = None
    if checks is not None:
        report = checks.report(len(cases))
        if observer is not None:
            observer.linted(checks.coverage.rows(), report.notes)
    if failures:
        # The one with a traceback that leads somewhere.
        errors = [one.error for one in failures]
        failed = next((one for one in errors if one.__traceback__ or one.__cause__), None)
        shows_report = shows_report and observer is None  # which shows it after the run
        raise LintError(failures, len(cases), report, shows_report=shows_report) from failed
    return report


def lint_cases(factories: Factories, *, traits: bool = True) -> list[LintCase]:
    """Return what `lint` would try, for one test each.

    ```python
    @pytest.mark.parametrize("case", lint_cases([UserFactory, CompanyFactory]), ids=str)
    async def test_factory(case, session):
        await case.run(sqlalchemy_session=session)
    ```

    Args:
        factories: As for `lint`.
        traits: As for `lint`.

    Returns:
        A case for each factory, followed by one for each of its traits.

    Raises:
        AbstractFactoryError: When one of several factories given is abstract.
        ConfigurationError: When `factories` is something else, or has no factory in it.
    """
    cases = [
        LintCase(factory, trait)
        for factory in dict.fromkeys(_collected(factories))
        for trait in [None, *(upstream.traits(factory._meta) if traits else ())]
    ]
    if not cases:
        raise ConfigurationError(
            "factories",
            "has no factory in it that is not abstract, so nothing would be checked; give the "
            "module that defines them, or the factories themselves.",
            owner="lint",
        )
    return cases


def _collected(factories: object) -> Iterator[AnyFactory]:
    if isinstance(factories, ModuleType):
        for module in _modules(factories):
            for value in list(vars(module).values()):
                if _is_factory(value) and not value._meta.abstract:
                    yield value
    elif _is_factory(factories):
        if factories._meta.abstract:
            raise AbstractFactoryError(
                f"{factories.__name__} is abstract, so there is nothing to lint; leave it out, or "
                f"set {factories.__name__}.Meta.model."
            )
        yield factories
    elif isinstance(factories, Iterable) and not isinstance(factories, str | type):
        for one in factories:
            yield from _collected(one)
    else:
        raise ConfigurationError(
            "factories",
            "takes modules, packages and classes that derive from AsyncFactory; got "
            f"{factories!r}.",
            owner="lint",
        )


def _is_factory(value: object) -> TypeGuard[AnyFactory]:
    return isinstance(value, type) and issubclass(value, AsyncFactory)


def _modules(module: ModuleType) -> Iterator[ModuleType]:
    yield module
    path = getattr(module, "__path__", None)
    if path is not None:
        for found in pkgutil.walk_packages(path, f"{module.__name__}."):
            if found.name.rpartition(".")[2] != "__main__":
                yield import_module(found.name)


def _check_strategy(strategy: object) -> None:
    if strategy not in ("create", "build"):
        raise UnknownStrategyError(
            "strategy", f"has to be 'create' or 'build'; got {strategy!r}.", owner="lint"
        )


async def undoing(factory: AnyFactory) -> AsyncExitStack:
    """Return what undoes at its end what `factory` has stored, in all the stores it reaches."""
    async with AsyncExitStack() as stack:
        undone: set[Hashable] = set()
        for adapter, model, of_part in _stores(factory):
            with options.scope(of_part):
                if _undoes(adapter, model) in undone:
                    continue
            async with AsyncExitStack() as begun:
                with options.scope(of_part):
                    given = await begun.enter_async_context(adapter.undo(model))
                if not isinstance(given, Mapping):
                    raise BrokenUndoError(
                        f"{type(adapter).__name__}.undo() gave {given!r}; it has to give "
                        "the call-time options that hold inside of it: yield {} if none changes."
                    )
                if of_part and any(of_part.get(name) is not given[name] for name in given):
                    continue  # it has begun what the part, which names another, will not use
                stack.push_async_exit(begun.pop_all())
            if not of_part:
                stack.enter_context(options.scope(given))
            with options.scope(of_part):
                undone.add(_undoes(adapter, model))
        stack.enter_context(uncommitted())
        return stack.pop_all()


def _undoes(adapter: PersistenceAdapter[Any], model: Any) -> Hashable:
    """Return what is equal where undoing what one adapter stores undoes what another does."""
    key = adapter.connection_key(model)
    return id(adapter) if key is None else key


def _stores(
    factory: AnyFactory,
) -> list[tuple[PersistenceAdapter[Any], Any, Mapping[str, Any]]]:
    """Return each adapter that `factory` stores by, with a model.

    And with the call-time options that a declaration gives to a part, where it is these that lead
    there.
    """
    stores: dict[Hashable, tuple[PersistenceAdapter[Any], Any, Mapping[str, Any]]] = {}
    reached = [
        one for one in inspection.reached(factory) if _is_factory(one) and not one._meta.abstract
    ]
    for of_part in ({}, *_options_of_parts(reached)):
        for one in reached:
            # What is wrong is told by creating the object, which meets it too.
            with contextlib.suppress(Exception), options.scope(of_part):
                adapter, model = one._meta.adapter_for_storing(), one._meta.model
                adapter.check(model)
                stores.setdefault(_undoes(adapter, model), (adapter, model, of_part))
    return list(stores.values())


def _options_of_parts(factories: Iterable[AnyFactory]) -> Iterator[Mapping[str, Any]]:
    for one in factories:
        for declared in upstream.every(one._meta):
            for name, value in declared.items() if isinstance(declared, dict) else ():
                with contextlib.suppress(OptionError):
                    # Given in a SubFactory, or in the class body: company__sqlalchemy_session.
                    given = options.take({str(name).rpartition("__")[2]: value})
                    if given:
                        yield given
