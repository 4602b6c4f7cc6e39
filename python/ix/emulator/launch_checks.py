"""What a driver refuses to load or to launch: sizes beyond the device or the kernel's.

Source: CUDA C++ Programming Guide, "Technical Specifications per Compute Capability".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ix.emulator.batch import Launch
from ix.emulator.errors import LaunchError

if TYPE_CHECKING:
    from ix.emulator.kernel_code import KernelCode

__all__ = ["check_launch", "check_target", "sm_of"]

_MAX_THREADS = 1024
_MAX_GRID = ((1 << 31) - 1, 65535, 65535)
_MAX_BLOCK = (1024, 1024, 64)
_MAX_CLUSTER = 16  # CTAs, with the attribute for non-portable sizes
_MAX_STATIC = 48 << 10  # bytes of shared memory that a module may declare
_MAX_PARAMETERS = 32764  # bytes
# Shared memory of a CTA in bytes, opted in, by compute capability.
_SHARED = {
    70: 96 << 10,
    75: 64 << 10,
    80: 163 << 10,
    86: 99 << 10,
    87: 163 << 10,
    89: 99 << 10,
    90: 227 << 10,
    100: 227 << 10,
    103: 227 << 10,
    120: 99 << 10,
}

# What is needed, what is there, and the remedy.
Problem = tuple[str, str, str]


def sm_of(target: str) -> int:
    """The compute capability of a target: 90 of "sm_90a"."""
    found = re.fullmatch(r"sm_(\d+)[af]?", target)
    if found is None:
        raise LaunchError(
            f"'Emulator' needs a target such as sm_90a, but it is {target!r}; pass one"
        )
    return int(found[1])


def check_target(module_target: str, target: str) -> None:
    """Checks that a device runs PTX of a target.

    Raises:
        LaunchError: The PTX is for a newer device, or for another one alone ("a").
    """
    if not module_target:
        return
    is_for_one = module_target.endswith("a")
    fits = (
        module_target == target if is_for_one else sm_of(module_target) <= sm_of(target)
    )
    if not fits:
        raise LaunchError(
            f"'load' needs PTX that {target} runs, but it is for {module_target}; "
            "compile it for this device"
        )


def check_launch(kernel: KernelCode, launch: Launch, target: str) -> None:
    """Checks the sizes of a launch.

    Raises:
        LaunchError: The driver would refuse it.
    """
    for need, fact, remedy in _problems(kernel, launch, sm_of(target)):
        raise LaunchError(f"'{kernel.name}' needs {need}, but {fact}; {remedy}")


def _problems(kernel: KernelCode, launch: Launch, sm: int) -> Iterator[Problem]:
    yield from _size_problems(kernel, launch)
    yield from _memory_problems(kernel, launch, sm)
    yield from _cluster_problems(kernel, launch, sm)


def _size_problems(kernel: KernelCode, launch: Launch) -> Iterator[Problem]:
    smallest = min(*launch.grid, *launch.block, *launch.cluster)
    if smallest < 1:
        remedy = "do not launch an empty grid"
        yield "positive sizes", f"one is {smallest}", remedy
    for name, sizes, limits in (
        ("grid", launch.grid, _MAX_GRID),
        ("block", launch.block, _MAX_BLOCK),
    ):
        if any(size > limit for size, limit in zip(sizes, limits, strict=True)):
            remedy = "distribute the sizes over the axes"
            yield f"a {name} of at most {limits}", f"it is {sizes}", remedy
    limit, name = _thread_limit(kernel)
    if launch.block_threads > limit:
        fact = f"{launch.block_threads} are launched"
        yield f"at most {limit} threads ({name})", fact, "use fewer"
    required = kernel.entry.directives.get("reqntid")
    if required is not None and _triple(required) != launch.block:
        fact = f"the block is {launch.block}"
        yield f".reqntid {required}", fact, "launch that block"


def _thread_limit(kernel: KernelCode) -> tuple[int, str]:
    given = kernel.entry.directives.get("maxntid")
    if given is None:
        return _MAX_THREADS, "of any CTA"
    x, y, z = _triple(given)
    return min(_MAX_THREADS, x * y * z), ".maxntid"


def _memory_problems(kernel: KernelCode, launch: Launch, sm: int) -> Iterator[Problem]:
    if kernel.layout.shared_bytes > _MAX_STATIC:
        yield (
            f"at most {_MAX_STATIC} bytes of static shared memory",
            f"{kernel.layout.shared_bytes} are declared",
            "declare it extern, and launch with dynamic shared memory",
        )
    available = _SHARED.get(sm, max(_SHARED.values()))
    if launch.shared_bytes > available:
        yield (
            f"at most {available} bytes of shared memory on sm_{sm}",
            f"{launch.shared_bytes} are used",
            "use smaller tiles or fewer stages",
        )
    if kernel.parameter_bytes > _MAX_PARAMETERS:
        yield (
            f"at most {_MAX_PARAMETERS} bytes of parameters",
            f"there are {kernel.parameter_bytes}",
            "pass a pointer to them",
        )


def _cluster_problems(kernel: KernelCode, launch: Launch, sm: int) -> Iterator[Problem]:
    if launch.cluster_ctas > 1 and sm < 90:
        fact = f"the target is sm_{sm}"
        yield "sm_90 for clusters", fact, "launch without clusters"
    if launch.cluster_ctas > _MAX_CLUSTER:
        fact = f"there are {launch.cluster_ctas}"
        yield f"at most {_MAX_CLUSTER} CTAs in a cluster", fact, "use a smaller cluster"
    if any(g % c for g, c in zip(launch.grid, launch.cluster, strict=True)):
        fact = f"the grid is {launch.grid}"
        yield f"a grid of whole clusters {launch.cluster}", fact, "round the grid up"
    required = kernel.entry.directives.get("reqnctapercluster")
    if required and _triple(required) != launch.cluster:
        fact = f"the cluster is {launch.cluster}"
        yield f".reqnctapercluster {required}", fact, "launch that cluster"


def _triple(numbers: tuple[int, ...]) -> tuple[int, int, int]:
    x, y, z = (*numbers, 1, 1, 1)[:3]
    return x, y, z
