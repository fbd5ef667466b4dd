"""Encoders of transformers, opened from disk: their features and embeddings are the library's own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_role_checkpoints
import torch
import transformers as T
from PIL import Image
from safetensors.torch import load_file, save_file
from torch.nn.functional import normalize

from chiasm.errors import CheckpointError, ConfigError
from chiasm.models.adapters.transformers.encoders import FACTS, DualEncoder, open_encoder
from chiasm.models.adapters.transformers.pictures import limit_aspect_ratio
from chiasm.tasks.roles import ZeroShotScenes

checkpoint = tiny_role_checkpoints.checkpoint
Checkpoint = Callable[[str], Path]
CLOSE = {"rtol": 1e-4, "atol": 1e-5}
TEXTS = ["a photo of a kitchen", "a photo of a red square left of a blue circle", "a dog"]
DUAL = ["clip", "siglip", "siglip2", "flava"]


def noise(height: int, width: int) -> Image.Image:
    """A smooth picture of its own for every size."""
    coarse = np.random.default_rng(height * 1000 + width).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height))


PICTURES = [noise(40, 56), noise(90, 30), noise(32, 32), noise(1, 1), noise(3, 40), noise(1, 900)]


def library_inputs(name: str, folder: Path, images: list[Image.Image]) -> Any:
    """What the library's own processor makes of the pictures and `TEXTS`."""
    processor = T.AutoProcessor.from_pretrained(folder, backend="pil")
    options: dict[str, Any] = {"padding": "max_length" if "siglip" in name else True}
    if name == "siglip2":
        options |= {"patch_size": 8, "max_num_patches": 16, "max_length": 64}  # the class has other defaults
    if name == "dinov2":
        return processor(images, return_tensors="pt")
    return processor(text=TEXTS, images=images, return_tensors="pt", **options)


@pytest.mark.parametrize("name", DUAL)
def test_embeddings_and_probabilities_are_the_librarys(name: str, checkpoint: Checkpoint) -> None:
    folder = checkpoint(name)
    encoder = open_encoder(str(folder))
    assert isinstance(encoder, DualEncoder)
    inputs = library_inputs(name, folder, PICTURES[:3])
    if name == "flava":
        # Its contrastive head is part of the pretraining model only. The heads beside it stay random.
        config = T.FlavaConfig.from_pretrained(folder)
        config.init_codebook = False
        model = T.FlavaForPreTraining.from_pretrained(folder, config=config).eval()
        given = {**inputs, "input_ids_masked": inputs["input_ids"], "skip_unmasked_multimodal_encoder": True}
        with torch.no_grad():
            logits = model(**given, return_loss=False).contrastive_logits_per_image
        expected = logits.log_softmax(-1)
    else:
        if "siglip" in name:
            inputs.pop("attention_mask", None)  # published tokenizers give none
        with torch.no_grad():
            output = getattr(T, FACTS[name].model).from_pretrained(folder).eval()(**inputs)
        torch.testing.assert_close(encoder.embed_images(PICTURES[:3]), output.image_embeds, **CLOSE)
        torch.testing.assert_close(encoder.embed_texts(TEXTS), output.text_embeds, **CLOSE)
        logits = output.logits_per_image
        expected = torch.nn.functional.logsigmoid(logits) if "siglip" in name else logits.log_softmax(-1)
    found = encoder.log_probabilities(encoder.embed_images(PICTURES[:3]), encoder.embed_texts(TEXTS))
    assert expected.std() > 1e-3  # or nothing was compared
    torch.testing.assert_close(found, expected, **CLOSE)


