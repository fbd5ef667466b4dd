"""Tiny models with random weights for the pipeline's roles, saved as a user would find them: encoders, detectors,
segmenters. Built offline by transformers itself; every one takes a fraction of a second."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as T
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

T.logging.set_verbosity_error()
T.logging.disable_progress_bar()

BLOCK: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
VISION: dict[str, Any] = BLOCK | {"image_size": 32, "patch_size": 8}
SQUARE = {"height": 32, "width": 32}
VOCABULARY = 512
SENTENCES = ["a photo of a red square left of a blue circle", "a kitchen, a bedroom and a person on a beach"]


def bpe(longest: int = 32) -> Any:
    """Bytes and what was learned from two sentences; texts stand between <s> and </s>."""
    core = Tokenizer(models.BPE(unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    specials = ["<pad>", "<s>", "</s>", "<unk>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    core.train_from_iterator(
        SENTENCES,
        trainers.BpeTrainer(vocab_size=380, special_tokens=specials, initial_alphabet=alphabet, show_progress=False),
    )
    core.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)])
    return T.PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>",
        model_max_length=longest,
    )  # fmt: skip


def bert() -> Any:
    """Letters as word pieces, with BERT's ids where GroundingDINO looks for them: 101, 102, 1012 (.) and 1029 (?)."""
    vocabulary = {"[PAD]": 0, "[UNK]": 100, "[CLS]": 101, "[SEP]": 102, "[MASK]": 103, ".": 1012, "?": 1029}
    for i, letter in enumerate("abcdefghijklmnopqrstuvwxyz0123456789"):
        vocabulary |= {letter: 200 + i, f"##{letter}": 300 + i}
    vocabulary |= {word: 400 + i for i, word in enumerate(["red", "square", "circle", "person", "car", "dog", "cup"])}
    core = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    core.normalizer = normalizers.BertNormalizer()
    core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    core.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 101), ("[SEP]", 102)],
    )
    return T.PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]",
        unk_token="[UNK]", model_max_length=512,
    )  # fmt: skip


def text_config(longest: int = 32) -> dict[str, Any]:
    return BLOCK | {"vocab_size": VOCABULARY, "max_position_embeddings": longest, "eos_token_id": 2}


def clip() -> tuple[Any, Any]:
    config = T.CLIPConfig(text_config=text_config(), vision_config=VISION, projection_dim=16)
    images = T.CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=SQUARE)
    return T.CLIPModel(config), T.CLIPProcessor(images, bpe())


def siglip() -> tuple[Any, Any]:
    config = T.SiglipConfig(text_config=text_config(16), vision_config=VISION)
    return T.SiglipModel(config), T.SiglipProcessor(T.SiglipImageProcessorPil(size=SQUARE), bpe(16))


def siglip2() -> tuple[Any, Any]:
    config = T.Siglip2Config(text_config=text_config(64), vision_config=BLOCK | {"patch_size": 8, "num_patches": 16})
    letters = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", *"▁abcdefghijklmnopqrstuvwxyz,."]
    # transformers takes this class for every SigLIP 2, whatever tokenizer is saved beside it.
    tokenizer = T.Siglip2Tokenizer({letter: i for i, letter in enumerate(letters)}, [])
    images = T.Siglip2ImageProcessorPil(patch_size=8, max_num_patches=16)
    return T.Siglip2Model(config), T.Siglip2Processor(images, tokenizer)


def flava() -> tuple[Any, Any]:
    config = T.FlavaConfig(
        image_config=VISION, text_config=BLOCK | {"vocab_size": 1200, "max_position_embeddings": 64},
        multimodal_config=BLOCK, hidden_size=32, projection_dim=16,
    )  # fmt: skip
    return T.FlavaModel(config), T.FlavaProcessor(T.FlavaImageProcessorPil(size=SQUARE, crop_size=SQUARE), bert())


