"""The mix of machine instructions."""

import pytest
from ptx_texts import SCALE, WGMMA, spilling

from ix.cost import cuda_tools, ptxas, sass
from ix.cost.errors import DisassemblyError

TEXT = """
\t.section\t.text.first,"ax",@progbits
.text.first:
        /*0000*/                   LDC R1, c[0x0][0x28] ;
        /*0010*/              @!P0 LDG.E.128.CONSTANT R4, desc[UR4][R2.64] ;
        /*0020*/              @P1  LDG.E R4, desc[UR4][R2.64] ;
        /*0030*/                   FFMA.FTZ R4, R4, R5, R6 ;
        /*0040*/             @UP0  STG.E.U16 desc[UR4][R2.64], R4 ;
        /*0050*/                   HGMMA.64x8x16.F32 R24, gdesc[UR4], R24 ;
        /*0060*/                   NOP ;
\t.section\t.text.second,"ax",@progbits
        /*0000*/                   STL.64 [R1], R2 ;
"""

needs_tools = pytest.mark.skipif(
    not (cuda_tools.find_tool("ptxas") and cuda_tools.find_tool("nvdisasm")),
    reason="needs ptxas and nvdisasm",
)


def test_a_listing_is_counted() -> None:
    assert sass.mix_of_text(TEXT) == {
        "first": {
            "FFMA": 1,
            "HGMMA": 1,
            "LDC": 1,
            "LDG.128": 1,
            "LDG.32": 1,
            "STG.16": 1,
            "total": 6,
        },
        "second": {"STL.64": 1, "total": 1},
    }


@needs_tools
def test_wide_accesses_are_seen() -> None:
    mix = sass.instruction_mix(ptxas.assemble(SCALE, "sm_80").cubin)["scale"]
    assert (mix["LDG.128"], mix["STG.128"], mix["FFMA"], mix["FMUL"]) == (1, 1, 1, 3)
    assert mix["BAR"] == 1 and mix["STS.32"] == 1 and mix["LDS.32"] == 1
    assert mix["total"] >= 10 and "NOP" not in mix


@needs_tools
def test_spills_are_seen() -> None:
    mix = sass.instruction_mix(ptxas.assemble(spilling(64), "sm_80").cubin)["spilling"]
    assert sum(n for name, n in mix.items() if name.startswith("STL.")) >= 8
    mix = sass.instruction_mix(ptxas.assemble(spilling(8), "sm_80").cubin)["spilling"]
    assert not any(name.startswith(("STL.", "LDL.")) for name in mix)


@needs_tools
def test_tensor_cores_are_seen() -> None:
    ptx = WGMMA.replace("WAIT", "wgmma.wait_group.sync.aligned 0;")
    mix = sass.instruction_mix(ptxas.assemble(ptx, "sm_90a").cubin)["product"]
    assert mix["HGMMA"] == 1


@needs_tools
def test_what_is_no_cubin_is_refused() -> None:
    with pytest.raises(DisassemblyError, match="needs a cubin of an architecture"):
        sass.instruction_mix(b"no cubin")
