"""Branches of a trunk's cache against the library's own operations: select, then concatenate."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from transformers.cache_utils import DynamicCache

from chiasm.models.adapters.transformers.cache import expand_to_branches

GENERATOR = torch.Generator().manual_seed(0)


def states(rows: int, tokens: int) -> Tensor:
    return torch.randn(rows, 2, tokens, 4, generator=GENERATOR)


@pytest.mark.parametrize("rows", [[0, 0, 1, 1, 1], [1], [1, 0]])
def test_branches_are_copies_of_their_trunks_that_grow(rows: list[int]) -> None:
    cache, theirs = DynamicCache(), DynamicCache()
    trunk = [(states(2, 5), states(2, 5)) for _ in range(3)]
    for layer, (keys, values) in enumerate(trunk):
        cache.update(keys, values, layer)
        theirs.update(keys, values, layer)
    expand_to_branches(cache, torch.tensor(rows), room=4)
    theirs.reorder_cache(torch.tensor(rows))
    keep = torch.arange(len(rows))
    for tokens in (3, 1):
        for layer in range(3):
            more = states(len(keep), tokens), states(len(keep), tokens)
            ours, wanted = cache.update(*more, layer), theirs.update(*more, layer)
            assert all(torch.equal(a, b) for a, b in zip(ours, wanted, strict=True))
        assert cache.get_seq_length() == theirs.get_seq_length()
        keep = keep[::2]  # some rows have closed
        cache.reorder_cache(keep)
        theirs.reorder_cache(keep)
        keep = torch.arange(len(keep))


def test_no_branch_writes_into_another() -> None:
    cache = DynamicCache()
    cache.update(states(1, 2), states(1, 2), 0)
    expand_to_branches(cache, torch.tensor([0, 0]), room=1)
    keys, _ = cache.update(torch.stack([torch.ones(2, 1, 4), torch.zeros(2, 1, 4)]), states(2, 1), 0)
    assert torch.equal(keys[0, :, :2], keys[1, :, :2])
    assert (keys[:, 0, 2, 0] == torch.tensor([1.0, 0.0])).all()
