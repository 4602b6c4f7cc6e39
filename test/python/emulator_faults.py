"""Faults planted into kernels: what is changed, and how the emulator must report it.

A report is an error class with the line that is at fault, here named by a piece of the
instruction on it. Where nothing but the numbers can show a fault, `kind` is None:
the kernel ends, and its result is wrong.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from ix.emulator.errors import (
    BarrierError,
    DeadlockError,
    DivergenceError,
    MisalignedError,
    OutOfBoundsError,
    RaceError,
    UninitialisedError,
)
from ix.emulator.tensor_errors import (
    MatrixDescriptorError,
    ProxyFenceError,
    TensorMapError,
    WgmmaOrderError,
)

AMPERE, PIPELINED = "llvm_ampere_gemm", "pyptx_ampere_gemm_stages"
ATTENTION = "llvm_ampere_attention"
HOPPER, RING = "llvm_hopper_gemm", "llvm_hopper_gemm_specialised"
CLUSTER, FLASH = "pyptx_hopper_gemm", "pyptx_hopper_attention_tiles"


@dataclass(frozen=True)
class Fault:
    """A fault in a kernel.

    Attributes:
        edit: Makes the faulty text.
        kind: The class of the report; None if the numbers alone show it.
        at: A piece of the instruction at the reported line.
        launch: Changes of the case's launch.
        options: Of the emulator.
    """

    name: str
    case: str
    edit: Callable[[str], str]
    kind: type | None
    at: str = ""
    launch: dict = field(default_factory=dict)
    options: dict = field(default_factory=dict)


def cut(pattern, new="", count=0, after=None, before=None):
    """Replaces a pattern, all or the first `count`, behind or before a mark."""

    def edit(text):
        start = text.index(after) if after else 0
        end = text.index(before) if before else len(text)
        part, hits = re.subn(pattern, new, text[start:end], count=count)
        assert hits, pattern
        return text[:start] + part + text[end:]

    return edit


def same(text):
    return text


def by_half_a_warp(pattern):
    """Lets only lanes 0 to 15 execute the first match of a pattern."""
    return cut(
        f"({pattern}[^;]*;)",
        "{ .reg .pred half; .reg .u32 own; mov.u32 own, %laneid; "
        r"setp.lt.u32 half, own, 16; @half \1 }",
        count=1,
    )


def in_order(*edits):
    """Several edits as one."""

    def edit(text):
        for each in edits:
            text = each(text)
        return text

    return edit


WAIT = r"mbarrier\.try_wait[^;]*;"
PASSES = "setp.eq.u32 P1, 0, 0;"
B_DESCRIPTOR = "4611686293338849280"


def bits_of_b(mask, value):
    """Changes the constant part of the descriptors of B in the ring kernel."""
    bits = int(B_DESCRIPTOR) & ~mask | value
    return cut(B_DESCRIPTOR, str(bits - (bits >> 63 << 64)))


FAULTS = (
    # cp.async, ldmatrix, mma
    Fault("no barrier", AMPERE, cut(r"bar\.sync[^;]*;"), RaceError, at="ldmatrix.sync"),
    Fault("wait_group 2 for 1", AMPERE,
          cut(r"(cp\.async\.wait_group\s+)1", r"\g<1>2"), UninitialisedError, at="ldmatrix.sync"),
    Fault("wait_group 2 for 1, copies early", AMPERE,
          cut(r"(cp\.async\.wait_group\s+)1", r"\g<1>2"), RaceError,
          options={"completion": "early"}, at="ldmatrix.sync"),
    Fault("no wait_group", AMPERE, cut(r"cp\.async\.wait_group[^;]*;"),
          UninitialisedError, at="ldmatrix.sync"),
    Fault("no commit_group", AMPERE, cut(r"cp\.async\.commit_group;"),
          UninitialisedError, at="ldmatrix.sync"),
    Fault("destination of cp.async misaligned", AMPERE,
          cut(r"(cp\.async\.cg\.shared\.global \[%rd47)\]", r"\1+8]", 1),
          MisalignedError, at="cp.async.cg"),
    Fault("source of cp.async misaligned", AMPERE,
          cut(r"\[%rd7\], 16", "[%rd7+8], 16", 1), MisalignedError, at="cp.async.cg"),
    Fault("source of cp.async out of bounds", AMPERE,
          cut(r"\[%rd7\], 16", "[%rd7+90000000], 16", 1), OutOfBoundsError, at="cp.async.cg"),
    Fault("too little shared memory", AMPERE, same, OutOfBoundsError,
          launch={"shared_bytes": 40960}, at="cp.async.cg"),
    Fault("stages overlap", AMPERE,
          cut(r"(cp\.async\.cg\.shared\.global \[%rd\d+)\+8192\]", r"\1+4096]"),
          RaceError, at="cp.async.cg"),
    Fault("ldmatrix misaligned", AMPERE,
          cut(r"(ldmatrix[^\[]*\[%rd177)\]", r"\1+8]"), MisalignedError, at="ldmatrix.sync"),
    Fault("ldmatrix swizzled wrong", AMPERE,
          cut(r"(ldmatrix[^\[]*\[%rd177)\]", r"\1+16]"), None),
    Fault("ldmatrix without .trans", AMPERE, cut(r"x4\.trans", "x4"), None),
    Fault("ldmatrix by half a warp", AMPERE, by_half_a_warp("ldmatrix"),
          DivergenceError, at="ldmatrix.sync"),
    Fault("mma by half a warp", AMPERE, by_half_a_warp(r"mma\.sync"), DivergenceError, at="mma.sync"),
    Fault("store out of bounds", AMPERE,
          cut(r"\[%rd199\+8192\]", "[%rd199+90000000]", 1), OutOfBoundsError, at="st.global.v2"),
    Fault("store misaligned", AMPERE, cut(r"\[%rd199\+32\]", "[%rd199+36]", 1),
          MisalignedError, at="st.global.v2"),
    Fault("accumulators not cleared", PIPELINED,
          cut(r"mov\.f32 %f\d+, 0f00000000;"), None),
    Fault("no barrier behind the copies", ATTENTION,
          cut(r"bar\.sync[^;]*;", after="%rd21+16384"), RaceError, at="ldmatrix.sync"),
    Fault("no wait behind the copies", ATTENTION,
          cut(r"cp\.async\.wait_group[^;]*;", after="%rd21+16384"),
          UninitialisedError, at="ldmatrix.sync"),
    Fault("copies not committed", ATTENTION,
          cut(r"cp\.async\.commit_group;", after="%rd21+16384"), UninitialisedError, at="ldmatrix.sync"),
    Fault("no barrier between stages", PIPELINED, cut(r"bar\.sync 0;"), RaceError, at="ldmatrix.sync"),
    # TMA, mbarrier, wgmma
    Fault("no wait_group 0 at the end", HOPPER,
          cut(r"wgmma\.wait_group\.sync\.aligned\s+0;"), WgmmaOrderError, at="ret"),
    Fault("wait_group 3 for 1", HOPPER,
          cut(r"(wait_group\.sync\.aligned\s+)1", r"\g<1>3"), RaceError, at="cp.async.bulk.tensor"),
    Fault("no barrier in the loop", HOPPER,
          cut(r"bar\.sync[^;]*;", after="wgmma.commit"), RaceError, at="cp.async.bulk.tensor"),
    Fault("no wait for the stage", HOPPER, cut(WAIT, PASSES), UninitialisedError, at="wgmma.mma_async"),
    Fault("no wait for the stage, copies early", HOPPER, cut(WAIT, PASSES), RaceError,
          options={"completion": "early"}, at="wgmma.mma_async"),
    Fault("no loop around the wait", HOPPER, cut(r"bra\.uni\s+LAB_WAIT;"), UninitialisedError,
          options={"timeouts": True}, at="wgmma.mma_async"),
    Fault("wrong parity", HOPPER,
          cut(r"(try_wait[^;]*\], )%r\d+", r"\g<1>1"), UninitialisedError, at="wgmma.mma_async"),
    Fault("parity of 2", HOPPER, cut(r"(try_wait[^;]*\], )%r\d+", r"\g<1>2"),
          BarrierError, at="mbarrier.try_wait"),
    Fault("too many bytes expected", HOPPER, cut(r"(mov\.b32\s+%r6, )32768", r"\g<1>32784"),
          DeadlockError, at="mbarrier.try_wait"),
    Fault("too few bytes expected", HOPPER, cut(r"(mov\.b32\s+%r6, )32768", r"\g<1>16384"),
          UninitialisedError, at="wgmma.mma_async"),
    Fault("no wgmma.fence", HOPPER, cut(r"wgmma\.fence[^;]*;"), WgmmaOrderError, at="wgmma.mma_async"),
    Fault("no wgmma.commit_group", HOPPER, cut(r"wgmma\.commit_group[^;]*;"),
          RaceError, at="cp.async.bulk.tensor"),
    Fault("no mbarrier.init", HOPPER, cut(r"@%p1 mbarrier\.init[^;]*;"), BarrierError, at="mbarrier.arrive"),
    Fault("mbarrier.init twice", HOPPER,
          cut(r"(@%p1 mbarrier\.init[^;]*;)", r"\1 \1", 1), BarrierError, at="mbarrier.init"),
    Fault("mbarrier.init by every thread", HOPPER,
          cut(r"@%p1 (mbarrier\.init)", r"\1", 1), RaceError, at="mbarrier.init"),
    Fault("no barrier behind mbarrier.init", HOPPER, cut(r"bar\.sync[^;]*;", count=1),
          RaceError, at="mbarrier.try_wait"),
    Fault("two arrivals expected", HOPPER, cut(r"(mov\.b32\s+%r4, )1;", r"\g<1>2;"),
          DeadlockError, at="mbarrier.try_wait"),
    Fault("tile misaligned", HOPPER,
          cut(r"(complete_tx::bytes \[%rd5)\]", r"\1+16]"), MisalignedError, at="cp.async.bulk.tensor"),
    Fault("map of another rank", HOPPER, cut(r"tensor\.2d(.*\{)(%r7,)", r"tensor.3d\1\2\2", 1),
          TensorMapError, at="cp.async.bulk.tensor"),
    Fault("no map at the address", HOPPER, cut(r"(\[%rd3)(, \{)", r"\1+64\2", 1),
          TensorMapError, at="cp.async.bulk.tensor"),
    Fault("map misaligned", HOPPER, cut(r"(\[%rd3)(, \{)", r"\1+8\2", 1),
          MisalignedError, at="cp.async.bulk.tensor"),
    Fault("coordinate off by one", HOPPER,
          cut(r"\{%r26,%r15\}", "{%r15,%r15}"), None),
    Fault("wgmma by half of each warp", HOPPER,
          by_half_a_warp(r"wgmma\.mma_async"), DivergenceError, at="wgmma.mma_async"),
    Fault("too little shared memory for TMA", HOPPER, same, OutOfBoundsError,
          launch={"shared_bytes": 90112}, at="cp.async.bulk.tensor"),
    # warp specialisation
    Fault("no wait for an empty stage", RING,
          cut(WAIT, PASSES, after="setmaxnreg.dec"), BarrierError, at="mbarrier.arrive"),
    Fault("no wait for a full stage", RING,
          cut(WAIT, PASSES, before="setmaxnreg.dec"), UninitialisedError, at="wgmma.mma_async"),
    Fault("4 releases expected of 8", RING, cut(r"(mov\.b32\s+%r12, )8;", r"\g<1>4;"),
          DeadlockError, at="mbarrier.try_wait"),
    Fault("9 releases expected of 8", RING, cut(r"(mov\.b32\s+%r12, )8;", r"\g<1>9;"),
          DeadlockError, at="mbarrier.try_wait"),
    Fault("stages never released", RING, cut(r"@%p3 mbarrier\.arrive[^;]*;"),
          DeadlockError, at="mbarrier.try_wait"),
    Fault("stages released twice", RING,
          cut(r"(@%p3 mbarrier\.arrive[^;]*;)", r"\1 \1"), DeadlockError, at="mbarrier.try_wait"),
    Fault("stage released before wgmma is done", RING,
          cut(r"(wgmma\.wait_group\.sync\.aligned\s+)1", r"\g<1>3"), RaceError, at="cp.async.bulk.tensor"),
    Fault("barriers inside of a stage", RING,
          lambda text: re.sub(r"1966(\d\d)", lambda m: str(int(m[1]) - 8), text),
          RaceError, at="cp.async.bulk.tensor"),
    Fault("register count of no multiple of 8", RING,
          cut(r"(setmaxnreg\.inc[^;]*)232", r"\g<1>230"), BarrierError, at="setmaxnreg.inc"),
    Fault("accumulator written in flight", RING,
          cut(r"(wgmma\.commit_group[^;]*;)", r"\1 mov.b32 %r65, 0;"), WgmmaOrderError, at="wgmma.mma_async"),
    Fault("accumulator written behind the fence", RING,
          cut(r"(wgmma\.fence[^;]*;)", r"\1 mov.b32 %r65, 0;"), WgmmaOrderError, at="wgmma.mma_async"),
    Fault("swizzle of 64 bytes for 128", RING, bits_of_b(3 << 62, 2 << 62), UninitialisedError, at="wgmma.mma_async"),
    Fault("no swizzle in the descriptor", RING, bits_of_b(3 << 62, 0), UninitialisedError, at="wgmma.mma_async"),
    Fault("leading offset halved", RING, bits_of_b(0x3FFF << 16, 256 << 16), None),
    Fault("stride offset halved", RING, bits_of_b(0x3FFF << 32, 32 << 32), None),
    Fault("descriptor of another architecture", RING, bits_of_b(0, 1 << 46),
          MatrixDescriptorError, at="wgmma.mma_async"),
    Fault("descriptors differ between threads", RING,
          cut(r"(or\.b64\s+%rd8, %rd17[^;]*|or\.b64\s+%rd8[^;]*);",
              r"\1; { .reg .u32 own; .reg .u64 wide; mov.u32 own, %laneid; "
              "cvt.u64.u32 wide, own; add.u64 %rd8, %rd8, wide; }", 1),
          MatrixDescriptorError, at="wgmma.mma_async"),
    Fault(
        "no fence behind mbarrier.init",
        RING,
        cut(r"fence\.mbarrier_init[^;]*;"),
        ProxyFenceError,
        at="cp.async.bulk.tensor",
    ),
    # clusters
    Fault("no cluster barrier", CLUSTER, cut(r"barrier\.cluster\.(arrive|wait)[^;]*;"),
          RaceError, at="mbarrier.arrive"),
    Fault("cluster arrival without a wait", CLUSTER, cut(r"barrier\.cluster\.wait[^;]*;"),
          RaceError, at="mbarrier.arrive"),
    Fault("multicast to one CTA only", CLUSTER, cut(r"(mov\.u16 %rs\d+, )3;", r"\g<1>1;"),
          DeadlockError, at="mbarrier.try_wait"),
    Fault("rank beyond the cluster", CLUSTER,
          cut(r"(mapa\.shared::cluster\.u32 remAddr32, %r\d+, )%r6", r"\g<1>7", 1),
          OutOfBoundsError, at="mbarrier.arrive"),
    Fault("no barrier before the store", CLUSTER, cut(r"bar\.sync %r34, 128;"),
          RaceError, at="cp.async.bulk.tensor"),
    Fault("half of the arrivals", CLUSTER,
          cut(r"(mbarrier\.init[^;]*\], )4;", r"\g<1>2;"), DeadlockError, at="mbarrier.try_wait"),
    Fault("more bytes than the stage has", CLUSTER, cut(r"(expect_tx[^;]*)49152;", r"\g<1>49184;"),
          DeadlockError, at="mbarrier.try_wait"),
    Fault("one warp releases a stage for its warpgroup", CLUSTER, cut(r"barrier\.cluster\.arrive", "fence.proxy.async; barrier.cluster.arrive"), RaceError,
          options={"strict": True}, at="cp.async.bulk.tensor"),
    Fault("no proxy fence before the second product", "pyptx_hopper_attention", same,
          ProxyFenceError, options={"strict": True}, at="wgmma.mma_async"),
    Fault("no proxy fence before wgmma", FLASH, same, ProxyFenceError,
          options={"strict": True}, at="wgmma.mma_async"),
    Fault("no barrier before wgmma reads the weights", FLASH,
          cut(r"bar\.sync 0;", count=1, after="[%r63], %rs7;"), RaceError, at="wgmma.mma_async"),
)  # fmt: skip
