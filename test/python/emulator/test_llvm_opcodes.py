"""Every instruction that LLVM emits for small functions is one that the emulator has."""

import re

import llvmlite.binding as llvm
import pytest

from ix.emulator import Emulator, alu

# Parameters of every probe; %q is where its result goes.
PARAMETERS = (
    "ptr addrspace(1) %p, ptr addrspace(3) %s, i32 %i, float %f, i32 %j, i64 %l, "
    "half %h, bfloat %b, double %d, i16 %w, i8 %c, <2 x half> %hh, <2 x bfloat> %bb"
)

# name → (the type of the result, its value; intrinsics are declared from the call)
INTEGER = {
    "add": ("i32", "add i32 %i, %j"),
    "add64": ("i64", "add i64 %l, 7"),
    "add16": ("i16", "add i16 %w, 7"),
    "sub": ("i32", "sub i32 %i, %j"),
    "mul": ("i32", "mul i32 %i, %j"),
    "mul64": ("i64", "mul i64 %l, %l"),
    "sdiv": ("i32", "sdiv i32 %i, %j"),
    "udiv7": ("i32", "udiv i32 %i, 7"),
    "srem": ("i32", "srem i32 %i, %j"),
    "udiv64": ("i64", "udiv i64 %l, 10"),
    "and": ("i32", "and i32 %i, %j"),
    "or64": ("i64", "or i64 %l, 255"),
    "xor16": ("i16", "xor i16 %w, -1"),
    "shl": ("i32", "shl i32 %i, %j"),
    "lshr64": ("i64", "lshr i64 %l, 5"),
    "ashr": ("i32", "ashr i32 %i, %j"),
    "zext": ("i64", "zext i32 %i to i64"),
    "sext": ("i32", "sext i8 %c to i32"),
    "trunc": ("i8", "trunc i32 %i to i8"),
    "fshl": ("i32", "call i32 @llvm.fshl.i32(i32 %i, i32 %j, i32 %i)"),
    "fshr": ("i32", "call i32 @llvm.fshr.i32(i32 %i, i32 %j, i32 %j)"),
    "popc": ("i32", "call i32 @llvm.ctpop.i32(i32 %i)"),
    "popc64": ("i64", "call i64 @llvm.ctpop.i64(i64 %l)"),
    "clz": ("i32", "call i32 @llvm.ctlz.i32(i32 %i, i1 0)"),
    "ctz": ("i32", "call i32 @llvm.cttz.i32(i32 %i, i1 0)"),
    "brev": ("i32", "call i32 @llvm.bitreverse.i32(i32 %i)"),
    "bswap": ("i32", "call i32 @llvm.bswap.i32(i32 %i)"),
    "abs": ("i32", "call i32 @llvm.abs.i32(i32 %i, i1 0)"),
    "smax": ("i32", "call i32 @llvm.smax.i32(i32 %i, i32 %j)"),
    "umin": ("i32", "call i32 @llvm.umin.i32(i32 %i, i32 %j)"),
    "smin16": ("i16", "call i16 @llvm.smin.i16(i16 %w, i16 9)"),
    "uaddsat": ("i32", "call i32 @llvm.uadd.sat.i32(i32 %i, i32 %j)"),
    "dp4a": ("i32", "call i32 @llvm.nvvm.idp4a.s.s(i32 %i, i32 %j, i32 %i)"),
    "prmt": ("i32", "call i32 @llvm.nvvm.prmt(i32 %i, i32 %j, i32 4660)"),
    "mulhi": ("i32", "call i32 @llvm.nvvm.mulhi.i(i32 %i, i32 %j)"),
}
FLOAT = {
    "fadd": ("float", "fadd float %f, 1.0"),
    "fsub64": ("double", "fsub double %d, 1.0"),
    "fmul": ("float", "fmul float %f, %f"),
    "fdiv": ("float", "fdiv float %f, 3.0"),
    "fdiv_approx": ("float", "fdiv arcp afn float 3.0, %f"),
    "fdiv64": ("double", "fdiv double %d, 3.0"),
    "reciprocal": ("float", "fdiv float 1.0, %f"),
    "fneg": ("float", "fneg float %f"),
    "fma": ("float", "call float @llvm.fma.f32(float %f, float %f, float 2.0)"),
    "fma64": ("double", "call double @llvm.fma.f64(double %d, double %d, double 2.0)"),
    "fabs": ("float", "call float @llvm.fabs.f32(float %f)"),
    "copysign": ("float", "call float @llvm.copysign.f32(float %f, float 2.0)"),
    "maxnum": ("float", "call float @llvm.maxnum.f32(float %f, float 1.0)"),
    "minimum": ("float", "call float @llvm.minimum.f32(float %f, float 1.0)"),
    "floor": ("float", "call float @llvm.floor.f32(float %f)"),
    "ceil": ("float", "call float @llvm.ceil.f32(float %f)"),
    "trunc": ("float", "call float @llvm.trunc.f32(float %f)"),
    "rint": ("float", "call float @llvm.rint.f32(float %f)"),
    "round": ("float", "call float @llvm.round.f32(float %f)"),
    "sqrt": ("float", "call float @llvm.sqrt.f32(float %f)"),
    "sqrt_approx": ("float", "call afn float @llvm.sqrt.f32(float %f)"),
    "rsqrt": ("float", "call float @llvm.nvvm.rsqrt.approx.f(float %f)"),
    "exp2": ("float", "call float @llvm.nvvm.ex2.approx.f(float %f)"),
    "exp2_ftz": ("float", "call float @llvm.nvvm.ex2.approx.ftz.f(float %f)"),
    "lg2": ("float", "call float @llvm.nvvm.lg2.approx.f(float %f)"),
    "sin": ("float", "call afn float @llvm.sin.f32(float %f)"),
    "cos": ("float", "call afn float @llvm.cos.f32(float %f)"),
    "tanh": ("float", "call float @llvm.nvvm.tanh.approx.f32(float %f)"),
    "addh": ("half", "fadd half %h, %h"),
    "fmah": ("half", "call half @llvm.fma.f16(half %h, half %h, half %h)"),
    "addh2": ("<2 x half>", "fadd <2 x half> %hh, %hh"),
    "maxh2": (
        "<2 x half>",
        "call <2 x half> @llvm.maxnum.v2f16(<2 x half> %hh, <2 x half> %hh)",
    ),
    "addb": ("bfloat", "fadd bfloat %b, %b"),
    "mulb": ("bfloat", "fmul bfloat %b, %b"),
    "negb2": ("<2 x bfloat>", "fneg <2 x bfloat> %bb"),
    "fmab2": (
        "<2 x bfloat>",
        "call <2 x bfloat> @llvm.fma.v2bf16"
        "(<2 x bfloat> %bb, <2 x bfloat> %bb, <2 x bfloat> %bb)",
    ),
    "maxb2": (
        "<2 x bfloat>",
        "call <2 x bfloat> @llvm.maximum.v2bf16(<2 x bfloat> %bb, <2 x bfloat> %bb)",
    ),
}
CONVERSION = {
    "sitofp": ("float", "sitofp i32 %i to float"),
    "uitofp64": ("double", "uitofp i64 %l to double"),
    "sitofph": ("half", "sitofp i32 %i to half"),
    "sitofpb": ("bfloat", "sitofp i32 %i to bfloat"),
    "fptosi": ("i32", "fptosi float %f to i32"),
    "fptosi64": ("i64", "fptosi double %d to i64"),
    "fptoui8": ("i8", "fptoui float %f to i8"),
    "fptosi_sat": ("i32", "call i32 @llvm.fptosi.sat.i32.f32(float %f)"),
    "htosi": ("i32", "fptosi half %h to i32"),
    "fpext": ("double", "fpext float %f to double"),
    "fpexth": ("float", "fpext half %h to float"),
    "fpextb": ("float", "fpext bfloat %b to float"),
    "fptrunc": ("float", "fptrunc double %d to float"),
    "fptrunch": ("half", "fptrunc float %f to half"),
    "fptruncb": ("bfloat", "fptrunc float %f to bfloat"),
    "fptruncb2": ("<2 x bfloat>", "call <2 x bfloat> @llvm.nvvm.ff2bf16x2.rn(float %f, float %f)"),
    "fptrunch2": ("<2 x half>", "call <2 x half> @llvm.nvvm.ff2f16x2.rn.relu(float %f, float %f)"),
    "tf32": ("i32", "call i32 @llvm.nvvm.f2tf32.rna(float %f)"),
    "compare": ("i32", "select i1 %m, i32 %i, i32 %j"),
    "select": ("float", "select i1 %m, float %f, float 2.0"),
    "unordered": ("i32", "zext i1 %u to i32"),
}  # fmt: skip
FP8 = {
    "to_e4m3": ("i16", "call i16 @llvm.nvvm.ff.to.e4m3x2.rn(float %f, float %f)"),
    "to_e5m2": ("i16", "call i16 @llvm.nvvm.ff.to.e5m2x2.rn.relu(float %f, float %f)"),
    "from_e4m3": (
        "<2 x half>",
        "call <2 x half> @llvm.nvvm.e4m3x2.to.f16x2.rn(i16 %w)",
    ),
}
PROBES = {
    **{f"integer_{name}": probe for name, probe in INTEGER.items()},
    **{f"float_{name}": probe for name, probe in FLOAT.items()},
    **{f"convert_{name}": probe for name, probe in CONVERSION.items()},
}
# What earlier releases of LLVM, ptxas users and hand-written PTX have besides.
OTHERS = """
    add.cc.u32 addc.cc.u32 sub.cc.s32 subc.u64 mad.lo.cc.u32 madc.hi.u32 bfe.u32 bfe.s64
    bfi.b32 lop3.b32 lop3.and.b32 shf.l.wrap.b32 shf.r.clamp.b32 bfind.shiftamt.u32
    mul24.lo.u32 mad24.hi.s32 sad.u32 slct.f32.s32 set.lt.u32.f32 testp.finite.f32
    min.NaN.f32 max.xorsign.abs.f32 fma.rz.ftz.sat.f32 rcp.rn.f32 rcp.approx.ftz.f32
    div.full.f32 cvt.rn.satfinite.relu.e4m3x2.f32 cvt.rn.f16x2.e5m2x2 cvt.rna.tf32.f32
    cvt.pack.sat.u8.s32.b32 cvt.rni.ftz.f32.f32 add.rn.f32x2 fma.rn.f32x2 fns.b32
    prmt.b32.f4e szext.wrap.s32 bmsk.clamp.b32 dp2a.lo.u32.s32 max.s16x2 add.u16x2
""".split()


