"""The ViT by hand, across picture sizes, and against transformers' SigLIP on the same weights."""

import numpy as np
import pytest
import tiny
import torch
from PIL import Image
from tiny import pictures, randomise

from chiasm.errors import CheckpointError, ConfigError
from chiasm.models.adapters.weights import siglip_weights, vit_from
from chiasm.models.encoders import ViT

one_thread = tiny.one_thread
CLOSE = {"rtol": 1e-5, "atol": 1e-5}


def small(**changes) -> ViT:
    return randomise(ViT(**({"size": 16, "patch": 4, "width": 16, "depth": 2, "heads": 2} | changes)))


def test_a_token_is_its_patch_in_raster_order() -> None:
    """With nothing but an identity for an embedding, a token is its patch: channels, then rows, then columns."""
    encoder = ViT(size=4, patch=2, width=12, depth=0, heads=1)
    encoder.norm = torch.nn.Identity()
    with torch.no_grad():
        encoder.embed.weight.copy_(torch.eye(12))
        encoder.embed.bias.zero_()
        encoder.positions.zero_()
    channel = torch.arange(16.0).view(4, 4)
    features = encoder(torch.stack([channel, channel + 100, channel + 200])[None])
    assert features.grids == ((2, 2),)
    assert features.site == "encoder"
    assert features.tokens[1].tolist() == [2, 3, 6, 7, 102, 103, 106, 107, 202, 203, 206, 207]
    assert features.tokens[:, 0].tolist() == [0, 2, 8, 10]


def test_pixels_are_scaled_to_minus_one_and_one() -> None:
    encoder = small()
    black_to_white = np.stack([np.zeros((16, 16, 3), np.uint8), np.full((16, 16, 3), 255, np.uint8)])
    pixels = encoder.preprocess(black_to_white)
    assert pixels.shape == (2, 3, 16, 16)
    assert pixels[0].unique().tolist() == [-1]
    assert pixels[1].unique().tolist() == [1]


def test_arrays_and_pictures_of_any_size_are_prepared_alike() -> None:
    encoder = small()
    arrays = [*pictures(1), *pictures(1, size=50), np.full((30, 20, 3), 77, np.uint8)]
    from_arrays = encoder.preprocess(arrays)
    assert torch.equal(from_arrays, encoder.preprocess([Image.fromarray(a) for a in arrays]))
    # One that already has the right size is not touched.
    untouched = torch.from_numpy(arrays[0]).permute(2, 0, 1).float()
    torch.testing.assert_close((from_arrays[0] + 1) * 127.5, untouched, **CLOSE)


def test_resizing_fills_the_square_so_that_relative_boxes_stay() -> None:
    wide = np.zeros((20, 80, 3), np.uint8)
    wide[:, 40:] = 255
    pixels = small().preprocess([wide])[0, 0]
    assert (pixels[:, :7] < -0.9).all()
    assert (pixels[:, 9:] > 0.9).all()


def test_a_batch_equals_one_by_one() -> None:
    encoder = small()
    pixels = encoder.preprocess(pictures(3))
    alone = [encoder(p[None]).tokens for p in pixels]
    torch.testing.assert_close(encoder(pixels).tokens, torch.cat(alone), **CLOSE)


def test_pictures_of_several_sizes_equal_one_by_one() -> None:
    encoder = small()
    torch.manual_seed(0)
    mixed = [torch.randn(3, h, w) for h, w in [(16, 16), (8, 24), (16, 16), (32, 32), (8, 24), (24, 8)]]
    features = encoder(mixed)
    assert features.grids == ((4, 4), (2, 6), (4, 4), (8, 8), (2, 6), (6, 2))
    for tokens, pixels in zip(features.split(), mixed, strict=True):
        torch.testing.assert_close(tokens, encoder(pixels[None]).tokens, **CLOSE)


