"""The cost gate: every family within its committed budget, planted regressions caught.

To accept new figures: python test/python/cost/test_gate.py
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from gate_models import FAMILIES, figures_of

from ix.cost.budget import check, compare, read_budget, write_budget
from ix.cost.cuda_tools import find_tool
from ix.cost.errors import BudgetError
from ix.cost.ptxas import assemble

BUDGETS = Path(__file__).parent / "budgets"
TARGETS = ("sm_80", "sm_90a")

pytestmark = pytest.mark.skipif(
    find_tool("ptxas") is None, reason="budgets hold registers and spills: no ptxas"
)


def budget_of(name: str, target: str = "sm_90a") -> Path:
    return BUDGETS / f"{name}-{target}.json"


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_keeps_its_budget(name: str, target: str) -> None:
    check(budget_of(name, target), figures_of(name, target))


@pytest.mark.parametrize(
    "name", ["elementwise", "softmax", "layer_norm", "long_rows", "split_row"]
)
def test_elementwise_and_row_kernels_touch_each_sector_once(name: str) -> None:
    totals = figures_of(name).totals
    for kind in ("load", "store"):
        ideal = totals[f"ideal_{kind}_sectors"]
        assert ideal > 0
        # Blocks that share a row leave a total each.
        extra = 2 * (300 * 1000 // 8192 + 1) if name == "split_row" else 0
        assert totals[f"global_{kind}_sectors"] <= 1.02 * ideal + extra


@pytest.mark.parametrize(
    "name", ["transpose", "matmul", "small_m", "split_depth", "product_rows"]
)
def test_tiles_have_no_bank_conflicts(name: str) -> None:
    assert figures_of(name).totals["bank_conflicts"] == 0


def test_a_product_of_few_rows_reads_each_weight_once() -> None:
    (kernel,) = figures_of("small_m").kernels
    weights, rows = 512 * 256 // 8, 8 * 512 // 8
    blocks = 256 // 32
    epilogue = 256 // 8
    most = weights + blocks * rows + 8 * epilogue
    assert weights <= kernel.global_load_sectors <= most


@pytest.mark.parametrize("name", FAMILIES)
def test_nothing_spills(name: str) -> None:
    assert figures_of(name).totals["spill_bytes"] == 0


# Regressions, each planted in the compiler: (family, what is changed).


def attribute(place: str, name: str, value: Any) -> Callable[[Any], None]:
    """Replaces a module's attribute."""
    return lambda patch: patch.setattr(f"ix.passes.gpu.{place}.{name}", value)


def one_vector_element(patch: Any) -> None:
    """Elementwise kernels lose their 16-byte accesses."""
    attribute("rules.elementwise", "_widest", lambda kernel: 1)(patch)


def one_row_element(patch: Any) -> None:
    attribute("rules.row", "row_width", lambda kernel, row: 1)(patch)


def no_turning(patch: Any) -> None:
    """The tile that is written across loses its exclusive or."""
    from ix.passes.gpu.rules import contraction

    patch.setattr(contraction._Loader, "_turned", lambda self, at, chunk: at)


def no_rule(rule: str) -> Callable[[Any], None]:
    """A rule does not apply any more, and the next one takes its kernels."""

    def plant(patch: Any) -> None:
        from ix.passes.gpu import choose_rule

        rules = tuple(r for r in choose_rule.RULES if not r.__module__.endswith(rule))
        assert len(rules) == len(choose_rule.RULES) - 1
        patch.setattr(choose_rule, "RULES", rules)

    return plant


def no_merging(patch: Any) -> None:
    from ix.passes.gpu import merge_launches

    patch.setattr(merge_launches, "pair_of", lambda *_: None)


def no_small_rows(patch: Any) -> None:
    attribute("rules.small_m", "plan_of", lambda kernel: None)(patch)


def another_barrier(patch: Any) -> None:
    from ix.mlir import gpu
    from ix.passes.gpu.rules import contraction

    multiply = contraction._TileCode._multiply

    def slower(self: Any, sums: Any) -> Any:
        gpu.BarrierOp()
        return multiply(self, sums)

    patch.setattr(contraction._TileCode, "_multiply", slower)


def no_registers(patch: Any) -> None:
    """A row is read again by each sweep."""
    from ix.passes.gpu.rules.row import RowShape

    shape_of = RowShape.of

    def looped(*arguments: Any, **options: Any) -> RowShape:
        return replace(shape_of(*arguments, **options), steps=0)

    patch.setattr(RowShape, "of", looped)


def eight_columns(patch: Any) -> None:
    """Only eight neighbouring threads read neighbouring elements."""
    from ix.passes.gpu.rules import reduce

    patch.setattr(reduce, "COLUMNS", 8)
    patch.setattr(reduce, "SLICES", 32)


def one_thread_a_line(patch: Any) -> None:
    from ix.passes.gpu.rules import scan

    class Serial(scan.Scan):
        def __init__(self, kernel: Any) -> None:
            super().__init__(kernel)
            self.last = False

    patch.setattr(scan, "Scan", Serial)


