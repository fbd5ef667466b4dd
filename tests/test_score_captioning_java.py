"""METEOR and SPICE beside the other caption numbers, on what the Java programs answered once."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from chiasm.errors import ConfigError, DataError
from chiasm.score.captioning import java_tools
from chiasm.score.captioning.bridges import CORENLP, Bridged, spice
from chiasm.score.captioning.meteor import METEOR, meteor_statistics
from chiasm.score.captioning.score import score_captions
from chiasm.score.measures import measures_of

# Answers of meteor-1.5.jar, -l en -norm, to "SCORE ||| reference ||| hypothesis", and its score of each.
ANSWERS = {
    "the dogs ran quickly home / the dog ran fast home": (
        "5 5 1 1 2 2 1 1 1 1 0 0 0 0 0 0 1 1 0 0 1 5 5", 0.8153846153846153,
    ),
    "a cat / a cat": ("2 2 1 1 1 1 1 1 0 0 0 0 0 0 0 0 0 0 0 0 1 2 2", 1.0),
    "a man is riding a large horse / a person rides the big horse in a field": (
        "7 9 3 4 1 1 2 2 0 0 0 0 0 0 0 0 2 2 0 1 3 5 6", 0.23226862318762884,
    ),
    "the cars / the automobile": ("2 2 1 1 0 0 1 1 0 0 0 0 1 1 0 0 0 0 0 0 1 2 2", 0.85),
}  # fmt: skip
TOTAL = 0.3869034655776741
COUNTS = tuple(tuple(map(float, line.split())) for line, _ in ANSWERS.values())


def summed(rows: list[dict[str, float]]) -> dict[str, np.ndarray]:
    return {name: np.array(sum(row[name] for row in rows)) for name in rows[0]}


@pytest.mark.parametrize("case", ANSWERS)
def test_the_programs_own_score_of_each_caption(case: str) -> None:
    line, score = ANSWERS[case]
    statistics = meteor_statistics([float(number) for number in line.split()])
    assert float(METEOR.of(summed([statistics]))) == pytest.approx(score, abs=1e-12)


def test_the_programs_own_total() -> None:
    assert float(METEOR.of(summed([meteor_statistics(counts) for counts in COUNTS]))) == pytest.approx(TOTAL, abs=1e-12)


def test_nothing_matched_is_0_and_not_undefined() -> None:
    statistics = meteor_statistics([3.0, 4.0, 1.0, 1.0, *[0.0] * 19])
    assert float(METEOR.of(summed([statistics]))) == 0


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    pairs = [case.split(" / ") for case in ANSWERS]
    truth, said = tmp_path / "truth.json", tmp_path / "said.json"
    truth.write_text(json.dumps({f"{n}": [reference] for n, (_, reference) in enumerate(pairs)}))
    said.write_text(json.dumps({f"{n}": caption for n, (caption, _) in enumerate(pairs)}))
    return truth, said


def test_meteor_in_the_table(files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    each = tuple(score for _, score in ANSWERS.values())
    monkeypatch.setattr(java_tools, "meteor", lambda *_: Bridged(TOTAL, each, COUNTS))
    score = score_captions(*files, meteor_jar="meteor-1.5.jar")
    found = {value.metric: value.value for value in score.values}
    assert found["meteor"] == pytest.approx(TOTAL)
    assert "meteor" in measures_of(score)
    assert not any("METEOR" in note for note in score.notes)


@pytest.mark.parametrize(
    ("answered", "message"),
    [(Bridged(0.5, (), COUNTS), "another version"), (Bridged(TOTAL, (), ((1.0,),) * 4), "23 numbers")],
)
def test_another_meteor_is_refused(
    files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, answered: Bridged, message: str
) -> None:
    monkeypatch.setattr(java_tools, "meteor", lambda *_: answered)
    with pytest.raises(DataError, match=message):
        score_captions(*files, meteor_jar="meteor-1.5.jar")


# What spice-1.0.jar writes, in its own order of keys: the share of the caption's words that the references have, which
# stands for its parser. Like Java 8 to 17 under LC_ALL=C, it writes "?" for every letter that is not ASCII.
FAKE_JAVA = """#!{python}
import json, sys
if sys.argv[1] == "-version":
    sys.exit('openjdk version "{version}" 2014-03-18')
