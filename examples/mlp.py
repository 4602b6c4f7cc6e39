"""A NumPy function, compiled by a decorator.

python examples/mlp.py
"""

import numpy as np

import ix

random = np.random.default_rng(0)
w1 = random.standard_normal((64, 256), np.float32)
w2 = random.standard_normal((256, 10), np.float32)


@ix.jit
def mlp(x: np.ndarray) -> np.ndarray:
    return np.maximum(x @ w1, 0) @ w2


x = random.standard_normal((32, 64), np.float32)
y = mlp(x)  # traced and compiled here; the next call with this shape only runs
expected = np.maximum(x @ w1, 0) @ w2
print("shape:", y.shape)
print("largest difference from NumPy:", float(np.abs(y - expected).max()))
assert np.allclose(y, expected, rtol=1e-4, atol=1e-3)

compiled = mlp.lower(x).compile()
print(compiled.executable.explain())
