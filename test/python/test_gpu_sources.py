"""An error of a GPU kernel names the op of the model that its PTX came from."""

from __future__ import annotations

import inspect
import re
import struct
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ix
from ix.cost.cuda_tools import find_tool
from ix.emulator.device import EmulatorDevice
from ix.emulator.errors import (
    EmulatorError,
    LaunchError,
    OutOfBoundsError,
    RaceError,
)
from ix.runtime.artifact import load

random = np.random.default_rng()


class ShortBuffers(EmulatorDevice):
    """Launches with 16 bytes in place of one buffer of one launch."""

    def __init__(self, launch: int, buffer: int) -> None:
        super().__init__("sm_90a")
        self.launch_number, self.buffer, self.count = launch, buffer, 0

    def launch(
        self,
        kernel: Any,
        blocks: int,
        threads: int,
        arguments: Sequence[bytes],
        sources: Sequence[str] = (),
    ) -> Any:
        given = list(arguments)
        if self.count == self.launch_number:
            short = self.allocate(16)
            self.upload(short, np.zeros(16, np.uint8))
            given[self.buffer] = struct.pack("<Q", short)
        self.count += 1
        return super().launch(kernel, blocks, threads, given, sources)


def exp_of_differences(x: Any) -> Any:
    low = x - x.max(-1, keepdims=True)
    return np.exp(low)


def product(x: Any, w: Any) -> Any:
    return np.maximum(x @ w, 0)


def ordered(x: Any) -> Any:
    return np.sort(x, -1)


def added(x: Any, y: Any) -> Any:
    return x + y


def floats(*shape: int) -> np.ndarray:
    return random.standard_normal(shape, np.float32)


def line_of(function: Callable[..., Any], text: str) -> int:
    lines, first = inspect.getsourcelines(function)
    return first + next(n for n, line in enumerate(lines) if text in line)


# (function, arguments, buffer, op, a piece of its line)
PLANTED: list[tuple[Callable[..., Any], tuple[np.ndarray, ...], int, str, str]] = [
    (exp_of_differences, (floats(9, 64),), 0, "ix.reduce_max", "x.max"),
    (exp_of_differences, (floats(9, 64),), 1, "ix.exp", "np.exp"),
    (product, (floats(64, 64), floats(64, 48)), 0, "ix.matmul", "x @ w"),
    (product, (floats(64, 64), floats(64, 48)), 2, "ix.relu", "np.maximum"),
    (ordered, (floats(5, 64),), 1, "ix.sort", "np.sort"),
    (added, (floats(99), floats(99)), 1, "ix.add", "x + y"),
]


@pytest.mark.parametrize(
    ("function", "arrays", "buffer", "op", "text"),
    PLANTED,
    ids=[f"{case[0].__name__}-{case[2]}" for case in PLANTED],
)
def test_a_short_buffer_names_the_op_and_its_line(
    function: Any, arrays: Any, buffer: int, op: str, text: str
) -> None:
    device = ShortBuffers(0, buffer)
    with pytest.raises(OutOfBoundsError) as caught:
        ix.jit(function, target="sm_90a", device=device)(*arrays)
    place = f"test_gpu_sources.py:{line_of(function, text)}:"
    assert f"from {op} at " in str(caught.value)
    assert place in str(caught.value)
    assert "PTX line" in str(caught.value)
    assert caught.value.line > 0


def test_launches_that_share_a_kernel_have_sources_of_their_own() -> None:
    def twice(x: Any, w: Any) -> Any:
        first = np.sort(x, -1)
        return np.sort(first + 1, -1)

    x, w = floats(4, 64), floats(1)
    for number, text in ((0, "first = "), (2, "return np.sort")):
        device = ShortBuffers(number, 1)
        jitted = ix.jit(twice, target="sm_90a", device=device)
        plan = jitted.lower(x, w).compile().executable.plan
        assert plan.launches[0].kernel == plan.launches[2].kernel
        with pytest.raises(OutOfBoundsError, match=f"py:{line_of(twice, text)}:"):
            jitted(x, w)


def doubled_first(x: Any) -> Any:
    double = x * np.float32(2)
    power = np.exp(x)
    return double + power


def exponential_first(x: Any) -> Any:
    power = np.exp(x)
    double = x * np.float32(2)
    return double + power


def test_kernels_whose_ops_stand_in_another_order_are_one() -> None:
    """Code that is equal but for the numbers of its ops has one symbol and one text."""
    x, symbols, texts = floats(9, 64), set(), set()
    for function in (doubled_first, exponential_first):
        device = ShortBuffers(0, 0)
        jitted = ix.jit(function, target="sm_90a", device=device)
        executable = jitted.lower(x).compile().executable
        symbols |= {kernel.symbol for kernel in executable.plan.kernels}
        texts.add(executable.objects[0])
        with pytest.raises(OutOfBoundsError, match=r"from ix\.mul at") as caught:
            jitted(x)
        place = f"test_gpu_sources.py:{line_of(function, 'double = x')}:"
        assert place in str(caught.value)
    assert len(symbols) == len(texts) == 1


