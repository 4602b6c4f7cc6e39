"""The `ix` command and `lower(...).as_text` for GPU targets, on the emulator."""

from __future__ import annotations

import importlib
import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ix as package
from ix.errors import CompileError, InputError, NoDevice
from ix.runtime.artifact import load
from ix.tools.ix import main

MODEL = """
module @linear attributes {ix.dims = {batch = [1, 64]}} {
  func.func @main(%x: tensor<?x8xf32> {ix.name = "x", ix.dims = ["batch", ""]})
      -> (tensor<?x3xf32> {ix.name = "y"}) {
    %w = "ix.constant"() {value = dense<0.5> : tensor<8x3xf32>} : () -> tensor<8x3xf32>
    %0 = "ix.matmul"(%x, %w) {transpose_a = false, transpose_b = false}
        : (tensor<?x8xf32>, tensor<8x3xf32>) -> tensor<?x3xf32>
    %1 = "ix.softmax"(%0) {axis = 1 : i64} : (tensor<?x3xf32>) -> tensor<?x3xf32>
    return %1 : tensor<?x3xf32>
  }
}
"""
FUNCTION = """
import numpy as np

def double(x):
    return x * 2
"""
GPU = "--target sm_90a --device emulator"


@pytest.fixture(autouse=True)
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IX_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "linear.mlir").write_text(MODEL)
    (tmp_path / "functions.py").write_text(FUNCTION)


def ix(arguments: str) -> int:
    return main(arguments.split())


def write_onnx(path: str) -> None:
    from onnx import TensorProto, helper, save

    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 5])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 5])
    node = helper.make_node("Add", ["x", "x"], ["y"])
    graph = helper.make_graph([node], "twice", [x], [y])
    save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]),
        path,
    )


def test_every_kind_of_model_runs_on_the_emulator(
    capsys: pytest.CaptureFixture[str],
) -> None:
    third = np.float32(1 / 3)
    expected = f"--expected-output 2x3xf32={third}"
    assert ix(f"run linear.mlir --input 2x8xf32=1 {GPU} {expected}") == 0
    command = f"run functions.py:double --input 4xf32=3 {GPU}"
    assert ix(f"{command} --expected-output 4xf32=6") == 0
    assert ix(f"{command} --expected-output 4xf32=7") == 1
    if importlib.util.find_spec("onnx") is not None:
        write_onnx("twice.onnx")
        assert ix(f"run twice.onnx --input 2x5xf32=4 {GPU} --json") == 0
        out = capsys.readouterr().out
        assert json.loads(out[out.index("[\n") :])[0]["values"] == [8.0] * 10


