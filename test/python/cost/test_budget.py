"""A budget: what fails, what is told, and what a rename changes (nothing)."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ix.cost import budget
from ix.cost.errors import BudgetError
from ix.cost.figures import KernelFigures, ModelFigures, Signature

ROW = Signature("row", ("softmax",), ("64x1000xf32", "64x1000xf32"))
PRODUCT = Signature("contraction", ("matmul", "add"), ("64x64xf16", "64x64xf16"))

SOFTMAX = KernelFigures(
    ROW,
    launches=2,
    global_load_sectors=8000,
    global_store_sectors=8000,
    ideal_load_sectors=8000,
    ideal_store_sectors=8000,
    global_load_requests=500,
    global_store_requests=500,
    barriers=256,
    bytes_read=256_000,
    bytes_written=256_000,
    flops=320_000,
    registers=32,
    shared_bytes=128,
    occupancy=1.0,
    sass={"LDG.128": 2, "STG.128": 2, "FFMA": 9, "total": 80},
)
MATMUL = KernelFigures(
    PRODUCT,
    global_load_sectors=512,
    global_load_requests=64,
    tensor_ops=524_288,
    registers=96,
    occupancy=0.5,
    sass={"HMMA": 16, "LDG.128": 4, "total": 200},
)
MODEL = ModelFigures("sm_90a", (SOFTMAX, MATMUL))


def changed(**figures: object) -> ModelFigures:
    """The model with another softmax."""
    return ModelFigures("sm_90a", (replace(SOFTMAX, **figures), MATMUL))  # type: ignore[arg-type]


def committed(folder: Path) -> Path:
    path = folder / "budget.json"
    budget.write_budget(path, MODEL)
    return path


def test_a_budget_comes_back_from_its_file(tmp_path: Path) -> None:
    path = committed(tmp_path)
    read = budget.read_budget(path)
    assert read.target == "sm_90a"
    assert sorted(read.kernels, key=lambda k: k.signature) == [MATMUL, SOFTMAX]
    before = path.read_bytes()
    budget.write_budget(path, read)
    assert path.read_bytes() == before and before.endswith(b"}\n")


def test_equal_figures_pass_in_any_order(tmp_path: Path) -> None:
    turned = ModelFigures("sm_90a", (MATMUL, SOFTMAX))
    comparison = budget.check(committed(tmp_path), turned)
    assert not comparison.changes and str(comparison) == "as budgeted"


def test_splitting_equal_kernels_over_entries_changes_nothing(tmp_path: Path) -> None:
    # Two kernels that compute the same, under names of their own.
    half = {
        name: value // 2 if isinstance(value, int) else value
        for name, value in SOFTMAX.numbers().items()
        if name not in ("registers", "shared_bytes")
    }
    one = replace(SOFTMAX, **half, sass={})  # type: ignore[arg-type]
    comparison = budget.check(
        committed(tmp_path), ModelFigures("sm_90a", (one, MATMUL, one))
    )
    assert not comparison.changes and not comparison.appeared


PLANTED = {
    "an extra launch": {"launches": 3},
    "an extra pass over memory": {"bytes_read": 512_000},
    "sectors that are half used": {"global_load_sectors": 16_000},
    "scattered stores": {"global_store_sectors": 8_001},
    "a missed vector load": {"global_load_requests": 2000},
    "a missed vector store": {"global_store_requests": 2000},
    "a lost swizzle": {"bank_conflicts": 1},
    "a barrier too many": {"barriers": 512},
    "a spill": {"spill_bytes": 8},
    "more bytes written": {"bytes_written": 256_004},
    "recomputation": {"flops": 400_000},
    "lower occupancy": {"occupancy": 0.75},
    "tensor cores anew": {"tensor_ops": 1},
    "local memory in SASS": {"sass": {**SOFTMAX.sass, "STL.64": 1}},
    "wide loads gone from SASS": {"sass": {"LDG.32": 8, "STG.128": 2, "total": 86}},
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_worse_figure_fails(name: str, tmp_path: Path) -> None:
    with pytest.raises(BudgetError) as caught:
        budget.check(committed(tmp_path), changed(**PLANTED[name]))
    message = str(caught.value)
    assert message.startswith(
        "'budget.json' needs no figure to be worse than its budget"
    )
    assert f"WORSE {ROW}" in message
    (figure,) = PLANTED[name]
    assert f"  {figure}" in message


def test_the_difference_is_readable(tmp_path: Path) -> None:
    with pytest.raises(BudgetError) as caught:
        budget.check(
            committed(tmp_path),
            changed(global_load_sectors=9000, barriers=128, registers=40),
        )
    assert str(caught.value) == (
        "'budget.json' needs no figure to be worse than its budget, but 2 are; mend the "
        "kernels, or accept the figures with --update\n"
        "WORSE row(softmax)[64x1000xf32, 64x1000xf32]\n"
        "  global_load_sectors: 8000 → 9000 (+12.5%)\n"
        "WORSE totals\n"
        "  global_load_sectors: 8512 → 9512 (+11.7%)\n"
        "better row(softmax)[64x1000xf32, 64x1000xf32]\n"
        "  barriers: 256 → 128 (-50.0%)\n"
        "better totals\n"
        "  barriers: 256 → 128 (-50.0%)\n"
        "other row(softmax)[64x1000xf32, 64x1000xf32]\n"
        "  registers: 32 → 40 (+25.0%)"
    )


def test_tensor_cores_that_are_not_used_any_more_fail(tmp_path: Path) -> None:
    slow = replace(
        MATMUL, tensor_ops=0, flops=524_288, sass={"FFMA": 900, "total": 950}
    )
    with pytest.raises(BudgetError) as caught:
        budget.check(committed(tmp_path), ModelFigures("sm_90a", (SOFTMAX, slow)))
    message = str(caught.value)
    assert "  tensor_ops: 524288 → 0 (-100.0%)" in message
    assert "  sass HMMA: 16 → 0 (-100.0%)" in message


def test_better_figures_pass_and_are_told(tmp_path: Path) -> None:
    comparison = budget.check(
        committed(tmp_path), changed(launches=1, bytes_read=128_000)
    )
    assert not comparison.worse
    assert {c.figure for c in comparison.better} == {"launches", "bytes_read"}
    assert "better totals" in str(comparison)


def test_fused_kernels_are_judged_by_the_totals(tmp_path: Path) -> None:
    both = Signature("contraction", ("matmul", "add", "softmax"), ("64x64xf16",))
    fused = replace(MATMUL, signature=both)
    comparison = budget.check(committed(tmp_path), ModelFigures("sm_90a", (fused,)))
    assert comparison.appeared == (both,)
    assert comparison.vanished == (PRODUCT, ROW)
    worse = replace(fused, global_load_sectors=20_000)
    with pytest.raises(BudgetError) as caught:
        budget.check(committed(tmp_path), ModelFigures("sm_90a", (worse,)))
    message = str(caught.value)
    assert "WORSE totals\n  global_load_sectors: 8512 → 20000 (+135.0%)" in message
    assert f"kernel that the budget does not have: {both}" in message
    assert f"kernel of the budget that is gone: {ROW}" in message


def test_update_rewrites(tmp_path: Path) -> None:
    path = committed(tmp_path)
    dear = changed(spill_bytes=64)
    assert not budget.check(path, dear, update=True).changes
    assert not budget.check(path, dear).changes
    cheap = budget.check(path, MODEL)
    assert [c.figure for c in cheap.better] == ["spill_bytes", "spill_bytes"]


def test_figures_without_nvdisasm_are_comparable(tmp_path: Path) -> None:
    assert not budget.check(committed(tmp_path), changed(sass={})).changes


def test_another_target_needs_another_budget() -> None:
    with pytest.raises(BudgetError) as caught:
        budget.compare(MODEL, replace(MODEL, target="sm_80"))
    assert str(caught.value) == (
        "'budget' needs figures for sm_90a, but they are for sm_80; keep a budget for "
        "each target"
    )


def test_a_missing_budget_is_named(tmp_path: Path) -> None:
    with pytest.raises(BudgetError, match="but there is none; write it with --update"):
        budget.read_budget(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "needs JSON, but"),
        ("[]", "needs version 1, but it is"),
        ('{"version": 7}', "needs version 1, but it is 7"),
        ('{"version": 1, "kernels": [{}]}', "needs kernels with a signature"),
        ('{"version": 1, "kernels": [3]}', "needs kernels with a signature"),
    ],
)
def test_a_malformed_budget_is_refused(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "budget.json"
    path.write_text(text)
    with pytest.raises(BudgetError, match=message):
        budget.read_budget(path)


def test_an_unknown_figure_is_refused(tmp_path: Path) -> None:
    path = committed(tmp_path)
    data = json.loads(path.read_text())
    data["kernels"][0]["wishes"] = 3
    path.write_text(json.dumps(data))
    with pytest.raises(BudgetError, match="wishes"):
        budget.read_budget(path)


def test_totals_add_up() -> None:
    totals = MODEL.totals
    assert MODEL.launches == totals["launches"] == 3
    assert totals["global_load_sectors"] == 8512
    assert "registers" not in totals and "occupancy" not in totals
