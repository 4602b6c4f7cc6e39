"""The parser: modules, scopes, operands, initialisers, locations, and what it refuses."""

import math

import pytest

from ix.emulator.errors import PtxSyntaxError
from ix.emulator.parser import parse_module
from ix.emulator.syntax import (
    Address,
    Immediate,
    Negated,
    Pair,
    Register,
    Sink,
    SpecialRegister,
    Symbol,
    Vector,
)

HEADER = ".version 8.3\n.target sm_90a, debug\n.address_size 64\n"


def body(text):
    """The function of an entry with a body."""
    module = parse_module(HEADER + ".visible .entry k() {\n" + text + "\n}")
    return module.functions["k"]


def only(text):
    """The one instruction of a body, with registers declared."""
    declared = ".reg .pred %p<4>; .reg .b32 %r<9>; .reg .b64 %rd<9>; .reg .f32 %f<9>;"
    (instruction,) = body(declared + text).instructions
    return instruction


def test_a_module_has_its_header_and_several_kernels():
    module = parse_module(
        HEADER
        + ".visible .entry a(.param .u64 x) { ret; }\n"
        + ".func helper() { ret; }\n"
        + ".entry b(.param .u32 n, .param .align 64 .b8 map[128]) { ret; }\n"
    )
    assert module.version == (8, 3)
    assert module.target == "sm_90a"
    assert [f.name for f in module.entries()] == ["a", "b"]
    n, tensor_map = module.functions["b"].parameters
    assert (n.type, n.count, n.align) == ("u32", 1, 4)
    assert (tensor_map.type, tensor_map.count, tensor_map.align) == ("b8", 128, 64)


def test_a_pointer_parameter_keeps_its_own_alignment():
    module = parse_module(
        HEADER + ".entry k(.param .u64 .ptr .global .align 16 x) { ret; }"
    )
    (x,) = module.functions["k"].parameters
    assert (x.name, x.type, x.align) == ("x", "u64", 8)


def test_comments_keep_the_line_numbers():
    function = body("// one\n/* two\n three */ ret; // four\n exit;")
    assert [i.line for i in function.instructions] == [7, 8]


def test_operands_of_every_form():
    i = only("setp.lt.and.f32 %p0|%p1, %f1, 0f3F800000, !%p2;")
    assert i.modifiers == ("lt", "and", "f32")
    assert i.operands == (
        Pair(Register("%p0"), Register("%p1")),
        Register("%f1"),
        Immediate(1.0, "f32", 0x3F800000),
        Negated(Register("%p2")),
    )
    assert only("mov.u32 %r1, %ctaid.y;").operands[1] == SpecialRegister("%ctaid.y")
    assert only("mov.u32 %r1, WARP_SZ;").operands[1] == SpecialRegister("WARP_SZ")
    assert only("ld.global.v2.u32 {%r1, _}, [%rd1+-8];").operands == (
        Vector((Register("%r1"), Sink())),
        Address(Register("%rd1"), -8),
    )
    assert only("ld.shared.u32 %r1, [buffer+12];").operands[1] == Address(
        Symbol("buffer"), 12
    )
    assert only("ld.global.u32 %r1, [4096];").operands[1] == Address(Immediate(4096))


def test_a_tensor_address_has_coordinates():
    i = only("cp.async.bulk.tensor.2d.x [%rd1, {%r1, %r2}], [%r3];")
    assert i.operands[0] == Address(
        Register("%rd1"), 0, (Register("%r1"), Register("%r2"))
    )
    assert i.modifiers == ("async", "bulk", "tensor", "2d", "x")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("255", 255),
        ("0xFFU", 255),
        ("0b101", 5),
        ("017", 15),
        ("0", 0),
        ("-7", -7),
        ("-0x10", -16),
    ],
)
def test_integers(text, value):
    assert only(f"mov.u32 %r1, {text};").operands[1] == Immediate(value)


def test_floats_keep_their_bits():
    assert only("mov.f32 %f1, 0fFF800000;").operands[1].value == -math.inf
    nan = only("mov.f32 %f1, 0f7FC00001;").operands[1]
    assert nan.bits == 0x7FC00001
    assert only("mov.f64 %rd1, 0d3FF0000000000000;").operands[1].value == 1.0
    assert only("mov.f32 %f1, 1.5e1;").operands[1].value == 15.0
    negated = only("mov.f32 %f1, -0f3F800000;").operands[1]
    assert (negated.value, negated.bits) == (-1.0, 0xBF800000)


def test_an_instruction_may_go_over_several_lines():
    i = only("mma.sync.aligned\n {%r1,\n %r2},\n {%r3, %r4};")
    assert i.line == 5
    assert i.text == "mma.sync.aligned {%r1, %r2}, {%r3, %r4};"


def test_predicates():
    i = only("@!%p1 bra there;")
    assert (i.predicate.register, i.predicate.negated) == ("%p1", True)
    assert only("ret;").predicate is None


