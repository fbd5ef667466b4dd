import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from chiasm.errors import DataError, ImageError
from chiasm.score.generation.pictures import score_pictures
from chiasm.score.generation.piqe import piqe
from chiasm.score.generation.pixels import MS_SSIM_WEIGHTS, ms_ssim, psnr, ssim


def picture(seed: int, height: int, width: int, channels: int = 3) -> np.ndarray:
    """Smooth shapes with noise, so that every term of SSIM matters."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    waves = 128 + 90 * np.sin(x[..., None] / 9 + np.arange(channels)) * np.cos(y[..., None] / 13)
    return np.clip(waves + rng.normal(scale=12, size=(height, width, channels)), 0, 255).astype(np.uint8)


def test_psnr_by_hand() -> None:
    # Every value off by 5: 10 log10(255^2 / 25).
    assert psnr(np.full((4, 4), 100.0), np.full((4, 4), 105.0)) == pytest.approx(34.1514, abs=1e-4)
    assert psnr(np.ones((4, 4)), np.ones((4, 4))) == np.inf


def test_psnr_of_a_region_ignores_the_rest() -> None:
    before, after = np.zeros((4, 4, 3)), np.zeros((4, 4, 3))
    after[0, 0] = 255
    where = np.zeros((4, 4), dtype=bool)
    assert np.isnan(psnr(before, after, where))
    where[0, 0] = True
    assert psnr(before, after, where) == pytest.approx(0)
    assert psnr(before, after, ~where) == np.inf


def test_ssim_of_flat_pictures_by_hand() -> None:
    # Without contrast only the luminance term is left: (2 * 100 * 120 + C1) / (100^2 + 120^2 + C1), C1 = 6.5025.
    assert ssim(np.full((16, 16), 100.0), np.full((16, 16), 120.0)) == pytest.approx(24006.5025 / 24406.5025)


def test_ssim_equals_scikit_image() -> None:
    metrics = pytest.importorskip("skimage.metrics")
    a, b = picture(0, 61, 83), picture(1, 61, 83)
    expected = metrics.structural_similarity(
        a, b, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255, channel_axis=2
    )
    assert ssim(a, b) == pytest.approx(expected, abs=1e-9)
    assert psnr(a, b) == pytest.approx(metrics.peak_signal_noise_ratio(a, b))


def test_ms_ssim_equals_its_definition_by_other_means() -> None:
    ndimage = pytest.importorskip("scipy.ndimage")
    a, b = picture(0, 190, 181, 1)[..., 0].astype(float), picture(1, 190, 181, 1)[..., 0].astype(float)
    c1, c2 = 6.5025, 58.5225

    def smooth(values: np.ndarray) -> np.ndarray:
        return ndimage.gaussian_filter(values, 1.5, truncate=3.5)[5:-5, 5:-5]

    expected, x, y = 1.0, a, b
    for weight in MS_SSIM_WEIGHTS:
        mx, my = smooth(x), smooth(y)
        vx, vy, vxy = smooth(x * x) - mx**2, smooth(y * y) - my**2, smooth(x * y) - mx * my
        contrast = (2 * vxy + c2) / (vx + vy + c2)
        luminance = (2 * mx * my + c1) / (mx**2 + my**2 + c1)
        last = weight == MS_SSIM_WEIGHTS[-1]
        expected *= (luminance * contrast if last else contrast).mean() ** weight
        x, y = (v[: len(v) // 2 * 2, : v.shape[1] // 2 * 2] for v in (x, y))
        x, y = (v.reshape(v.shape[0] // 2, 2, v.shape[1] // 2, 2).mean(axis=(1, 3)) for v in (x, y))
    assert ms_ssim(a, b) == pytest.approx(expected, abs=1e-9)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.integers(11, 30), st.integers(11, 30))
def test_ssim_is_symmetric_at_most_one_and_one_for_equal_pictures(seed: int, height: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 256, size=(2, height, width, 3))
    assert ssim(a, b) == pytest.approx(ssim(b, a))
    assert ssim(a, b) <= 1
    assert ssim(a, a) == pytest.approx(1)


@pytest.mark.parametrize("size", [(96, 128), (70, 101)])
def test_piqe_equals_the_python_port_of_the_reference(size: tuple[int, int]) -> None:
    port = pytest.importorskip("pypiqe")
    rng = np.random.default_rng(3)
    noisy = np.clip(picture(0, *size, 1)[..., 0] + rng.normal(scale=25, size=size), 0, 255).astype(np.uint8)
    blocky = np.kron(rng.integers(0, 256, size=(size[0] // 8 + 1, size[1] // 8 + 1)), np.ones((8, 8)))
    for grey in (picture(1, *size, 1)[..., 0], noisy, blocky[: size[0], : size[1]].astype(np.uint8)):
        assert piqe(grey) == pytest.approx(port.piqe(grey)[0], abs=1e-6)


def test_piqe_is_what_it_was_and_worst_without_texture() -> None:
    # Frozen from pypiqe 1.2 on the same array.
    assert piqe(picture(0, 64, 64, 1)[..., 0]) == pytest.approx(53.83448787356922, abs=1e-6)
    assert piqe(np.full((32, 32), 7)) == 100
    assert piqe(np.zeros((5, 3, 3))) == 100


@pytest.mark.parametrize("shape", [(10, 40, 3), (40,), (0, 5)])
def test_pictures_that_do_not_fit_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ImageError):
        ssim(np.zeros(shape), np.zeros(shape))
    with pytest.raises(ImageError, match="different shapes"):
        psnr(np.zeros((4, 4)), np.zeros((4, 5)))
    with pytest.raises(ImageError, match="176"):
        ms_ssim(np.zeros((175, 400)), np.zeros((175, 400)))


def test_folders_are_paired_by_name(tmp_path: Path) -> None:
    for i in range(6):
        for folder, seed in (("made", i), ("true", i + (10 if i else 0))):  # the first pair is equal
            (tmp_path / folder).mkdir(exist_ok=True)
            Image.fromarray(picture(seed, 40, 50)).save(tmp_path / folder / f"p{i}.png")
    score = score_pictures(tmp_path / "made", tmp_path / "true")
    values = {v.metric: v for v in score.values}
    assert values["psnr"].n == 5
    assert values["ssim"].n == 6
    assert values["ms_ssim"].value is None
    assert values["piqe"].n == 6
    assert len(score.notes) == 2
    assert [v.metric for v in score_pictures(tmp_path / "made").values] == ["piqe"]

    (tmp_path / "true" / "p5.png").rename(tmp_path / "true" / "other.png")
    with pytest.raises(DataError, match="'p5'"):
        score_pictures(tmp_path / "made", tmp_path / "true")
    Image.fromarray(picture(0, 40, 50)).save(tmp_path / "made" / "p0.jpg")
    with pytest.raises(DataError, match="same name"):
        score_pictures(tmp_path / "made")


def test_a_picture_of_another_size_is_named_not_resized(tmp_path: Path) -> None:
    for folder, width in (("made", 50), ("true", 51)):
        (tmp_path / folder).mkdir()
        Image.fromarray(picture(0, 40, width)).save(tmp_path / folder / "cat.png")
    with pytest.raises(DataError, match=r"'cat'.*resize"):
        score_pictures(tmp_path / "made", tmp_path / "true")


def test_a_photo_gets_worse_as_it_is_compressed(shared_data: Path) -> None:
    photo = Image.open(sorted((shared_data / "coco-mini" / "val2017").glob("*.jpg"))[0]).convert("RGB")
    original, found = np.asarray(photo), []
    for quality in (80, 30, 8):
        file = io.BytesIO()
        photo.save(file, "JPEG", quality=quality)
        worse = np.asarray(Image.open(file))
        found.append((psnr(original, worse), ssim(original, worse), ms_ssim(original, worse), -piqe(worse)))
    assert (np.diff(np.array(found), axis=0) < 0).all()


def test_piqe_of_photos_equals_the_port(shared_data: Path) -> None:
    port = pytest.importorskip("pypiqe")
    for path in sorted((shared_data / "coco-mini" / "val2017").glob("*.jpg"))[:3]:
        grey = np.asarray(Image.open(path).convert("L"))
        assert piqe(grey) == pytest.approx(port.piqe(grey)[0], abs=1e-6)
