"""Random checkpoints of published architectures, a few thousand weights each, on disk as a user would find them."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np
import torch
import transformers as hf
from PIL import Image
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from chiasm.models.adapters.transformers.loading import no_video_processor

hf.logging.set_verbosity_error()
hf.logging.disable_progress_bar()

VOCABULARY = 512
ENCODER = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
VISION = ENCODER | {"image_size": 32, "patch_size": 8}
SQUARE = {"height": 32, "width": 32}
SHORTEST = {"size": {"shortest_edge": 32}, "crop_size": SQUARE}
MAKERS: dict[str, Callable[[], tuple[Any, Any]]] = {}


def picture(width: int = 56, height: int = 40, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


@cache
def _root() -> Path:
    root = Path(tempfile.mkdtemp(prefix="chiasm-tiny-checkpoints-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    return root


@cache
def checkpoint(kind: str) -> Path:
    """The folder of a checkpoint, made when it is first asked for."""
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model, processor = MAKERS[kind]()
        _enlarge(model)
        folder = _root() / kind
        model.eval().save_pretrained(folder)
        processor.save_pretrained(folder)
    return folder


def maker(make: Callable[[], tuple[Any, Any]]) -> Callable[[], tuple[Any, Any]]:
    MAKERS[make.__name__] = make
    return make


def _enlarge(model: torch.nn.Module) -> None:
    """Weights far larger than fresh ones, so that what a token sees changes the words that come out."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.dim() >= 2 and "vqmodel" not in name:
                weight.normal_(std=1.5 * weight[0].numel() ** -0.5, generator=generator)


