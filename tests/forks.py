"""Processes of Python that need not import what takes long to import, such as SQLAlchemy.

This file, run as a script, imports that once. For each request it forks a process, which then does
what a new interpreter would do: it has the environment, the folder, the arguments and the warnings
that it is given, and it ends as an interpreter does. Nothing of this library is imported before.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

# What many of the processes use. No plugin of pytest, which rewrites one when it imports it.
IMPORTED = (
    *("factory", "faker", "greenlet", "pytest", "unittest.mock"),
    *("sqlalchemy.ext.asyncio", "sqlalchemy.orm", "sqlalchemy.dialects.sqlite", "aiosqlite"),
    *("asyncpg", "pydantic"),
)


class Forks:
    """Runs Python on arguments, as ``subprocess.run([sys.executable, *arguments])`` does."""

    def __init__(self) -> None:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def close(self) -> None:
        """End the process that forks."""
        self._process.communicate()

    def run(
        self,
        *arguments: str | os.PathLike[str],
        cwd: Path | None = None,
        env: Mapping[str, str] = os.environ,
        timeout: float = 120,
    ) -> subprocess.CompletedProcess[str]:
        """Run Python in a process of its own, and return how it ended, and what it printed.

        Args:
            arguments: A script or ``-m`` and a module, with the arguments of that; first perhaps
                ``-W`` and a filter.
            cwd: The folder to run it in.
            env: Its environment.
            timeout: After so many seconds it is killed.
        """
        with tempfile.TemporaryDirectory(prefix="afb-") as folder:
            printed = [Path(folder, "out"), Path(folder, "err")]
            request = {
                "arguments": [os.fspath(argument) for argument in arguments],
                "cwd": str(cwd or Path.cwd()),
                "env": dict(env),
                "timeout": timeout,
                "printed": [str(file) for file in printed],
            }
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            code = int(self._process.stdout.readline())
            out, err = (file.read_text() for file in printed)
        return subprocess.CompletedProcess(arguments, code, out, err)


def serve() -> None:
    """Fork for each line of the standard input; the child returns, and goes on as told."""
    del sys.path[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for module in IMPORTED:
            with contextlib.suppress(ImportError):
                importlib.import_module(module)
    gc.freeze()  # or each process would look through all of it, several times when it ends
    answers = os.fdopen(os.dup(1), "w")
    requests = os.fdopen(os.dup(0))
    while line := requests.readline():
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            answers.close()
            requests.close()
            become(request)
            return
        print(ended(child, request["timeout"]), file=answers, flush=True)
    sys.exit()


def ended(child: int, timeout: float) -> int:
    """Wait for a process, and return its exit code, or the number of its signal, negative."""
    deadline = time.monotonic() + timeout
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.005)


def become(request: dict[str, Any]) -> None:
    """Make this process what a new one would be."""
    streams = [os.open(os.devnull, os.O_RDONLY)]
    streams += [os.open(file, os.O_WRONLY | os.O_CREAT) for file in request["printed"]]
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:0] = [path for path in paths if path]
    arguments = request["arguments"]
    if arguments[0] == "-W":
        warnings.simplefilter(arguments[1])
        arguments = arguments[2:]
    sys.argv[:] = arguments


def main(arguments: Sequence[str]) -> None:
    """Run a module or a script, as an interpreter with these arguments."""
    if arguments[0] == "-m":
        sys.path.insert(0, os.getcwd())
        sys.argv[:] = arguments[1:]
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.path.insert(0, str(Path(arguments[0]).resolve().parent))
        runpy.run_path(arguments[0], run_name="__main__")


if __name__ == "__main__":
    serve()
    main([*sys.argv])
