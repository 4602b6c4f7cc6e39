"""Elementwise ATen ops against eager mode."""

import pytest

torch = pytest.importorskip("torch")
F = torch.nn.functional
pytestmark = pytest.mark.torch


def real(*shape, dtype=torch.float32):
    return torch.randn(*shape).to(dtype)


def positive(*shape, dtype=torch.float32):
    return (torch.rand(*shape) + 0.1).to(dtype)


def unit(*shape, dtype=torch.float32):
    return (torch.rand(*shape) * 1.8 - 0.9).to(dtype)


def whole(*shape, dtype=torch.int64, low=-9, high=10):
    return torch.randint(low, high, shape).to(dtype)


def mask(*shape):
    return torch.rand(*shape) > 0.5


ANY_REAL = """exp exp2 expm1 sin cos sinh cosh tanh atan asinh erf erfc sigmoid neg abs
square ceil floor trunc round sign frac isnan isinf isfinite signbit deg2rad rad2deg
sinc positive logical_not""".split()
POSITIVE = "log log2 log10 log1p sqrt rsqrt reciprocal".split()
UNIT = "tan asin acos atanh logit".split()
ACTIVATIONS = {
    "silu": F.silu,
    "relu": F.relu,
    "relu6": F.relu6,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "selu": F.selu,
    "elu": lambda x: F.elu(x, 0.7),
    "celu": lambda x: F.celu(x, 0.7),
    "mish": F.mish,
    "hardswish": F.hardswish,
    "hardsigmoid": F.hardsigmoid,
    "hardtanh": lambda x: F.hardtanh(x, -0.5, 0.7),
    "leaky_relu": lambda x: F.leaky_relu(x, 0.2),
    "logsigmoid": F.logsigmoid,
    "softplus": F.softplus,
    "softplus_beta": lambda x: F.softplus(x, 2.0, 1.0),
    "softsign": F.softsign,
    "tanhshrink": F.tanhshrink,
    "softshrink": lambda x: F.softshrink(x, 0.3),
    "hardshrink": lambda x: F.hardshrink(x, 0.3),
    "threshold": lambda x: F.threshold(x, 0.1, 20.0),
    "glu": lambda x: F.glu(x, 1),
    "prelu": lambda x: F.prelu(x, torch.tensor([0.3], dtype=x.dtype)),
}


@pytest.mark.parametrize("name", ANY_REAL)
def test_unary_ops_of_reals(check, name):
    check(getattr(torch, name), real(3, 7))


@pytest.mark.parametrize("name", POSITIVE)
def test_unary_ops_of_positive_numbers(check, name):
    check(getattr(torch, name), positive(3, 7))


def test_acosh(check):
    check(torch.acosh, positive(3, 7) + 1)


@pytest.mark.parametrize("name", UNIT)
def test_unary_ops_of_the_unit_interval(check, name):
    function = torch.special.logit if name == "logit" else getattr(torch, name)
    check(function, unit(3, 7).abs() if name == "logit" else unit(3, 7))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(check, name):
    check(ACTIVATIONS[name], real(4, 6))


def test_logit_clamps(check):
    check(lambda x: torch.special.logit(x, 0.1), positive(9) * 0.9)


@pytest.mark.parametrize("name", ["exp", "sqrt", "sigmoid", "tanh", "rsqrt"])
@pytest.mark.parametrize(
    "dtype", [torch.int64, torch.bool, torch.float16, torch.bfloat16, torch.uint8]
)
def test_floats_of_other_dtypes(check, name, dtype):
    check(getattr(torch, name), whole(3, 7, low=1, high=5).to(dtype))


@pytest.mark.parametrize("name", ["neg", "abs", "sign", "ceil", "round", "bitwise_not"])
def test_integers_stay_integers(check, name):
    check(getattr(torch, name), whole(3, 7))


ARITHMETIC = {
    "add": torch.add,
    "add_alpha": lambda x, y: torch.add(x, y, alpha=2),
    "sub": torch.sub,
    "sub_alpha": lambda x, y: torch.sub(x, y, alpha=3),
    "rsub": lambda x, y: torch.rsub(x, y),
    "mul": torch.mul,
    "div": torch.div,
    "true_divide": torch.true_divide,
    "div_floor": lambda x, y: torch.div(x, y, rounding_mode="floor"),
    "div_trunc": lambda x, y: torch.div(x, y, rounding_mode="trunc"),
    "floor_divide": torch.floor_divide,
    "remainder": torch.remainder,
    "fmod": torch.fmod,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "max_other": torch.max,
    "min_other": torch.min,
    "fmax": torch.fmax,
    "fmin": torch.fmin,
    "eq": torch.eq,
    "ne": torch.ne,
    "lt": torch.lt,
    "le": torch.le,
    "gt": torch.gt,
    "ge": torch.ge,
    "logical_and": torch.logical_and,
    "logical_or": torch.logical_or,
    "logical_xor": torch.logical_xor,
    "isclose": torch.isclose,
}


@pytest.mark.parametrize("name", ARITHMETIC)
def test_arithmetic_of_floats_broadcasts(check, name):
    check(ARITHMETIC[name], real(4, 1, 5), positive(3, 1))


@pytest.mark.parametrize("name", ARITHMETIC)
def test_arithmetic_of_integers(check, name):
    check(ARITHMETIC[name], whole(4, 5), whole(4, 5, low=1))


