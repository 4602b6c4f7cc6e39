"""Programs with declared dimensions: what is ideal depends on the sizes of the call.

To accept new figures: python test/python/cost/test_dynamic_sizes.py
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ix
from ix.cost.budget import check, compare, write_budget
from ix.cost.cuda_tools import find_tool
from ix.cost.errors import BudgetError
from ix.cost.figures import ModelFigures
from ix.cost.measure import measure

BUDGETS = Path(__file__).parent / "budgets"
ROWS = ix.Dim("rows", 1, 4096)
SECTOR = 32


def softmax(x: Any) -> Any:
    return ix.nn.softmax(x)


def chain(x: Any, y: Any) -> Any:
    return np.maximum(x * y + x - y, 0.0) * 0.5


def two_sizes(x: Any) -> Any:
    """Rows as many as there are, and twice as many."""
    doubled = np.concatenate([x, x])
    return ix.nn.softmax(x), ix.nn.softmax(doubled)


# Name → the function, how many inputs it has, and the columns of each.
PROGRAMS: dict[str, tuple[Any, int, int]] = {
    "dynamic_softmax": (softmax, 1, 256),
    "dynamic_chain": (chain, 2, 96),
}


def figures_of(name: str, rows: int, target: str = "sm_90a") -> ModelFigures:
    function, inputs, columns = PROGRAMS[name]
    arrays = [np.ones((rows, columns), np.float32) for _ in range(inputs)]
    dims = {argument: {0: ROWS} for argument in ("x", "y")[:inputs]}
    jitted = ix.jit(function, dims=dims, target=target, device="emulator", cache=False)
    return measure(jitted.lower(*arrays).compile().executable, arrays)


@pytest.mark.parametrize("rows", [1, 37, 300])
@pytest.mark.parametrize("name", PROGRAMS)
def test_each_sector_is_touched_once(name: str, rows: int) -> None:
    _, inputs, columns = PROGRAMS[name]
    figures = figures_of(name, rows)
    (kernel,) = figures.kernels
    assert "?" in str(kernel.signature)
    assert figures.dims == {"rows": rows}
    assert kernel.ideal_load_sectors == inputs * rows * columns * 4 // SECTOR
    assert kernel.ideal_store_sectors == rows * columns * 4 // SECTOR
    # A block has four rows; those that the last one lacks are its last row again.
    again = -rows % 4 * columns * 4 // SECTOR if name == "dynamic_softmax" else 0
    assert kernel.global_load_sectors <= 1.02 * kernel.ideal_load_sectors + again
    assert kernel.global_store_sectors <= 1.02 * kernel.ideal_store_sectors


def test_launches_of_different_sizes_add_up() -> None:
    rows, columns = 24, 256
    x = np.ones((rows, columns), np.float32)
    jitted = ix.jit(
        two_sizes, dims={"x": {0: ROWS}}, target="sm_90a", device="emulator",
        cache=False,
    )  # fmt: skip
    figures = measure(jitted.lower(x).compile().executable, [x])
    row = [k for k in figures.kernels if k.signature.family == "row"]
    assert sum(kernel.launches for kernel in row) == 2
    stored = sum(kernel.ideal_store_sectors for kernel in row)
    assert stored == (rows + 2 * rows) * columns * 4 // SECTOR


@pytest.mark.skipif(find_tool("ptxas") is None, reason="budgets hold registers")
@pytest.mark.parametrize("name", PROGRAMS)
def test_it_keeps_its_budget(name: str) -> None:
    check(BUDGETS / f"{name}-sm_90a.json", figures_of(name, 300))


def test_figures_of_other_sizes_are_not_compared() -> None:
    figures = ModelFigures("sm_90a", (), {"rows": 8})
    assert ModelFigures.from_json(figures.to_json()) == figures
    with pytest.raises(
        BudgetError, match="needs figures for rows = 8, but they are for rows = 9"
    ):
        compare(figures, replace(figures, dims={"rows": 9}))


if __name__ == "__main__":
    for each in PROGRAMS:
        write_budget(BUDGETS / f"{each}-sm_90a.json", figures_of(each, 300))
