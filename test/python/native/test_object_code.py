"""LLVM IR to objects: levels, attributes, determinism, errors."""

import ctypes

import pytest

from ix.errors import CompileError
from ix.passes.cpu.object_code import assembly, compile_object
from ix.runtime.elf import load_object
from ix.target import Target

HOST = Target.parse("cpu")

# A loop that level 3 unrolls or vectorises, in two functions of which one asks for it;
# both call the same local function, which reads a local table and counts its calls.
MIXED = """
@table = internal constant [4 x float] [float 1.0, float 2.0, float 3.0, float 4.0]
@calls = internal global i64 0

define internal float @helper(i64 %i) {
  %low = and i64 %i, 3
  %p = getelementptr float, ptr @table, i64 %low
  %v = load float, ptr %p
  %n = load i64, ptr @calls
  %m = add i64 %n, 1
  store i64 %m, ptr @calls
  ret float %v
}

define i64 @count() {
  %n = load i64, ptr @calls
  ret i64 %n
}
""" + "".join(
    f"""
define void @{name}(ptr noalias %out, i64 %n) {attribute} {{
entry:
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %loop ]
  %at = getelementptr float, ptr %out, i64 %i
  %v = call float @helper(i64 %i)
  store float %v, ptr %at
  %next = add i64 %i, 1
  %more = icmp ult i64 %next, %n
  br i1 %more, label %loop, label %end
end:
  ret void
}}
"""
    for name, attribute in (("plain", ""), ("fast", '"ix-opt-level"="3"'))
)


def body(text: str, name: str) -> str:
    """The assembly of one function."""
    return text.split(f"\n{name}:", 1)[1].split(".Lfunc_end", 1)[0]


def filled(address: int, count: int) -> list[float]:
    out = (ctypes.c_float * count)()
    ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(address)(out, count)
    return list(out)


@pytest.mark.parametrize("name", ["cpu", "cpu:avx2", "cpu:avx512", "cpu:generic"])
@pytest.mark.parametrize("level", [0, 3])
def test_same_text_gives_the_same_bytes(name: str, level: int) -> None:
    target = Target.parse(name)
    once = compile_object(MIXED, target, level=level)
    assert once == compile_object(MIXED, target, level=level)
    assert once[:4] == b"\x7fELF"


def test_a_function_asks_for_its_own_level() -> None:
    text = assembly(MIXED, HOST)
    assert "helper" in body(text, "plain")
    assert "helper" not in body(text, "fast"), "level 3 inlines it"
    assert "helper" not in body(assembly(MIXED, HOST, 3), "plain")


def test_mixed_levels_share_local_variables() -> None:
    code = load_object(compile_object(MIXED, HOST))
    count = ctypes.CFUNCTYPE(ctypes.c_int64)(code.address("count"))
    expected = [float(i % 4 + 1) for i in range(37)]
    assert filled(code.address("plain"), 37) == expected
    assert count() == 37
    assert filled(code.address("fast"), 37) == expected
    assert count() == 74


def test_mixed_levels_keep_local_symbols_local() -> None:
    code = load_object(compile_object(MIXED, HOST))
    assert sorted(code.symbols) == ["count", "fast", "plain"]


def test_mixed_levels_need_named_globals() -> None:
    unnamed = MIXED.replace("@table", "@0")
    with pytest.raises(CompileError, match=r"needs a name for every global"):
        compile_object(unnamed, HOST)


def test_vector_width_follows_the_target() -> None:
    text = """define <16 x float> @f(<16 x float> %a, <16 x float> %b) {
      %r = fadd <16 x float> %a, %b
      ret <16 x float> %r
    }"""
    assert "%zmm0" in assembly(text, Target.parse("cpu:avx512"))
    assert "zmm" not in assembly(text, Target.parse("cpu:avx2"))
    assert "ymm" not in assembly(text, Target.parse("cpu:generic"))


def test_functions_never_unwind() -> None:
    assert b".eh_frame" not in compile_object(MIXED, HOST)


@pytest.mark.parametrize(
    "header",
    [
        "define void @f() {",
        "define void @f() unnamed_addr {",
        'define internal fastcc void @f() local_unnamed_addr section ".text.x" {',
        'define dso_local void @"f (x"(ptr sret({ i32, [2 x float] }) align 8 %0) #0 {',
        "define noundef range(i32 0, 9) i32 @f(i32 range(i32 0, 9) %0) align 32 {",
    ],
)
def test_attributes_go_behind_the_parameters(header: str) -> None:
    result = "i32 1" if " i32 @f" in header else "void"
    text = f"{header}\n  ret {result}\n}}\nattributes #0 = {{ noinline }}"
    compile_object(text, HOST)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "define void @f() {\n  %0 = fadd float 1.1, 2.0\n  ret void\n}",
            r"line 2 is `%0 = fadd float 1.1, 2.0` \(floating point constant",
        ),
        ("define void @f() {\n  nonsense\n}", r"line 2 is `nonsense`"),
        (
            "define i32 @f(i1 %c) {\n  br i1 %c, label %a, label %b\na:\n"
            "  %x = add i32 1, 2\n  br label %b\nb:\n  ret i32 %x\n}",
            r"does not dominate all uses",
        ),
    ],
)
def test_invalid_text_names_the_line(text: str, message: str) -> None:
    with pytest.raises(CompileError, match=message):
        compile_object(text, HOST)


def test_other_targets_and_levels_are_refused() -> None:
    with pytest.raises(
        CompileError, match=r"needs a cpu target, but the target is sm_80"
    ):
        compile_object("", Target.parse("sm_80"))
    with pytest.raises(CompileError, match=r"needs to be 0 or 3, but it is 2"):
        compile_object("", HOST, level=2)
