"""The scripts in examples/ run as they stand."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.py"))


def run(script: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=200
    )


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 3


@pytest.mark.parametrize("script", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs(script: Path) -> None:
    if "onnx" in script.stem and importlib.util.find_spec("onnx") is None:
        pytest.skip("needs the package onnx")
    done = run(script)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_a_failing_example_is_seen(tmp_path: Path) -> None:
    script = tmp_path / "fails.py"
    script.write_text("assert 1 == 2\n")
    assert run(script).returncode != 0
