"""One program for every batch size, saved and loaded again.

python examples/dynamic_batch.py
"""

import tempfile
from pathlib import Path

import numpy as np

import ix

random = np.random.default_rng(0)
w = random.standard_normal((64, 16), np.float32)


@ix.jit(dims={"x": {0: ix.Dim("batch", 1, 128)}})
def layer(x: np.ndarray) -> np.ndarray:
    return np.tanh(x @ w)


for rows in (1, 7, 128):  # compiled at the first one alone
    x = random.standard_normal((rows, 64), np.float32)
    assert np.allclose(layer(x), np.tanh(x @ w), rtol=1e-4, atol=1e-4)
    print("rows:", rows)

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "layer.ix"
    layer.lower(x).compile().executable.save(path)
    print("saved:", path.stat().st_size, "bytes")
    (y,) = ix.load(path)(x)  # needs NumPy alone: neither MLIR nor LLVM is loaded
    assert np.array_equal(y, layer(x))

try:
    layer(np.zeros((129, 64), np.float32))
except ix.InputError as error:
    print("refused:", error)
