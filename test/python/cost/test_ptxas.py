"""Assembling PTX: resources, refusals, waits that ptxas inserts."""

from pathlib import Path

import pytest
from ptx_texts import SCALE, WGMMA, spilling

from ix.cost import cuda_tools, ptxas
from ix.cost.errors import AssemblyError, ToolNotFound
from ix.cost.ptxas import KernelResources

needs_ptxas = pytest.mark.skipif(
    cuda_tools.find_tool("ptxas") is None, reason="needs ptxas"
)

REPORT = """\
ptxas info    : 0 bytes gmem, 24 bytes cmem[4]
ptxas info    : Compiling entry function 'first' for 'sm_90a'
ptxas info    : Function properties for first
    8 bytes stack frame, 16 bytes spill stores, 24 bytes spill loads
ptxas info    : Used 168 registers, used 3 barriers, 49152 bytes smem, 364 bytes cmem[0], 8 bytes cmem[2]
ptxas info    : Compile time = 10.580 ms
ptxas info    : (C7519) warpgroup.arrive is injected in around line 12 by compiler
ptxas info    : Compiling entry function 'second' for 'sm_90a'
ptxas info    : Function properties for helper
    0 bytes stack frame, 4 bytes spill stores, 0 bytes spill loads
ptxas info    : Function properties for second
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 12 registers
"""


def test_a_report_is_read() -> None:
    kernels, notes = ptxas.read_report(REPORT)
    assert kernels == {
        "first": KernelResources(168, 8, 16, 24, 49152, 372, 3),
        "second": KernelResources(registers=12, spill_store_bytes=4),
    }
    assert kernels["first"].spill_bytes == 40
    assert notes == (
        "(C7519) warpgroup.arrive is injected in around line 12 by compiler",
    )


@needs_ptxas
@pytest.mark.parametrize("architecture", ["sm_80", "sm_90a"])
def test_a_kernel_is_assembled(architecture: str) -> None:
    made = ptxas.assemble(SCALE, architecture)
    assert made.cubin.startswith(b"\x7fELF")
    (name, kernel), *others = made.kernels.items()
    assert name == "scale" and not others and not made.notes
    assert 0 < kernel.registers < 32
    assert (kernel.shared_bytes, kernel.barriers, kernel.spill_bytes) == (4096, 1, 0)
    assert ptxas.assemble(SCALE, architecture).cubin == made.cubin


@needs_ptxas
def test_spills_are_counted() -> None:
    kernel = ptxas.assemble(spilling(64), "sm_80").kernels["spilling"]
    assert kernel.registers == 32
    assert kernel.spill_store_bytes >= 4 * (64 - 32)
    assert kernel.spill_load_bytes >= 4 * (64 - 32)
    assert kernel.stack_bytes > 0
    assert ptxas.assemble(spilling(8), "sm_80").kernels["spilling"].spill_bytes == 0


@needs_ptxas
def test_illegal_ptx_is_quoted() -> None:
    with pytest.raises(AssemblyError) as caught:
        ptxas.assemble(SCALE.replace("fma.rn.f32", "fma.rn.s32"), "sm_80")
    message = str(caught.value)
    assert message.startswith(
        "'ptxas' needs PTX that is legal for sm_80, but line 15, "
        "`fma.rn.s32 %f5, %f1, %f0, %f0;`, is not: "
    )
    assert message.endswith("; correct what generates it")


@needs_ptxas
def test_an_unknown_architecture_is_named() -> None:
    with pytest.raises(AssemblyError, match=r"for sm_12345 it reports: .*sm_12345"):
        ptxas.assemble(SCALE, "sm_12345")


@needs_ptxas
def test_a_missing_wait_for_wgmma_is_an_error() -> None:
    waits = WGMMA.replace("WAIT", "wgmma.wait_group.sync.aligned 0;")
    assert ptxas.assemble(waits, "sm_90a").kernels["product"].registers
    with pytest.raises(AssemblyError) as caught:
        ptxas.assemble(WGMMA.replace("WAIT", ""), "sm_90a")
    message = str(caught.value)
    assert message.startswith("'wgmma.mma_async' needs a wgmma.wait_group before")
    assert "C7517" in message and message.endswith("; add the wait")


@needs_ptxas
def test_the_release_is_told() -> None:
    major, minor = map(int, ptxas.version().split("."))
    assert major >= 12 and minor >= 0


def test_the_environment_overrides(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("IX_PTXAS", str(tmp_path / "none"))
    with pytest.raises(ToolNotFound, match=r"IX_PTXAS needs the path of a program"):
        ptxas.assemble(SCALE, "sm_80")
    tool = tmp_path / "ptxas"
    tool.write_text("#!/bin/sh\necho 'release 99.5, V99.5.1'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("IX_PTXAS", str(tool))
    assert ptxas.version() == "99.5"


def test_what_is_not_installed_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("IX_NVDISASM", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(cuda_tools, "_FOLDERS", ())
    monkeypatch.setattr(cuda_tools, "_TOOLKIT", tmp_path)
    assert cuda_tools.find_tool("nvdisasm") is None
    with pytest.raises(ToolNotFound) as caught:
        cuda_tools.require_tool("nvdisasm")
    assert str(caught.value) == (
        "'nvdisasm' needs the CUDA toolkit, but it is not on the path nor among the "
        "installed packages; run `pip install nvidia-cuda-nvdisasm` or set IX_NVDISASM"
    )


def test_a_tool_that_cannot_run_is_named(tmp_path: Path) -> None:
    tool = tmp_path / "ptxas"
    tool.write_text("not a program")
    tool.chmod(0o755)
    with pytest.raises(ToolNotFound, match=r"needs to run, but .* does not"):
        ptxas.assemble(SCALE, "sm_80", tool=tool)
