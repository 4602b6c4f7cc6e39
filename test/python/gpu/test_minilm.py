"""all-MiniLM-L6-v2 with its real weights, whole, on the emulator and through ptxas.

To accept new figures of cost, with test/python and this folder in PYTHONPATH:

    python test/python/gpu/test_minilm.py
"""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gpu_runner import Assembler

import ix
from ix.compiler import code_of
from ix.cost.budget import check, write_budget
from ix.cost.cuda_tools import find_tool
from ix.cost.measure import figures_of, measure
from ix.emulator.device import EmulatorDevice
from ix.errors import InputError
from ix.tools.demo import minilm

BUDGET = Path(__file__).parents[1] / "cost" / "budgets" / "minilm-sm_90a.json"
LAUNCHES = 40
"""What one sentence may take."""

LENGTH = 16
SECONDS = 20
"""What a cold compilation may take, on two cores that nobody else uses."""


@pytest.fixture(scope="module")
def weights() -> Any:
    try:
        return minilm.load_weights()
    except InputError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def inputs() -> tuple[Any, Any]:
    return sentence()


def sentence() -> tuple[Any, Any]:
    """Random tokens, the last three of them padding."""
    tokens = np.random.default_rng().integers(1000, 30000, (1, LENGTH))
    mask = np.ones((1, LENGTH), np.int64)
    mask[0, 13:] = 0
    return tokens, mask


def lowered(weights: Any, inputs: tuple[Any, Any], **options: Any) -> Any:
    def embed(tokens: Any, mask: Any) -> Any:
        return minilm.embed(weights, tokens, mask)

    return ix.jit(embed, target="sm_90a", **options).lower(*inputs)


def test_it_agrees_with_float64(
    weights: Any, inputs: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One run, every access checked; its cost is within the budget."""
    monkeypatch.setenv("IX_CACHE", "0")
    device = EmulatorDevice("sm_90a")
    executable = lowered(weights, inputs, device=device).compile().executable
    (got,) = executable(*inputs)
    wide = {name: each.astype(np.float64) for name, each in weights.items()}
    want = minilm.embed(wide, *inputs)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, want, rtol=0, atol=2e-6)
    assert len(device.launches) <= LAUNCHES
    if find_tool("ptxas") is not None:  # a budget holds registers and spills
        check(BUDGET, figures_of(executable, device.launches))


def test_equal_kernels_are_compiled_once(
    weights: Any, inputs: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Six layers share their kernels; LLVM and ptxas see each text once."""
    program = lowered(weights, inputs, device="emulator").program
    seen: list[str] = []
    from ix.passes.gpu import compile_program

    real = compile_program.compile_ptx

    def compile_ptx(text: str, target: Any) -> str:
        seen.append(text)
        return real(text, target)

    monkeypatch.setattr(compile_program, "compile_ptx", compile_ptx)
    start = time.process_time()
    plan = code_of(program, "sm_90a").plan
    assert time.process_time() - start < 2 * SECONDS
    assert len(seen) == len(set(seen)) == len(plan.kernels) < len(plan.launches)
    assert len({_code(text) for text in seen}) == len(seen)
    assert len(plan.kernels) <= 14


def _code(text: str) -> str:
    """LLVM IR without the name of its kernel, and what says where its code is from."""
    code, _, _ = text.partition("\n!llvm.dbg.cu")
    return re.sub(r" ?,? !dbg !\d+|@ix_\w+", "", code)


@pytest.mark.skipif(find_tool("ptxas") is None, reason="needs ptxas")
def test_its_kernels_do_not_spill(weights: Any, inputs: tuple[Any, Any]) -> None:
    runner = Assembler()
    runner.compile_program(lowered(weights, inputs, device="emulator").program)
    assert len(runner.assembled) >= 3 * 5


if __name__ == "__main__":
    model = lowered(minilm.load_weights(), sentence(), device="emulator", cache=False)
    write_budget(BUDGET, measure(model.compile().executable, sentence()))
