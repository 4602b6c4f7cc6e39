"""Kernels that LLVM emits: control flow, calls, local memory, barriers, locations."""

import numpy as np
import pytest
from ptx_runner import run_text

from ix.emulator.errors import OutOfBoundsError, RaceError, UninitialisedError

llvm = pytest.importorskip("llvmlite.binding")

RNG = np.random.default_rng()
DECLARATIONS = """target triple = "nvptx64-nvidia-cuda"
declare i32 @llvm.nvvm.read.ptx.sreg.tid.x()
declare i32 @llvm.nvvm.read.ptx.sreg.ctaid.x()
declare void @llvm.nvvm.barrier.cta.sync.aligned.all(i32)
declare float @llvm.nvvm.shfl.sync.bfly.f32(i32, float, i32, i32)
"""
SCHEDULES = pytest.mark.parametrize("schedule", ["lockstep", 1])


def compile_llvm(ir, target="sm_90", optimise=3):
    """PTX of LLVM IR."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    module = llvm.parse_assembly(DECLARATIONS + ir)
    module.verify()
    machine = llvm.Target.from_triple("nvptx64-nvidia-cuda").create_target_machine(
        cpu=target, features="+ptx83", opt=optimise
    )
    return machine.emit_assembly(module)


def kernel(body, head="", attributes=""):
    """A kernel `k(in0, out)` with the thread in %t and its index in %i."""
    return compile_llvm(
        f"""{head}
        define ptx_kernel void @k(ptr addrspace(1) %in0, ptr addrspace(1) %out)
        {attributes} {{
        entry:
          %t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
          %c = call i32 @llvm.nvvm.read.ptx.sreg.ctaid.x()
          %base = mul i32 %c, 256
          %i = add i32 %base, %t
          %source = getelementptr i32, ptr addrspace(1) %in0, i32 %i
          %target = getelementptr i32, ptr addrspace(1) %out, i32 %i
          {body}
        }}"""
    )


def test_a_switch_becomes_a_table_of_branches():
    cases = "\n".join(f"i32 {k}, label %case{k}" for k in range(9))
    blocks = "\n".join(
        f"case{k}:\n store volatile i32 {k * k + 3}, ptr addrspace(1) %target\n"
        " br label %join"
        for k in range(9)
    )
    text = kernel(
        f"""%x = load i32, ptr addrspace(1) %source
        switch i32 %x, label %other [{cases}]
        {blocks}
        other:
          store volatile i32 -1, ptr addrspace(1) %target
          br label %join
        join:
          ret void"""
    )
    assert "brx.idx" in text
    x = RNG.integers(0, 12, 256, dtype=np.int32)
    got, _ = run_text(text, [x], out=np.int32, count=256, block=256)
    assert (got == np.where(x < 9, x * x + 3, -1)).all()


@SCHEDULES
def test_collatz_steps_differ_in_every_lane(schedule):
    text = kernel(
        """%x = load i32, ptr addrspace(1) %source
        br label %loop
        loop:
          %v = phi i32 [%x, %entry], [%next, %body]
          %n = phi i32 [0, %entry], [%n1, %body]
          %done = icmp ule i32 %v, 1
          br i1 %done, label %end, label %body
        body:
          %odd = and i32 %v, 1
          %isodd = icmp eq i32 %odd, 1
          %triple = mul i32 %v, 3
          %up = add i32 %triple, 1
          %down = lshr i32 %v, 1
          %next = select i1 %isodd, i32 %up, i32 %down
          %n1 = add i32 %n, 1
          br label %loop
        end:
          store i32 %n, ptr addrspace(1) %target
          ret void"""
    )

    def steps(v):
        return 0 if v <= 1 else 1 + steps(3 * v + 1 if v % 2 else v // 2)

    x = RNG.integers(1, 300, 256, dtype=np.uint32)
    got, _ = run_text(text, [x], count=256, block=256, schedule=schedule)
    assert got.tolist() == [steps(int(v)) for v in x]


def test_local_arrays_are_indexed_by_values():
    text = kernel(
        """%a = alloca [8 x i32]
        %x = load i32, ptr addrspace(1) %source
        %last = and i32 %x, 7
        br label %fill
        fill:
          %j = phi i32 [0, %entry], [%j1, %fill]
          %p = getelementptr [8 x i32], ptr %a, i32 0, i32 %j
          %v = mul i32 %j, %x
          store volatile i32 %v, ptr %p
          %j1 = add i32 %j, 1
          %more = icmp ult i32 %j1, 8
          br i1 %more, label %fill, label %read
        read:
          %q = getelementptr [8 x i32], ptr %a, i32 0, i32 %last
          %r = load volatile i32, ptr %q
          store i32 %r, ptr addrspace(1) %target
          ret void"""
    )
    assert "local" in text
    x = RNG.integers(0, 1 << 20, 256, dtype=np.uint32)
    got, counters = run_text(text, [x], count=256, block=256)
    assert (got == (x & 7) * x).all()
    assert counters["local_store_bytes"] == 256 * 32


@SCHEDULES
def test_calls_in_both_arms_of_a_branch(schedule):
    head = """define internal i32 @cube(i32 %x) noinline {
        %y = mul i32 %x, %x
        %z = mul i32 %y, %x
        ret i32 %z }
      define internal {i32, i64} @both(i32 %x, i64 %w) noinline {
        %c = call i32 @cube(i32 %x)
        %a = insertvalue {i32, i64} poison, i32 %c, 0
        %l = add i64 %w, 5
        %b = insertvalue {i32, i64} %a, i64 %l, 1
        ret {i32, i64} %b }"""
    text = kernel(
        """%x = load i32, ptr addrspace(1) %source
        %odd = and i32 %x, 1
        %p = icmp eq i32 %odd, 0
        br i1 %p, label %even, label %uneven
        even:
          %k = call i32 @cube(i32 %x)
          br label %join
        uneven:
          %w = zext i32 %x to i64
          %pair = call {i32, i64} @both(i32 %t, i64 %w)
          %first = extractvalue {i32, i64} %pair, 0
          %second = extractvalue {i32, i64} %pair, 1
          %narrow = trunc i64 %second to i32
          %sum = add i32 %first, %narrow
          br label %join
        join:
          %r = phi i32 [%k, %even], [%sum, %uneven]
          store i32 %r, ptr addrspace(1) %target
          ret void""",
        head,
    )
    assert "call.uni" in text
    x = RNG.integers(0, 1000, 256, dtype=np.uint32)
    got, _ = run_text(text, [x], count=256, block=256, schedule=schedule)
    t = np.arange(256, dtype=np.uint32)
    assert (got == np.where(x % 2, t**3 + x + 5, x**3)).all()


TRANSPOSE = """@tile = internal addrspace(3) global [256 x i32] poison, align 16"""
TRANSPOSE_BODY = """%x = load i32, ptr addrspace(1) %source
    %cell = getelementptr i32, ptr addrspace(3) @tile, i32 %t
    store i32 %x, ptr addrspace(3) %cell
    {}
    %row = lshr i32 %t, 4
    %column = and i32 %t, 15
    %turned = shl i32 %column, 4
    %other = add i32 %turned, %row
    %from = getelementptr i32, ptr addrspace(3) @tile, i32 %other
    %y = load i32, ptr addrspace(3) %from
    store i32 %y, ptr addrspace(1) %target
    ret void"""
BARRIER = "call void @llvm.nvvm.barrier.cta.sync.aligned.all(i32 0)"


@SCHEDULES
def test_a_tile_is_transposed_through_shared_memory(schedule):
    text = kernel(TRANSPOSE_BODY.format(BARRIER), TRANSPOSE)
    x = RNG.integers(0, 1 << 32, 512, dtype=np.uint32)
    got, counters = run_text(text, [x], count=512, block=256, grid=2, schedule=schedule)
    tiles = x.reshape(2, 16, 16).transpose(0, 2, 1)
    assert (got.reshape(2, 16, 16) == tiles).all()
    # A warp reads 2 × 16 words at a stride of 16: 4 banks give 8 words each.
    assert counters["shared_load_wavefronts"] == 16 * 8
    assert counters["barriers"] == 16


@pytest.mark.parametrize("options", [{}, {"schedule": 3}])
def test_the_tile_without_its_barrier_is_reported(options):
    text = kernel(TRANSPOSE_BODY.format(""), TRANSPOSE)
    with pytest.raises((RaceError, UninitialisedError)):
        run_text(text, [np.zeros(256, np.uint32)], count=256, block=256, **options)


def test_rows_are_summed_by_shuffles():
    shuffles = "\n".join(
        f"""%h{d} = call float @llvm.nvvm.shfl.sync.bfly.f32(i32 -1, float %v{2 * d}, i32 {d}, i32 31)
        %v{d} = fadd float %v{2 * d}, %h{d}"""
        for d in (16, 8, 4, 2, 1)
    )
    text = kernel(
        f"""%v32 = load float, ptr addrspace(1) %source
        {shuffles}
        store float %v1, ptr addrspace(1) %target
        ret void"""
    )
    x = RNG.standard_normal(256).astype(np.float32)
    got, _ = run_text(text, [x], out=np.float32, count=256, block=256)
    sums = x.astype(np.float64).reshape(8, 32).sum(1)
    assert np.allclose(got.reshape(8, 32), sums[:, None], rtol=0, atol=1e-5)


def test_a_fault_names_the_line_of_the_debug_information():
    head = """!llvm.dbg.cu = !{!0}
    !llvm.module.flags = !{!3}
    !0 = distinct !DICompileUnit(language: DW_LANG_C, file: !1, emissionKind: FullDebug)
    !1 = !DIFile(filename: "model.py", directory: "/")
    !3 = !{i32 2, !"Debug Info Version", i32 3}
    !4 = distinct !DISubprogram(name: "k", file: !1, line: 1, type: !6, unit: !0, spFlags: DISPFlagDefinition)
    !5 = !DILocation(line: 42, column: 7, scope: !4)
    !6 = !DISubroutineType(types: !7)
    !7 = !{null}"""
    text = kernel(
        """%far = getelementptr i32, ptr addrspace(1) %target, i32 4096
        store i32 1, ptr addrspace(1) %far, !dbg !5
        ret void""",
        head,
        "!dbg !4",
    )
    with pytest.raises(OutOfBoundsError) as info:
        run_text(text, [np.zeros(256, np.uint32)], count=256, block=256)
    assert "model.py:42:7: 'st.global" in str(info.value)
    assert "bytes behind the end of the 1024-byte allocation" in str(info.value)
