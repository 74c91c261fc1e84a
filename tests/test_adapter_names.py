"""Adapters found by name: those registered, and those of distributions that are installed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from importlib.metadata import requires
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from packaging.requirements import Requirement

from async_factory_boy import AdapterError, ConfigurationError
from async_factory_boy.adapters import PersistenceAdapter, register, registry
from async_factory_boy.factory import AsyncFactory

ADAPTER = """
    from async_factory_boy.adapters import PersistenceAdapter

    class Shelf:
        pass

    class ShelfAdapter(PersistenceAdapter):
        @classmethod
        def handles(cls, model):
            return issubclass(model, Shelf)

        async def save(self, instance):
            instance.shelf = "top"
            return instance

    ready = ShelfAdapter()
    nothing = 3

    class Incomplete(PersistenceAdapter):
        pass
"""

Install = Callable[..., None]


class Crate:
    pass


class CrateAdapter(PersistenceAdapter[Any]):
    @classmethod
    def handles(cls, model: type) -> bool:
        return issubclass(model, Crate)

    async def save(self, instance: Any) -> Any:
        instance.adapter = self
        return instance


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Names that a test registers, and modules that it imports, are forgotten after it."""
    monkeypatch.setattr(registry, "_named", dict(registry._named))
    before = set(sys.modules)
    yield
    for name in sys.modules.keys() - before:
        del sys.modules[name]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install distributions, as pip does, into a site folder of the test's own."""
    monkeypatch.syspath_prepend(tmp_path)

    def install(
        distribution: str, entry_points: dict[str, str], module: str = "", code: str = ADAPTER
    ) -> None:
        metadata = tmp_path / f"{distribution.replace('-', '_')}-1.2.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n"
        )
        (metadata / "entry_points.txt").write_text(
            "[async_factory_boy.adapters]\n"
            + "".join(f"{name} = {value}\n" for name, value in entry_points.items())
        )
        if module:
            (tmp_path / f"{module}.py").write_text(dedent(code))

    return install


def factory_with(adapter: object, model: type = Crate) -> type[AsyncFactory[Any]]:
    meta = type("Meta", (), {"model": model, "adapter": adapter})
    return type("NamingFactory", (AsyncFactory,), {"Meta": meta})


@pytest.mark.parametrize("attribute", ["ShelfAdapter", "ready"])
async def test_installed(install: Install, attribute: str) -> None:
    """A distribution names its adapter, a class or an instance, by an entry point."""
    install("acme-shelves", {"shelves": f"acme_shelves:{attribute}"}, "acme_shelves")
    created = await factory_with("shelves").create_async()
    assert created.shelf == "top"


async def test_installed_is_imported_by_name_only(install: Install) -> None:
    """What is installed is imported when its name is used: not for other names, or a guess."""
    install("acme-shelves", {"shelves": "acme_shelves:ShelfAdapter"}, "acme_shelves")
    factory_with("sqlalchemy")
    with pytest.raises(ConfigurationError):
        factory_with("shelve")
    with pytest.raises(ConfigurationError):
        await factory_with(None).create_async()
    assert "acme_shelves" not in sys.modules
    factory_with("shelves")
    assert "acme_shelves" in sys.modules


def test_unknown(install: Install) -> None:
    """A name that nobody has is answered with all there are, and the closest of them."""
    install("acme-shelves", {"shelves": "acme_shelves:ShelfAdapter"})
    register("crates", CrateAdapter)
    with pytest.raises(ConfigurationError) as caught:
        factory_with("shelfs")
    assert str(caught.value) == (
        "NamingFactory.Meta.adapter names an unknown adapter 'shelfs'. Did you mean 'shelves'? "
        "Known adapters: beanie, crates, databases, mongo, shelves, sqlalchemy, tortoise."
    )


@pytest.mark.parametrize("name", ["django", "piccolo"])
def test_shipped_on_its_own(name: str) -> None:
    """The name of an adapter of ours that is not installed says how to install it."""
    try:
        registry.by_name(name)
    except ConfigurationError as error:
        expected = f"It is not installed. Install it with: pip install 'async-factory-boy[{name}]'."
        assert expected in str(error)  # noqa: PT017 (where it is installed, there is no error)


@pytest.mark.parametrize("name", ["django", "piccolo"])
def test_extra(name: str) -> None:
    """There is an extra of that name, and it installs the distribution of the adapter."""
    required = [Requirement(one) for one in requires("async-factory-boy") or ()]
    of_extra = [one.name for one in required if one.marker and one.marker.evaluate({"extra": name})]
    assert of_extra == [f"async-factory-boy-{name}"]