def dinov2() -> tuple[Any, Any]:
    config = T.Dinov2Config(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=4, image_size=32, patch_size=8, mlp_ratio=2
    )
    return T.Dinov2Model(config), T.BitImageProcessorPil(size={"shortest_edge": 32}, crop_size=SQUARE)


def grounding_dino() -> tuple[Any, Any]:
    config = T.GroundingDinoConfig(
        backbone_config=T.SwinConfig(
            image_size=64, patch_size=4, embed_dim=16, depths=[1, 1, 1], num_heads=[2, 2, 2], window_size=4,
            out_features=["stage2", "stage3"],
        ),
        text_config=T.BertConfig(vocab_size=1200, max_position_embeddings=64, **BLOCK),
        num_queries=10, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4, decoder_attention_heads=4,
        encoder_ffn_dim=64, decoder_ffn_dim=64, d_model=32, num_feature_levels=3, max_text_len=32,
        disable_custom_kernels=True,
    )  # fmt: skip
    images = T.GroundingDinoImageProcessorPil(size={"shortest_edge": 64, "longest_edge": 96})
    return T.GroundingDinoForObjectDetection(config), T.GroundingDinoProcessor(images, bert())


def owlv2() -> tuple[Any, Any]:
    config = T.Owlv2Config(text_config=text_config(16), vision_config=VISION, projection_dim=32)
    model = T.Owlv2ForObjectDetection(config)
    with torch.no_grad():
        # Fresh ones push every box into a corner and every score to 0 or 1.
        for part in (model.box_head, model.class_head.logit_scale):
            for weight in part.parameters():
                weight *= 0.1
    return model, T.Owlv2Processor(T.Owlv2ImageProcessorPil(size=SQUARE), bpe(16))


def clipseg() -> tuple[Any, Any]:
    config = T.CLIPSegConfig(
        text_config=text_config(), vision_config=VISION, projection_dim=16, extract_layers=[0, 1], reduce_dim=16,
        decoder_intermediate_size=32,
    )  # fmt: skip
    return T.CLIPSegForImageSegmentation(config), T.CLIPSegProcessor(T.ViTImageProcessorPil(size=SQUARE), bpe())


def sam() -> tuple[Any, Any]:
    config = T.SamConfig(
        vision_config={
            "hidden_size": 32, "output_channels": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
            "image_size": 64, "patch_size": 8, "window_size": 4, "global_attn_indexes": [1], "num_pos_feats": 16,
            "mlp_dim": 64,
        },
        prompt_encoder_config={"hidden_size": 32, "image_size": 64, "patch_size": 8, "mask_input_channels": 4},
        mask_decoder_config={"hidden_size": 32, "mlp_dim": 64, "num_attention_heads": 4, "iou_head_hidden_dim": 32},
    )  # fmt: skip
    images = T.SamImageProcessorPil(
        size={"longest_edge": 64}, pad_size={"height": 64, "width": 64}, mask_size={"longest_edge": 32},
        mask_pad_size={"height": 32, "width": 32},
    )  # fmt: skip
    return T.SamModel(config), T.SamProcessor(images)


BUILDERS: dict[str, Callable[[], tuple[Any, Any]]] = {
    build.__name__: build
    for build in (clip, siglip, siglip2, flava, dinov2, grounding_dino, owlv2, clipseg, sam)
}  # fmt: skip


def save(name: str, parent: Path) -> Path:
    """A checkpoint folder `parent`/`name`. Weights are drawn wider than a fresh model's, so that answers differ."""
    torch.manual_seed(0)
    model, processor = BUILDERS[name]()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.add_(torch.randn_like(weight) * 0.03)
    folder = parent / name
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Folder of a checkpoint by its name in `BUILDERS`, saved when it is first asked for."""
    parent = tmp_path_factory.mktemp("checkpoints")
    return lambda name: parent / name if (parent / name).exists() else save(name, parent)


def copy(folder: Path, parent: Path) -> Path:
    """A checkpoint that a test may break."""
    return Path(shutil.copytree(folder, parent / folder.name))