@pytest.mark.parametrize("grid", [(8, 8), (3, 3), (2, 6)])
def test_positions_at_another_size_are_bicubic(grid: tuple[int, int]) -> None:
    encoder = small()
    square = encoder.positions.detach().view(4, 4, 16).numpy()
    size = grid[1], grid[0]
    expected = [np.asarray(Image.fromarray(square[..., c]).resize(size, Image.Resampling.BICUBIC)) for c in range(16)]
    ours = encoder._positions(grid).detach().view(*grid, 16)
    torch.testing.assert_close(ours, torch.from_numpy(np.stack(expected, -1)), **CLOSE)


def test_selecting_pictures() -> None:
    features = small()([torch.randn(3, 8, 8), torch.randn(3, 8, 16)])
    chosen = features.select([1, 0, 1])
    assert chosen.grids == ((2, 4), (2, 2), (2, 4))
    assert torch.equal(chosen.tokens, torch.cat([features.tokens[4:], features.tokens[:4], features.tokens[4:]]))


def test_impossible_sizes() -> None:
    with pytest.raises(ConfigError, match="size 17 is not a multiple of patch 4"):
        ViT(size=17, patch=4)
    with pytest.raises(ConfigError, match="18 x 16 are not whole patches of 4"):
        small()(torch.zeros(1, 3, 16, 18))
    with pytest.raises(ConfigError, match="width 10 can't be divided over 4 heads"):
        ViT(width=10, heads=4)


@pytest.fixture(scope="module")
def siglip():
    transformers = pytest.importorskip("transformers")
    config = transformers.SiglipVisionConfig(
        hidden_size=24, intermediate_size=40, num_hidden_layers=3, num_attention_heads=3, image_size=24, patch_size=6
    )
    return randomise(transformers.SiglipVisionModel(config))


def test_equals_siglip_on_the_same_weights(siglip) -> None:
    encoder = vit_from(siglip)
    pixels = torch.rand(3, 3, 24, 24, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        expected = siglip(pixels).last_hidden_state.flatten(0, 1)
        torch.testing.assert_close(encoder(pixels).tokens, expected, **CLOSE)


def test_siglip_weights_of_older_releases(siglip) -> None:
    state = siglip.state_dict()
    old = {f"vision_model.{name}": tensor for name, tensor in state.items()}
    old["vision_model.embeddings.position_ids"] = torch.arange(16)[None]
    new = siglip_weights(state)
    for name, tensor in siglip_weights(old).items():
        assert torch.equal(tensor, new[name])


def test_siglip_weights_that_do_not_fit(siglip) -> None:
    state = siglip.state_dict()
    with pytest.raises(CheckpointError, match=r"no place for: encoder\.extra"):
        siglip_weights(state | {"encoder.extra": torch.zeros(1)})
    del state["encoder.layers.1.mlp.fc1.bias"]
    with pytest.raises(CheckpointError, match=r"no encoder\.layers\.1\.mlp\.fc1\.bias"):
        siglip_weights(state)


def test_a_siglip_with_another_activation_is_refused(siglip) -> None:
    import transformers

    config = transformers.SiglipVisionConfig(**(siglip.config.to_dict() | {"hidden_act": "gelu"}))
    with pytest.raises(ConfigError, match="hidden_act = 'gelu'"):
        vit_from(transformers.SiglipVisionModel(config))


@pytest.mark.parametrize("picture", [Image.new("L", (8, 8)), Image.new("RGBA", (8, 8)), np.zeros((8, 8), np.uint8)])
def test_pictures_that_are_not_rgb_are_named(picture: Image.Image | np.ndarray) -> None:
    with pytest.raises(ConfigError, match="picture 1 is not RGB"):
        ViT(size=8, patch=4, width=8, depth=1, heads=1).preprocess([Image.new("RGB", (8, 8)), picture])


def test_no_picture_at_all() -> None:
    with pytest.raises(ConfigError, match="no pictures"):
        ViT(size=8, patch=4, width=8, depth=1, heads=1).preprocess([])