assert sys.argv[2] == "-jar" and sys.argv[-1] == "-silent", sys.argv
rows = []
for row in json.load(open(sys.argv[4])):
    said, true = set(row["test"].split()), set(" ".join(row["refs"]).split())
    if "crash" in said:
        sys.exit("Error: Could not score batched file input:")
    tp, fp, fn = len(said & true), len(said - true), len(true - said)
    f = 2 * tp / (2 * tp + fp + fn) if tp else 0.0
    rates = {{"pr": tp / max(tp + fp, 1), "re": tp / max(tp + fn, 1), "f": f}}
    number = {{**rates, "fn": fn, "numImages": 1, "fp": fp, "tp": tp}}
    if "lost" not in said:
        rows.append({{"scores": {{"All": number}}, "image_id": row["image_id"]}})
text = json.dumps(rows, ensure_ascii=False).encode("ascii", "replace")
open(sys.argv[sys.argv.index("-out") + 1], "wb").write(text)
print("SPICE evaluation took: 1.760 s")
"""


@pytest.fixture
def spice_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """SPICE as it lies on a user's disk, and a Java on the PATH that answers as it does."""
    install_java(tmp_path, monkeypatch, "1.8.0_101")
    folder = tmp_path / "spice"
    (folder / "lib").mkdir(parents=True)
    for name in ("spice-1.0.jar", *(f"lib/{jar}" for jar in CORENLP)):
        (folder / name).touch()
    return folder


def install_java(folder: Path, monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    program = folder / "bin" / "java"
    program.parent.mkdir(exist_ok=True)
    program.write_text(FAKE_JAVA.format(python=sys.executable, version=version))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))


def test_spice_in_the_table(files: tuple[Path, Path], spice_folder: Path) -> None:
    score = score_captions(*files, spice_folder=spice_folder)
    found = {value.metric: value for value in score.values}
    # Different words that both have, twice, over those of the one and of the other: the, ran, home of 5 and 5; all of 2
    # and 2; a, horse of 6 and 8; the of 2 and 2.
    each = [item.statistics["spice"] for item in score.items]
    assert each == pytest.approx([2 * 3 / 10, 1, 2 * 2 / 14, 2 * 1 / 4])
    assert found["spice"].value == pytest.approx(sum(each) / 4)
    assert found["spice"].n == 4
    assert not any("SPICE" in note for note in score.notes)


def test_spice_keeps_ids_that_the_program_cannot_write(spice_folder: Path) -> None:
    said = {"é": "a cat", "è": "a dog", "1": ""}
    found = spice(spice_folder / "spice-1.0.jar", said, {"1": ["a"], "è": ["a cat"], "é": ["a cat"]})
    assert found.per_image == pytest.approx((1, 0.5, 0))
    assert found.corpus == pytest.approx(0.5)


def test_spice_that_fails_or_forgets(spice_folder: Path) -> None:
    jar = spice_folder / "spice-1.0.jar"
    with pytest.raises(DataError, match=r"code 1: Error: Could not score"):
        spice(jar, {"a": "crash"}, {"a": ["a"]})
    with pytest.raises(DataError, match="no score for 1 images, first 'b'"):
        spice(jar, {"a": "cat", "b": "lost"}, {"a": ["a"], "b": ["b"]})


def test_spice_says_what_it_lacks_before_it_starts(
    spice_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jar = spice_folder / "spice-1.0.jar"
    install_java(tmp_path, monkeypatch, "17.0.15")
    with pytest.raises(ConfigError, match="is version 17: put a Java of 8 to 14 first"):
        spice(jar, {"a": "cat"}, {"a": ["cat"]})
    (spice_folder / "lib" / CORENLP[1]).unlink()
    with pytest.raises(ConfigError, match=r"needs stanford-corenlp-3\.6\.0-models\.jar in .*spice/lib: both are in"):
        spice(jar, {"a": "cat"}, {"a": ["cat"]})