def test_two_distributions(install: Install) -> None:
    """Two distributions under one name are an error that names both."""
    install("acme-shelves", {"shelves": "acme_shelves:ShelfAdapter"}, "acme_shelves")
    install("shelves-of-others", {"shelves": "others:Adapter"})
    with pytest.raises(ConfigurationError) as caught:
        factory_with("shelves")
    text = str(caught.value)
    assert text.startswith("NamingFactory.Meta.adapter names 'shelves', which is more than one ")
    assert "'acme_shelves:ShelfAdapter' of the distribution acme-shelves 1.2" in text
    assert "'others:Adapter' of the distribution shelves-of-others 1.2" in text
    assert text.endswith("Uninstall all but one, or set Meta.adapter to the class you mean.")


@pytest.mark.parametrize(
    ("value", "code", "problem", "cause"),
    [
        (
            "acme_gone:Adapter",
            ADAPTER,
            "importing that failed with ModuleNotFoundError: No module named 'acme_gone'",
            ModuleNotFoundError,
        ),
        (
            "acme_shelves:Adapter",
            ADAPTER,
            "importing that failed with AttributeError: module 'acme_shelves' has no attribute ",
            AttributeError,
        ),
        (
            "acme_shelves:Adapter",
            "raise LookupError('no shelf')",
            "importing that failed with LookupError: no shelf",
            LookupError,
        ),
        (
            "acme_shelves:nothing",
            ADAPTER,
            "that is 3, and neither a subclass of PersistenceAdapter nor an instance.",
            None,
        ),
        (
            "acme_shelves:Incomplete",
            ADAPTER,
            "importing that failed with AdapterError: Incomplete has no save()",
            AdapterError,
        ),
    ],
    ids=["no-module", "no-attribute", "raises", "no-adapter", "abstract"],
)
@pytest.mark.parametrize("how", ["installed", "registered"])
def test_broken(
    install: Install,
    how: str,
    value: str,
    code: str,
    problem: str,
    cause: type[Exception] | None,
) -> None:
    """What cannot be imported says where it comes from, and what the matter was."""
    install("acme-shelves", {"shelves": value}, "acme_shelves", code)
    whose = f"{value!r} of the distribution acme-shelves 1.2"
    if how == "registered":
        register("shelves", value)
        whose = f"{value!r}, which was registered"
    with pytest.raises(ConfigurationError) as caught:
        factory_with("shelves")
    expected = f"NamingFactory.Meta.adapter names 'shelves', which is {whose}; {problem}"
    assert str(caught.value).startswith(expected)
    assert type(caught.value.__cause__) is (cause or type(None))


@pytest.mark.parametrize("name", ["sqlalchemy", "mongo"])
def test_built_in_beats_installed(install: Install, name: str) -> None:
    """A distribution cannot take the name of a built-in adapter."""
    install("acme-shelves", {name: "acme_shelves:ShelfAdapter"}, "acme_shelves")
    adapter = registry.by_name(name)
    assert isinstance(adapter, type)
    assert adapter.__module__ == f"async_factory_boy.adapters.{name}"


async def test_registered_class() -> None:
    """Factories that name a registered class have one adapter of it."""
    register("crates", CrateAdapter)
    one, other = [await factory_with("crates").create_async() for _ in range(2)]
    assert one.adapter is other.adapter
    assert type(one.adapter) is CrateAdapter


async def test_registered_instance() -> None:
    """A registered instance is shared by the factories that name it."""
    adapter = CrateAdapter()
    register("crates", adapter)
    for _ in range(2):
        assert (await factory_with("crates").create_async()).adapter is adapter


async def test_registered_path(install: Install) -> None:
    """A registered path is imported when a factory uses its name."""
    install("acme-shelves", {}, "acme_shelves")
    register("shelves", "acme_shelves:ShelfAdapter")
    with pytest.raises(ConfigurationError):
        await factory_with(None).create_async()
    assert "acme_shelves" not in sys.modules
    assert (await factory_with("shelves").create_async()).shelf == "top"


async def test_registered_beats_installed(install: Install) -> None:
    """What a project registers is used in place of what is installed under that name."""
    install("acme-crates", {"crates": "acme_crates:ShelfAdapter"}, "acme_crates")
    register("crates", CrateAdapter)
    assert isinstance((await factory_with("crates").create_async()).adapter, CrateAdapter)
    assert "acme_crates" not in sys.modules


def test_name_taken(install: Install) -> None:
    """A name is given once; the error says who has it."""
    install("acme-shelves", {"shelves": "acme_shelves:ShelfAdapter"}, "acme_shelves")
    factory_with("shelves")
    register("crates", CrateAdapter)
    for name, owner in {
        "sqlalchemy": "async-factory-boy itself",
        "crates": "<class 'tests.test_adapter_names.CrateAdapter'>, which was registered",
        "shelves": "'acme_shelves:ShelfAdapter' of the distribution acme-shelves 1.2",
    }.items():
        with pytest.raises(ConfigurationError) as caught:
            register(name, CrateAdapter)
        assert str(caught.value) == (
            f"async_factory_boy.adapters.register cannot take the name {name!r} for <class "
            "'tests.test_adapter_names.CrateAdapter'>: it belongs to "
            f"{owner} already. Choose another name."
        )


