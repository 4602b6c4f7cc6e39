"""Kernels that compilers and libraries wrote run unmodified, and right.

In lock step and in random orders of the warps; with asynchronous work that completes
when it is waited for and at once; races, bounds and initialisation checked.
"""

import pytest
from ptx_kernels import CASES, to_bf16

from ix.emulator.tensor_errors import ProxyFenceError

NAMES = sorted(CASES)


@pytest.mark.parametrize("completion", ["late", "early"])
@pytest.mark.parametrize("name", NAMES)
def test_lock_step(name, completion):
    run = CASES[name].run(completion=completion)
    assert run.is_right, run.error


@pytest.mark.parametrize("completion", ["late", "early"])
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("name", NAMES)
def test_random_order_of_the_warps(name, seed, completion):
    run = CASES[name].run(completion=completion, schedule=seed)
    assert run.is_right, run.error


@pytest.mark.parametrize(
    "name", ["llvm_ampere_gemm", "llvm_hopper_gemm", "pyptx_hopper_attention_tiles"]
)
def test_exact_arithmetic(name):
    run = CASES[name].run(exact=True)
    assert run.is_right, run.error


@pytest.mark.parametrize("schedule", ["lockstep", 1])
@pytest.mark.parametrize("name", [n for n in NAMES if "hopper" in n])
def test_waits_that_time_out(name, schedule):
    run = CASES[name].run(timeouts=True, schedule=schedule)
    assert run.is_right, run.error


# Races that hardware forgives: see `strict` of Emulator.
STRICT = [
    # Each reads what an ordinary store, or mbarrier.init, wrote without a proxy fence.
    ("pyptx_hopper_gemm", "mbarrier.init"),
    ("pyptx_hopper_attention", "st.shared"),
    ("pyptx_hopper_attention_tiles", "st.shared"),
]


@pytest.mark.parametrize(("name", "wrote"), STRICT)
def test_what_hardware_forgives_is_found(name, wrote):
    with pytest.raises(ProxyFenceError, match=f"wrote at line .*{wrote}"):
        CASES[name].run(strict=True)


# What each kernel must count: products of 16×8×16 or 64×N×16, and their FLOPs.
COUNTS = {
    "llvm_ampere_gemm": (5632, 2 * 128 * 256 * 352),
    "llvm_hopper_gemm": (2 * 2 * 44, 2 * 128 * 256 * 704),
    "llvm_hopper_gemm_specialised": (2 * 2 * 44, 2 * 128 * 512 * 704),
    "pyptx_ampere_gemm": (8192, 2 * 256**3),
    "pyptx_hopper_gemm": (64, 2 * 256**3),
}


@pytest.mark.parametrize("name", sorted(COUNTS))
def test_tensor_operations_are_counted(name):
    counters = CASES[name].run().counters
    assert counters["tensor_operations"] == COUNTS[name][0]
    assert counters["tensor_flops"] == COUNTS[name][1]


def test_copies_and_conflicts_are_counted():
    ampere = CASES["llvm_ampere_gemm"].run().counters
    # 13 stages of 128×32 and 32×128 halves by each CTA, the last two for nothing.
    assert ampere["async_copy_bytes"] == 2 * 13 * 2 * 128 * 32 * 2
    assert ampere["shared_load_conflicts"] == ampere["shared_store_conflicts"] == 0
    hopper = CASES["llvm_hopper_gemm"].run().counters
    assert hopper["bulk_copies"] == 2 * 11 * 3
    assert hopper["bulk_copy_bytes"] == 2 * 11 * 2 * 128 * 64 * 2
    assert hopper["global_load_sectors"] >= hopper["bulk_copy_bytes"] // 32


def test_operands_round_to_nearest_even():
    assert to_bf16([1.0, 1 + 2.0**-8, 1 + 3 * 2.0**-8]).tolist() == [
        0x3F80, 0x3F80, 0x3F82,
    ]  # fmt: skip
