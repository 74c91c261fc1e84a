"""The README, executed: a reader who copies its files gets a green test run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ALIASES, server_settings

README = Path(__file__).parent.parent / "README.md"


@pytest.mark.parametrize("alias", ALIASES)
def test_readme(alias: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """The files of the README are green, with warnings as errors, on each database."""
    for code in re.findall(r"^```(?:python|toml)\n(.*?)^```$", README.read_text(), re.S | re.M):
        name = re.match(r"# (\S+)\n", code)
        assert name is not None, f"a block has to begin with a comment that names its file: {code}"
        file = tmp_path / name[1]
        file.parent.mkdir(exist_ok=True)
        file.write_text(code)
    if alias == "postgresql":
        server = server_settings(request.getfixturevalue("postgres_url"))
        default = {"ENGINE": "django.db.backends.postgresql", **server}
        with (tmp_path / "settings.py").open("a") as file:
            file.write(f"DATABASES = {{'default': {default!r}}}\n")
    environment = {n: v for n, v in os.environ.items() if n != "DJANGO_SETTINGS_MODULE"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--rootdir=.", "-p", "no:cacheprovider", "-W", "error"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert re.search(r"= 7 passed in", done.stdout), done.stdout
