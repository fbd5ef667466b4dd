"""From what an encoder of the library puts out to tokens in raster order, and on through its connector.

A `Connection` knows one way in which the library joins encoder and decoder. The *raw* form is the tensor that the
library hands to the connector; `tokens` and `raw` convert one picture's between that and (tokens, width).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from chiasm.models.features import Grid


@dataclass
class Context:
    """What the adapter remembers of a picture.

    inputs   what the library's image processor said of it, pixels replaced by empty tensors of their shape
    grid     rows and columns of patches where the picture is seen as a whole, None where it is cut into tiles
    raw      shape of the raw connector input
    mask     which of the raw tokens are real, None where all are
    """

    inputs: dict[str, Any]
    grid: Grid | None
    raw: torch.Size = field(default_factory=torch.Size)
    mask: Tensor | None = None


class Connection:
    """Tiles (tiles, tokens, width) into one module. `in_place` says whether tokens of E_post have places in the
    picture, as those of E_pre have."""

    in_place = True

    def __init__(self, model: Any, connector: str):
        self.model, self.module = model, model.get_submodule(connector)

    def modules(self) -> list[nn.Module]:
        """The modules that E_pre goes into."""
        return [self.module]

    def features(self, inputs: Mapping[str, Tensor]) -> Any:
        """The library's own way from pixels to E_post."""
        owner = self.model if hasattr(self.model, "get_image_features") else self.model.model
        return owner.get_image_features(**inputs, return_dict=True)

    def received(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor:
        """The raw tensor among the arguments that a module was called with."""
        return args[0]

    def note(self, context: Context, picture: int, kwargs: Mapping[str, Any]) -> None:
        """Keep in the context what else the connector was given for a picture of the batch."""

    def tokens(self, raw: Tensor, context: Context) -> Tensor:
        """Also for what layers and norms put out, which has the form of the raw tensor."""
        return raw.flatten(0, 1)

    def raw(self, tokens: Tensor, context: Context) -> Tensor:
        """The inverse of `tokens`, for features (tokens, width)."""
        return tokens.view(*context.raw[:2], -1)

    def __call__(self, raw: Tensor, contexts: Sequence[Context]) -> list[Tensor]:
        """E_post of pictures of equal raw shape, laid one after the other in `raw`."""
        return [part.flatten(0, 1) for part in self.module(raw).chunk(len(contexts))]

    def output(self, output: Any, pictures: int) -> list[Tensor]:
        """E_post of each picture in what `features` returned."""
        pooled = output.pooler_output
        parts = pooled.chunk(pictures) if isinstance(pooled, Tensor) else pooled
        return [part.reshape(-1, part.shape[-1]) for part in parts]

    def injected(self, e_post: Sequence[Tensor]) -> Any:
        """E_post as `mm_encoder_outputs["image"]` of the library's forward."""
        from transformers.modeling_outputs import BaseModelOutputWithPooling

        pooled: Any = list(e_post)  # one tensor a picture, whatever the class says
        return BaseModelOutputWithPooling(pooler_output=pooled)


class StackedTiles(Connection):
    """The library wants E_post of all pictures in one tensor: they have equally many tokens."""

    def injected(self, e_post: Sequence[Tensor]) -> Any:
        from transformers.modeling_outputs import BaseModelOutputWithPooling

        return BaseModelOutputWithPooling(pooler_output=torch.cat(list(e_post))[None])


class PackedTiles(Connection):
    """LLaVA-NeXT and LLaVA-OneVision: projected tiles are put together to one picture, its padding is cut off and a
    learned token closes every row."""

    in_place = False

    def __call__(self, raw: Tensor, contexts: Sequence[Context]) -> list[Tensor]:
        inner, config = self.model.model, self.model.config
        settings = {"image_newline": inner.image_newline}
        if hasattr(config, "vision_aspect_ratio"):
            settings["vision_aspect_ratio"] = config.vision_aspect_ratio
        else:
            settings["vision_feature_select_strategy"] = config.vision_feature_select_strategy
        sizes = [size for context in contexts for size in context.inputs["image_sizes"]]
        projected = self.module(raw).chunk(len(contexts))
        return inner.pack_image_features(projected, sizes, **settings)[0]


class MaskedTiles(Connection):
    """Idefics2: tiles of different sizes are padded, and a resampler leaves the padding out."""

    in_place = False

    def note(self, context: Context, picture: int, kwargs: Mapping[str, Any]) -> None:
        tiles = context.raw[0]
        context.mask = kwargs["attention_mask"][picture * tiles : (picture + 1) * tiles].bool()

    def tokens(self, raw: Tensor, context: Context) -> Tensor:
        return raw[context.mask]

    def raw(self, tokens: Tensor, context: Context) -> Tensor:
        assert context.mask is not None
        padded = tokens.new_zeros(*context.mask.shape, tokens.shape[-1])
        padded[context.mask] = tokens
        return padded

    def __call__(self, raw: Tensor, contexts: Sequence[Context]) -> list[Tensor]:
        mask = torch.cat([context.mask for context in contexts if context.mask is not None])
        return [part.flatten(0, 1) for part in self.module(raw, attention_mask=mask).chunk(len(contexts))]


class MergedPatches(Connection):
    """The Qwen family: patches of all pictures in one row, 2 x 2 neighbours next to each other (and Qwen2.5-VL sorts
    them by attention window), merged to one token each.

    Where more mergers feed the first decoder layers (deepstack), their inputs and outputs are joined to E_pre and
    E_post along the width, so that nothing of the picture goes past the features.
    """

    def __init__(self, model: Any, connector: str):
        super().__init__(model, connector)
        self.visual = model.model.visual
        self.deepstack: Sequence[nn.Module] = getattr(self.visual, "deepstack_merger_list", ())

    def modules(self) -> list[nn.Module]:
        return [self.module, *self.deepstack]

    def tokens(self, raw: Tensor, context: Context) -> Tensor:
        tokens = torch.empty_like(raw)
        tokens[self._places(context)] = raw
        return tokens

    def raw(self, tokens: Tensor, context: Context) -> Tensor:
        return tokens[self._places(context)]

    def __call__(self, raw: Tensor, contexts: Sequence[Context]) -> list[Tensor]:
        mergers = self.modules()
        parts = raw.chunk(len(mergers), dim=-1)
        merged = torch.cat([merger(part.contiguous()) for merger, part in zip(mergers, parts, strict=True)], -1)
        result = []
        for context, part in zip(contexts, merged.chunk(len(contexts)), strict=True):
            tokens = torch.empty_like(part)
            tokens[self._squares(context)] = part
            result.append(tokens)
        return result

    def output(self, output: Any, pictures: int) -> list[Tensor]:
        levels = [output.pooler_output, *(getattr(output, "deepstack_features", None) or ())]
        return [torch.cat(parts, -1) for parts in zip(*levels, strict=True)]

    def injected(self, e_post: Sequence[Tensor]) -> Any:
        levels = [part.chunk(1 + len(self.deepstack), dim=-1) for part in e_post]
        output = super().injected([level[0].contiguous() for level in levels])
        if self.deepstack:
            output.deepstack_features = [
                [level[k].contiguous() for level in levels] for k in range(1, 1 + len(self.deepstack))
            ]
        return output

    def _squares(self, context: Context) -> Tensor:
        """Raster place of the k-th merged token as the encoder orders them."""
        merge = self.visual.spatial_merge_size
        assert context.grid is not None
        rows, columns = (side // merge for side in context.grid)
        places = torch.arange(rows * columns).view(rows, columns)
        sorted_by_window = hasattr(self.visual, "window_size")
        window = self.visual.window_size // (merge * self.visual.patch_size) if sorted_by_window else max(rows, columns)
        windows = [
            places[y : y + window, x : x + window].flatten()
            for y in range(0, rows, window)
            for x in range(0, columns, window)
        ]
        return torch.cat(windows)

    def _places(self, context: Context) -> Tensor:
        """Raster place of the k-th patch as the encoder orders them."""
        merge = self.visual.spatial_merge_size
        assert context.grid is not None
        rows, columns = context.grid
        patches = torch.arange(rows * columns).view(rows // merge, merge, columns // merge, merge)
        return patches.transpose(1, 2).reshape(-1, merge * merge)[self._squares(context)].flatten()


class QFormer(StackedTiles):
    """BLIP-2 and InstructBLIP: learned queries look at the picture, and are projected. InstructBLIP's also read an
    instruction, (1, length) token ids."""

    in_place = False

    def received(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor:
        return kwargs["encoder_hidden_states"]

    def __call__(
        self, raw: Tensor, contexts: Sequence[Context], instructions: Sequence[Tensor] | None = None
    ) -> list[Tensor]:
        if instructions is None:
            return list(self._project(raw, {}))
        return [
            self._project(picture[None], {"input_ids": ids})[0] for picture, ids in zip(raw, instructions, strict=True)
        ]

    def _project(self, raw: Tensor, reading: dict[str, Tensor]) -> Tensor:
        queries = self.model.query_tokens.expand(len(raw), -1, -1)
        if reading:
            length = queries.shape[1] + reading["input_ids"].shape[1]
            reading["attention_mask"] = torch.ones(len(raw), length, dtype=torch.long, device=raw.device)
        seen = self.module(
            query_embeds=queries,
            encoder_hidden_states=raw,
            encoder_attention_mask=torch.ones(raw.shape[:2], dtype=torch.long, device=raw.device),
            **reading,
        )[0]
        return self.model.language_projection(seen[:, : queries.shape[1]].to(raw.dtype))


class FeatureMap(StackedTiles):
    """Florence-2: the encoder puts out a map (pictures, width, rows, columns)."""

    def note(self, context: Context, picture: int, kwargs: Mapping[str, Any]) -> None:
        context.grid = context.raw[-2], context.raw[-1]

    def tokens(self, raw: Tensor, context: Context) -> Tensor:
        return raw[0].flatten(1).T

    def raw(self, tokens: Tensor, context: Context) -> Tensor:
        return tokens.T.contiguous().view(context.raw)


class Codebook(FeatureMap):
    """Chameleon: every place of the map becomes the nearest code, a token of the decoder's vocabulary."""

    def __call__(self, raw: Tensor, contexts: Sequence[Context]) -> list[Tensor]:
        inner = self.model.model
        codes = self.module(raw)[2]
        ids = inner.vocabulary_mapping.convert_img2bpe(codes).view(len(contexts), -1)
        return list(inner.get_input_embeddings()(ids))


class Latents(StackedTiles):
    """Kosmos-2: latent queries look at the picture's normalised tokens."""

    in_place = False

    def features(self, inputs: Mapping[str, Tensor]) -> Any:
        from transformers import Kosmos2Model

        # Only the class without a language head has the method; the parts that it uses have the same names in ours.
        return Kosmos2Model.get_image_features(self.model, **inputs, return_dict=True)

    def __call__(self, raw: Tensor, contexts: Sequence[Context]) -> list[Tensor]:
        return list(self.module(raw)[0])


def fitting(grid: Grid | None, tokens: int) -> Grid:
    """`grid`, or one coarser by a whole factor, where it has so many places; (1, tokens) otherwise."""
    if grid is not None:
        factor = math.isqrt(grid[0] * grid[1] // tokens)
        if factor and not grid[0] % factor and not grid[1] % factor:
            coarse = grid[0] // factor, grid[1] // factor
            if coarse[0] * coarse[1] == tokens:
                return coarse
    return 1, tokens
