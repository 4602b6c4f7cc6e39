"""Every op of the dialect on GPUs: the tests of the lowering, and of compiled code."""

from __future__ import annotations

import pytest
from gpu_runner import load_tests, share_tests

SHARED = [
    load_tests(f"dialect/test_{name}.py")
    for name in (
        "attention",
        "compiled",
        "compiled_families",
        "contraction",
        "convolution",
        "elementwise",
        "movement",
        "normalization",
        "pooling",
        "random_programs",
        "reduction",
    )
]

pytestmark = pytest.mark.usefixtures("gpu")

for module in SHARED:
    share_tests(globals(), module)
