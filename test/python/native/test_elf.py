"""The loader of relocatable objects: what it loads, and what it refuses."""

import ctypes
import math
import random
import struct
import time
from pathlib import Path

import llvmlite.binding as llvm
import pytest

from ix.errors import ArtifactError, IxError
from ix.passes.cpu.object_code import compile_object
from ix.runtime.elf import load_object
from ix.target import Target

HOST = Target.parse("cpu")

PROGRAM = """
@table = internal constant [4 x double] [double 1.5, double 2.5, double 3.5, double 4.5]
@counter = internal global i64 40
@zeros = internal global [100 x i64] zeroinitializer
@shared = global i64 7
@pointer = global ptr @table
@common = common global i64 0
@absent = extern_weak global i8
declare double @cbrt(double)
declare ptr @memcpy(ptr, ptr, i64)
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)

define double @root(double %x) {
  %r = call double @cbrt(double %x)
  ret double %r
}

define double @entry_of_table(i64 %i) {
  %p = load ptr, ptr @pointer
  %at = getelementptr double, ptr %p, i64 %i
  %v = load double, ptr %at
  ret double %v
}

define i64 @count() {
  %a = load i64, ptr @counter
  %b = add i64 %a, 1
  store i64 %b, ptr @counter
  %c = load i64, ptr @common
  %d = add i64 %c, 1
  store i64 %d, ptr @common
  %last = getelementptr i64, ptr @zeros, i64 99
  %e = load i64, ptr %last
  %f = add i64 %b, %d
  %g = add i64 %f, %e
  ret i64 %g
}

define void @copy(ptr %to, ptr %from, i64 %n) {
  call void @llvm.memset.p0.i64(ptr %to, i8 0, i64 %n, i1 false)
  %r = call ptr @memcpy(ptr %to, ptr %from, i64 %n)
  ret void
}

define ptr @address_of_cbrt() {
  ret ptr @cbrt
}

define i1 @is_there() {
  %there = icmp ne ptr @absent, null
  ret i1 %there
}
"""


