"""Facts about each published architecture: where its parts are and how it is spoken to.

Module paths are those of transformers >= 5.22.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from chiasm.data.vocabulary import COCO_OBJECTS
from chiasm.models.adapters.transformers.connection import (
    Codebook,
    Connection,
    FeatureMap,
    Latents,
    MaskedTiles,
    MergedPatches,
    PackedTiles,
    QFormer,
    StackedTiles,
)

CHAT = {
    "caption": "Describe the image in one sentence.",
    "answer": "{question}\nAnswer the question using a single word or phrase.",  # LLaVA 1.5 (arXiv:2310.03744)
}
_JSON_BOXES = CHAT | {  # QwenLM/Qwen3-VL, cookbooks/spatial_understanding.ipynb and qwen-vl-finetune/README.md
    "detect": "Please output bbox coordinates and names of every item in this image in JSON format.",
    "ground": "Locate {phrase} in this image and output the bbox coordinates in JSON format.",
}
_TAGGED_BOXES = CHAT | {  # "find" or "with grounding" brings Qwen2-VL to write boxes (QwenLM/Qwen3-VL, issue 342)
    "detect": "Find every object in the image with grounding.",
    "ground": "Find {phrase} with grounding.",
}


@dataclass(frozen=True)
class Architecture:
    """Where the parts of one architecture are, and how its models are prompted.

    model            class in transformers
    layers           the encoder's layers (a ModuleList)
    connector        the module whose input is E_pre
    decoder          the decoder's layers (a ModuleList); where language models differ, the first path that exists
    norm             the connector's own input norm, if it has one
    connection       how the library joins encoder and decoder
    dropped          leading tokens (a class token) that the model itself leaves out before the connector
    inputs           the parts of the processor's output that the encoder takes
    prompt_form      how a prompt is written for a checkpoint without a chat template
    text_only_form   how a prompt without a picture is written for the tokenizer alone, where the processor does not
                     accept text without a picture
    prompts          see `Dialect`
    boxes            name of the text dialect (`chiasm.data.box_text`) of its boxes
    processor        processor class to build by hand, where the library's way needs a video processor
    prefix           "shared": questions about a picture share the tokens before them; "own": each question changes them
    padded           False where padding changes the result even when it is masked (recurrent layers)
    feature_input    how features enter a decoder-only language model: "injected" (mm_encoder_outputs=), "spliced"
                     (put among the word embeddings here) or "image_embeds"
    answer_type      type of an answer's tokens, where the decoder takes token types
    first_position   position of a row's first token
    """

    model: str
    layers: str
    connector: str
    decoder: tuple[str, ...] = ("model.language_model.layers",)
    norm: str | None = None
    connection: type[Connection] = Connection
    dropped: int = 0
    inputs: tuple[str, ...] = ("pixel_values",)
    prompt_form: str = "<image>\n{prompt}"
    text_only_form: str | None = None
    prompts: Mapping[str, str] = field(default_factory=lambda: CHAT)
    boxes: str | None = None
    processor: str | None = None
    prefix: str = "shared"
    padded: bool = True
    feature_input: str = "injected"
    answer_type: int | None = None
    first_position: int = 0

    @property
    def instructed(self) -> bool:
        """Whether the connector reads the prompt."""
        return "qformer_input_ids" in self.inputs


_TOWER = "model.vision_tower.encoder.layers"
_PROJECTOR = "model.multi_modal_projector"
_TILED = ("pixel_values", "image_sizes")
_MASKED = ("pixel_values", "pixel_attention_mask")
_LANGUAGE_MODEL = ("language_model.model.decoder.layers", "language_model.model.layers", "language_model.decoder.block")
_USER = "USER: <image>\n{prompt} ASSISTANT:"


def _qwen(model: str, processor: str, norm: str, boxes: str, padded: bool = True) -> Architecture:
    return Architecture(
        model,
        layers="model.visual.blocks",
        connector="model.visual.merger",
        norm=norm,
        connection=MergedPatches,
        inputs=("pixel_values", "image_grid_thw"),
        prompts=_TAGGED_BOXES if boxes == "qwen2-vl" else _JSON_BOXES,
        boxes=boxes,
        processor=processor,
        padded=padded,
    )


ARCHITECTURES: dict[str, Architecture] = {
    "llava": Architecture("LlavaForConditionalGeneration", _TOWER, _PROJECTOR, dropped=1, prompt_form=_USER),
    "llava_next": Architecture(
        "LlavaNextForConditionalGeneration",
        _TOWER,
        _PROJECTOR,
        connection=PackedTiles,
        dropped=1,
        inputs=_TILED,
        prompt_form=_USER,
    ),
    "llava_onevision": Architecture(
        "LlavaOnevisionForConditionalGeneration",
        _TOWER,
        _PROJECTOR,
        connection=PackedTiles,
        inputs=_TILED,
        processor="LlavaOnevisionProcessor",
    ),
    "idefics2": Architecture(
        "Idefics2ForConditionalGeneration",
        "model.vision_model.encoder.layers",
        "model.connector",
        decoder=("model.text_model.layers",),
        connection=MaskedTiles,
        inputs=_MASKED,
    ),
    "idefics3": Architecture(
        "Idefics3ForConditionalGeneration",
        "model.vision_model.encoder.layers",
        "model.connector",
        decoder=("model.text_model.layers",),
        inputs=_MASKED,
    ),
    "smolvlm": Architecture(
        "SmolVLMForConditionalGeneration",
        "model.vision_model.encoder.layers",
        "model.connector",
        decoder=("model.text_model.layers",),
        inputs=_MASKED,
        processor="SmolVLMProcessor",
    ),
    "qwen2_vl": _qwen("Qwen2VLForConditionalGeneration", "Qwen2VLProcessor", "model.visual.merger.ln_q", "qwen2-vl"),
    "qwen2_5_vl": _qwen(
        "Qwen2_5_VLForConditionalGeneration", "Qwen2_5_VLProcessor", "model.visual.merger.ln_q", "qwen2.5-vl"
    ),
    "qwen3_vl": _qwen("Qwen3VLForConditionalGeneration", "Qwen3VLProcessor", "model.visual.merger.norm", "qwen3-vl"),
    "qwen3_5": _qwen(
        "Qwen3_5ForConditionalGeneration", "Qwen3VLProcessor", "model.visual.merger.norm", "qwen3-vl", padded=False
    ),
    "internvl": Architecture(
        "InternVLForConditionalGeneration",
        "model.vision_tower.encoder.layer",
        _PROJECTOR,
        norm="model.multi_modal_projector.layer_norm",
        connection=StackedTiles,
        dropped=1,
        prompts=CHAT
        | {
            # OpenGVLab's model card, and its eval/refcoco/evaluate_grounding.py
            "detect": "Please detect and label all objects in the following image and mark their positions.",
            "ground": "Please provide the bounding box coordinate of the region this sentence describes: "
            "<ref>{phrase}</ref>",
        },
        boxes="internvl",
        processor="InternVLProcessor",
    ),
    "paligemma": Architecture(
        "PaliGemmaForConditionalGeneration",
        _TOWER,
        _PROJECTOR,
        connection=StackedTiles,
        prompt_form="<image>{prompt}",
        text_only_form="{prompt}\n",
        prompts={  # of the mixed checkpoints: ai.google.dev/gemma/docs/paligemma/prompt-system-instructions
            "caption": "caption en",
            "answer": "answer en {question}",
            "detect": "detect " + " ; ".join(COCO_OBJECTS),
            "ground": "detect {phrase}",
        },
        boxes="paligemma",
        prefix="own",  # the picture's tokens see the question
        answer_type=1,
        first_position=1,
    ),
    "gemma3": Architecture(
        "Gemma3ForConditionalGeneration",
        _TOWER,
        _PROJECTOR,
        norm="model.multi_modal_projector.mm_soft_emb_norm",
        connection=StackedTiles,
        prompt_form="<start_of_image>{prompt}",
        answer_type=0,
    ),
    "blip-2": Architecture(
        "Blip2ForConditionalGeneration",
        "vision_model.encoder.layers",
        "qformer",
        decoder=_LANGUAGE_MODEL,
        connection=QFormer,
        prompt_form="{prompt}",
        # LAVIS configs/models/blip2/blip2_caption_opt2.7b.yaml, projects/blip2/eval/vqav2_zeroshot_{opt,flant5xl}_eval
        prompts={"caption": "a photo of", "answer": "Question: {question} Short answer:"},
        feature_input="spliced",
    ),
    "instructblip": Architecture(
        "InstructBlipForConditionalGeneration",
        "vision_model.encoder.layers",
        "qformer",
        decoder=_LANGUAGE_MODEL,
        connection=QFormer,
        inputs=("pixel_values", "qformer_input_ids", "qformer_attention_mask"),
        prompt_form="{prompt}",
        # arXiv:2305.06500, appendix E
        prompts={"caption": "A short image description:", "answer": "Question: {question} Short answer:"},
        prefix="own",  # the connector reads the question
        feature_input="spliced",
    ),
    "janus": Architecture(
        "JanusForConditionalGeneration",
        "model.vision_model.encoder.layers",
        "model.aligner",
        connection=StackedTiles,
    ),
    "florence2": Architecture(
        "Florence2ForConditionalGeneration",
        "model.vision_tower.blocks",
        _PROJECTOR,
        decoder=("model.language_model.decoder.layers",),
        connection=FeatureMap,
        prompt_form="{prompt}",
        # Florence2Processor writes these out as sentences. No pretrained checkpoint answers questions, so they are put
        # as they are, for those that were tuned to.
        prompts={
            "caption": "<CAPTION>",
            "detect": "<OD>",
            "ground": "<CAPTION_TO_PHRASE_GROUNDING>{phrase}",
        },
        boxes="florence-2",
        prefix="own",
    ),
    "kosmos-2": Architecture(
        "Kosmos2ForConditionalGeneration",
        "vision_model.model.encoder.layers",
        "image_to_text_projection",
        decoder=("text_model.model.layers",),
        connection=Latents,
        prompt_form="{prompt}",
        prompts={  # the model card of microsoft/kosmos-2-patch14-224; a space belongs to the word behind it
            "caption": "An image of",
            "answer": "Question: {question} Answer:",
            "detect": "<grounding>An image of",
            "ground": "<grounding><phrase> {phrase}</phrase>",
        },
        boxes="kosmos-2",
        feature_input="image_embeds",
    ),
    "chameleon": Architecture(
        "ChameleonForConditionalGeneration",
        "",
        "model.vqmodel.quantize",
        decoder=("model.layers",),
        connection=Codebook,
        prompt_form="<image>{prompt}",
    ),
}
"""Rows by `model_type` of the checkpoint's config.json."""