@pytest.mark.parametrize(
    ("name", "adapter", "problem"),
    [
        ("", CrateAdapter, "takes a name for the adapter, such as 'redis'; got ''"),
        (CrateAdapter, "crates", "takes a name for the adapter, such as 'redis'; got <class"),
        ("crates", Crate, "takes a subclass of PersistenceAdapter, an instance, or where to"),
        ("crates", "tests.crates.Crate", 'imports an adapter from "package.module:Adapter"; \'te'),
    ],
)
def test_bad_registration(name: Any, adapter: Any, problem: str) -> None:
    """What is no name, or no adapter, is refused at once."""
    with pytest.raises(ConfigurationError) as caught:
        register(name, adapter)
    assert str(caught.value).startswith(f"async_factory_boy.adapters.register {problem}")


def test_registering_what_cannot_store() -> None:
    """A class without save() is refused at once."""

    class Incomplete(PersistenceAdapter[Any]):
        pass

    with pytest.raises(AdapterError, match=r"^Incomplete has no save\(\)"):
        register("incomplete", Incomplete)


async def test_inferred() -> None:
    """A factory that names no adapter is given the registered one that handles its model."""
    adapter = CrateAdapter()
    register("crates", adapter)
    message = r"CrateAdapter is inferred from its model\. Set Meta\.adapter = 'crates' instead\."
    with pytest.warns(DeprecationWarning, match=message):
        crate = await factory_with(None).create_async()
    assert crate.adapter is adapter


async def test_inferred_once_imported(install: Install) -> None:
    """What is installed or registered by its path is considered once it is imported."""
    install("acme-shelves", {"shelves": "acme_shelves:ShelfAdapter"}, "acme_shelves")
    install("acme-racks", {}, "acme_racks")
    register("racks", "acme_racks:ShelfAdapter")
    import acme_racks
    import acme_shelves

    with pytest.raises(ConfigurationError, match="is not set, and none of the known adapters"):
        await factory_with(None, acme_shelves.Shelf).create_async()
    factory_with("shelves")
    for model in (acme_shelves.Shelf, acme_racks.Shelf):
        with pytest.warns(DeprecationWarning, match="ShelfAdapter is inferred"):
            assert (await factory_with(None, model).create_async()).shelf == "top"


# One adapter for the same class and options.


class LabelledAdapter(CrateAdapter):
    def __init__(self, *, label: Any = None) -> None:
        self.label = label


def labelled(adapter: Any, **meta: Any) -> Any:
    options = type(
        "Options",
        (AsyncFactory._options_class,),
        {"adapter_options": {"crates_label": "label"}},
    )
    base: Any = type(AsyncFactory)(
        "Labelled", (AsyncFactory,), {"_options_class": options, "Meta": type("Meta", (), {})}
    )
    body = {"Meta": type("Meta", (), {"model": Crate, "adapter": adapter, **meta})}
    return type(base)("CrateFactory", (base,), body)._meta.adapter_for_storing()


@pytest.mark.parametrize(
    ("label", "other"),
    [
        (None, "a"),
        ("a", "b"),
        (1, True),
        (["a", "b"], ["a"]),
        (len, print),
    ],
)
def test_same_class_and_options(label: Any, other: Any) -> None:
    """Factories that name the same adapter class, with the same options, have one adapter."""
    first = labelled(LabelledAdapter, crates_label=label)
    assert labelled(LabelledAdapter, crates_label=label) is first
    assert labelled(LabelledAdapter, crates_label=other) is not first


def test_options_that_are_not_hashable() -> None:
    """An option that is not hashable gives each factory an adapter of its own."""
    one, two = (labelled(LabelledAdapter, crates_label={"a": 1}) for _ in range(2))
    assert one is not two
    assert one.label == two.label == {"a": 1}


def test_an_instance_stays_what_it_is() -> None:
    """An instance that is given as the adapter is not taken for another of its class."""
    instance = LabelledAdapter()
    assert labelled(instance) is instance
    assert labelled(LabelledAdapter) is not instance


@pytest.mark.filterwarnings("ignore:CrateFactory sets no Meta.adapter:DeprecationWarning")
async def test_inferred_adapter_is_one() -> None:
    """A factory whose adapter is inferred uses the same one for all its objects."""
    register("crates", CrateAdapter)

    class CrateFactory(AsyncFactory[Crate]):
        class Meta:
            model = Crate

    one, two = [await CrateFactory.create_async() for _ in range(2)]
    assert one.adapter is two.adapter  # type: ignore[attr-defined]
