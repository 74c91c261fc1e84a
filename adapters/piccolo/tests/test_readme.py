"""The README is true: its files make a folder in which pytest is green."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def test_readme(tmp_path: Path) -> None:
    """What the README says, typed in, makes two green tests; and so it does a second time."""
    blocks = re.findall(
        r"^```(?:python|toml)\n# (\S+)\n(.*?)^```$", README.read_text(), re.M | re.S
    )
    for name, text in blocks:
        (tmp_path / name).write_text(text)
    environment = {k: v for k, v in os.environ.items() if k != "PICCOLO_CONF"}
    for _ in range(2):
        run = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-W", "error"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert run.returncode == 0, run.stdout
        assert "2 passed" in run.stdout