def tokenizer(
    named: dict[str, str] | None = None, extra: tuple[str, ...] = (), *, bert: bool = False, bart: bool = False
) -> Any:
    """Byte-level BPE; `named` tokens become attributes (`image_token`, `image_token_id`)."""
    named = named or {}
    special = ["<pad>", "<s>", "</s>", "<unk>", *dict.fromkeys([*named.values(), *extra])]
    special += ["[CLS]", "[SEP]", "[MASK]"] if bert else []
    core = Tokenizer(models.BPE(unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.train_from_iterator(
        ["what colour is the circle? describe the image in one sentence. is it red or blue?"],
        trainers.BpeTrainer(
            vocab_size=400,
            special_tokens=special,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    if bert or bart:
        begin, end = ("[CLS]", "[SEP]") if bert else ("<s>", "</s>")
        core.post_processor = processors.TemplateProcessing(
            single=f"{begin} $A {end}", special_tokens=[(t, core.token_to_id(t)) for t in (begin, end)]
        )
    roles = {"cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"} if bert else {}
    return hf.PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        **roles,
        **({"extra_special_tokens": named} if named else {}),
    )


def text(tok: Any, **changes: Any) -> dict[str, Any]:
    return {
        "vocab_size": VOCABULARY,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "pad_token_id": tok.pad_token_id,
        "bos_token_id": tok.bos_token_id,
        "eos_token_id": tok.eos_token_id,
    } | changes


def chat(image: str) -> str:
    """A chat template; an answer closes with the end token."""
    return (
        "{% for m in messages %}{{ m['role'] }}: {% for c in m['content'] %}{% if c['type'] == 'image' %}"
        + image
        + "{% else %}{{ c['text'] }}{% endif %}{% endfor %}"
        "{% if m['role'] == 'assistant' %}</s>{% endif %}\n{% endfor %}"
        "{% if add_generation_prompt %}assistant:{% endif %}"
    )


def _llava(kind: str, image_processor: Any, **settings: Any) -> tuple[Any, Any]:
    tok = tokenizer({"image_token": "<image>"})
    config = getattr(hf, f"{kind}Config")(
        vision_config=hf.CLIPVisionConfig(**VISION),
        text_config=hf.LlamaConfig(**text(tok)),
        image_token_index=tok.image_token_id,
        image_seq_length=16,
        **settings,
    )
    processor = getattr(hf, f"{kind}Processor")(
        image_processor,
        tok,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=chat("<image>"),
    )
    return getattr(hf, f"{kind}ForConditionalGeneration")(config), processor


@maker
def llava():
    return _llava("Llava", hf.CLIPImageProcessorPil(**SHORTEST))


@maker
def llava_next():
    sizes = [[32, 64], [64, 32], [64, 64]]
    images = hf.LlavaNextImageProcessorPil(**SHORTEST, image_grid_pinpoints=sizes)
    return _llava("LlavaNext", images, image_grid_pinpoints=sizes)


@maker
def llava_onevision():
    tok = tokenizer({"image_token": "<image>", "video_token": "<video>"})
    sizes = [[32, 32], [32, 64], [64, 32], [64, 64]]
    model = hf.LlavaOnevisionForConditionalGeneration(
        hf.LlavaOnevisionConfig(
            vision_config=hf.SiglipVisionConfig(**VISION, vision_use_head=False),
            text_config=hf.Qwen2Config(**text(tok)),
            image_token_index=tok.image_token_id,
            video_token_index=tok.video_token_id,
            image_grid_pinpoints=sizes,
            vision_aspect_ratio="anyres_max_9",
        )
    )
    return model, hf.LlavaOnevisionProcessor(
        hf.LlavaOnevisionImageProcessorPil(size=SQUARE, image_grid_pinpoints=sizes),
        tok,
        no_video_processor(),
        num_image_tokens=16,
        vision_feature_select_strategy="full",
        chat_template=chat("<image>"),
    )


def _idefics2(splitting: bool) -> tuple[Any, Any]:
    processor = hf.Idefics2Processor(
        hf.Idefics2ImageProcessorPil(size={"shortest_edge": 24, "longest_edge": 32}, do_image_splitting=splitting),
        tokenizer(),
        image_seq_len=4,
        chat_template=chat("<image>"),
    )
    resampler = {
        "hidden_size": 32,
        "resampler_n_latents": 4,
        "resampler_depth": 1,
        "resampler_n_heads": 2,
        "num_key_value_heads": 1,
        "resampler_head_dim": 16,
    }
    config = hf.Idefics2Config(
        vision_config=VISION,
        text_config=hf.MistralConfig(**text(processor.tokenizer)),
        image_token_id=processor.image_token_id,
        perceiver_config=resampler,
    )
    return hf.Idefics2ForConditionalGeneration(config), processor


@maker
def idefics2():
    return _idefics2(False)


@maker
def idefics2_split():
    return _idefics2(True)


def _idefics3(kind: str, *video: Any) -> tuple[Any, Any]:
    places = tuple(f"<row_{i}_col_{j}>" for i in range(1, 7) for j in range(1, 7))
    tok = tokenizer(extra=("<fake_token_around_image>", "<image>", "<end_of_utterance>", "<global-img>", *places))
    images = getattr(hf, f"{kind}ImageProcessorPil")(size={"longest_edge": 64}, max_image_size={"longest_edge": 32})
    processor = getattr(hf, f"{kind}Processor")(images, tok, *video, image_seq_len=4, chat_template=chat("<image>"))
    config = getattr(hf, f"{kind}Config")(
        vision_config=VISION,
        text_config=hf.LlamaConfig(**text(tok)),
        image_token_id=processor.image_token_id,
        pad_token_id=0,
        scale_factor=2,
    )
    return getattr(hf, f"{kind}ForConditionalGeneration")(config), processor


@maker
def idefics3():
    return _idefics3("Idefics3")


@maker
def smolvlm():
    return _idefics3("SmolVLM", no_video_processor())


def _qwen(kind: str, processor: str, vision: dict[str, Any], **changes: Any) -> tuple[Any, Any]:
    named = {
        "image_token": "<|image_pad|>",
        "video_token": "<|video_pad|>",
        "vision_start_token": "<|vision_start|>",
        "vision_end_token": "<|vision_end|>",
    }
    tok = tokenizer(named)
    ids = {f"{name}_id": tok.convert_tokens_to_ids(token) for name, token in named.items()}
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [1, 1, 2]}
    rope |= changes.pop("rope", {})
    config = getattr(hf, f"{kind}Config")(
        text_config=text(tok, rope_parameters=rope, **changes), vision_config={"patch_size": 8} | vision, **ids
    )
    images = hf.Qwen2VLImageProcessorPil(patch_size=8, merge_size=2, size={"shortest_edge": 256, "longest_edge": 4096})
    built = getattr(hf, processor)(
        images, tok, no_video_processor(), chat_template=chat("<|vision_start|><|image_pad|><|vision_end|>")
    )
    return getattr(hf, f"{kind}ForConditionalGeneration")(config), built


QWEN_VISION = {"hidden_size": 32, "intermediate_size": 64, "num_heads": 4, "out_hidden_size": 32}


@maker
def qwen2_vl():
    vision = {"depth": 2, "embed_dim": 32, "hidden_size": 32, "num_heads": 4, "mlp_ratio": 2}
    return _qwen("Qwen2VL", "Qwen2VLProcessor", vision)


@maker
def qwen2_5_vl():
    vision = QWEN_VISION | {"depth": 2, "window_size": 32, "fullatt_block_indexes": [1]}
    return _qwen("Qwen2_5_VL", "Qwen2_5_VLProcessor", vision)


@maker
def qwen3_vl():
    vision = QWEN_VISION | {"depth": 3, "num_position_embeddings": 16, "deepstack_visual_indexes": [0, 1]}
    return _qwen("Qwen3VL", "Qwen3VLProcessor", vision, head_dim=8)


@maker
def qwen3_5():
    return _qwen(
        "Qwen3_5",
        "Qwen3VLProcessor",
        QWEN_VISION | {"depth": 2, "num_position_embeddings": 16},
        head_dim=16,
        linear_key_head_dim=8,
        linear_value_head_dim=8,
        linear_num_key_heads=2,
        linear_num_value_heads=4,
        layer_types=["linear_attention", "full_attention"],
        rope={"mrope_section": [1, 1, 0], "partial_rotary_factor": 0.25},
    )


@maker
def internvl():
    tok = tokenizer(
        {
            "start_image_token": "<img>",
            "end_image_token": "</img>",
            "context_image_token": "<IMG_CONTEXT>",
            "video_token": "<video>",
        }
    )
    config = hf.InternVLConfig(
        vision_config=ENCODER | {"image_size": [32, 32], "patch_size": [8, 8]},
        text_config=hf.Qwen2Config(**text(tok)),
        image_token_id=tok.context_image_token_id,
        image_seq_length=4,
    )
    return hf.InternVLForConditionalGeneration(config), hf.InternVLProcessor(
        hf.GotOcr2ImageProcessorPil(size=SQUARE, crop_to_patches=True, min_patches=1, max_patches=2),
        tok,
        no_video_processor(),
        image_seq_length=4,
        chat_template=chat("<IMG_CONTEXT>"),
    )


@maker
def paligemma():
    tok = tokenizer({"image_token": "<image>"})
    images = hf.SiglipImageProcessorPil(size=SQUARE)
    images.image_seq_length = 16
    processor = hf.PaliGemmaProcessor(images, tok)
    vocabulary = len(tok) + 8  # the processor adds location and segmentation tokens
    config = hf.PaliGemmaConfig(
        vision_config=hf.SiglipVisionConfig(**VISION),
        text_config=hf.GemmaConfig(**text(tok, vocab_size=vocabulary, head_dim=8)),
        image_token_index=tok.image_token_id,
        projection_dim=32,
        vocab_size=vocabulary,
        hidden_size=32,
    )
    return hf.PaliGemmaForConditionalGeneration(config), processor


@maker
def gemma3():
    tok = tokenizer({"image_token": "<soft>", "boi_token": "<start_of_image>", "eoi_token": "<end_of_image>"})
    config = hf.Gemma3Config(
        vision_config=VISION | {"vision_use_head": False},
        text_config=text(tok, head_dim=8),
        mm_tokens_per_image=4,
        image_token_index=tok.image_token_id,
        boi_token_index=tok.boi_token_id,
        eoi_token_index=tok.eoi_token_id,
    )
    images = hf.Gemma3ImageProcessorPil(size=SQUARE)
    return hf.Gemma3ForConditionalGeneration(config), hf.Gemma3Processor(
        images, tok, image_seq_length=4, chat_template=chat("<start_of_image>")
    )


def _qformer(tok: Any) -> dict[str, Any]:
    return {
        "vision_config": VISION,
        "num_query_tokens": 4,
        "image_token_index": len(tok),
        "qformer_config": ENCODER
        | {"encoder_hidden_size": 32, "cross_attention_frequency": 1, "vocab_size": VOCABULARY},
    }


@maker
def blip2():
    tok = tokenizer()
    language = hf.OPTConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        word_embed_proj_dim=32,
        ffn_dim=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=256,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    model = hf.Blip2ForConditionalGeneration(hf.Blip2Config(text_config=language, **_qformer(tok)))
    return model, hf.Blip2Processor(hf.BlipImageProcessorPil(size=SQUARE), tok, num_query_tokens=4)


@maker
def blip2_t5():
    tok = tokenizer()
    language = hf.T5Config(
        vocab_size=VOCABULARY,
        d_model=32,
        d_kv=8,
        d_ff=64,
        num_layers=2,
        num_heads=4,
        pad_token_id=0,
        eos_token_id=2,
        decoder_start_token_id=0,
    )
    model = hf.Blip2ForConditionalGeneration(hf.Blip2Config(text_config=language, **_qformer(tok)))
    return model, hf.Blip2Processor(hf.BlipImageProcessorPil(size=SQUARE), tok, num_query_tokens=4)


@maker
def instructblip():
    tok = tokenizer()
    model = hf.InstructBlipForConditionalGeneration(
        hf.InstructBlipConfig(text_config=hf.LlamaConfig(**text(tok)), **_qformer(tok))
    )
    images = hf.BlipImageProcessorPil(size=SQUARE)
    return model, hf.InstructBlipProcessor(images, tok, tokenizer(bert=True), num_query_tokens=4)


@maker
def janus():
    tok = tokenizer({"image_token": "<placeholder>", "boi_token": "<begin>", "eoi_token": "<end>"})
    vision = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "image_size": 32,
        "patch_size": 8,
        "mlp_ratio": 2.0,
        "projection_dim": 32,
        "num_image_tokens": 16,
    }
    codes = {
        "embed_dim": 4,
        "num_embeddings": 32,
        "latent_channels": 32,
        "base_channels": 32,
        "channel_multiplier": [1, 1],
        "num_res_blocks": 1,
        "num_patches": 4,
        "projection_dim": 32,
        "image_token_embed_dim": 32,
    }
    config = hf.JanusConfig(
        text_config=hf.LlamaConfig(**text(tok)),
        image_token_id=tok.image_token_id,
        vision_config=vision,
        vq_config=codes,
    )
    model = hf.JanusForConditionalGeneration(config)
    model.generation_config.update(pad_token_id=0, bos_token_id=1, eos_token_id=2)
    images = hf.JanusImageProcessorPil(size=SQUARE)
    return model, hf.JanusProcessor(images, tok, num_image_tokens=16, chat_template=chat("<placeholder>"))


@maker
def florence2():
    tok = tokenizer({"image_token": "<image>"}, bart=True)
    vision = {
        "depths": [1, 1],
        "patch_size": [7, 3],
        "patch_stride": [4, 2],
        "patch_padding": [3, 1],
        "patch_prenorm": [False, True],
        "embed_dim": [16, 32],
        "num_heads": [2, 4],
        "num_groups": [2, 4],
        "window_size": 4,
        "projection_dim": 32,
        "max_position_embeddings": 8,
        "drop_path_rate": 0.0,
    }
    language = hf.BartConfig(
        vocab_size=VOCABULARY,
        d_model=32,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        max_position_embeddings=256,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=2,
        forced_bos_token_id=1,
        forced_eos_token_id=None,
    )
    config = hf.Florence2Config(vision_config=vision, text_config=language, image_token_id=tok.image_token_id)
    images = hf.CLIPImageProcessorPil(size=SQUARE, do_center_crop=False)
    images.image_seq_length = 17  # 4 x 4 places and their mean
    return hf.Florence2ForConditionalGeneration(config), hf.Florence2Processor(images, tok)


@maker
def kosmos2():
    processor = hf.Kosmos2Processor(hf.CLIPImageProcessorPil(**SHORTEST), tokenizer(bart=True))
    language = {
        "vocab_size": len(processor.tokenizer) + 8,
        "embed_dim": 32,
        "layers": 2,
        "ffn_dim": 64,
        "attention_heads": 4,
        "max_position_embeddings": 256,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    config = hf.Kosmos2Config(text_config=language, vision_config=VISION, latent_query_num=64)
    return hf.Kosmos2ForConditionalGeneration(config), processor


@maker
def chameleon():
    letters = ["".join("ABCDEFGHIJ"[int(digit)] for digit in str(code)) for code in range(32)]
    tok = tokenizer(extra=("<image>", "<racm3:break>", "<eoss>", *(f"IMGIMG{name}Z" for name in letters)))
    codes = {
        "embed_dim": 8,
        "num_embeddings": 32,
        "latent_channels": 8,
        "resolution": 32,
        "base_channels": 32,
        "channel_multiplier": [1, 2, 2],
        "num_res_blocks": 1,
    }
    config = hf.ChameleonConfig(**text(tok), vocabulary_map=tok.get_vocab(), vq_config=codes)
    images = hf.ChameleonImageProcessorPil(**SHORTEST)
    return hf.ChameleonForConditionalGeneration(config), hf.ChameleonProcessor(images, tok, image_seq_length=64)