@pytest.mark.parametrize("name", ["add", "mul", "div", "eq", "lt", "maximum"])
@pytest.mark.parametrize(
    "left,right",
    [
        (torch.float16, torch.float32),
        (torch.bfloat16, torch.float16),
        (torch.int64, torch.float16),
        (torch.int32, torch.int64),
        (torch.uint8, torch.int8),
        (torch.bool, torch.int32),
        (torch.bool, torch.float32),
    ],
)
def test_dtypes_promote_as_in_torch(check, name, left, right):
    check(
        ARITHMETIC[name],
        whole(3, 4, low=1, high=5).to(left),
        whole(3, 4, low=1, high=5).to(right),
    )


def test_a_tensor_of_rank_0_changes_only_the_category(check):
    check(lambda x, y: x * y, real(3, dtype=torch.float16), torch.tensor(2.5))
    check(lambda x, y: x * y, whole(3, dtype=torch.int32), torch.tensor(2))
    check(lambda x, y: x * y, whole(3), torch.tensor(2.5))
    check(lambda x, y: x < y, whole(3), torch.tensor(0.5))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x + 2,
        lambda x: x * 2.5,
        lambda x: 2 - x,
        lambda x: 1 / (x + 100),
        lambda x: x // 2,
        lambda x: x % 3,
        lambda x: x > 1,
        lambda x: x <= 0.5,
        lambda x: x == 2,
        lambda x: x**2,
        lambda x: (x.abs() + 1) ** 0.5,
        lambda x: (x.abs() + 1) ** -1.5,
        lambda x: 2.0**x,
        lambda x: torch.where(x > 0, x, 0.5),
        lambda x: torch.where(x > 0, 1, x),
        lambda x: x.masked_fill(x > 0, -3),
        lambda x: x.clamp(-1, 2),
        lambda x: x.clamp(min=0.5),
        lambda x: x.clamp(max=1),
        lambda x: torch.clamp_min(x, 1),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.int64, torch.bfloat16])
def test_scalars_take_the_dtype_of_tensors(check, function, dtype):
    check(function, whole(3, 4, low=-3, high=4).to(dtype))


@pytest.mark.parametrize(
    "name", ["bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_left_shift"]
)
def test_bits_of_integers(check, name):
    check(getattr(torch, name), whole(3, 4, low=0), whole(3, 4, low=0, high=5))


@pytest.mark.parametrize("name", ["bitwise_and", "bitwise_or", "bitwise_xor"])
def test_bits_of_bools(check, name):
    check(getattr(torch, name), mask(3, 4), mask(4))


def test_sums_of_bools_are_bools(check):
    check(lambda x, y: (x + y, x * y), mask(5), mask(5))


def test_right_shift_keeps_the_sign(check):
    check(torch.bitwise_right_shift, whole(9), whole(9, low=0, high=3))


@pytest.mark.parametrize("name", ["atan2", "hypot", "copysign", "logaddexp", "xlogy"])
def test_binary_functions_of_floats(check, name):
    check(getattr(torch, name), positive(3, 4), positive(4))


@pytest.mark.parametrize(
    "function",
    [
        lambda x, y, z: torch.addcmul(x, y, z, value=0.5),
        lambda x, y, z: torch.addcdiv(x, y, z, value=2),
        lambda x, y, z: torch.lerp(x, y, 0.3),
        lambda x, y, z: torch.lerp(x, y, z),
        lambda x, y, z: torch.where(x > y, y, z),
        lambda x, y, z: torch.clamp(x, y, z),
        lambda x, y, z: x.pow(z),
    ],
)
def test_ternary_functions(check, function):
    check(function, positive(3, 4), real(3, 4), positive(3, 4) + 1)


def test_nan_to_num(check):
    infinite = [float("nan"), float("inf"), -float("inf"), 1.5]
    x = torch.tensor(infinite, dtype=torch.float64)
    check(torch.nan_to_num, x)
    check(lambda x: torch.nan_to_num(x, 1.0, 2.0, -3.0), x)


def test_nan_passes_through_extrema_and_comparisons(check):
    x = torch.tensor([float("nan"), 1.0, 2.0])
    check(lambda a, b: (torch.maximum(a, b), torch.fmax(a, b), a < b), x, x.flip(0))
    check(lambda a: (a.clamp(0, 1), torch.relu(a), a == a), x)


def test_round_takes_decimals(check):
    check(lambda x: torch.round(x, decimals=2), real(9))


@pytest.mark.parametrize(
    "target", [torch.float16, torch.float64, torch.int32, torch.bool, torch.uint8]
)
def test_casts(check, target):
    check(lambda x: x.to(target), whole(3, 4, low=0).float() + 0.25)
    check(lambda x: x.type(target), whole(3, 4, low=0))


def test_compiled_arithmetic(check_compiled):
    def function(x, y, n):
        return (
            F.gelu(x) * y + F.silu(y),
            torch.where(x > y, x, y).clamp(-1, 1),
            (n % 3 + n // 2).float() * x,
            torch.tanh(x).half() + y.half(),
            (x > 0) & (n > 2),
        )

    check_compiled(function, real(5, 33), real(5, 33), whole(5, 33, low=0))
