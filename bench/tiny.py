"""chiasm-tiny's sizes with random weights, and transformers' models of the same sizes and weights."""

from __future__ import annotations

from typing import Any

from transformers import LlamaConfig, LlamaForCausalLM, SiglipVisionConfig, SiglipVisionModel

from chiasm.data.instructions import Instructions
from chiasm.data.worlds.scenes import Scenes
from chiasm.models import checkpoint
from chiasm.models.adapters.weights import llama_weights, siglip_weights
from chiasm.models.tokenizer import Tokenizer
from chiasm.models.vlm import VLM
from chiasm.training.recipes import chiasm_tiny


def random_tiny(**fusion: Any) -> VLM:
    """The model that the recipe starts from, with a tokenizer learned from a few hundred pictures' texts."""
    recipe, world = chiasm_tiny(), Scenes("train", count=200)
    every = Instructions(recipe.prompts, recipe.loc_bins, per_image=1000)
    texts = [text for i in range(len(world)) for pair in every(world[i], (96, 96)) for text in pair]
    tokenizer = Tokenizer.train(texts, recipe.text_tokens, recipe.loc_bins)
    config = {
        **recipe.model,
        "decoder": {**recipe.model["decoder"], "vocabulary": len(tokenizer)},
        "fusion": {**recipe.model["fusion"], **fusion},
        "dialect": {"prompts": recipe.prompts, "scenes": world.scene_names, "objects": world.object_names},
    }
    return checkpoint.build(config, tokenizer).eval()


def llama(
    vocabulary: int, width: int, depth: int, heads: int, hidden: int, kv_heads: int | None = None
) -> LlamaForCausalLM:
    """transformers' Llama with a tied head."""
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        num_hidden_layers=depth,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads or heads,
        intermediate_size=hidden,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=None,  # it shall write as many tokens as it is told to
    )
    return LlamaForCausalLM(config).eval()


def llama_twin(model: VLM) -> LlamaForCausalLM:
    """transformers' Llama of the sizes of `model.decoder`, which takes over its weights."""
    decoder = model.decoder
    twin = llama(
        decoder.embed.num_embeddings,
        decoder.width,
        len(decoder.blocks),
        decoder.heads,
        decoder.blocks[0].down.in_features,
        decoder.kv_heads,
    )
    decoder.load_state_dict(llama_weights(twin.state_dict()))
    return twin


def siglip_twin(model: VLM) -> SiglipVisionModel:
    """transformers' SigLIP tower of the sizes of `model.encoder`, which takes over its weights."""
    encoder = model.encoder
    config = SiglipVisionConfig(
        image_size=encoder.size,
        patch_size=encoder.patch,
        hidden_size=encoder.width,
        num_hidden_layers=len(encoder.blocks),
        num_attention_heads=encoder.blocks[0].attention.heads,
        intermediate_size=encoder.blocks[0].down.in_features,
        vision_use_head=False,
    )
    twin = SiglipVisionModel(config)
    encoder.load_state_dict(siglip_weights(twin.state_dict()))
    return twin
