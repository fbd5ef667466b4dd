"""The key-value cache of a shared prefix (trunk), copied for every question (branch). Imports transformers."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from transformers.cache_utils import DynamicLayer


class PreallocatedLayer(DynamicLayer):
    """A layer's keys and values (rows, heads, tokens, width) in tensors with space for more tokens. The library's own
    layer copies all of them for every new token, which is most of the time of a short answer after a long prefix."""

    def __init__(self, layer: Any, rows: Tensor, room: int):
        super().__init__()
        self._rooms = [_with_room(states, rows, room) for states in (layer.keys, layer.values)]
        self.dtype, self.device, self.is_initialized = layer.dtype, layer.device, True
        self._fill(layer.keys.shape[2])

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        start = self._filled
        stop = start + key_states.shape[2]
        for room, states in zip(self._rooms, (key_states, value_states), strict=True):
            room[:, :, start:stop] = states
        return self._fill(stop)

    def reorder_cache(self, beam_idx: Tensor) -> None:
        self._rooms = [room.index_select(0, beam_idx) for room in self._rooms]
        self._fill(self._filled)

    def _fill(self, tokens: int) -> tuple[Tensor, Tensor]:
        """Show the first so many tokens as the cache."""
        self._filled = tokens
        keys, values = (room[:, :, :tokens] for room in self._rooms)
        self.keys, self.values = keys, values
        return keys, values


def expand_to_branches(cache: Any, rows: Tensor, room: int) -> None:
    """Turn a cache with a row a trunk into one with a row a branch: branch i continues trunk rows[i], with space for
    `room` more tokens. Layers of other types (a sliding window, a recurrent state) are only reordered."""
    for place, layer in enumerate(cache.layers):
        if type(layer) is DynamicLayer:
            cache.layers[place] = PreallocatedLayer(layer, rows, room)
        else:
            layer.reorder_cache(rows)


def _with_room(states: Tensor, rows: Tensor, room: int) -> Tensor:
    _, heads, tokens, width = states.shape
    roomy = states.new_empty(len(rows), heads, tokens + room, width)
    for place, row in enumerate(rows.tolist()):
        roomy[place, :, :tokens] = states[row]
    return roomy
