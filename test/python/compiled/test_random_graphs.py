"""Random small graphs of ix ops, compiled, against the NumPy reference in float64.

Each group of passes is left out in turn, and all of them at once.
"""

from __future__ import annotations

from typing import Any

import lowering_check
import numpy as np
import pytest
from compiled_runner import run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_graph import programs
from random_program import RandomProgram

from ix.compiler import compile_program, lower
from ix.dialects import context
from ix.dialects.ix import reference
from ix.errors import InputError
from ix.importer import builder as b
from ix.importer.program import Module
from ix.mlir import ir
from ix.passes.pipeline import GROUPS, leave_out

TOLERANCES = {"float64": 1e-9, "float32": 2e-5, "float16": 2e-2, "bfloat16": 1e-1}
LEFT_OUT = [*([each] for each in GROUPS), list(GROUPS)]


def check(program: Any, inputs: list[np.ndarray], tolerance: float) -> None:
    """The compiled program against the reference in float64."""
    executable = compile_program(program, cache=False)
    want = reference.evaluate(
        program.module, inputs, dict(program.weights), precise=True
    )
    got = executable.run_flat(inputs)
    assert len(got) == len(want)
    for mine, exact in zip(got, want, strict=True):
        assert mine.shape == exact.shape
        assert mine.dtype == exact.dtype
        np.testing.assert_allclose(
            mine.astype(np.float64),
            exact.astype(np.float64),
            rtol=tolerance,
            atol=tolerance,
        )


relaxed = settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("dynamic", [False, True])
def test_graphs_agree(dtype: str, dynamic: bool) -> None:
    @settings(relaxed, max_examples=12 if dtype == "float32" else 6)
    @given(programs(dtype, dynamic, empty=True))
    def run(case: Any) -> None:
        check(*case, tolerance=TOLERANCES[dtype])

    run()


@pytest.mark.parametrize("groups", LEFT_OUT, ids="-".join)
def test_graphs_agree_without_a_group_of_passes(groups: list[str]) -> None:
    @relaxed
    @given(st.data())
    def run(data: Any) -> None:
        dtype = data.draw(st.sampled_from(list(TOLERANCES)))
        dynamic, empty = data.draw(st.booleans()), data.draw(st.booleans())
        program, inputs = data.draw(programs(dtype, dynamic, empty))
        leave_out(program.module, groups)
        check(program, inputs, tolerance=TOLERANCES[dtype])

    run()


@pytest.mark.parametrize("groups", LEFT_OUT, ids="-".join)
def test_exact_programs_agree_without_a_group_of_passes(groups: list[str]) -> None:
    @relaxed
    @given(st.integers(0, 2**32 - 1))
    def compare(seed: int) -> None:
        drawn = RandomProgram(seed)
        with context(), ir.Location.unknown():
            types = [
                lowering_check.type_text(each, drawn.dynamic) for each in drawn.inputs
            ]
            module = lowering_check.module_of(types, drawn.body)
            want = reference.evaluate(module, drawn.inputs)
            leave_out(module, groups)
            got = run(module, drawn.inputs)
        for mine, exact in zip(got, want, strict=True):
            lowering_check.assert_near(mine, exact, 0, f"seed {seed}")

    compare()


def everything() -> Any:
    """A program that each group of passes changes."""
    random = np.random.default_rng(0)

    def weight(*shape: int) -> Any:
        return module.parameter(random.standard_normal(shape).astype("float32"))

    with Module("everything") as module:
        x = module.argument("x", (2, 4, 6), "float32")
        y = b.conv(b.pad(x, [(0, 0), (0, 0), (1, 1)]), weight(4, 4, 3))
        y = b.batch_norm(y, *(b.square(weight(4)) for _ in range(4)))
        y = b.transpose(b.transpose(b.mul(y, 1.0), (0, 2, 1)), (0, 2, 1))
        y = b.concat([b.matmul(y, weight(6, 5)), b.matmul(y, weight(6, 3))], axis=2)
        y = b.true_divide(1.0, b.add(1.0, b.exp(b.neg(y))))
        total = b.sum(module.argument("z", (1 << 20,), "float32"))
        return module.finish([("y", y), ("total", total)])


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_left_out_changes_the_program(group: str) -> None:
    whole, partial = everything(), everything()
    leave_out(partial.module, [group])
    texts = [
        lower(each, "cpu", "schedule").operation.get_asm().partition("{\n")[2]
        for each in (whole, partial)
    ]
    assert texts[0] != texts[1]


def test_an_unknown_group_is_refused() -> None:
    with pytest.raises(InputError, match=r"no group 'speed' of passes.*algebra, const"):
        leave_out(everything().module, ["speed"])