def wasted_shared_memory(patch: Any) -> None:
    from ix.passes.gpu.kernel import GpuFrame

    shared = GpuFrame.shared

    def larger(self: Any, name: str, shape: Any, element: Any) -> Any:
        return shared(self, name, [shape[0] * 8, *shape[1:]], element)

    patch.setattr(GpuFrame, "shared", larger)


def tiles(*numbers: int) -> Callable[[Any], None]:
    from ix.passes.gpu.tile_shape import TileShape

    return attribute("rules.contraction", "choose_tile", lambda *_: TileShape(*numbers))


REGRESSIONS: dict[str, tuple[str, Callable[[Any], None], str]] = {
    "missed vector loads": (
        "elementwise",
        one_vector_element,
        "global_load_requests",
    ),
    "missed vector loads of rows": ("softmax", one_row_element, "global_load_requests"),
    "an extra pass over memory": (
        "softmax",
        no_registers,
        "global_load_sectors",
    ),
    "a long row that is not kept": (
        "long_rows",
        attribute("rules.row", "shared_room", lambda target: 0),
        "global_load_sectors",
    ),
    "a pass for each of two sums": (
        "longer_rows",
        attribute("rules.row", "online_pair", lambda *_: None),
        "global_load_sectors",
    ),
    "a lost swizzle": ("matmul", no_turning, "bank_conflicts"),
    "a tile line of 32 banks": (
        "transpose",
        attribute("rules.transpose", "BANK_BITS", 0),
        "bank_conflicts",
    ),
    "uncoalesced reads": ("transpose", no_rule("transpose"), "global_load_sectors"),
    "uncoalesced column sums": ("reduce", eight_columns, "global_store_requests"),
    "a launch not merged": ("product_rows", no_merging, "launches"),
    "weights by the general tiles": (
        "small_m",
        no_small_rows,
        "global_load_requests",
    ),
    "shallower tiles": ("matmul", tiles(16, 32, 8, 4, 4), "barriers"),
    "another barrier": ("matmul", another_barrier, "barriers"),
    "wasted shared memory": ("transpose", wasted_shared_memory, "occupancy"),
    "keys written against the banks": (
        "attention",
        attribute("rules.attention", "KEY_PADDING", 0),
        "bank_conflicts",
    ),
    "one thread a line": ("scan", one_thread_a_line, "global_load_sectors"),
}


@pytest.mark.parametrize("case", REGRESSIONS)
def test_a_planted_regression_is_caught(
    case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, plant, figure = REGRESSIONS[case]
    plant(monkeypatch)
    with pytest.raises(BudgetError) as caught:
        check(budget_of(name), figures_of(name))
    assert f"{figure}:" in str(caught.value)
    assert "WORSE" in str(caught.value)


def test_a_planted_spill_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    from ix.cost import measure

    def starved(ptx: str, *arguments: Any, **options: Any) -> Any:
        ptx = re.sub(r"\.maxntid[^\n]*", ".maxnreg 32", ptx)
        return assemble(ptx, *arguments, **options)

    monkeypatch.setattr(measure, "assemble", starved)
    with pytest.raises(BudgetError, match="spill_bytes: 0 →"):
        check(budget_of("attention"), figures_of("attention"))


def test_an_extra_launch_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two ops of the chain are not fused any more."""
    from ix.passes.schedule import groups

    monkeypatch.setattr(groups._Former, "_best_candidate", lambda self, op, kind: None)
    monkeypatch.setattr(groups._Former, "inline_all", lambda self, returned: None)
    with pytest.raises(BudgetError, match="launches: 1 →"):
        check(budget_of("elementwise"), figures_of("elementwise"))


# No alarm.


def test_a_rebuild_and_a_rename_raise_no_alarm() -> None:
    import gate_models

    function, shapes = FAMILIES["softmax"]

    def another_name(x: Any) -> Any:
        return function(x)

    gate_models.FAMILIES["renamed"] = (another_name, shapes)
    try:
        figures = figures_of("renamed")
    finally:
        del gate_models.FAMILIES["renamed"]
    assert not compare(read_budget(budget_of("softmax")), figures).changes


def test_figures_do_not_depend_on_the_hash_seed(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from gate_models import figures_of; "
        "from ix.cost.budget import write_budget; "
        "write_budget(Path(sys.argv[1]), figures_of('product_rows'))"
    )
    texts = set()
    for seed in ("1", "2"):
        path = tmp_path / f"{seed}.json"
        subprocess.run(
            [sys.executable, "-c", code, str(path)],
            check=True,
            cwd=Path(__file__).parent,
            env={**os.environ, "PYTHONHASHSEED": seed},
        )
        texts.add(path.read_text())
    assert len(texts) == 1


if __name__ == "__main__":
    for family in FAMILIES:
        for gpu in TARGETS:
            write_budget(budget_of(family, gpu), figures_of(family, gpu))
            print(budget_of(family, gpu).name)
