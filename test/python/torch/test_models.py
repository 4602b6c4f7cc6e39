"""Models of transformers with random weights, compiled, against eager mode."""

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
from torch.utils import _pytree as pytree  # noqa: E402

import ix  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore")]

WIDTH = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
TOKENS = {"vocab_size": 200}


def bert():
    config = transformers.BertConfig(**WIDTH, **TOKENS, intermediate_size=128)
    return transformers.BertModel(config), tokens(2, 16)


def gpt2():
    config = transformers.GPT2Config(
        n_embd=64, n_layer=2, n_head=4, n_positions=128, use_cache=False, **TOKENS
    )
    return transformers.GPT2LMHeadModel(config), tokens(2, 16)


def llama():
    config = transformers.LlamaConfig(
        **WIDTH, **TOKENS, num_key_value_heads=2, intermediate_size=128, use_cache=False
    )
    return transformers.LlamaForCausalLM(config), tokens(2, 16)


def vit():
    config = transformers.ViTConfig(
        **WIDTH, intermediate_size=128, image_size=32, patch_size=8
    )
    return transformers.ViTModel(config), torch.randn(2, 3, 32, 32)


def t5_encoder():
    config = transformers.T5Config(
        d_model=64, d_kv=16, num_layers=2, num_heads=4, d_ff=128, **TOKENS
    )
    return transformers.T5EncoderModel(config), tokens(2, 16)


def whisper_encoder():
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    config = transformers.WhisperConfig(
        d_model=64,
        encoder_layers=2,
        encoder_attention_heads=4,
        encoder_ffn_dim=128,
        max_source_positions=50,
        num_mel_bins=80,
    )
    return WhisperEncoder(config), torch.randn(2, 80, 100)


def resnet50():
    config = transformers.ResNetConfig(depths=[3, 4, 6, 3])
    return transformers.ResNetForImageClassification(config), torch.randn(1, 3, 64, 64)


def tokens(*shape):
    return torch.randint(0, 200, shape)


def evaluate(model, *args, **kwargs):
    with torch.no_grad():
        return model(*args, **kwargs)


def assert_agree(got, expected, tolerance=1e-4):
    """Every tensor to `tolerance` of its largest element."""
    mine, shape = pytree.tree_flatten(got)
    theirs, expected_shape = pytree.tree_flatten(expected)
    assert shape == expected_shape
    for a, b in zip(mine, theirs, strict=True):
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        assert (a - b).abs().max() <= tolerance * b.abs().max()


@pytest.mark.parametrize(
    "make", [bert, gpt2, llama, vit, t5_encoder, whisper_encoder, resnet50]
)
def test_models_agree_with_eager(make):
    model, x = make()
    model.eval()
    compiled = ix.compile(model, x)
    result, expected = compiled(x), evaluate(model, x)
    assert type(result) is type(expected)
    assert_agree(result, expected)


def test_weights_keep_their_names_and_memory():
    model, x = bert()
    compiled = ix.compile(model.eval(), x)
    weights = compiled.program.weights
    name = "encoder.layer.1.output.dense.weight"
    parameter = model.get_parameter(name)
    assert weights.array(name).ctypes.data == parameter.data_ptr()


def test_batch_and_sequence_vary_without_compiling_again():
    model, _ = bert()
    model.eval()
    batch = torch.export.Dim("batch", min=1, max=4)
    sequence = torch.export.Dim("sequence", min=2, max=24)
    x, mask = tokens(2, 8), torch.ones(2, 8, dtype=torch.int64)
    dynamic = {0: batch, 1: sequence}
    compiled = ix.compile(
        model,
        kwargs={"input_ids": x, "attention_mask": mask},
        dynamic_shapes={"input_ids": dynamic, "attention_mask": dynamic},
    )
    assert {dim.name for dim in compiled.executable.plan.dims} == {"batch", "sequence"}
    for shape in ((2, 8), (1, 24), (4, 2), (3, 13)):
        x, mask = tokens(*shape), torch.ones(*shape, dtype=torch.int64)
        mask[0, shape[1] // 2 :] = 0
        named = {"attention_mask": mask, "input_ids": x}
        assert_agree(compiled(**named), evaluate(model, **named))
    with pytest.raises(ix.InputError, match=r"sequence.*within 2\.\.24.*it is 25"):
        compiled(input_ids=tokens(2, 25), attention_mask=tokens(2, 25))


class DecodeStep(torch.nn.Module):
    """One step of GPT-2 with keys and values cached in buffers of a static length."""

    LENGTH = 128

    def __init__(self, model):
        super().__init__()
        self.model = model
        config = model.config
        head = config.n_embd // config.n_head
        for layer in range(config.n_layer):
            for name in ("keys", "values"):
                cache = torch.zeros(1, config.n_head, self.LENGTH, head)
                self.register_buffer(f"{name}_{layer}", cache)

    def forward(self, token, position):
        core = self.model.transformer
        hidden = core.wte(token) + core.wpe(position)
        seen = torch.arange(self.LENGTH) <= position
        for layer, block in enumerate(core.h):
            hidden = hidden + self.attend(
                layer, block, block.ln_1(hidden), position, seen
            )
            hidden = hidden + block.mlp(block.ln_2(hidden))
        return self.model.lm_head(core.ln_f(hidden))

    def attend(self, layer, block, x, position, seen):
        keys = getattr(self, f"keys_{layer}")
        values = getattr(self, f"values_{layer}")
        heads = self.model.config.n_head
        q, k, v = (
            each.view(1, 1, heads, -1).transpose(1, 2)
            for each in block.attn.c_attn(x).chunk(3, -1)
        )
        keys.index_copy_(2, position, k)
        values.index_copy_(2, position, v)
        result = torch.nn.functional.scaled_dot_product_attention(
            q, keys, values, seen[None, None, None]
        )
        return block.attn.c_proj(result.transpose(1, 2).reshape(1, 1, -1))


def test_decoding_with_cached_keys():
    model, _ = gpt2()
    model.eval()
    step = DecodeStep(model).eval()
    ids = tokens(1, 12)
    expected = evaluate(model, ids).logits
    compiled = ix.compile(step, (ids[:, :1], torch.tensor([0])))
    for _ in range(2):  # the state starts again
        compiled.reset()
        for at in range(ids.shape[1]):
            logits = compiled(ids[:, at : at + 1], torch.tensor([at]))
            assert_agree(logits[:, 0], expected[:, at])
    assert compiled.state["keys_1"][0, :, 11].abs().max() > 0
    assert step.keys_1.abs().max() == 0