def test_scopes_have_registers_and_labels_of_their_own():
    function = body(
        ".reg .b32 a;\n{ .reg .b32 a; mov.b32 a, 1; L: bra L; }\n"
        "{ .reg .pred a; { .reg .b64 a; mov.b64 a, 2; } bra L; L: ret; }\n"
        "mov.b32 a, 3;"
    )
    assert sorted(function.registers.values()) == ["b32", "b32", "b64", "pred"]
    moves = [i.operands[0].name for i in function.instructions if i.opcode == "mov"]
    assert len(set(moves)) == 3
    assert function.registers[moves[1]] == "b64"
    branches = [i.operands[0].name for i in function.instructions if i.opcode == "bra"]
    assert function.labels[branches[0]] == 1
    assert function.labels[branches[1]] == 4


def test_a_branch_may_leave_its_scope():
    function = body("{ bra out; } exit; out: ret;")
    (branch,) = [i for i in function.instructions if i.opcode == "bra"]
    assert function.labels[branch.operands[0].name] == 2


def test_register_ranges_and_vectors():
    function = body(".reg .b32 %r<3>, x; .reg .v2 .f32 %v; mov.f32 %v.y, %v.x;")
    assert function.registers == {
        "%r0": "b32",
        "%r1": "b32",
        "%r2": "b32",
        "x": "b32",
        "%v.x": "f32",
        "%v.y": "f32",
    }
    assert function.instructions[0].operands == (Register("%v.y"), Register("%v.x"))


def test_variables_with_initialisers():
    module = parse_module(
        HEADER
        + ".const .align 8 .b8 bytes[4] = {1, 0x2, 3};\n"
        + ".global .u64 pointers[2] = {generic(bytes)+2, other+4};\n"
        + ".visible .global .f32 pi = 0f40490FDB, e = -2.5;\n"
        + ".global .b32 grid[2][3] = {{1, 2, 3}, {4, 5, 6}};\n"
        + ".extern .shared .align 16 .b8 dynamic[];\n"
    )
    variables = module.variables
    assert variables["bytes"].initialiser == (1, 2, 3)
    assert (variables["bytes"].count, variables["bytes"].align) == (4, 8)
    assert variables["pointers"].initialiser == (Symbol("bytes", 2), Symbol("other", 4))
    assert variables["pointers"].is_generic
    assert variables["e"].initialiser == (-2.5,)
    assert variables["grid"].count == 6
    assert variables["grid"].initialiser == (1, 2, 3, 4, 5, 6)
    assert variables["dynamic"].count is None


def test_directives_of_an_entry():
    module = parse_module(
        HEADER
        + ".entry k() .maxntid 128, 2, 1 .minnctapersm 2\n.maxnreg 64 { ret; }\n"
        + ".func (.param .b32 r) f(.param .b64 x) .noreturn ;"
    )
    assert module.functions["k"].directives == {
        "maxntid": (128, 2, 1),
        "minnctapersm": (2,),
        "maxnreg": (64,),
    }
    assert not module.functions["f"].is_defined


def test_lists_of_branch_targets_and_calls():
    function = body(
        ".reg .b32 %r<2>; .reg .b64 %rd<2>;\n"
        "{ .param .b32 a; .param .b32 r; call.uni (r), f, (a); }\n"
        "P: .callprototype (.param .b32 _) _ (.param .b32 _);\n"
        "brx.idx %r1, T;\nT: .branchtargets A, B;\nA: ret; B: exit;"
    )
    assert function.branch_targets == {"T": ("A", "B")}
    call = function.instructions[0]
    assert isinstance(call.operands[0], Vector) and isinstance(call.operands[2], Vector)
    assert call.operands[1] == Symbol("f")


def test_locations_name_the_source_even_if_files_come_last():
    module = parse_module(
        HEADER
        + ".entry k() {\n.loc 1 12 3\nret;\n.loc 2 7 5, function_name L+3, inlined_at 1 2 3\n"
        + 'exit;\n.loc 1 0 0\nexit; }\n.file 1 "model.py"\n.file 2 "layer.py", 123, 456\n'
        + ".section .debug_info { .b32 4, {1, 2} }\n"
    )
    places = [str(i.location) for i in module.functions["k"].instructions]
    assert places == ["model.py:12:3", "layer.py:7:5", "None"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nonsense", "needs a directive of a module, but 'nonsense' is there"),
        (".entry k() { ret", "needs '}' at the end of the function, but"),
        (".entry k() { @%p1 ret; }", "needs a declared predicate, but '%p1' is there"),
        (".entry k() { ld.u32 %r [x]; }", "needs ',' or ';' behind an operand"),
        (".entry k() { .frob 3; }", "needs a directive of a function, but '.frob'"),
        (".global .q7 x;", "needs a type, but '.q7' is there"),
        (".entry k() { mov.u32 x, -y; }", "needs a number behind a sign, but 'y'"),
    ],
)
def test_what_is_no_ptx_is_refused_with_its_line(text, message):
    with pytest.raises(PtxSyntaxError, match=r"^PTX line \d+: 'parser' needs") as info:
        parse_module(HEADER + text)
    assert message in str(info.value)
