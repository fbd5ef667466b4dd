"""BERTScore of captions by a language model of the user's own: texts in, a score out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from chiasm.data.records import paired
from chiasm.errors import ConfigError
from chiasm.models.adapters.transformers.loading import import_transformers, load_model
from chiasm.score.captioning.bertscore import Tokens, score_bertscore
from chiasm.score.captioning.formats import read_candidates, read_references
from chiasm.score.result import Score


def bertscore_by_model(model: Path | str, layer: int, captions: Path | str, references: Path | str) -> Score:
    """`score_bertscore` with the embeddings of a local transformers checkpoint, at a layer from 0 (before the first).

    The files are of any format of `captioning.formats`. The authors' layer is 17 of RoBERTa-large, 9 of BERT-base; they
    decide the number (Zhang et al. 2020, arXiv:1904.09675, appendix B). Special tokens have the weight 0. Raises
    ConfigError for a layer that the model lacks, CheckpointError for a model that can't be loaded, DataError for ids
    that do not fit.
    """
    said, people = read_candidates(captions), read_references(references)
    paired(people, said, references, captions)
    network = load_model(str(model), "AutoModel", torch.float32, "cpu")
    if not 0 <= layer <= network.config.num_hidden_layers:
        raise ConfigError(f"{model} has the layers 0 to {network.config.num_hidden_layers}, not {layer}")
    tokenizer = import_transformers().AutoTokenizer.from_pretrained(str(model))
    return score_bertscore(
        {name: _embedded(network, tokenizer, layer, texts) for name, texts in people.items()},
        {name: _embedded(network, tokenizer, layer, [text])[0] for name, text in said.items()},
        f"{Path(model).resolve().name}, layer {layer}, float32, no idf",
        said,
    )


@torch.inference_mode()
def _embedded(network: Any, tokenizer: Any, layer: int, texts: Sequence[str]) -> list[Tokens]:
    inputs = tokenizer([text.strip() for text in texts], padding=True, truncation=True,
                       return_special_tokens_mask=True, return_tensors="pt")  # fmt: skip
    special = inputs.pop("special_tokens_mask").bool()
    rows = network(**inputs, output_hidden_states=True).hidden_states[layer]
    real = inputs["attention_mask"].bool()
    return [Tokens(rows[i, real[i]].numpy(), (~special[i, real[i]]).double().numpy()) for i in range(len(texts))]
