"""Resident blocks against figures of NVIDIA's occupancy calculator."""

import pytest

from ix.cost.errors import UnknownDevice
from ix.cost.occupancy import SM_LIMITS, occupancy
from ix.target import GPU_SHARED_BYTES

KIB = 1 << 10


@pytest.mark.parametrize(
    ("architecture", "threads", "registers", "shared", "blocks", "limits"),
    [
        # Few registers and no shared memory: the warps, or the blocks, are used up.
        ("sm_80", 256, 32, 0, 8, ("registers", "warps")),
        ("sm_80", 32, 16, 0, 32, ("blocks",)),
        ("sm_86", 256, 32, 0, 6, ("warps",)),
        ("sm_86", 32, 16, 0, 16, ("blocks",)),
        ("sm_89", 64, 16, 0, 24, ("warps", "blocks")),
        ("sm_90a", 1024, 32, 0, 2, ("registers", "warps")),
        # Registers are handed out by 8 of a thread: 33 cost as much as 40.
        ("sm_80", 256, 33, 0, 6, ("registers",)),
        ("sm_80", 256, 40, 0, 6, ("registers",)),
        ("sm_80", 256, 41, 0, 5, ("registers",)),
        ("sm_90a", 384, 168, 0, 1, ("registers",)),
        ("sm_100a", 128, 255, 0, 2, ("registers",)),
        # Shared memory: each block pays 1 KiB more.
        ("sm_90a", 128, 32, 227 * KIB, 1, ("shared",)),
        ("sm_90a", 128, 32, 113 * KIB, 2, ("shared",)),
        ("sm_90a", 128, 32, 114 * KIB, 1, ("shared",)),
        ("sm_80", 128, 32, 40 * KIB, 4, ("shared",)),
        # What does not fit at all.
        ("sm_80", 128, 32, 164 * KIB, 0, ("shared",)),
        ("sm_80", 1024, 128, 0, 0, ("registers",)),
        ("sm_80", 128, 256, 0, 0, ("registers",)),
        ("sm_80", 2048, 16, 0, 0, ("warps",)),
    ],
)
def test_blocks_that_fit(
    architecture: str,
    threads: int,
    registers: int,
    shared: int,
    blocks: int,
    limits: tuple[str, ...],
) -> None:
    found = occupancy(
        architecture, threads=threads, registers=registers, shared_bytes=shared
    )
    assert (found.blocks, found.limits) == (blocks, limits)
    assert found.warps == blocks * threads // 32
    assert found.fraction == found.warps / SM_LIMITS[architecture.rstrip("a")].warps


def test_shared_memory_of_a_block_is_that_of_the_target() -> None:
    for name, limit in GPU_SHARED_BYTES.items():
        assert SM_LIMITS[name.rstrip("a")].block_shared_bytes == limit


def test_an_unknown_architecture_is_named() -> None:
    with pytest.raises(UnknownDevice) as caught:
        occupancy("sm_30", threads=32, registers=32, shared_bytes=0)
    assert str(caught.value) == (
        "'occupancy' needs an architecture of sm_80, sm_86, sm_89, sm_90, sm_100, "
        "sm_120, but it is 'sm_30'; choose one of them"
    )
