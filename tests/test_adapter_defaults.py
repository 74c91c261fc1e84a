"""What an adapter of one method does by the other methods of the protocol."""

from __future__ import annotations

from typing import Any

import pytest

from async_factory_boy import AdapterError
from async_factory_boy.adapters import PersistenceAdapter


class OneMethod(PersistenceAdapter[Any]):
    def __init__(self) -> None:
        self.saved: list[Any] = []

    async def save(self, instance: Any) -> Any:
        self.saved.append(instance)
        return instance


def test_what_it_knows() -> None:
    """It handles no model by itself, knows no relations and no keys, and shares no connection."""
    adapter = OneMethod()
    assert not adapter.handles(dict)
    assert adapter.takes(dict, "name") is None
    assert adapter.keys_of(dict) == {}
    assert adapter.primary_key({"id": 1}) == {}
    assert adapter.ambient_options(dict) == {}
    assert adapter.connection_key(dict) is None
    assert not adapter.commits_later
    assert adapter.listen([].append) is None


def test_it_postpones_nothing() -> None:
    """What it is given, it stores at once; an error may be about any model."""
    adapter = OneMethod()
    assert not adapter.postpones(dict, ("name",))
    adapter.add([{}])
    assert adapter.saved == []
    assert adapter.concerns(LookupError(), dict)


async def test_what_it_stores() -> None:
    """Several objects are stored one by one; at the end of a call nothing is left to do."""
    adapter = OneMethod()

    async def build() -> list[Any]:
        return [adapter.build(dict, (), {"name": name}) for name in "ab"]

    assert await adapter.save_new(build) == adapter.saved == [{"name": "a"}, {"name": "b"}]
    await adapter.flush()
    await adapter.refresh(adapter.saved)
    await adapter.commit()
    assert len(adapter.saved) == 2


async def test_what_it_cannot_do() -> None:
    """To look up and to undo takes methods, which the errors name."""
    adapter = OneMethod()
    for call in (adapter.find, adapter.find_afresh):
        with pytest.raises(AdapterError, match=r"implement find\(model, lookup\)"):
            await call(dict, {"name": "a"})
    with pytest.raises(AdapterError, match=r"implement undo\(model\)"):
        adapter.undo(dict)