def assemble(probe: tuple[str, str], cpu: str, features: str) -> str:
    """The PTX of a kernel that stores the value of a probe."""
    kind, value = probe
    declared = re.match(r"call (?:afn )?(.*?) (@[\w.]+)\((.*)\)", value)
    head = 'target triple = "nvptx64-nvidia-cuda"\n'
    if declared:
        result, name, arguments = declared.groups()
        types = re.findall(r"<[^>]*>|\b(?:half|bfloat|float|double|i\d+)\b", arguments)
        head += f"declare {result} {name}({', '.join(types)})\n"
    module = llvm.parse_assembly(
        f"{head}define ptx_kernel void @probe({PARAMETERS}) {{\n"
        "  %q = getelementptr i64, ptr addrspace(1) %p, i32 %i\n"
        "  %m = icmp slt i32 %i, %j\n"
        "  %u = fcmp ult float %f, 3.0\n"
        f"  %r = {value}\n"
        f"  store {kind} %r, ptr addrspace(1) %q\n"
        "  ret void\n}\n"
    )
    module.verify()
    machine = llvm.Target.from_triple("nvptx64-nvidia-cuda").create_target_machine(
        cpu=cpu, features=features, opt=3
    )
    return str(machine.emit_assembly(module))


@pytest.fixture(scope="module", autouse=True)
def _targets() -> None:
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()


@pytest.mark.parametrize("cpu", ["sm_80", "sm_90a", "sm_100a"])
def test_the_emulator_compiles_what_llvm_emits(cpu: str) -> None:
    features = "+ptx86" if cpu == "sm_100a" else "+ptx83"
    probes = PROBES if cpu == "sm_80" else PROBES | FP8
    emulator = Emulator(cpu)
    for name, probe in probes.items():
        text = assemble(probe, cpu, features)
        try:
            emulator.compile(emulator.load(text), "probe")
        except Exception as error:
            raise AssertionError(f"{name} on {cpu}: {error}\n{text}") from error


@pytest.mark.parametrize("name", OTHERS)
def test_the_alu_has_what_people_write(name: str) -> None:
    opcode, *modifiers = name.split(".")
    assert alu.lookup(opcode, tuple(modifiers)).results
