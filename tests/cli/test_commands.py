"""`python -m async_factory_boy`: the commands, their usage and their errors."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import async_factory_boy
from async_factory_boy.commands import COMMANDS, main
from tests.cli.project import COMPANY, USER, Project

PACKAGE = Path(async_factory_boy.__file__).parent

FACTORY = """\
from async_factory_boy.factory.sqlalchemy import AsyncSQLAlchemyModelFactory
from models import User


class UserFactory(AsyncSQLAlchemyModelFactory[User]):
    name = "Ada"
"""


def test_module_and_current_folder(project: Project) -> None:
    """The package is run by its name, and finds the modules of the current folder."""
    project.models(USER)
    done = subprocess.run(
        [sys.executable, "-m", "async_factory_boy", "generate", "models"],
        env={**os.environ, "PYTHONPATH": str(PACKAGE.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "class UserFactory(AsyncSQLAlchemyModelFactory[User]):" in done.stdout


def test_main_module(monkeypatch: pytest.MonkeyPatch) -> None:
    """The main module ends with the status of the command."""
    monkeypatch.setattr(sys, "argv", ["async_factory_boy", "explain", "nowhere"])
    with pytest.raises(SystemExit, match="2"):
        runpy.run_path(str(PACKAGE / "__main__.py"), run_name="__main__")


def test_console_script(monkeypatch: pytest.MonkeyPatch, project: Project) -> None:
    """The console script does the same: it adds the current folder to where modules are found."""
    scripts = entry_points(group="console_scripts", name="async-factory-boy")
    assert {script.value for script in scripts} <= {"async_factory_boy.commands:main"}
    project.models(USER)
    monkeypatch.setattr(sys, "path", [one for one in sys.path if one != str(project.folder)])
    assert project.generate().status == 0


@pytest.mark.parametrize("command", COMMANDS)
def test_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each command tells what it does, with an example and the exit statuses."""
    with pytest.raises(SystemExit, match="0"):
        main([command, "--help"])
    text = capsys.readouterr().out
    assert f"python -m async_factory_boy {command} app." in text
    assert "exit status: 0 done" in text
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    assert COMMANDS[command].HELP in capsys.readouterr().out


def test_help_of_generate(capsys: pytest.CaptureFixture[str]) -> None:
    """What becomes of a file that is there, and the exit status, are said."""
    with pytest.raises(SystemExit):
        main(["generate", "-h"])
    text = " ".join(capsys.readouterr().out.split())
    assert "no line is changed: what it lacks is shown as a diff, which --write applies." in text
    assert "0 done, and with --check nothing is missing; 1 something is" in text


@pytest.mark.parametrize(
    "arguments", [[], ["generate"], ["generate", "models", "--check", "--write"]]
)
def test_usage(arguments: list[str], project: Project) -> None:
    """A wrong usage ends with status 2."""
    result = project.run(*arguments)
    assert result.status == 2
    assert result.err.startswith("usage: python -m async_factory_boy")


def test_explain(project: Project) -> None:
    """The command explain prints what fills the fields of a factory's model."""
    project.models(USER)
    project.write("factories.py", FACTORY)
    result = project.run("explain", "factories:UserFactory")
    assert (result.status, result.err) == (0, "")
    assert result.out.splitlines()[-1].split() == ["name", "declared", "'Ada'"]


MODULES = {
    "models.py": "",
    "broken.py": "def f(:\n",
    "raising.py": "x = 1\ny = {}['a']\n",
    "leaving.py": "raise SystemExit('bye')\n",
    "needing.py": "import nowhere_to_be_found\n",
    "package/__init__.py": "",
    "setting_up.py": "async def fail():\n    raise ValueError('no server')\n\n\ndef good(): pass\n"
    "SERVER = 'localhost'\n",
}


