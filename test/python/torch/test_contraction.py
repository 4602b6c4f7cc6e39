"""Products, convolutions, attention, norms, pooling and resampling against eager."""

import pytest

torch = pytest.importorskip("torch")
F = torch.nn.functional
pytestmark = pytest.mark.torch
randn = torch.randn

PRODUCTS = {
    "mm": (torch.mm, (3, 4), (4, 5)),
    "bmm": (torch.bmm, (2, 3, 4), (2, 4, 5)),
    "matmul": (torch.matmul, (2, 1, 3, 4), (5, 4, 2)),
    "matmul_vector": (torch.matmul, (2, 3, 4), (4,)),
    "mv": (torch.mv, (3, 4), (4,)),
    "dot": (torch.dot, (4,), (4,)),
    "outer": (torch.outer, (4,), (3,)),
    "inner": (torch.inner, (2, 4), (3, 4)),
    "kron": (torch.kron, (2, 3), (3, 2)),
    "linear": (F.linear, (2, 3, 4), (5, 4)),
    "linear_bias": (F.linear, (3, 4), (5, 4), (5,)),
    "addmm": (lambda c, a, b: torch.addmm(c, a, b, beta=0.5, alpha=2), (5,), (3, 4), (4, 5)),
    "baddbmm": (torch.baddbmm, (2, 3, 5), (2, 3, 4), (2, 4, 5)),
    "addmv": (torch.addmv, (3,), (3, 4), (4,)),
    "addbmm": (torch.addbmm, (3, 5), (2, 3, 4), (2, 4, 5)),
    "einsum": (lambda a, b: torch.einsum("bhqd,bhkd->bhqk", a, b), (2, 3, 4, 5), (2, 3, 6, 5)),
    "tensordot": (lambda a, b: torch.tensordot(a, b, ([1, 2], [1, 0])), (2, 3, 4), (4, 3, 5)),
    "chain": (lambda a, b, c: torch.linalg.multi_dot([a, b, c]), (2, 3), (3, 4), (4, 5)),
    "bilinear": (F.bilinear, (3, 4), (3, 5), (2, 4, 5)),
    "cdist": (torch.cdist, (3, 4), (5, 4)),
    "conv1d": (lambda x, w, b: F.conv1d(x, w, b, 2, 1), (2, 4, 9), (6, 4, 3), (6,)),
    "conv2d": (lambda x, w: F.conv2d(x, w, None, 1, 1), (2, 4, 7, 6), (5, 4, 3, 3)),
    "conv2d_groups": (lambda x, w, b: F.conv2d(x, w, b, 2, 1, 2, 2), (1, 4, 9, 9), (6, 2, 3, 3), (6,)),
    "conv2d_same": (lambda x, w: F.conv2d(x, w, padding="same"), (2, 3, 7, 6), (4, 3, 2, 3)),
    "conv2d_valid": (lambda x, w: F.conv2d(x, w, padding="valid"), (2, 3, 7, 6), (4, 3, 2, 3)),
    "conv2d_single": (lambda x, w: F.conv2d(x, w), (3, 7, 6), (4, 3, 3, 3)),
    "conv3d": (lambda x, w: F.conv3d(x, w, padding=(1, 0, 1)), (1, 2, 4, 5, 6), (3, 2, 2, 2, 3)),
    "conv_transpose1d": (lambda x, w, b: F.conv_transpose1d(x, w, b, 2, 1, 1), (2, 4, 5), (4, 3, 3), (3,)),
    "conv_transpose2d": (lambda x, w: F.conv_transpose2d(x, w, None, 2, 1, 1, 2, 1), (1, 4, 5, 4), (4, 3, 3, 3)),
    "conv_transpose3d": (lambda x, w: F.conv_transpose3d(x, w, stride=2), (1, 2, 3, 3, 2), (2, 3, 2, 2, 2)),
    "attention": (F.scaled_dot_product_attention, (2, 3, 5, 4), (2, 3, 7, 4), (2, 3, 7, 6)),
    "attention_causal": (lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True), (2, 3, 5, 4), (2, 3, 5, 4), (2, 3, 5, 4)),
    "attention_causal_longer_keys": (lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True), (2, 3, 5, 4), (2, 3, 8, 4), (2, 3, 8, 4)),
    "attention_added_mask": (lambda q, k, v, m: F.scaled_dot_product_attention(q, k, v, m, scale=0.3), (2, 3, 5, 4), (2, 3, 7, 4), (2, 3, 7, 4), (5, 7)),
    "attention_bool_mask": (lambda q, k, v, m: F.scaled_dot_product_attention(q, k, v, m > 0), (2, 3, 5, 4), (2, 3, 7, 4), (2, 3, 7, 4), (2, 1, 5, 7)),
    "attention_rank_3": (F.scaled_dot_product_attention, (3, 5, 4), (3, 7, 4), (3, 7, 4)),
    "attention_groups": (lambda q, k, v: F.scaled_dot_product_attention(q, k, v, enable_gqa=True), (2, 6, 5, 4), (2, 2, 7, 4), (2, 2, 7, 4)),
    "layer_norm": (lambda x, w, b: F.layer_norm(x, (4, 5), w, b), (3, 4, 5), (4, 5), (4, 5)),
    "layer_norm_plain": (lambda x: F.layer_norm(x, (5,), eps=1e-3), (3, 4, 5)),
    "rms_norm": (lambda x, w: F.rms_norm(x, (5,), w, 1e-6), (3, 4, 5), (5,)),
    "rms_norm_plain": (lambda x: F.rms_norm(x, (5,)), (3, 4, 5)),
    "group_norm": (lambda x, w, b: F.group_norm(x, 2, w, b), (3, 4, 5, 2), (4,), (4,)),
    "instance_norm": (lambda x, w, b: F.instance_norm(x, weight=w, bias=b), (3, 4, 5, 2), (4,), (4,)),
    "batch_norm": (lambda x, m, v, w, b: F.batch_norm(x, m, v.abs() + 1, w, b), (3, 4, 5, 2), (4,), (4,), (4,), (4,)),
    "batch_norm_plain": (lambda x, m, v: F.batch_norm(x, m, v.abs() + 1), (3, 4), (4,), (4,)),
    "local_response_norm": (lambda x: F.local_response_norm(x, 3), (2, 6, 4, 4)),
    "max_pool1d": (lambda x: F.max_pool1d(x, 3, 2, 1), (2, 3, 9)),
    "max_pool2d": (lambda x: F.max_pool2d(x, (3, 2), 2, (1, 0), 1, True), (2, 3, 9, 8)),
    "max_pool2d_dilated": (lambda x: F.max_pool2d(x, 2, 1, 0, 2), (2, 3, 9, 8)),
    "max_pool3d": (lambda x: F.max_pool3d(x, 2), (1, 2, 4, 5, 6)),
    "avg_pool1d": (lambda x: F.avg_pool1d(x, 3, 2, 1), (2, 3, 9)),
    "avg_pool2d": (lambda x: F.avg_pool2d(x, 3, 2, 1, True, False), (2, 3, 8, 9)),
    "avg_pool3d": (lambda x: F.avg_pool3d(x, 2), (1, 2, 4, 5, 6)),
    "adaptive_avg_pool1d": (lambda x: F.adaptive_avg_pool1d(x, 3), (2, 3, 8)),
    "adaptive_avg_pool2d": (lambda x: F.adaptive_avg_pool2d(x, (3, 2)), (2, 3, 7, 8)),
    "adaptive_avg_pool2d_one": (lambda x: F.adaptive_avg_pool2d(x, 1), (2, 3, 7, 8)),
    "adaptive_avg_pool3d": (lambda x: F.adaptive_avg_pool3d(x, 2), (1, 2, 4, 5, 6)),
    "adaptive_max_pool2d": (lambda x: F.adaptive_max_pool2d(x, (3, 2)), (2, 3, 7, 8)),
    "lp_pool2d": (lambda x: F.lp_pool2d(x.abs(), 2, 2), (2, 3, 6, 8)),
    "nearest1d": (lambda x: F.interpolate(x, 7), (2, 3, 5)),
    "nearest2d": (lambda x: F.interpolate(x, scale_factor=2), (2, 3, 5, 4)),
    "nearest2d_down": (lambda x: F.interpolate(x, (3, 2)), (2, 3, 7, 5)),
    "nearest_exact2d": (lambda x: F.interpolate(x, (3, 7), mode="nearest-exact"), (2, 3, 7, 5)),
    "nearest3d": (lambda x: F.interpolate(x, scale_factor=2), (1, 2, 2, 3, 4)),
    "linear1d": (lambda x: F.interpolate(x, 7, mode="linear"), (2, 3, 5)),
    "bilinear2d": (lambda x: F.interpolate(x, (9, 7), mode="bilinear"), (2, 3, 5, 4)),
    "bilinear2d_corners": (lambda x: F.interpolate(x, (9, 7), mode="bilinear", align_corners=True), (2, 3, 5, 4)),
    "bilinear2d_scale": (lambda x: F.interpolate(x, scale_factor=1.7, mode="bilinear"), (2, 3, 5, 4)),
    "bilinear2d_down": (lambda x: F.interpolate(x, (3, 1), mode="bilinear"), (2, 3, 7, 5)),
    "trilinear3d": (lambda x: F.interpolate(x, (4, 5, 3), mode="trilinear"), (1, 2, 2, 3, 4)),
    "bicubic2d": (lambda x: F.interpolate(x, (9, 7), mode="bicubic"), (2, 3, 5, 4)),
    "bicubic2d_corners": (lambda x: F.interpolate(x, (9, 7), mode="bicubic", align_corners=True), (2, 3, 5, 4)),
    "dropout": (lambda x: F.dropout(x, 0.5, False), (3, 4)),
    "grid_sample": (lambda x, g: F.grid_sample(x, torch.tanh(g), align_corners=False), (2, 3, 5, 4), (2, 3, 3, 2)),
    "multi_head": (lambda x, w: F.multi_head_attention_forward(x, x, x, 8, 2, w, None, None, None, False, 0.0, w[:8], None, training=False, need_weights=False)[0], (5, 2, 8), (24, 8)),
}  # fmt: skip


@pytest.mark.parametrize("name", PRODUCTS)
def test_contractions_and_windows(check, name):
    function, *shapes = PRODUCTS[name]
    check(function, *(randn(*shape) for shape in shapes))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize(
    "name",
    ["linear_bias", "matmul", "attention", "layer_norm", "conv2d", "batch_norm_plain"],
)
def test_short_floats(check, name, dtype):
    function, *shapes = PRODUCTS[name]
    check(function, *(randn(*shape).to(dtype) for shape in shapes))


def test_products_of_integers(check):
    check(torch.matmul, torch.randint(-9, 9, (3, 4)), torch.randint(-9, 9, (4, 5)))


def test_compiled_contractions(check_compiled):
    def function(x, w, f):
        y = F.linear(x, w)
        return y, F.layer_norm(y, (24,)), F.conv1d(x.mT, f, padding=1)

    check_compiled(function, randn(2, 9, 16), randn(24, 16), randn(8, 16, 3))
