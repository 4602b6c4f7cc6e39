"""Contexts: every dialect, no threads, safe to make twice; runs that repeat exactly."""

import os
import subprocess
import sys
import time
from pathlib import Path

import ix.dialects
from ix.dialects import ix as ix_dialect
from ix.mlir import ir

PROGRAM = """
func.func @main(%x: tensor<8x16xf32> {ix.name = "x"}) -> (tensor<8x4xf32> {ix.name = "y"}) {
  %w = "ix.parameter"() {name = "w"} : () -> tensor<16x4xf32>
  %0 = "ix.matmul"(%x, %w) {transpose_a = false, transpose_b = false} : (tensor<8x16xf32>, tensor<16x4xf32>) -> tensor<8x4xf32>
  %1 = "ix.relu"(%0) : (tensor<8x4xf32>) -> tensor<8x4xf32>
  %2 = "ix.exp"(%1) : (tensor<8x4xf32>) -> tensor<8x4xf32>
  %3 = "ix.softmax"(%2) {axis = 1 : i64} : (tensor<8x4xf32>) -> tensor<8x4xf32>
  return %3 : tensor<8x4xf32>
}
"""


def test_a_context_knows_ix_and_upstream() -> None:
    with ix.dialects.context() as context:
        assert context.is_dialect_loaded("ix")
        module = ir.Module.parse(PROGRAM)
        (main,) = module.body.operations
        kinds = [type(op).__name__ for op in main.body.blocks[0].operations]
        assert kinds[:2] == ["ParameterOp", "MatmulOp"]
        for name in ("linalg", "scf", "vector", "llvm", "gpu", "nvvm", "transform"):
            context.get_dialect_descriptor(name)


def test_the_dialect_may_be_loaded_twice() -> None:
    context = ix.dialects.context()
    ix_dialect.load(context)
    assert context.is_dialect_loaded("ix")
    other = ix.dialects.context()
    with other:
        assert ir.Module.parse(PROGRAM).operation.verify()
    with context:
        assert ir.Module.parse(PROGRAM).operation.verify()


def test_a_context_has_no_threads() -> None:
    assert ix.dialects.context().get_num_threads() == 1


def test_a_context_is_cheap() -> None:
    times = []
    for _ in range(5):
        started = time.process_time()
        ix.dialects.context()
        times.append(time.process_time() - started)
    assert min(times) < 0.1  # seconds; 0.015 where this was written


def test_runs_repeat_exactly(tmp_path: Path) -> None:
    source = tmp_path / "in.mlir"
    source.write_text(PROGRAM)
    outputs = {
        subprocess.run(
            [sys.executable, "-m", "ix.tools.ix_opt", str(source), "--stage=schedule"],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "77")
    }
    assert len(outputs) == 1
    assert b"kernel" in outputs.pop()
