"""Connectors: how many tokens come out, in which order, and that pictures do not mix."""

import pytest
import tiny
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import randomise
from torch import nn

from chiasm.errors import ConfigError
from chiasm.models.connectors import CONNECTORS, PatchMerger
from chiasm.models.features import Features, Grid

one_thread = tiny.one_thread
SETTINGS = {"linear": {}, "mlp": {"hidden": 12}, "patch_merger": {"merge": 2}}


def make(kind: str, **changes):
    return randomise(CONNECTORS[kind](8, 6, **(SETTINGS[kind] | changes)))


def encoded(grids: list[Grid], width: int = 8) -> Features:
    n = sum(rows * columns for rows, columns in grids)
    return Features(torch.randn(n, width, generator=torch.Generator().manual_seed(0)), tuple(grids), "encoder")


def test_every_connector_is_tested() -> None:
    assert SETTINGS.keys() == CONNECTORS.keys()


@pytest.mark.parametrize("kind", CONNECTORS)
@settings(deadline=None, max_examples=30)
@given(halves=st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3)), min_size=1, max_size=4))
def test_out_tokens_tells_what_comes_out(kind: str, halves: list[Grid]) -> None:
    connector = make(kind)
    grids = [(2 * rows, 2 * columns) for rows, columns in halves]
    connected = connector(encoded(grids))
    assert connected.lengths == [connector.out_tokens(grid) for grid in grids]
    assert connected.tokens.shape == (sum(connected.lengths), 6)
    assert connected.site == "connector"
    assert len(connected) == len(grids)


@pytest.mark.parametrize("kind", CONNECTORS)
def test_pictures_together_equal_one_by_one(kind: str) -> None:
    connector = make(kind)
    features = encoded([(4, 4), (4, 4), (2, 6), (4, 4)])
    together = connector(features)
    for i, tokens in enumerate(together.split()):
        alone = connector(features.select([i]))
        assert alone.grids == (together.grids[i],)
        torch.testing.assert_close(tokens, alone.tokens, rtol=1e-5, atol=1e-5)


def test_patch_merger_joins_squares_in_raster_order() -> None:
    """A grid of 4 x 4 and, beside it, one of 2 x 4. The numbers are the raster places of tokens one number wide."""
    merger = PatchMerger(1, 4, merge=2)
    merger.norm = nn.Identity()
    merger.up, merger.down = nn.Identity(), nn.Identity()
    joined = merger(Features(torch.arange(24.0)[:, None], ((4, 4), (2, 4)), "encoder"))
    assert joined.grids == ((2, 2), (1, 2))
    places = torch.tensor(
        [[0, 1, 4, 5], [2, 3, 6, 7], [8, 9, 12, 13], [10, 11, 14, 15], [16, 17, 20, 21], [18, 19, 22, 23]]
    )
    torch.testing.assert_close(joined.tokens, nn.functional.gelu(places.float()))


def test_patch_merger_is_norm_then_mlp_of_the_joined_tokens() -> None:
    merger = make("patch_merger")
    features = encoded([(2, 2)])
    x = merger.norm(features.tokens)
    assert torch.equal(merger.normalize(features).tokens, x)
    assert merger.normalize(features).site == "connector.in"
    expected = merger.down(nn.functional.gelu(merger.up(x.reshape(1, 32))))
    torch.testing.assert_close(merger(features).tokens, expected)


@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_a_connector_without_a_norm_passes_features_through(kind: str) -> None:
    features = encoded([(1, 2)])
    normalized = make(kind).normalize(features)
    assert normalized.tokens is features.tokens
    assert normalized.site == "connector.in"


@pytest.mark.parametrize("grid", [(3, 4), (4, 3)])
def test_an_odd_grid_can_not_be_merged(grid: Grid) -> None:
    merger = make("patch_merger")
    with pytest.raises(ConfigError, match=f"grid of {grid[0]} x {grid[1]}"):
        merger.out_tokens(grid)
    with pytest.raises(ConfigError, match=f"grid of {grid[0]} x {grid[1]}"):
        merger(encoded([grid]))
