"""Random graphs and programs on GPUs, with groups of passes left out in turn."""

from __future__ import annotations

from typing import Any

import compiled_runner
import numpy as np
import pytest
from gpu_runner import GpuRunner, load_tests, share_tests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lowering_check import module_of, type_text
from sum_check import assert_close

from ix.dialects import context, ix
from ix.dialects.ix.reference import evaluate
from ix.mlir import ir

GRAPHS = load_tests("compiled/test_random_graphs.py")
CONVOLUTIONS = load_tests("dialect/test_random_convolutions.py")
SHARED = [GRAPHS]

pytestmark = pytest.mark.usefixtures("gpu")

share_tests(globals(), GRAPHS)


@pytest.fixture(autouse=True)
def fewer_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each example is compiled for a GPU and emulated."""
    few = settings(GRAPHS.relaxed, max_examples=3)
    monkeypatch.setattr(GRAPHS, "relaxed", few)
    # An example count that the body asks for is cut too.
    monkeypatch.setattr(
        GRAPHS,
        "settings",
        lambda base, max_examples: settings(base, max_examples=min(max_examples, 4)),
    )


def test_convolutions(gpu: GpuRunner) -> None:
    """A convolution, its transpose and both pools, of random geometry."""

    @settings(
        max_examples=4,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(CONVOLUTIONS.geometries(), st.integers(0, 2**32 - 1))
    def run(geometry: Any, seed: int) -> None:
        attributes, kernel, sizes, (inputs, outputs) = geometry
        layout, generator = attributes["layout"], np.random.default_rng(seed)
        groups = attributes["groups"]
        shapes = [
            [2, inputs, *sizes],
            [outputs, inputs // groups, *kernel],
            [inputs, outputs // groups, *kernel],
        ]
        x, conv, transpose = (
            generator.normal(size=shape).astype(np.float32) for shape in shapes
        )
        if layout == "NHWC":
            x = np.moveaxis(x, 1, -1).copy()
            conv, transpose = (
                np.moveaxis(each, (0, 1), (-1, -2)).copy() for each in (conv, transpose)
            )
        pool = {key: value for key, value in attributes.items() if key != "groups"}

        def body(x: Any, conv: Any, transpose: Any) -> list[Any]:
            unpadded = {**attributes, "padding_low": [0] * len(kernel)}
            unpadded["padding_high"] = [0] * len(kernel)
            return [
                ix.ConvOp.build(x, conv, **attributes),
                ix.ConvTransposeOp.build(x, transpose, **unpadded),
                ix.MaxPoolOp.build(x, kernel=kernel, **pool),
                ix.AvgPoolOp.build(x, kernel=kernel, **pool),
            ]

        arrays = [x, conv, transpose]
        with context(), ir.Location.unknown():
            module = module_of([type_text(each) for each in arrays], body)
            wants = evaluate(module, arrays)
            sizes_of_terms = evaluate(module, [np.abs(each) for each in arrays])
            bounds = [list(each.shape) for each in arrays]
            program = compiled_runner.program_of(module, bounds)
            gots = gpu.compile_program(program).run_flat(arrays)
        for got, want, terms in zip(gots, wants, sizes_of_terms, strict=True):
            assert_close(got, want, 16, str(geometry), terms)

    run()
