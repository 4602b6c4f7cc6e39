"""Tests of GPU code on the emulator.

A test that uses `gpu` runs in each of `gpu_runner.CONFIGURATIONS`: two targets, two
schedules, and assembled by ptxas. Most of these runs are marked `slow`: by default each test function runs for
a few of its parameters, each in one configuration, in turn.

    pytest test/python/gpu             a few minutes
    pytest test/python/gpu -m slow     the rest
"""

from __future__ import annotations

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
    mine = [item for item in items if FOLDER in Path(item.path).parents]
    _mark_slow(mine)
    if "slow" in config.option.markexpr:
        return
    slow = [item for item in mine if item.get_closest_marker("slow")]
    config.hook.pytest_deselected(items=slow)
    items[:] = [item for item in items if item not in slow]


def _mark_slow(items: list[Any]) -> None:
    functions: dict[Any, list[list[Any]]] = defaultdict(list)
    for item in items:
        parameters = getattr(getattr(item, "callspec", None), "params", {})
        if "gpu" not in parameters:
            continue
        cases = functions[item.path, item.originalname]
        if not cases or len(cases[-1]) == len(CONFIGURATIONS):
            cases.append([])
        cases[-1].append(item)
    turn = 0
    for cases in functions.values():
        step = max(len(cases) // CASES, 1)
        for number, case in enumerate(cases):
            is_chosen = number % step == 0 and number < CASES * step
            for place, item in enumerate(case):
                if not (is_chosen and place == turn % len(case)):
                    item.add_marker(pytest.mark.slow)
            turn += is_chosen
