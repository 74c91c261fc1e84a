"""docs/troubleshooting.md has an entry for each message of the library, and for no other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from markdown_it import MarkdownIt

from async_factory_boy import exceptions
from tests.test_docs import MODULES, ROOT

pytestmark = [pytest.mark.unmeasured, pytest.mark.versionless]

PAGE = (ROOT / "docs" / "troubleshooting.md").read_text()

# What a message has in place of a name or a value.
HOLE = "…"

# Where a message begins: in a call of one of these, or in what one of those returns.
RAISED = {
    *exceptions.__all__,
    "BrokenUndoError",  # an AdapterError
    "ModelMismatchError",  # what a strict lint finds
    *("ArgumentTypeError", "UsageError"),  # pytest's, for its command line
    *("OperationalError", "RuntimeError"),  # Tortoise's, and Python's, in words of ours
}
PASSED_ON = {"_fail", "_complaint", "_refusal"}
RETURNED = {"_problem", "missing", "explained"}

# The first argument is the option, the message comes after it.
AFTER_AN_OPTION = {"ConfigurationError", "UnknownStrategyError"}

# What they are given is a message already.
PASSING_ON = {
    *("_fail", "_complaint", "_refusal"),
    *("_in_words_of_meta", "_check_adapter", "check_methods"),
}

NOT_LISTED = {
    f"{HOLE} {HOLE}",  # of ConfigurationError, whose messages are those that it is given
    HOLE,  # of the engine's own _fail(), which is given an error
    "nothing waits for this code; run it with engine.run()",  # no call leads there
    f"{HOLE}(): {HOLE}",  # of a driver that is missing, which is told before
}


class Message(NamedTuple):
    text: str
    place: str


def template(node: ast.AST, constants: dict[str, ast.expr]) -> str:
    """Return the text of an expression, with holes."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(template(part, constants) for part in node.values)
    if isinstance(node, ast.Name) and node.id in constants:
        return template(constants[node.id], {})
    return HOLE


def constants_in(tree: ast.Module) -> dict[str, ast.expr]:
    """Return what a module gives a name to, by name."""
    return {
        node.targets[0].id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }


def messages_in(tree: ast.Module, module: str, constants: dict[str, ast.expr]) -> Iterator[Message]:
    """Yield the messages that a module has."""

    def visit(node: ast.AST, owner: str, function: str) -> Iterator[Message]:
        if isinstance(node, ast.ClassDef):
            owner = node.name
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            function = node.name
        found = None
        if isinstance(node, ast.Call) and function not in PASSING_ON:
            called = node.func.attr if isinstance(node.func, ast.Attribute) else ""
            called = node.func.id if isinstance(node.func, ast.Name) else called
            if called == "configured":  # adapters.configuration
                found = next(
                    (given.value for given in node.keywords if given.arg == "missing"), None
                )
            elif called in RAISED | PASSED_ON:
                found = node.args[called in AFTER_AN_OPTION]
            elif called == "__init__" and node.args and "Error" in owner:
                found = node.args[0]
        elif isinstance(node, ast.Return) and function in RETURNED:
            found = node.value
        if found is not None and not (isinstance(found, ast.Constant) and found.value is None):
            text = re.sub(rf"{HOLE}(\.?{HOLE})*", HOLE, template(found, constants))
            if text not in NOT_LISTED:
                yield Message(text, f"{module}:{node.lineno}")
        for child in ast.iter_child_nodes(node):
            yield from visit(child, owner, function)

    yield from visit(tree, "", "")


TREES = {
    module: ast.parse(path.read_text())
    for module, path in MODULES.items()
    if ".testing" not in module  # the failures of tests: each says what to change
}
# Of other modules too, since they may be imported from there.
CONSTANTS = {name: value for tree in TREES.values() for name, value in constants_in(tree).items()}
MESSAGES = [
    message
    for module, tree in TREES.items()
    for message in messages_in(tree, module, {**CONSTANTS, **constants_in(tree)})
]


def entries(page: str) -> list[str]:
    """Return the first cell of each row of the tables in the part on our messages."""
    tokens = MarkdownIt("commonmark").enable("table").parse(page)
    found = []
    for index, token in enumerate(tokens):
        if token.type == "heading_open" and token.tag == "h2":
            ours = tokens[index + 1].content == "Messages of this library"
        elif token.type == "tr_open" and tokens[index + 1].type == "td_open" and ours:
            (code,) = tokens[index + 2].children or ()
            assert code.type == "code_inline", tokens[index + 2].content
            found.append(code.content)
    return found


ENTRIES = entries(PAGE)


def is_entry_of(entry: str, message: str) -> bool:
    """Tell whether a message begins like an entry."""
    return len(entry.replace(HOLE, "")) >= 10 and message.startswith(entry.removesuffix(HOLE))


def test_messages_are_found() -> None:
    """Of all modules, with holes for what is not known; and constants, and what is passed on."""
    texts = {message.text for message in MESSAGES}
    assert f"{HOLE} is async, and cannot be awaited here; write {HOLE}." in texts
    assert f"has to be 'flush', 'commit' or None; got {HOLE}." in texts
    assert f"register() takes a factory class; got {HOLE}." in texts
    assert len(texts) > 80


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.place)
def test_message_has_an_entry(message: Message) -> None:
    """The page lists the beginning of the message."""
    assert any(is_entry_of(entry, message.text) for entry in ENTRIES), message.text


@pytest.mark.parametrize("entry", ENTRIES)
def test_entry_has_a_message(entry: str) -> None:
    """The library has a message that begins like the entry."""
    assert any(is_entry_of(entry, message.text) for message in MESSAGES)
