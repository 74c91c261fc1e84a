"""Every adapter has its methods in the order of the protocol, so that two can be compared."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROTOCOL = ROOT / "async_factory_boy/adapters/base.py"
ADAPTERS = [
    *(
        ROOT / f"async_factory_boy/adapters/{name}.py"
        for name in ("sqlalchemy", "tortoise", "beanie", "mongo", "databases")
    ),
    *sorted(ROOT.glob("adapters/*/async_factory_boy_*/adapter.py")),
]


def methods(path: Path, name: str) -> list[str]:
    """Return the methods of the class whose name ends like that, in the order they are written."""
    (found,) = [
        node
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef) and node.name.endswith(name)
    ]
    return [
        node.name for node in found.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


@pytest.mark.parametrize(
    "path", ADAPTERS, ids=lambda path: path.parent.name + path.stem if path else ""
)
def test_order_of_methods(path: Path) -> None:
    """What the protocol has comes in its order; what is the adapter's own, before or after it."""
    protocol = [name for name in methods(PROTOCOL, "PersistenceAdapter") if name[0] != "_"]
    own = [name for name in methods(path, "Adapter") if name in protocol]
    assert len(own) > 3
    assert own == sorted(own, key=protocol.index)
