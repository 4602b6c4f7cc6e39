"""GPU code and artefacts do not depend on the process that made them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = """
import hashlib
import sys
import tempfile

import numpy as np

import ix
from ix.emulator.device import EmulatorDevice

random = np.random.default_rng(5)
w = random.standard_normal((24, 24)).astype(np.float32)


def block(x, y):
    h = np.maximum(x @ w, 0) + y
    h = (h - h.mean(-1, keepdims=True)) / np.sqrt(h.var(-1, keepdims=True) + 1e-5)
    e = np.exp(h - h.max(-1, keepdims=True))
    s = e / e.sum(-1, keepdims=True)
    return s @ w.T, np.sort(h, axis=-1), np.cumsum(s, axis=0), s.T.copy(), h[::-1, :7]


x = np.ones((10, 24), np.float32)
options = {"target": sys.argv[1], "device": EmulatorDevice(sys.argv[1])}
executable = ix.jit(block, **options).lower(x, x).compile().executable
with tempfile.TemporaryDirectory() as folder:
    executable.save(folder + "/block.ix")
    print(hashlib.sha256(open(folder + "/block.ix", "rb").read()).hexdigest())
for code in executable.objects[::2]:
    print(hashlib.sha256(code).hexdigest())
"""


@pytest.mark.parametrize("target", ["sm_80", "sm_90a", "sm_100a"])
def test_two_processes_make_the_same_bytes(target: str) -> None:
    outputs = []
    for seed in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": seed, "IX_CACHE": "0"}
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, target],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        outputs.append(done.stdout.split())
    assert outputs[0] == outputs[1]
    assert len(outputs[0]) > 4
