"""Weights of Hugging Face transformers in our modules: the same numbers under other names.

transformers itself is never imported: a model or its state dict is handed in. A model that computes something that
ours does not (biases, scaled rotary positions, another activation) is refused rather than loaded wrongly.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from chiasm.errors import CheckpointError, ConfigError
from chiasm.models.decoders import Llama
from chiasm.models.encoders import ViT

Weights = Mapping[str, Tensor]


def llama_from(model: Any) -> Llama:
    """Our decoder with the sizes and weights of a `LlamaForCausalLM`, in eval mode.

    Raises ConfigError where the model uses what our decoder lacks."""
    config = model.config
    head_width = config.hidden_size // config.num_attention_heads
    _require(config, hidden_act="silu", attention_bias=False, mlp_bias=False, head_dim=head_width)
    rope = config.rope_parameters
    if rope["rope_type"] != "default":
        raise ConfigError(f"rotary positions of type {rope['rope_type']!r} can't be brought over, only 'default'")
    decoder = Llama(
        vocabulary=config.vocab_size,
        width=config.hidden_size,
        depth=config.num_hidden_layers,
        heads=config.num_attention_heads,
        kv_heads=config.num_key_value_heads,
        hidden=config.intermediate_size,
        rope_base=rope["rope_theta"],
        eps=config.rms_norm_eps,
        tied=config.tie_word_embeddings,
    )
    decoder.load_state_dict(llama_weights(model.state_dict()))
    return decoder.eval()


def vit_from(model: Any) -> ViT:
    """Our encoder with the sizes and weights of a `SiglipVisionModel`, in eval mode. Its features are that model's
    `last_hidden_state`; the pooling head is left behind.

    At other picture sizes than the trained one the two differ a little: ours interpolates positions with antialiasing.
    Raises ConfigError where the model uses what our encoder lacks."""
    config = model.config
    _require(config, hidden_act="gelu_pytorch_tanh", num_channels=3)
    encoder = ViT(
        size=config.image_size,
        patch=config.patch_size,
        width=config.hidden_size,
        depth=config.num_hidden_layers,
        heads=config.num_attention_heads,
        hidden=config.intermediate_size,
        eps=config.layer_norm_eps,
    )
    encoder.load_state_dict(siglip_weights(model.state_dict()))
    return encoder.eval()


def llama_weights(state: Weights) -> dict[str, Tensor]:
    """State dict of a `LlamaForCausalLM` -> state dict of our `Llama`. Queries, keys and values become one matrix, and
    so do gate and up. Raises CheckpointError for names that are missing or left over."""
    left = dict(state)
    embedding = _take(left, "model.embed_tokens.weight")
    result = {
        "embed.weight": embedding,
        "norm.weight": _take(left, "model.norm.weight"),
        "head.weight": left.pop("lm_head.weight", embedding),  # a tied head may be stored once
    }
    for layer in range(_depth(left, "model.layers.")):
        theirs, ours = f"model.layers.{layer}.", f"blocks.{layer}."
        result |= {
            ours + "attention_norm.weight": _take(left, theirs + "input_layernorm.weight"),
            ours + "attention.qkv.weight": torch.cat(
                [_take(left, f"{theirs}self_attn.{name}_proj.weight") for name in "qkv"]
            ),
            ours + "attention.out.weight": _take(left, theirs + "self_attn.o_proj.weight"),
            ours + "mlp_norm.weight": _take(left, theirs + "post_attention_layernorm.weight"),
            ours + "gate_up.weight": torch.cat(
                [_take(left, f"{theirs}mlp.{name}_proj.weight") for name in ("gate", "up")]
            ),
            ours + "down.weight": _take(left, theirs + "mlp.down_proj.weight"),
        }
    _nothing_left(left)
    return result


def siglip_weights(state: Weights) -> dict[str, Tensor]:
    """State dict of a `SiglipVisionModel` -> state dict of our `ViT`, without the pooling head. Raises CheckpointError
    for names that are missing or left over."""
    # Releases before 5.0 put everything under "vision_model.".
    left = {name.removeprefix("vision_model."): tensor for name, tensor in state.items()}
    left = {name: tensor for name, tensor in left.items() if not name.startswith("head.")}
    result = {
        "embed.weight": _take(left, "embeddings.patch_embedding.weight").flatten(1),
        "embed.bias": _take(left, "embeddings.patch_embedding.bias"),
        "positions": _take(left, "embeddings.position_embedding.weight"),
        "norm.weight": _take(left, "post_layernorm.weight"),
        "norm.bias": _take(left, "post_layernorm.bias"),
    }
    left.pop("embeddings.position_ids", None)  # older releases store the numbers 0, 1, 2, ...
    for layer in range(_depth(left, "encoder.layers.")):
        theirs, ours = f"encoder.layers.{layer}.", f"blocks.{layer}."
        for end in ("weight", "bias"):
            result |= {
                f"{ours}attention_norm.{end}": _take(left, f"{theirs}layer_norm1.{end}"),
                f"{ours}attention.qkv.{end}": torch.cat(
                    [_take(left, f"{theirs}self_attn.{name}_proj.{end}") for name in "qkv"]
                ),
                f"{ours}attention.out.{end}": _take(left, f"{theirs}self_attn.out_proj.{end}"),
                f"{ours}mlp_norm.{end}": _take(left, f"{theirs}layer_norm2.{end}"),
                f"{ours}up.{end}": _take(left, f"{theirs}mlp.fc1.{end}"),
                f"{ours}down.{end}": _take(left, f"{theirs}mlp.fc2.{end}"),
            }
    _nothing_left(left)
    return result


def _require(config: Any, **wanted: object) -> None:
    for name, value in wanted.items():
        found = getattr(config, name)
        if found != value:
            raise ConfigError(
                f"a {config.model_type} model with {name} = {found!r} can't be brought over, only {value!r}"
            )


def _take(left: dict[str, Tensor], name: str) -> Tensor:
    if name not in left:
        raise CheckpointError(f"the weights have no {name}")
    return left.pop(name)


def _nothing_left(left: Mapping[str, Tensor]) -> None:
    if left:
        raise CheckpointError(f"the weights hold what our model has no place for: {', '.join(sorted(left)[:5])}")


def _depth(names: Mapping[str, Tensor], prefix: str) -> int:
    """How many layers there are, from names such as prefix + "3.mlp.weight"."""
    return 1 + max((int(n[len(prefix) :].split(".")[0]) for n in names if n.startswith(prefix)), default=-1)
