"""Tests of GPU code on the emulator.

A test that uses `gpu` runs in each of `gpu_runner.CONFIGURATIONS`: two targets, two
schedules, and assembled by ptxas. Most of these runs are marked `slow`: by default each
test function runs for a few of its parameters, each in one configuration, in turn.

    pytest test/python/gpu             a few minutes
    pytest test/python/gpu -m slow     the rest
"""

from __future__ import annotations

import gc
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parent
sys.path[:0] = [str(FOLDER), str(FOLDER.parent)]

from gpu_runner import CONFIGURATIONS, GpuRunner, runner_of  # noqa: E402

from ix.cost.cuda_tools import find_tool  # noqa: E402

CASES = 2
"""Cases of a test function that run by default."""


@pytest.fixture(scope="module", autouse=True)
def compiled_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache of each file, for both schedules of a target to share what is compiled.

    They come one after the other, so a small cache does: it is trimmed at each write.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IX_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("IX_CACHE_LIMIT", "4")
        yield


def pytest_collection_finish() -> None:
    """Keeps what lives as long as the run out of every search for garbage."""
    gc.collect()
    gc.freeze()


@pytest.fixture(params=CONFIGURATIONS)
def gpu(request: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[GpuRunner]:
    """Compiles for the GPU in place of the CPU; a test must compile something."""
    if request.param == "ptxas" and find_tool("ptxas") is None:
        pytest.skip("needs ptxas: pip install nvidia-cuda-nvcc")
    runner = runner_of(request.param)
    runner.install(monkeypatch, getattr(request.module, "SHARED", ()))
    yield runner
    assert runner.programs, "the test compiled nothing"


def pytest_collection_modifyitems(config: Any, items: list[Any]) -> None:
    """Marks most cases `slow`, and deselects those where -m does not ask for them."""
    functions = _cases([item for item in items if FOLDER in Path(item.path).parents])
    _mark_slow(functions)
    _bring_together(functions, items)
    if "slow" in config.option.markexpr:
        return
    slow = [
        item
        for item in items
        if FOLDER in Path(item.path).parents and item.get_closest_marker("slow")
    ]
    config.hook.pytest_deselected(items=slow)
    items[:] = [item for item in items if item not in slow]


Cases = list[list[Any]]
"""The runs of each case of a test function, one for each configuration."""


def _cases(items: list[Any]) -> list[Cases]:
    """The cases of each test function that uses `gpu`."""
    functions: dict[Any, dict[Any, list[Any]]] = defaultdict(lambda: defaultdict(list))
    for item in items:
        callspec = getattr(item, "callspec", None)
        if callspec is not None and "gpu" in callspec.params:
            case = callspec.id.removeprefix(callspec.params["gpu"])
            functions[item.path, item.originalname][case].append(item)
    return [list(cases.values()) for cases in functions.values()]


def _mark_slow(functions: list[Cases]) -> None:
    turn = 0
    for cases in functions:
        step = max(len(cases) // CASES, 1)
        for number, case in enumerate(cases):
            is_chosen = number % step == 0 and number < CASES * step
            for place, item in enumerate(case):
                if not (is_chosen and place == turn % len(case)):
                    item.add_marker(pytest.mark.slow)
            turn += is_chosen


def _bring_together(functions: list[Cases], items: list[Any]) -> None:
    """Puts the runs of a case after one another: they share what is compiled."""
    places = {item: (place, 0) for place, item in enumerate(items)}
    for cases in functions:
        first = places[cases[0][0]][0]
        for number, case in enumerate(cases):
            places.update(dict.fromkeys(case, (first, number)))
    items.sort(key=places.__getitem__)
