"""Paging: what is asked of a store is divided into statements of a length that it takes."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from async_factory_boy.adapters.paging import paged

pytestmark = pytest.mark.versionless


@pytest.mark.parametrize("most", [-1, 0, 1, 2, 5, 6])
def test_pages_by_number(most: int) -> None:
    """Pages have so many items, at least one, but for the last; together they are all."""
    pages = list(paged("abcde", most))
    assert "".join(map("".join, pages)) == "abcde"
    assert {len(page) for page in pages[:-1]} <= {max(most, 1)}


@given(st.lists(st.integers(0, 12)), st.integers(1, 5))
def test_pages_by_size(items: list[int], most: int) -> None:
    """No page is larger than it may be, unless it is one item; none could take the next item."""
    pages = [list(page) for page in paged(items, most, size_of=int, largest=10)]
    assert [item for page in pages for item in page] == items
    assert all(page and len(page) <= most for page in pages)
    assert all(sum(page) <= 10 or len(page) == 1 for page in pages)
    for page, following in itertools.pairwise(pages):
        assert len(page) == most or sum(page) + following[0] > 10