def test_kernels_with_loops_do_not_name_the_place_of_the_model() -> None:
    def elsewhere(x: Any, w: Any) -> Any:
        return np.maximum(x @ w, 0)

    arrays, plans = (floats(64, 64), floats(64, 48)), []
    for function in (product, elsewhere):
        lowered = ix.jit(function, target="sm_90a", device="emulator").lower(*arrays)
        plans.append(lowered.compile().executable.plan)
    assert plans[0].kernels == plans[1].kernels
    assert plans[0].launches[0].sources != plans[1].launches[0].sources


def test_sources_are_saved(tmp_path: Any) -> None:
    compiled = ix.jit(added, target="sm_90a", device="emulator")
    compiled.lower(floats(99), floats(99)).compile().save(tmp_path / "m.ix")
    loaded = load(tmp_path / "m.ix", device=ShortBuffers(0, 2))
    with pytest.raises(OutOfBoundsError, match=r"from ix\.add at .*test_gpu_sources"):
        loaded(floats(99), floats(99))


def test_an_error_without_a_line_names_all_ops() -> None:
    device = EmulatorDevice("sm_90a")
    ptx = (
        ".version 8.3\n.target sm_90a\n.address_size 64\n.visible .entry k() { ret; }\n"
    )
    kernel = device.load("k", ptx.encode(), b"")
    with pytest.raises(LaunchError, match=r"the kernel computes ix\.a at m:1, ix\.b"):
        device.launch(kernel, 1, 32, [b"1234"], ("ix.a at m:1", "ix.b", "ix.b"))
    with pytest.raises(EmulatorError) as caught:
        device.launch(kernel, 1, 32, [b"1234"])
    assert "computes" not in str(caught.value)


RACE = """.version 8.3
.target sm_90a
.address_size 64
.visible .entry k(.param .u64 p)
{
    .reg .b32 %r<3>;
    .shared .align 4 .b8 s[256];
    .loc 1 1 0
    mov.u32 %r1, %tid.x;
    st.shared.b32 [s], %r1;
    .loc 1 2 0
    ld.shared.b32 %r2, [s];
    ret;
}
.file 1 "op"
"""


def test_a_race_names_the_ops_of_both_accesses() -> None:
    device = EmulatorDevice("sm_90a")
    kernel = device.load("k", RACE.encode(), b"")
    with pytest.raises(RaceError) as caught:
        device.launch(kernel, 1, 64, [bytes(8)], ("ix.a at m:1", "ix.b at m:2"))
    message = str(caught.value)
    assert "(from ix.a at m:1)" in message
    assert "from ix." in message.partition(" needs ")[0]


def test_lines_leave_the_code_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    from ix.compiler import code_of
    from ix.passes.nvvm import gpu_to_nvvm

    program = ix.jit(product).lower(floats(70, 64), floats(64, 48)).program
    with_lines = code_of(program, "sm_90a").ir
    assert code_of(program, "sm_90a").ir == with_lines
    run = gpu_to_nvvm._run
    monkeypatch.setattr(
        gpu_to_nvvm, "_run", lambda p, op: None if "debug" in p else run(p, op)
    )
    without = code_of(program, "sm_90a").ir
    (a, lined), (b, plain) = [next(iter(x.items())) for x in (with_lines, without)]
    assert ".loc" in lined and ".loc" not in plain
    assert _code(lined.replace(a, "k")) == _code(plain.replace(b, "k"))


def _code(ptx: str) -> list[str]:
    """The lines of a text that are no directives for debuggers."""
    aside = re.compile(r"\s*(\.loc\b.*|\.file\b.*|\$L__(tmp|func_begin|func_end)\d+:)?")
    return [line for line in ptx.split("\n") if not aside.fullmatch(line)]


@pytest.mark.skipif(find_tool("ptxas") is None, reason="ptxas is not installed")
def test_lines_leave_machine_code_as_it_is(tmp_path: Path) -> None:
    from ix.compiler import code_of

    program = ix.jit(product).lower(floats(70, 64), floats(64, 48)).program
    (lined,) = code_of(program, "sm_90a").ir.values()
    found = []
    for text in (lined, "\n".join(_code(lined))):
        (tmp_path / "k.ptx").write_text(text)
        command = [find_tool("ptxas"), "-arch=sm_90a", "-O3", "k.ptx", "-o", "k.cubin"]
        subprocess.run(command, cwd=tmp_path, check=True)
        found.append(_sections((tmp_path / "k.cubin").read_bytes()))
    assert found[0].keys() == found[1].keys()
    assert found[0] == found[1]


def _sections(cubin: bytes) -> dict[str, bytes]:
    """The code of an ELF file, by section."""
    (table,) = struct.unpack_from("<Q", cubin, 40)
    size, count, names = struct.unpack_from("<HHH", cubin, 58)
    headers = [
        struct.unpack_from("<IIQQQQ", cubin, table + n * size) for n in range(count)
    ]
    texts = cubin[headers[names][4] :]
    found = {}
    for name, _, _, _, offset, length in headers:
        title = texts[name : texts.index(b"\0", name)].decode()
        if title.startswith(".text"):
            found[title] = cubin[offset : offset + length]
    assert found
    return found