def emit(text: str, reloc: str = "pic", model: str = "small") -> bytes:
    """An object in another code model than ix emits."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    machine = llvm.Target.from_triple(HOST.triple).create_target_machine(
        reloc=reloc, codemodel=model
    )
    module = llvm.parse_assembly(text)
    module.triple = HOST.triple
    return bytes(machine.emit_object(module))


def check_program(data: bytes) -> None:
    code = load_object(data)
    double, i64, ptr = ctypes.c_double, ctypes.c_int64, ctypes.c_void_p

    def function(name: str, result: object, *kinds: object) -> object:
        return ctypes.CFUNCTYPE(result, *kinds)(code.address(name))

    root = function("root", double, double)
    assert root(27.0) == pytest.approx(3.0)
    entry_of_table = function("entry_of_table", double, i64)
    assert [entry_of_table(i) for i in range(4)] == [1.5, 2.5, 3.5, 4.5]
    count = function("count", i64)
    assert [count(), count()] == [42, 44]
    source, target = bytes(range(200)), ctypes.create_string_buffer(b"\xff" * 200, 200)
    function("copy", None, ptr, ptr, i64)(ctypes.addressof(target), source, 200)
    assert target.raw == source
    cbrt = ctypes.CFUNCTYPE(double, double)(function("address_of_cbrt", ptr)())
    assert cbrt(8.0) == pytest.approx(2.0)
    assert not function("is_there", ctypes.c_bool)()
    code.close()


@pytest.mark.parametrize(
    ("reloc", "model"),
    [("pic", "small"), ("pic", "medium"), ("pic", "large"), ("static", "large")],
)
def test_code_data_and_library_calls(reloc: str, model: str) -> None:
    check_program(emit(PROGRAM, reloc, model))


def test_what_the_compiler_emits() -> None:
    check_program(compile_object(PROGRAM, HOST))
    check_program(compile_object(PROGRAM, HOST, level=3))


def test_absolute_32_bit_addresses_are_refused() -> None:
    text = """@t = internal global [9 x i64] zeroinitializer
    define i64 @f(i64 %i) {
      %p = getelementptr i64, ptr @t, i64 %i
      %v = load i64, ptr %p
      ret i64 %v
    }"""
    with pytest.raises(ArtifactError, match=r"fit in 32 bits"):
        load_object(emit(text, "static", "small"))


def test_objects_refer_to_each_other() -> None:
    first = compile_object(
        "declare i64 @b(i64)\n@v = external global i64\n"
        "define i64 @a(i64 %x) {\n  %y = call i64 @b(i64 %x)\n  %z = load i64, ptr @v\n"
        "  %r = add i64 %y, %z\n  ret i64 %r\n}",
        HOST,
    )
    second = compile_object(
        "@v = global i64 100\n"
        "define i64 @b(i64 %x) {\n  %r = mul i64 %x, 2\n  ret i64 %r\n}",
        HOST,
    )
    for objects in ((first, second), (second, first)):
        code = load_object(*objects)
        call = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(code.address("a"))
        assert call(5) == 110
    with pytest.raises(ArtifactError, match=r"symbol '[bv]', but neither"):
        load_object(first)


def constant_function(name: str, value: int, linkage: str = "") -> bytes:
    return compile_object(
        f"define {linkage} i64 @{name}() {{\n  ret i64 {value}\n}}", HOST
    )


def test_strong_definitions_win_over_weak_ones() -> None:
    weak, strong = constant_function("f", 1, "weak"), constant_function("f", 2)
    for objects in ((weak, strong), (strong, weak), (weak, strong, weak)):
        code = load_object(*objects)
        assert ctypes.CFUNCTYPE(ctypes.c_int64)(code.address("f"))() == 2
    assert load_object(weak, weak).address("f")


def test_two_definitions_are_refused() -> None:
    with pytest.raises(ArtifactError, match=r"define 'f' once, but two do"):
        load_object(constant_function("f", 1), constant_function("f", 2))


def test_local_symbols_stay_apart() -> None:
    objects = [
        compile_object(
            f"@v = internal global i64 {n}\ndefine i64 @f{n}() {{\n"
            f"  %v = load i64, ptr @v\n  ret i64 %v\n}}",
            HOST,
        )
        for n in (1, 2)
    ]
    code = load_object(*objects)
    for n in (1, 2):
        assert ctypes.CFUNCTYPE(ctypes.c_int64)(code.address(f"f{n}"))() == n


def test_no_page_is_writable_and_executable() -> None:
    code = load_object(compile_object(PROGRAM, HOST))
    start = min(code.symbols.values()) // 4096 * 4096
    access = {}
    for line in Path("/proc/self/maps").read_text().splitlines():
        span, flags = line.split()[:2]
        low, high = (int(end, 16) for end in span.split("-"))
        if high > start and low < start + code.size_bytes:
            assert "wx" not in flags
        for name, address in code.symbols.items():
            if low <= address < high:
                access[name] = flags[:3]
    table = ctypes.c_uint64.from_address(code.address("pointer")).value
    assert access["root"] == "r-x"
    assert access["shared"] == access["pointer"] == access["common"] == "rw-"
    with pytest.raises(ArtifactError, match=r"define 'table', but it defines"):
        code.address("table")
    assert table


def test_closed_code_has_no_addresses() -> None:
    code = load_object(constant_function("f", 1))
    code.close()
    code.close()
    with pytest.raises(ArtifactError, match=r"'f' needs loaded code, but it is closed"):
        code.address("f")


@pytest.mark.parametrize("name", ["ix_no_such_symbol", "__init__", "_handle", "_name"])
def test_unresolved_symbol_is_named(name: str) -> None:
    text = f"declare void @{name}()\ndefine void @f() {{\n  call void @{name}()\n  ret void\n}}"
    with pytest.raises(ArtifactError, match=rf"the symbol '{name}', but neither"):
        load_object(compile_object(text, HOST))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("@t = thread_local global i64 1", r"thread-local"),
        (
            "@llvm.global_ctors = appending global [1 x { i32, ptr, ptr }] "
            "[{ i32, ptr, ptr } { i32 1, ptr @f, ptr null }]\n"
            "define void @f() {\n  ret void\n}",
            r"constructors and thread-locals are unknown",
        ),
        ("@big = global [2000000000 x i8] zeroinitializer", r"at most 1073741824"),
        ("@far = global i64 1, align 8192", r"alignments up to 4096, but has 8192"),
    ],
)
def test_unknown_sections_are_refused(text: str, message: str) -> None:
    with pytest.raises(ArtifactError, match=message):
        load_object(compile_object(text, HOST))


def test_writable_code_is_refused() -> None:
    good = constant_function("f", 1)
    (table,) = struct.unpack_from("<Q", good, 40)
    for at in range(table, len(good), 64):
        flags = struct.unpack_from("<Q", good, at + 8)[0]
        if flags & 4:
            good = patched(good, "<Q", at + 8, flags | 1)
    with pytest.raises(ArtifactError, match=r"not both writable and executable"):
        load_object(good)


def patched(data: bytes, form: str, offset: int, value: int) -> bytes:
    changed = bytearray(data)
    struct.pack_into(form, changed, offset, value)
    return bytes(changed)


def test_foreign_files_are_refused() -> None:
    good = constant_function("f", 1)
    cases = {
        r"bytes 0..64 for its header, but it has 0": b"",
        r"little-endian ELF64": b"MZ" + good[2:],
        r"type 1, machine 183": patched(good, "<H", 18, 183),
        r"type 3, machine 62": patched(good, "<H", 16, 3),
        r"1 to 65279 named section headers": patched(good, "<H", 60, 0),
        r"for its section headers, but": patched(good, "<Q", 40, 1 << 60),
    }
    for message, data in cases.items():
        with pytest.raises(ArtifactError, match=message):
            load_object(data)
    with pytest.raises(ArtifactError, match=r"ELF64"):
        load_object(patched(good, "<B", 4, 1))


def test_every_truncation_is_refused() -> None:
    good = compile_object(PROGRAM, HOST)
    for size in range(0, len(good) - 1, 7):
        with pytest.raises(ArtifactError):
            load_object(good[:size])


def test_flipped_bytes_load_or_raise() -> None:
    good, rng = compile_object(PROGRAM, HOST), random.Random(3)
    (table,) = struct.unpack_from("<Q", good, 40)
    kinds = [
        struct.unpack_from("<IIQQQQIIQQ", good, at)
        for at in range(table, len(good), 64)
    ]
    # Headers, symbols and relocations: whatever steers the loader.
    steering = [*range(64), *range(table, len(good))]
    for _, kind, _, _, offset, size, *_ in kinds:
        if kind in (2, 3, 4):
            steering += range(offset, offset + size)
    refused = 0
    for _ in range(6000):
        changed = bytearray(good)
        for _ in range(rng.choice((1, 1, 1, 2, 5))):
            at = rng.choice(steering)
            changed[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        try:
            load_object(bytes(changed)).close()
        except IxError:
            refused += 1
    assert 1000 < refused < 6000


def test_loading_is_fast() -> None:
    text = "".join(
        f"define double @f{i}(double %x) {{\n"
        + "".join(
            f"  %a{k} = fmul double {'%x' if k == 0 else f'%a{k - 1}'}, {i + k * math.pi!r}\n"
            for k in range(20)
        )
        + "  ret double %a19\n}\n"
        for i in range(400)
    )
    data = compile_object(text, HOST)
    times = []
    for _ in range(9):
        start = time.perf_counter()
        load_object(data).close()
        times.append(time.perf_counter() - start)
    assert min(times) / len(data) < 40e-9  # s per byte; 8 ms for 200 kB at the worst
