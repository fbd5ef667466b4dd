"""Decoder-only language models."""

from __future__ import annotations

from torch import Tensor, nn

from chiasm.errors import ConfigError
from chiasm.models.nn.attention import Attend
from chiasm.models.nn.blocks import DecoderBlock
from chiasm.models.nn.linear import Linear
from chiasm.models.nn.rope import angles


class Llama(nn.Module):
    """Decoder-only transformer: RMSNorm, rotary positions, grouped queries, SwiGLU (Touvron et al. 2023).

    `tied` shares the token embedding with the output head. Nothing here knows about pictures, packing or caches: it
    maps embeddings (N, width) at positions (N,) to hidden states under whatever pattern `attend` stands for.
    """

    def __init__(
        self,
        vocabulary: int,
        width: int = 256,
        depth: int = 4,
        heads: int = 4,
        kv_heads: int | None = None,
        hidden: int | None = None,
        rope_base: float = 10000.0,
        eps: float = 1e-6,
        tied: bool = True,
    ):
        super().__init__()
        self.width, self.rope_base, self.head_width = width, rope_base, width // heads
        self.heads, self.kv_heads = heads, kv_heads or heads
        hidden = hidden or -(-8 * width // 3 // 32) * 32
        self.embed = nn.Embedding(vocabulary, width)
        self.blocks = nn.ModuleList(DecoderBlock(width, heads, self.kv_heads, hidden, eps) for _ in range(depth))
        if self.head_width % 2:
            raise ConfigError(f"rotary positions turn pairs, so a head can't be {self.head_width} wide")
        self.norm = nn.RMSNorm(width, eps)
        self.head = Linear(width, vocabulary, bias=False)
        for parameter in self.parameters():
            if parameter.dim() == 2:
                nn.init.normal_(parameter, std=0.02)
        if tied:
            self.head.weight = self.embed.weight

    def forward(self, embeddings: Tensor, positions: Tensor, attend: Attend) -> Tensor:
        """-> hidden states (N, width) after the last norm; `head` turns those that matter into logits."""
        rope = angles(positions, self.head_width, self.rope_base)
        x = embeddings
        for layer, block in enumerate(self.blocks):
            x = block(x, layer, attend, rope)
        return self.norm(x)

    def lay_out_for_decoding(self) -> None:
        """Store the weights of linear layers column by column, for a model that is not trained any further. One token
        times a matrix is as fast as the matrix can be read, and on a CPU that is up to twice as fast so
        (`bench/decode.py`). Names, shapes and saved files stay the same."""
        for module in self.modules():
            if isinstance(module, nn.Linear) and module.weight is not self.embed.weight:
                module.weight = nn.Parameter(module.weight.detach().t().contiguous().t(), requires_grad=False)


DECODERS = {"llama": Llama}
