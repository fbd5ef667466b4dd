"""Predictions to try the scores on, made of real annotations: `python examples/predictions.py DATA OUT`.

DATA holds coco-mini, scoring, daquar and chartqa. One of an image's captions stands for a model and the others for the
truth; of VizWiz's ten people one answers; POPE gets two models that err at random, one more often.
"""

import json
import random
import sys
from collections import Counter
from pathlib import Path


def captions(data: Path, out: Path) -> None:
    known = json.loads((data / "coco-mini/annotations/captions_val2017.json").read_text())
    said = {row["image_id"]: row for row in known["annotations"]}
    others = [row for row in known["annotations"] if row is not said[row["image_id"]]]
    write(out / "captions.json", list(said.values()))
    write(out / "references.json", known | {"annotations": others})


def yes_or_no(data: Path, out: Path) -> None:
    lines = (data / "scoring/pope/coco_pope_random.json").read_text().splitlines()
    questions = [json.loads(line) for line in lines]
    for name, mistakes in (("careful", 0.1), ("hasty", 0.2)):
        rng = random.Random(name)
        said = [q["label"] if rng.random() > mistakes else rng.choice(["yes", "yes", "no"]) for q in questions]
        rows = [{"question": q["text"], "answer": a} for q, a in zip(questions, said, strict=True)]
        (out / f"pope_{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))


def answers(data: Path, out: Path) -> None:
    known = json.loads((data / "scoring/vqa/vizwiz_val_annotations_vqa_format.json").read_text())
    said = [{"image": q["image_id"], "answer": q["answers"][-1]["answer"]} for q in known["annotations"]]
    write(out / "vizwiz.json", said)
    triples = (data / "daquar/qa.894.raw.train.format_triple").read_text().splitlines()
    commonest = Counter(triples[1::3]).most_common(1)[0][0]
    (out / "daquar.txt").write_text("\n".join([commonest] * len(triples[1::3])))
    charts = json.loads((data / "chartqa/train/train_augmented.json").read_text())
    said = [{"imgname": q["imgname"], "query": q["query"], "answer": q["label"] + "%"} for q in charts]
    write(out / "charts.json", said)


def write(path: Path, content: object) -> None:
    path.write_text(json.dumps(content))


if __name__ == "__main__":
    data, out = map(Path, sys.argv[1:])
    out.mkdir(parents=True, exist_ok=True)
    captions(data, out)
    yes_or_no(data, out)
    answers(data, out)
