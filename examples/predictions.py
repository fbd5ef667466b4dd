"""Predictions to try the scores on, made of real annotations: `python examples/predictions.py DATA OUT`.

DATA holds coco-mini, scoring, daquar and chartqa. One of an image's captions stands for a model and the others for the
truth. Each such caption also looks for its image, by the words that it shares with the others. Of VizWiz's ten people
one answers; the same model blind says "unanswerable". POPE gets two models that err at random, one more often, and
people who prefer the one that is right, four times in five.
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


def preferences(data: Path, out: Path) -> None:
    questions = map(json.loads, (data / "scoring/pope/coco_pope_random.json").read_text().splitlines())
    said = [(out / f"pope_{name}.jsonl").read_text().splitlines() for name in ("careful", "hasty")]
    rng = random.Random("people")
    rows = ["item,left,right,winner"]
    for question, *lines in zip(questions, *said, strict=True):
        careful, hasty = (json.loads(line)["answer"] == question["label"] for line in lines)
        if careful != hasty:
            best, other = ("careful", "hasty") if careful else ("hasty", "careful")
            winner = best if rng.random() < 0.8 else rng.choice([other, "tie"])
            rows.append(f"{question['question_id']},careful,hasty,{winner}")
    (out / "preferences.csv").write_text("\n".join(rows))


def retrieval(out: Path) -> None:
    said = {row["image_id"]: words(row["caption"]) for row in json.loads((out / "captions.json").read_text())}
    known: dict[int, set[str]] = {}
    for row in json.loads((out / "references.json").read_text())["annotations"]:
        known[row["image_id"]] = known.get(row["image_id"], set()) | words(row["caption"])
    right = [f"{image} 0 {image} 1" for image in said]
    (out / "right.qrels").write_text("\n".join(right))
    found = [
        f"{query} Q0 {image} 0 {len(asked & told) / len(asked | told)} words"
        for query, asked in said.items()
        for image, told in known.items()
    ]
    (out / "found.run").write_text("\n".join(found))


def words(caption: str) -> set[str]:
    return set(caption.lower().strip(" .").split())


def answers(data: Path, out: Path) -> None:
    known = json.loads((data / "scoring/vqa/vizwiz_val_annotations_vqa_format.json").read_text())
    said = [{"image": q["image_id"], "answer": q["answers"][-1]["answer"]} for q in known["annotations"]]
    write(out / "vizwiz.json", said)
    write(out / "vizwiz_blind.json", [answer | {"answer": "unanswerable"} for answer in said])
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
    preferences(data, out)
    retrieval(out)
    answers(data, out)