def test_flava_opens_as_it_is_published_with_the_heads_of_its_pretraining(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    folder = tiny_role_checkpoints.copy(checkpoint("flava"), tmp_path)
    config = T.FlavaConfig.from_pretrained(folder)
    config.init_codebook = False
    T.FlavaForPreTraining.from_pretrained(folder, config=config).save_pretrained(folder)
    assert "flava.logit_scale" in load_file(folder / "model.safetensors")
    published, bare = open_encoder(str(folder)), open_encoder(str(checkpoint("flava")))
    assert torch.equal(published.embed_images(PICTURES[:1]), bare.embed_images(PICTURES[:1]))


def test_dinov2_embeds_by_its_class_token(checkpoint: Checkpoint) -> None:
    encoder = open_encoder(str(checkpoint("dinov2")))
    assert not isinstance(encoder, DualEncoder)
    with torch.no_grad():
        output = T.Dinov2Model.from_pretrained(checkpoint("dinov2")).eval()(
            **library_inputs("dinov2", checkpoint("dinov2"), PICTURES[:3])
        )
    torch.testing.assert_close(
        encoder.embed_images(PICTURES[:3]), normalize(output.last_hidden_state[:, 0], dim=-1), **CLOSE
    )


@pytest.mark.parametrize("name", FACTS)
def test_features_are_the_towers_patch_tokens(name: str, checkpoint: Checkpoint) -> None:
    """Against every layer the library returns, picture by picture: no class token, no padding."""
    encoder = open_encoder(str(checkpoint(name)))
    assert encoder.sites() == ("encoder.0", "encoder.1", "encoder")
    found = encoder.capture(PICTURES, encoder.sites())
    tower = {"dinov2": "", "flava": "image_model"}.get(name, "vision_model")
    model = getattr(T, FACTS[name].model).from_pretrained(checkpoint(name)).eval().get_submodule(tower)
    expected: dict[str, list[torch.Tensor]] = {site: [] for site in encoder.sites()}
    for image in PICTURES:
        inputs = library_inputs(name, checkpoint(name), [limit_aspect_ratio(image)])
        given = {k: v for k, v in inputs.items() if k not in ("input_ids", "attention_mask", "token_type_ids")}
        with torch.no_grad():
            output = model(**given, output_hidden_states=True)
        states = [*output.hidden_states[1:3], output.last_hidden_state]
        for site, state in zip(encoder.sites(), states, strict=True):
            tokens = state[0, 0 if "siglip" in name else 1 :]
            expected[site].append(tokens[given["pixel_attention_mask"][0].bool()] if name == "siglip2" else tokens)
    for site, parts in expected.items():
        assert found[site].lengths == [len(part) for part in parts]
        torch.testing.assert_close(found[site].tokens, torch.cat(parts), **CLOSE)
    torch.testing.assert_close(encoder.encode(PICTURES).tokens, found["encoder"].tokens)


def test_grids_are_square_or_keep_the_pictures_proportions(checkpoint: Checkpoint) -> None:
    images = PICTURES[:2]  # 40x56 and 90x30, in patches of 8, at most 16 of them
    assert open_encoder(str(checkpoint("clip"))).encode(images).grids == ((4, 4), (4, 4))
    assert open_encoder(str(checkpoint("siglip2"))).encode(images).grids == ((3, 5), (6, 2))


@pytest.mark.parametrize("name", FACTS)
def test_a_batch_is_each_picture_alone(name: str, checkpoint: Checkpoint) -> None:
    encoder = open_encoder(str(checkpoint(name)))
    alone = [encoder.encode([image]) for image in PICTURES]
    together = encoder.encode(PICTURES)
    assert together.grids == tuple(grid for one in alone for grid in one.grids)
    torch.testing.assert_close(together.tokens, torch.cat([one.tokens for one in alone]), **CLOSE)
    torch.testing.assert_close(
        encoder.embed_images(PICTURES), torch.cat([encoder.embed_images([image]) for image in PICTURES]), **CLOSE
    )


@pytest.mark.parametrize("name", DUAL)
def test_scenes_are_the_likeliest_names(name: str, checkpoint: Checkpoint) -> None:
    encoder = open_encoder(str(checkpoint(name)))
    assert isinstance(encoder, DualEncoder)
    names = ["kitchen", "beach", "bed"]
    answers = ZeroShotScenes(encoder, names).classify(PICTURES)
    table = encoder.log_probabilities(
        encoder.embed_images(PICTURES), encoder.embed_texts([f"a photo of a {name}" for name in names])
    )
    for answer, row in zip(answers, table, strict=True):
        assert answer.text == names[int(row.argmax())]
        assert answer.logprob == pytest.approx(float(row.max()), abs=1e-5)
        assert answer.rule == "likeliest of 3 scenes"
    if name in ("clip", "flava"):
        torch.testing.assert_close(table.exp().sum(dim=1), torch.ones(len(PICTURES)))
    for none in ([], ["kitchen", " "]):
        with pytest.raises(ConfigError, match="names of scenes"):
            ZeroShotScenes(encoder, none)


def test_a_long_text_is_cut_and_not_an_error(checkpoint: Checkpoint) -> None:
    for name in DUAL:
        encoder = open_encoder(str(checkpoint(name)))
        assert isinstance(encoder, DualEncoder)
        assert torch.isfinite(encoder.embed_texts(["kitchen " * 300])).all()


def test_only_pictures_that_are_all_edge_are_thickened() -> None:
    assert limit_aspect_ratio(PICTURES[1]) is PICTURES[1]
    assert limit_aspect_ratio(noise(20, 1000)).size == (1000, 20)
    thick = limit_aspect_ratio(noise(2, 1001))
    assert thick.size == (1001, 21)
    assert (np.asarray(thick)[1:] == np.asarray(noise(2, 1001))[1]).all()
    assert limit_aspect_ratio(noise(1001, 2)).size == (21, 1001)


def test_what_cannot_be_opened_says_why(checkpoint: Checkpoint, tmp_path: Path) -> None:
    encoder = open_encoder(str(checkpoint("clip")))
    with pytest.raises(ConfigError, match=r"encoder\.9.*encoder\.1"):
        encoder.capture(PICTURES, ["encoder.9"])
    with pytest.raises(ConfigError, match=r"sam.*encoders are clip, siglip"):
        open_encoder(str(checkpoint("sam")))
    with pytest.raises(CheckpointError, match="nowhere"):
        open_encoder(str(tmp_path / "nowhere"))


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ("config.json", "config.json"),
        ("model.safetensors", "weights"),
        ("tokenizer.json", "processor"),
        ("preprocessor_config.json|processor_config.json", "processor"),
    ],
)
@pytest.mark.parametrize("how", ["missing", "damaged"])
def test_a_folder_with_a_part_missing_or_damaged(
    broken: str, message: str, how: str, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    folder = tiny_role_checkpoints.copy(checkpoint("clip"), tmp_path)
    for name in broken.split("|"):
        file = folder / name
        if file.exists():
            file.write_bytes(file.read_bytes()[:40]) if how == "damaged" else file.unlink()
    with pytest.raises(CheckpointError, match=message):
        open_encoder(str(folder))


def test_pickled_weights_are_never_loaded(checkpoint: Checkpoint, tmp_path: Path) -> None:
    folder = tiny_role_checkpoints.copy(checkpoint("clip"), tmp_path)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="weights"):
        open_encoder(str(folder))


def test_weights_that_lack_a_tensor_are_refused(checkpoint: Checkpoint, tmp_path: Path) -> None:
    folder = tiny_role_checkpoints.copy(checkpoint("clip"), tmp_path)
    weights = load_file(folder / "model.safetensors")
    del weights["visual_projection.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match="1 weights are missing, visual_projection"):
        open_encoder(str(folder))
