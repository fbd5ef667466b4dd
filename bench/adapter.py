"""Six questions a picture to a LLaVA through our adapter, against one `generate` of plain transformers a question."""

from __future__ import annotations

import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import torch
import transformers
from measure import compare, options, publish
from PIL import Image

from chiasm.data.worlds.scenes import Scenes
from chiasm.models.adapters.transformers.vlm import open_vlm

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
import random_llava

QUESTIONS, PICTURES, ANSWER = 6, 2, 8
WIDTHS = {128: "1.5 M", 512: "24 M"}
PEER = f"transformers {version('transformers')}, a generate call a question"


def main() -> None:
    chosen = options(__doc__, repeats=5)
    examples = [Scenes("test")[index] for index in range(PICTURES)]
    pictures = [Image.fromarray(example.image) for example in examples]
    questions = [[question.text for question in example.questions[:QUESTIONS]] for example in examples]
    rows = []
    for width, size in WIDTHS.items():
        with tempfile.TemporaryDirectory() as folder:
            random_llava.model(width, size=224, patch=14).save_pretrained(folder)
            random_llava.processor(size=224, patch=14).save_pretrained(folder)
            ours = open_vlm(folder)
            peer = transformers.LlavaForConditionalGeneration.from_pretrained(folder).eval()
            processor = transformers.AutoProcessor.from_pretrained(folder, backend="pil")

        @torch.inference_mode()
        def together(model=ours) -> list[str]:
            features = model.connect(model.encode(pictures))
            return [a.text for group in model.generate(features, questions, limit=ANSWER) for a in group]

        @torch.inference_mode()
        def one_by_one(model=peer, processor=processor) -> list[str]:
            texts = []
            for picture, group in zip(pictures, questions, strict=True):
                for question in group:
                    said = [{"type": "image"}, {"type": "text", "text": question}]
                    prompt = processor.apply_chat_template(
                        [{"role": "user", "content": said}], add_generation_prompt=True
                    )
                    inputs = processor(images=picture, text=prompt, return_tensors="pt")
                    ids = model.generate(**inputs, max_new_tokens=ANSWER, do_sample=False)
                    texts.append(
                        processor.decode(ids[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True).strip()
                    )
            return texts

        assert together() == one_by_one(), "the answers differ"
        what = f"LLaVA of {size}, {PICTURES} pictures x {QUESTIONS} questions"
        rows.append(compare(what, PEER, together, one_by_one, chosen.repeats, aim=3))
    notes = f"Random weights, fp32, 256 tokens a picture, {ANSWER} new tokens an answer; equal answers checked."
    publish("adapter", "Six questions a picture, other people's models", notes, rows, chosen.json)


if __name__ == "__main__":
    main()
