"""Reads what the fields of a Beanie document are, as far as possible before Beanie is initialised.

What ``init_beanie()`` adds is which classes the links mean that name them by a string.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ForwardRef

from beanie import BackLink, Document, Link
from beanie.odm.registry import DocsRegistry
from beanie.odm.utils.typing import get_index_attributes
from pydantic import BaseModel

from async_factory_boy.adapters._annotations import Reader, keyword_of, pydantic_fields
from async_factory_boy.adapters.fields import Field, Relation
from async_factory_boy.exceptions import AdapterError


def document_fields(document: type[Document]) -> Sequence[Field]:
    """Return the fields of a document, but for back links, which Beanie fills.

    Raises:
        AdapterError: When an annotation names a class that is not known yet.
    """
    told = pydantic_fields(document, _DocumentReader())
    back_links = {
        keyword_of(document, name)
        for name, info in document.model_fields.items()
        if _mentions(info.annotation, BackLink)
    }
    unique = _unique(document)
    fields = []
    for field in told:
        if field.name in back_links:
            continue
        generated = field.name == "revision_id" or (field.name == "id" and field.has_default)
        sets = tuple(dict.fromkeys(names for names in unique if field.name in names))
        fields.append(dataclasses.replace(field, generated=generated, unique=sets))
    return fields


def documents_within(document: type[Document]) -> Iterator[type[Document]]:
    """Yield the documents that are stored within one, in fields that are required."""
    pending: list[type[BaseModel]] = [document]
    for model in pending:
        for info in model.model_fields.values():
            kind: Any = info.annotation
            if typing.get_origin(kind) is not None or not isinstance(kind, type):
                continue
            if issubclass(kind, Document) and info.is_required():
                yield kind
            if issubclass(kind, BaseModel) and info.is_required() and kind not in pending:
                pending.append(kind)


class _DocumentReader(Reader):
    def plain(self, annotation: Any) -> Any:
        # What Indexed(str) returns: a class that makes strings.
        indexed = isinstance(annotation, type) and "_indexed" in vars(annotation)
        return annotation.__bases__[0] if indexed else annotation

    def relation(self, annotation: Any) -> Relation | None:
        is_link = typing.get_origin(annotation) is Link
        return Relation(target=_target(annotation)) if is_link else None

    def unresolved(self, annotation: Any) -> Iterator[str]:
        if typing.get_origin(annotation) is Link:
            annotation = _target(annotation)
        elif typing.get_origin(annotation) is BackLink:
            return
        yield from super().unresolved(annotation)

    def unresolved_error(self, model: Any, field: str, missing: str) -> AdapterError:
        return AdapterError(
            f"{model.__name__}.{field} is annotated with {missing}, which is not known yet. "
            "Before the factory is used, write await init_beanie(database=..., "
            f"document_models=[{model.__name__}, ...]); or call "
            f"{model.__name__}.model_rebuild() once all classes are defined."
        )


def _target(link: Any) -> Any:
    """Return the document of a link; its name, if that is not known."""
    target: Any = typing.get_args(link)[0]
    if isinstance(target, ForwardRef):
        # As Beanie does, when it is initialised.
        target = DocsRegistry.evaluate_fr(target)
    return target


def _mentions(annotation: Any, kind: type) -> bool:
    return typing.get_origin(annotation) is kind or any(
        _mentions(one, kind) for one in typing.get_args(annotation)
    )


def _unique(document: type[Document]) -> Sequence[frozenset[str]]:
    """Return the sets of fields that unique indexes are over, partial ones too."""
    names: dict[str, str] = {}
    for name, info in document.model_fields.items():
        keyword = keyword_of(document, name)
        names.update({info.alias or name: keyword, name: keyword})
    found = [frozenset({keyword_of(document, "id")})]
    for name, info in document.model_fields.items():
        indexed = get_index_attributes(info)
        if indexed is not None and indexed[1].get("unique"):
            found.append(frozenset({names[name]}))
    for index in _indexes(document):
        stored: Mapping[str, Any] = getattr(index, "document", {})
        # Of a path, the field that it begins at; what is no field is the same in all documents.
        roots = (path.partition(".")[0] for path in stored.get("key", ()))
        over = frozenset(names[root] for root in roots if root in names)
        if stored.get("unique") and over:
            found.append(over)
    return found


def _indexes(document: type[Document]) -> Iterator[Any]:
    """Yield what the settings of a document have as indexes, in any of the forms Beanie takes."""
    own = getattr(document, "Settings", None)
    classes = [one.__dict__.get("Settings") for one in document.__mro__]
    # Documents that share a collection are under the indexes of all.
    if getattr(own, "merge_indexes", False) or any(
        getattr(one, "is_root", False) for one in classes
    ):
        for settings in classes:
            yield from getattr(settings, "indexes", ())
    else:
        yield from getattr(own, "indexes", ())
