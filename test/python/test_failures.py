"""What may go wrong around a compile: disks, caches, signals, recursion, neighbours."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ix
from ix.errors import InputError

X = np.ones(3, np.float32)

# Compiles a program of many kernels in the cache of IX_CACHE_DIR; prints its result.
COMPILE = """
import sys, numpy as np, ix
def layers(x):
    for n in range(12):
        w = np.random.default_rng(n).standard_normal((32, 32 + n % 3)).astype("f4")
        x = np.tanh(x @ w)[:, :32]
    return x
print("ready", flush=True)
y = ix.jit(layers)(np.ones((2, 32), np.float32))
print(repr(y.tobytes().hex()), flush=True)
"""


def start(cache: Path | str, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", COMPILE],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "IX_CACHE_DIR": str(cache), "IX_CACHE": "1"},
        text=True,
        **options,
    )


def finished(process: subprocess.Popen[str]) -> str:
    """What a process that succeeds prints last."""
    output, error = process.communicate(timeout=120)
    assert process.returncode == 0, error
    return output.splitlines()[-1]


@pytest.fixture(scope="module")
def result() -> str:
    """What `COMPILE` prints where nothing goes wrong."""
    code = COMPILE.replace("ix.jit(layers)", "ix.jit(layers, cache=False)")
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return run.stdout.splitlines()[-1]


def left_over(cache: Path) -> list[Path]:
    return [path for path in cache.rglob(".new-*") if path.is_file()]


def test_a_cache_in_a_folder_that_nobody_may_write(result: str) -> None:
    assert finished(start("/proc/ix")) == result


def test_a_cache_whose_folder_is_a_file(result: str, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("")
    assert finished(start(tmp_path / "cache")) == result


def small_files() -> None:
    """Files of this process cannot grow: every write fails as on a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)


def test_a_full_disk_below_the_cache(result: str, tmp_path: Path) -> None:
    assert finished(start(tmp_path, preexec_fn=small_files)) == result
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert finished(start(tmp_path)) == result


def test_a_full_disk_below_an_executable(tmp_path: Path) -> None:
    code = (
        "import sys, numpy as np, ix\n"
        "f = ix.jit(np.exp, cache=False).lower(np.ones(3, np.float32)).compile()\n"
        "try: f.save(sys.argv[1])\n"
        "except ix.IxError as error: print(type(error).__name__, error)\n"
    )
    path = tmp_path / "f.ix"
    run = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        capture_output=True,
        text=True,
        preexec_fn=small_files,
        check=True,
    )
    assert run.stdout.startswith("ArtifactError")
    assert "f.ix" in run.stdout and "File too large" in run.stdout
    assert list(tmp_path.iterdir()) == []


def default_interrupts() -> None:
    """A process started in the background of a shell ignores SIGINT, and so would we."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL], ids=["int", "kill"])
@pytest.mark.parametrize("seconds", [0.3, 0.6, 1.0])
def test_a_compile_that_is_stopped(
    result: str, tmp_path: Path, sent: signal.Signals, seconds: float
) -> None:
    process = start(tmp_path, preexec_fn=default_interrupts)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(seconds)
    process.send_signal(sent)
    _, error = process.communicate(timeout=60)
    if sent == signal.SIGINT and process.returncode:
        assert "KeyboardInterrupt" in error
        assert left_over(tmp_path) == []
    assert finished(start(tmp_path)) == result


def test_processes_that_compile_the_same(result: str, tmp_path: Path) -> None:
    processes = [start(tmp_path) for _ in range(3)]
    assert [finished(each) for each in processes] == [result] * 3
    assert left_over(tmp_path) == []
    assert finished(start(tmp_path)) == result


def endless(x: Any) -> Any:
    return endless(x) + 1


def nested(x: Any) -> Any:
    return ix.jit(nested)(x) + 1


@pytest.mark.parametrize("function", [endless, nested])
def test_a_function_without_an_end(function: Callable[[Any], Any]) -> None:
    with pytest.raises(
        InputError, match=r"test_failures.py:\d+:\d+: error: .*to an end"
    ):
        ix.jit(function)(X)


def test_containers_that_hold_themselves() -> None:
    first: list[Any] = []
    first.append(first)
    second: dict[str, Any] = {}
    second["a"] = (second,)
    for nest in (first, second):
        with pytest.raises(
            InputError, match="argument 'x' needs containers at most 64"
        ):
            ix.jit(lambda x: X + 1)(nest)


def test_containers_that_stand_too_deep() -> None:
    nest: Any = X
    for _ in range(65):
        nest = [nest]
    with pytest.raises(InputError, match="a list stands deeper"):
        ix.jit(lambda x: X + 1)(nest)
    with pytest.raises(InputError, match="the result needs containers at most 64 deep"):
        ix.jit(lambda x: nest)(X)
