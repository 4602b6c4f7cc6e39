"""The `ix` command, as a user meets it: results, exit statuses, messages."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ix.tools.ix import main

MODEL = """
module @linear attributes {ix.dims = {batch = [1, 64]}} {
  func.func @main(%x: tensor<?x4xf32> {ix.name = "x", ix.dims = ["batch", ""]})
      -> (tensor<?x3xf32> {ix.name = "y"}) {
    %w = "ix.parameter"() {name = "w"} : () -> tensor<4x3xf32>
    %0 = "ix.matmul"(%x, %w) {transpose_a = false, transpose_b = false}
        : (tensor<?x4xf32>, tensor<4x3xf32>) -> tensor<?x3xf32>
    %1 = "ix.relu"(%0) : (tensor<?x3xf32>) -> tensor<?x3xf32>
    return %1 : tensor<?x3xf32>
  }
}
"""
W = np.arange(12, dtype=np.float32).reshape(4, 3) - 5


def safetensors(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Writes f32 arrays as the format says."""
    header: dict[str, Any] = {}
    first = 0
    for name, array in arrays.items():
        header[name] = {
            "dtype": "F32",
            "shape": list(array.shape),
            "data_offsets": [first, first + array.nbytes],
        }
        first += array.nbytes
    text = json.dumps(header).encode()
    data = b"".join(array.tobytes() for array in arrays.values())
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of models, good and bad."""
    made = tmp_path_factory.mktemp("models")
    (made / "linear.mlir").write_text(MODEL)
    safetensors(made / "linear.safetensors", {"w": W})
    (made / "functions.py").write_text(
        "import numpy as np\n"
        "def double(x):\n    return x * 2\n"
        "def fails(x):\n    return x @ np.ones((77, 2), np.float32)\n"
        "def refuses(x):\n    raise ValueError('no')\n"
    )
    (made / "broken.py").write_text("raise RuntimeError('at import')\n")
    (made / "syntax.mlir").write_text("module { func.func @main( }")
    (made / "other.mlir").write_text(MODEL.replace("@main", "@other"))
    (made / "types.mlir").write_text(MODEL.replace("4x3xf32", "5x3xf32"))
    (made / "lowered.mlir").write_text(
        "func.func @main(%x: tensor<2xf32>) -> tensor<2xf32> {\n"
        "  %0 = math.exp %x : tensor<2xf32>\n  return %0 : tensor<2xf32>\n}\n"
    )
    (made / "scalar.mlir").write_text(
        "func.func @main(%x: f32) -> f32 {\n  return %x : f32\n}\n"
    )
    (made / "noweights.mlir").write_text(MODEL)
    (made / "text.txt").write_text("text")
    (made / "text.onnx").write_text("text")
    (made / "text.ix").write_text("text")
    (made / "empty.ix").write_bytes(b"")
    safetensors(made / "other.safetensors", {"v": W})
    safetensors(made / "shape.safetensors", {"w": W.T.copy()})
    whole = (made / "linear.safetensors").read_bytes()
    (made / "cut.safetensors").write_bytes(whole[:-4])
    (made / "huge.safetensors").write_bytes(b"\xff" * 7 + b"\x7f")
    np.save(made / "x.npy", np.ones((2, 4), np.float32))
    np.savez(made / "x.npz", x=np.ones(2))
    np.save(made / "objects.npy", np.array([{}], object), allow_pickle=True)
    return made


@pytest.fixture(autouse=True)
def inside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("IX_CACHE_DIR", str(folder / "cache"))


def ix(arguments: str, *more: str) -> int:
    return main([*arguments.split(), *more])


def test_run_prints_the_outputs(capsys: pytest.CaptureFixture[str]) -> None:
    assert ix("run linear.mlir --input 2x4xf32=1") == 0
    out = capsys.readouterr().out
    assert "y: 2x3xfloat32" in out
    assert "[0. 2. 6.]" in " ".join(out.split())


def test_run_takes_files_names_and_seeds(capsys: pytest.CaptureFixture[str]) -> None:
    assert ix("run linear.mlir --input x:@x.npy --json") == 0
    (y,) = json.loads(capsys.readouterr().out)
    assert y["shape"] == [2, 3]
    assert y["values"] == [0.0, 2.0, 6.0] * 2

    def values(seed: int) -> Any:
        assert ix(f"run functions.py:double --input 2x4xf32 --seed {seed} --json") == 0
        return json.loads(capsys.readouterr().out)[0]["values"]

    assert values(1) == values(1) != values(2)


def test_run_compares_with_what_is_expected(capsys: pytest.CaptureFixture[str]) -> None:
    command = "run linear.mlir --input 2x4xf32=1 --expected-output"
    assert ix(f"{command} 2x3xf32=0,2,6,0,2,6") == 0
    assert "y: ok" in capsys.readouterr().out
    assert ix(f"{command} 2x3xf32=0,2,6,0,2,7") == 1
    assert "FAIL, 1 elements differ" in capsys.readouterr().out
    assert ix(f"{command} 3x2xf32=0") == 1
    assert "FAIL, shape" in capsys.readouterr().out


def test_run_writes_outputs(folder: Path) -> None:
    assert ix("run linear.mlir --input 2x4xf32=1 --output @y.npy") == 0
    np.testing.assert_array_equal(np.load(folder / "y.npy"), [[0, 2, 6]] * 2)


def test_compile_makes_a_file_that_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert ix("compile linear.mlir -o saved.ix") == 0
    assert "1 launches of 1 kernels" in capsys.readouterr().out
    assert ix("run saved.ix --input 1x4xf32=1 --expected-output 1x3xf32=0,2,6") == 0
    assert ix("compile linear.mlir -o saved.ix --json plan.json") == 0
    plan = json.loads(Path("plan.json").read_text())
    assert plan["name"] == "linear"
    assert plan["dims"] == [{"name": "batch", "low": 1, "high": 64}]


def test_compile_names_its_output_after_the_model(folder: Path) -> None:
    assert ix("compile functions.py:double --input 3xf32") == 0
    assert (folder / "functions.ix").is_file()


def test_bench_measures(capsys: pytest.CaptureFixture[str]) -> None:
    limits = "--duration 0 --iterations 7 --warm-up 0 --percentile 50,99"
    assert ix(f"bench linear.mlir --input 2x4xf32 {limits} --json --dump-profile") == 0
    figures = json.loads(capsys.readouterr().out)
    latency = figures["host_latency_ms"]
    assert figures["iterations"] == 7
    assert 0 < latency["min"] <= latency["p50"] <= latency["p99"] <= latency["max"]
    assert [k["launch"] for k in figures["profile"]["kernels"]] == [0]
    assert ix(f"bench linear.mlir --input 2x4xf32 {limits}") == 0
    assert "percentile(99%)" in capsys.readouterr().out


def test_explain_says_what_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert ix("explain linear.mlir") == 0
    out = capsys.readouterr().out
    assert "ix.matmul → ix.relu" in out
    assert "x: float32[batch, 4]" in out
    assert ix("explain linear.mlir --json") == 0
    assert json.loads(capsys.readouterr().out)["plan"]["inputs"][0]["name"] == "x"
    assert ix("explain linear.mlir --kernel 0") == 0
    assert "define" in capsys.readouterr().out


def test_weights_may_lie_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    command = "run noweights.mlir --input 1x4xf32=1 --expected-output 1x3xf32=0,2,6"
    assert ix(f"{command} --weights linear.safetensors") == 0


SPEC = "--input 1x4xf32"

# (command, what the message must say); each returns 1 and raises nothing.
BAD = [
    ("run missing.onnx", "'missing.onnx' needs to be a file, but there is none"),
    ("run missing.ix", "needs to be a file"),
    ("run missing.mlir", "needs to be a file"),
    ("run text.txt", "ends in '.txt'; pass model.ix, model.onnx"),
    ("run text.onnx", "text.onnx"),
    ("run text.ix", "needs to be a file that ix saved, but it is of another kind"),
    ("run empty.ix", "it is empty"),
    ("run missing.py:double --input 1xf32", "needs to be a Python file"),
    ("run functions.py:nothing --input 1xf32", "its names are np, double"),
    ("run functions.py:double", "needs --input once for each argument"),
    ("run functions.py:fails --input 1x4xf32", "matmul"),
    ("run broken.py:f --input 1xf32", "it raises RuntimeError: at import"),
    ("run syntax.mlir", "needs to be a valid MLIR module"),
    ("run other.mlir", "needs a function @main with a body, but has only @other"),
    ("run lowered.mlir", "needs a @main of ix ops, but has math.exp"),
    ("run scalar.mlir", "needs ranked tensors"),
    ("run types.mlir --weights linear.safetensors", "needs to be a valid MLIR module"),
    ("run noweights.mlir", "noweights.safetensors"),
    ("run linear.mlir --weights other.safetensors", "lacks w"),
    ("run linear.mlir --weights shape.safetensors", "needs tensor<4x3xf32>"),
    ("run linear.mlir --weights cut.safetensors", "'w' ends beyond the file"),
    ("run linear.mlir --weights huge.safetensors", "ends beyond the file"),
    ("run linear.mlir --weights text.txt", "whole .safetensors file"),
    ("run linear.mlir", "has dynamic dimensions; give its shape with --input x:"),
    ("run linear.mlir --input 1x4xf64", "needs dtype float32, but it has float64"),
    ("run linear.mlir --input 1x5xf32", "needs shape (batch, 4)"),
    ("run linear.mlir --input 4xf32", "needs shape (batch, 4)"),
    ("run linear.mlir --input 65x4xf32", "(batch) within 1..64, but it is 65"),
    ("run linear.mlir --input z:1x4xf32", "input 'z' needs to be one of the model's"),
    (f"run linear.mlir {SPEC} {SPEC}", "needs 1 inputs (x), but got 2"),
    ("run linear.mlir --input 1x4xf31", "needs to be like 2x3xf32"),
    ("run linear.mlir --input 1xfourxf32", "needs to be like 2x3xf32"),
    ("run linear.mlir --input 1x4xf32=a", "needs numbers after '='"),
    ("run linear.mlir --input 1x4xf32=1,2", "needs 1 or 4 values, but has 2"),
    ("run linear.mlir --input 9999999999x4xf32", "at most 2**31 elements"),
    ("run linear.mlir --input @missing.npy", "needs to be a file of NumPy's"),
    ("run linear.mlir --input @text.txt", "a .npy file without objects"),
    ("run linear.mlir --input @objects.npy", "a .npy file without objects"),
    ("run linear.mlir --input @x.npz", "it is an .npz archive"),
    (f"run linear.mlir {SPEC} --threads 0", "--threads needs to be at least 1"),
    (f"run linear.mlir {SPEC} --target sparc", "the known ones are cpu"),
    (f"run linear.mlir {SPEC} --output a --output b", "at most 1 times"),
    (f"run linear.mlir {SPEC} --output @no/y.npy", "--output needs a file"),
    (
        f"run linear.mlir {SPEC} --expected-output 1xf32 --expected-output 1xf32",
        "needs to be given 1 times",
    ),
    ("compile linear.mlir -o no/where.ix", "needs a writable folder"),
    ("compile linear.mlir --json no/plan.json", "--json needs a file"),
    (f"bench linear.mlir {SPEC} --percentile x", "needs numbers above 0"),
    (f"bench linear.mlir {SPEC} --percentile 101", "needs numbers above 0"),
    (f"bench linear.mlir {SPEC} --iterations 0", "--iterations needs to be at least 1"),
    (f"bench linear.mlir {SPEC} --duration -1", "--duration needs to be at least 0"),
    (f"bench linear.mlir {SPEC} --duration nan", "--duration needs to be at least 0"),
    ("explain linear.mlir --kernel 7", "needs a launch from 0 to 0, but is 7"),
    ("explain text.ix --kernel 0", "holds machine code alone"),
    ("demo --threads 0", "--threads needs to be at least 1"),
    ("demo --file missing.txt", "--file needs a text file of sentences"),
    ("demo --file empty.ix", "needs 1 to 4096 sentences"),
]


@pytest.mark.parametrize(("command", "message"), BAD, ids=[c for c, _ in BAD])
def test_a_wrong_input_is_told(
    command: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ix(command) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"ix {command.split()[0]}: ")
    assert message in error
    assert "Traceback" not in error


@pytest.mark.parametrize(
    "command", ["", "frobnicate", "run", "run a.mlir --nope", "bench a --iterations x"]
)
def test_a_wrong_command_line_shows_the_usage(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        ix(command)
    assert stopped.value.code == 2
    assert "usage: ix" in capsys.readouterr().err


def test_what_a_function_raises_keeps_its_type() -> None:
    with pytest.raises(ValueError, match="no"):
        ix("run functions.py:refuses --input 2xf32")


def start(arguments: Sequence[str], **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "ix.tools.ix", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def heed_interrupts() -> None:
    """A process started in the background of a shell ignores SIGINT, and so would we."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c_ends_with_130() -> None:
    process = start(
        ["bench", "linear.mlir", *SPEC.split(), "--duration", "60"],
        preexec_fn=heed_interrupts,
    )
    time.sleep(4)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in error


def test_a_closed_pipe_is_no_traceback() -> None:
    process = start(["explain", "linear.mlir"])
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert "Traceback" not in process.stderr.read()
    process.wait(timeout=30)


def test_help_is_quick() -> None:
    times = []
    for _ in range(4):
        process = subprocess.Popen(
            [sys.executable, "-m", "ix.tools.ix", "--help"], stdout=subprocess.DEVNULL
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        times.append(usage.ru_utime + usage.ru_stime)
    assert min(times) < 0.4


def test_progress_overwrites_on_a_terminal_only(monkeypatch: Any) -> None:
    from ix.tools.demo.report import Progress

    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    reader, writer = pty.openpty()
    with os.fdopen(writer, "w") as terminal:
        Progress(terminal)("one")
        shown = os.read(reader, 100).decode()
        assert shown.startswith("\r\x1b[K")
        monkeypatch.setenv("CI", "1")
        Progress(terminal)("two")
        assert "\x1b" not in os.read(reader, 100).decode()
    os.close(reader)