def test_a_program_is_compiled_without_a_gpu_and_run_where_there_is_a_device(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert ix("compile linear.mlir --target sm_90a -o linear.ix") == 0
    third = np.float32(1 / 3)
    run = "run linear.ix --input 2x8xf32=1 --device emulator"
    assert ix(f"{run} --expected-output 2x3xf32={third}") == 0
    assert ix("explain linear.ix") == 0
    assert "linear for sm_90a" in capsys.readouterr().out
    with pytest.raises(NoDevice, match="opened for the device 'none'"):
        load("linear.ix", device="none")(np.ones((2, 8), np.float32))


def test_explain_shows_grids_and_memory(capsys: pytest.CaptureFixture[str]) -> None:
    assert ix("explain linear.mlir --target sm_90a") == 0
    out = capsys.readouterr().out
    titles = next(line for line in out.split("\n") if " family " in line)
    assert titles.split() == (
        "# family MFLOP moved grid block shared scratch registers ops".split()
    )
    assert "ix.matmul" in out
    assert "not fused" in out.lower()
    assert ix("explain linear.mlir --target sm_90a --json") == 0
    plan = json.loads(capsys.readouterr().out)["plan"]
    assert all(kernel["threads"] > 0 for kernel in plan["kernels"])
    assert any(kernel["shared_bytes"] > 0 for kernel in plan["kernels"])
    assert ix("explain linear.mlir") == 0
    assert "grid" not in capsys.readouterr().out


def test_explain_prints_the_ptx_of_a_kernel(capsys: pytest.CaptureFixture[str]) -> None:
    assert ix("explain linear.mlir --target sm_80 --kernel 0") == 0
    out = capsys.readouterr().out
    assert ".target sm_80" in out
    assert ".visible .entry ix_" in out
    assert "//   .loc 1 1: ix.matmul at linear.mlir:6:10" in out


def test_bench_and_its_profile_run_on_the_emulator(
    capsys: pytest.CaptureFixture[str],
) -> None:
    limits = "--duration 0 --iterations 1 --warm-up 0"
    command = f"bench functions.py:double --input 64xf32 {GPU} {limits}"
    assert ix(f"{command} --json") == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["device"] == "emulator"
    assert ix(command) == 0
    assert "Model: double, emulator" in capsys.readouterr().out


# (command, what the message must say)
BAD = [
    (
        "run linear.mlir --input 2x8xf32 --device emulator",
        "'linear' needs the device cpu, for it was compiled for cpu",
    ),
    (
        "run linear.mlir --input 2x8xf32 --target sm_90a --device cpu",
        "needs one of the devices cuda, emulator, cuda:1, …, but got 'cpu'",
    ),
    ("run linear.mlir --input 2x8xf32 --target sm_1", "the known ones are cpu"),
    (
        "explain linear.mlir --target sm_90a --kernel 99",
        "--kernel needs a launch from 0 to",
    ),
]


@pytest.mark.parametrize(("command", "message"), BAD, ids=[c for c, _ in BAD])
def test_a_wrong_device_is_told(
    command: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ix(command) == 1
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


@pytest.mark.skipif(
    importlib.util.find_spec("cupy") is not None, reason="CuPy is installed"
)
def test_the_device_of_a_gpu_target_is_cuda(capsys: pytest.CaptureFixture[str]) -> None:
    assert ix("run functions.py:double --input 4xf32 --target sm_90a") == 1
    assert "device 'cuda' needs CuPy" in capsys.readouterr().err


def softmax_of(x: Any) -> Any:
    shifted = np.exp(x - x.max(-1, keepdims=True))
    return shifted / shifted.sum(-1, keepdims=True)


def test_each_stage_of_a_gpu_program_is_text() -> None:
    low = package.jit(softmax_of, target="sm_90a").lower(np.ones((4, 64), np.float32))
    assert "gpu.launch_func" in low.as_text("gpu")
    assert "llvm.func @kernel" in low.as_text("nvvm")
    assert ".visible .entry ix_row_" in low.as_text("ptx")
    assert low.as_text("ptx") == low.as_text("ptx")


@pytest.mark.parametrize(
    ("target", "stage", "known"),
    [
        ("sm_90a", "loops", "schedule, gpu, nvvm, ptx"),
        ("sm_80", "llvm", "schedule, gpu, nvvm, ptx"),
        ("cpu", "ptx", "schedule, loops, llvm"),
    ],
)
def test_a_stage_of_other_targets_is_an_error_that_names_its_own(
    target: str, stage: str, known: str
) -> None:
    low = package.jit(softmax_of, target=target).lower(np.ones((4, 64), np.float32))
    with pytest.raises(InputError) as caught:
        low.as_text(stage)
    message = str(caught.value)
    assert f"there is no stage '{stage}' for the target {target}; stages: " in message
    assert message.endswith(known)


def test_the_stage_shows_the_ptx_that_is_compiled() -> None:
    from ix.compiler import code_of

    low = package.jit(softmax_of, target="sm_90a").lower(np.ones((4, 64), np.float32))
    (ptx,) = code_of(low.program, "sm_90a").ir.values()
    assert ptx.strip() in low.as_text("ptx")


@pytest.mark.parametrize(
    ("target", "last"), [("sm_90a", "8-ptx.txt"), ("cpu", "7-llvm.mlir")]
)
def test_ix_dump_writes_every_stage(
    target: str, last: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IX_DUMP", str(tmp_path / "dump"))
    package.jit(softmax_of, target=target, device="none").lower(
        np.ones((4, 64), np.float32)
    ).compile()
    names = sorted(path.name for path in (tmp_path / "dump").iterdir())
    assert names[0] == "0-import.mlir"
    assert names[-1] == last


def test_a_rule_that_makes_invalid_code_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = importlib.import_module("ix.passes.gpu.emit_gpu")
    make = module.code_of

    def broken(function: Any, target: Any) -> Any:
        code = make(function, target)
        (holder,) = module.gpu_modules_of(code.module)
        (kernel,) = holder.operation.regions[0].blocks[0].operations
        block = kernel.operation.regions[0].blocks[0]
        block.operations[len(block.operations) - 1].operation.erase()
        return code

    monkeypatch.setattr(module, "code_of", broken)
    low = package.jit(softmax_of, target="sm_90a").lower(np.ones((4, 64), np.float32))
    with pytest.raises(CompileError, match="the rule for 'row' made code that is not"):
        low.as_text("gpu")