@pytest.mark.parametrize(
    ("arguments", "status", "problem"),
    [
        (
            ["generate", "app.models"], 1,
            "there is no module app. Modules are looked for in the current folder, {folder}, and "
            "in PYTHONPATH. For those in another folder, src, write: PYTHONPATH=src python -m "
            "async_factory_boy ...",
        ),
        (["generate", "package.models"], 1, "there is no module package.models. "),
        (
            ["generate", "package/models.py"], 2,
            "'package/models.py' is no name of a module; write it as in an import: "
            "package.models.",
        ),
        (["generate", "models.py"], 2, "'models.py' is no name of a module; "),
        (["generate", "broken"], 1, "broken cannot be imported: SyntaxError: invalid syntax"),
        (
            ["generate", "raising"], 1,
            "raising cannot be imported: KeyError: 'a'\n  raised in {folder}/raising.py, line 2: "
            "y = {{}}['a']",
        ),
        (["generate", "leaving"], 1, "leaving cannot be imported: SystemExit: bye"),
        (
            ["generate", "needing"], 1,
            "needing cannot be imported: ModuleNotFoundError: No module named "
            "'nowhere_to_be_found'\n  raised in {folder}/needing.py, line 1: import "
            "nowhere_to_be_found\n  If nowhere_to_be_found is your own, name its folder: "
            "PYTHONPATH=folder python -m async_factory_boy ...",
        ),
        (
            ["generate", "models"], 1,
            "models: there are no models. Name the modules that define them; and where the models "
            "do not tell what stores them, name that: --adapter mongo, say.",
        ),
        (
            ["generate", "models", "--adapter", "sqlalchemy"], 1,
            "models: there are no models that the adapter sqlalchemy stores. ",
        ),
        (
            ["generate", "models", "--adapter", "sqlalchmy"], 2,
            "--adapter names an unknown adapter 'sqlalchmy'. Did you mean 'sqlalchemy'? Known",
        ),
        (["generate", "models", "--only", ","], 2, "--only names no model; write --only User,Post"),
        (
            ["generate", "models", "--check"], 2,
            "--check needs --output, the file that has the factories.",
        ),
        (
            ["generate", "models", "--write"], 2,
            "--write needs --output, the file that has the factories.",
        ),
        (
            ["generate", "models", "--output", "no/factories.py"], 2,
            "--output no/factories.py: there is no folder no; make it first.",
        ),
        (
            ["generate", "models", "--output", "package"], 2,
            "--output package is a folder; name a file in it: package/factories.py.",
        ),
        (
            ["generate", "models", "--setup", "setting_up:fail"], 1,
            "setting_up:fail failed with ValueError: no server\n  raised in "
            "{folder}/setting_up.py, line 2: raise ValueError('no server')",
        ),
        (
            ["generate", "models", "--setup", "setting_up:SERVER"], 2,
            "--setup setting_up:SERVER is 'localhost', and no function; name one that takes no "
            "arguments: tests.conftest:initialise, say.",
        ),
        (["explain", "models:User"], 1, "models has no User."),
        (
            ["explain", "models"], 2,
            "'models' has not the form package.module:name; write app.factories:UserFactory, say.",
        ),
        (
            ["explain", "models:__name__", "--setup", "setting_up:good"], 1,
            "models:__name__ is 'models', and no class that derives from AsyncFactory.",
        ),
    ],
)  # fmt: skip
def test_errors(arguments: list[str], status: int, problem: str, project: Project) -> None:
    """What cannot be done is told with the cause, and without a traceback."""
    for name, text in MODULES.items():
        project.write(name, text)
    result = project.run(*arguments)
    assert (result.status, result.out) == (status, "")
    assert result.err.startswith(f"async-factory-boy: {problem.format(folder=project.folder)}"), (
        result.err
    )
    assert "Traceback" not in result.err


def test_package_whose_modules_have_models(project: Project) -> None:
    """Of a package without models, those of its modules are named that have some."""
    project.models(USER)
    models = project.text("models.py")
    for name, text in MODULES.items():
        project.write(f"app/{name}", text)
    for path in ("app/__init__.py", "app/shop/__init__.py", "app/__main__.py"):
        project.write(path, "")
    project.write("app/shop/models.py", models)
    result = project.run("generate", "app")
    assert (result.status, result.err) == (
        1,
        "async-factory-boy: app: there are no models in it itself. Name the modules that define "
        "them: app.shop.models.\n",
    )


def test_unknown_model(project: Project) -> None:
    """A name that is no model is told with the models that there are."""
    project.models(USER, COMPANY)
    assert project.generate("--only", "User,Comany") == (
        2,
        "",
        "async-factory-boy: --only names Comany, which models has no model of. Models: Company, "
        "User.\n",
    )


def test_adapter_whose_orm_is_absent(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """An adapter whose ORM is not installed is told with the extra."""
    monkeypatch.setitem(sys.modules, "async_factory_boy.adapters.tortoise", None)
    from async_factory_boy.adapters import registry
    from async_factory_boy.stores import STORES

    store = next(one for one in STORES if one.name == "tortoise")
    monkeypatch.setitem(registry._named, "tortoise", registry._built_in(store))
    project.models(USER)
    result = project.generate("--adapter", "tortoise")
    assert result.status == 1
    assert result.err.startswith("async-factory-boy: --adapter tortoise: ")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"x = 1\ndef f(:\n", "line 2: invalid syntax. Correct it first, or write to another"),
        (b"x = '\xff'\n", "'utf-8' codec can't decode"),
    ],
)
def test_file_that_cannot_be_read(content: bytes, problem: str, project: Project) -> None:
    """An existing file that is no Python is left alone."""
    project.models(USER)
    (project.folder / "factories.py").write_bytes(content)
    result = project.generate("--output", "factories.py", "--write")
    assert result.status == 1
    assert result.err.startswith(f"async-factory-boy: factories.py cannot be read: {problem}")
    assert (project.folder / "factories.py").read_bytes() == content
