"""METEOR and SPICE through the user's own Java programs. Their licences (LGPL, AGPL) are why none is shipped.

Neither number is imitated: without Java and the program there is an error that says what to install.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from chiasm.errors import ConfigError, DataError

METEOR_SOURCE = "https://www.cs.cmu.edu/~alavie/METEOR/ (meteor-1.5.jar, with its data folder beside it)"
SPICE_SOURCE = "https://github.com/peteanderson80/SPICE (spice-1.0.jar, with its lib folder beside it)"
CORENLP = ("stanford-corenlp-3.6.0.jar", "stanford-corenlp-3.6.0-models.jar")
CORENLP_SOURCE = "both are in https://nlp.stanford.edu/software/stanford-corenlp-full-2015-12-09.zip"
LAST_JAVA_WITH_JAVASCRIPT = 14


@dataclass(frozen=True, slots=True)
class Bridged:
    """`corpus` is the program's own total, `per_image` is in the order of the captions given; both in [0, 1].
    `counts` are what METEOR found in each caption, as `meteor.COUNTS` lists them."""

    corpus: float
    per_image: tuple[float, ...]
    counts: tuple[tuple[float, ...], ...] = ()


def meteor(jar: Path | str, hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> Bridged:
    """METEOR 1.5 (Denkowski and Lavie 2014) with coco-caption's options ``-l en -norm``, over tokenised lines.

    Raises ConfigError if Java or `jar` is absent, DataError if the program fails or answers too little.
    """
    program = _java(jar, "METEOR", METEOR_SOURCE)
    segments = [_meteor_line(line, lines) for line, lines in zip(hypotheses, references, strict=True)]
    command = [program, "-Xmx2G", "-jar", str(Path(jar).resolve()), "-", "-", "-stdio", "-l", "en", "-norm"]
    with tempfile.TemporaryFile("w+", encoding="utf-8") as errors:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, encoding="utf-8"
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            statistics = []
            for segment in segments:
                # One line in, one line out: writing them all first would fill the pipe on both sides.
                process.stdin.write(f"SCORE ||| {segment}\n")
                process.stdin.flush()
                statistics.append(process.stdout.readline().strip())
            process.stdin.write("EVAL ||| " + " ||| ".join(statistics) + "\n")
            process.stdin.close()
            scores = [float(line) for line in process.stdout.read().split()]
            counts = tuple(tuple(map(float, line.split())) for line in statistics)
        except (OSError, ValueError) as error:
            errors.seek(0)
            raise DataError(f"METEOR failed ({error}): {errors.read()[-500:].strip()}") from None
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
    if len(scores) != len(segments) + 1:
        raise DataError(f"METEOR answered {len(scores)} scores for {len(segments)} captions and their total")
    return Bridged(scores[-1], tuple(scores[:-1]), counts)


def _meteor_line(hypothesis: str, references: Sequence[str]) -> str:
    parts = [part.replace("|||", "").replace("\n", " ") for part in (*references, hypothesis)]
    return " ||| ".join([*parts[:-1], parts[-1].replace("  ", " ")])


def spice(jar: Path | str, candidates: Mapping[str, str], references: Mapping[str, Sequence[str]]) -> Bridged:
    """SPICE 1.0 (Anderson et al. 2016, arXiv:1607.08822): F1 over scene-graph tuples, `corpus` the mean over images.

    `candidates` and `references` are raw captions by image id, in the order of `candidates`. A caption in which the
    program finds no tuple has 0. Raises ConfigError if Java, `jar` or CoreNLP is absent or Java too new, DataError if
    the program fails or answers too little.
    """
    program = _java(jar, "SPICE", SPICE_SOURCE)
    _check_spice(program, Path(jar))
    # Numbers for ids: the program writes its file in the machine's encoding, which may have no other letters.
    rows = [
        {"image_id": place, "test": text, "refs": list(references[name])}
        for place, (name, text) in enumerate(candidates.items())
    ]
    with tempfile.TemporaryDirectory() as folder:
        given, answered = Path(folder, "captions.json"), Path(folder, "scores.json")
        given.write_text(json.dumps(rows), encoding="utf-8")
        command = [program, "-Xmx8G", "-jar", str(Path(jar).resolve()), str(given), "-out", str(answered)]
        command.append("-silent")
        done = subprocess.run(command, capture_output=True, text=True, cwd=Path(jar).resolve().parent)
        if done.returncode or not answered.is_file():
            raise DataError(f"SPICE failed with code {done.returncode}: {done.stderr[-500:].strip()}")
        by_place = {row["image_id"]: row["scores"]["All"]["f"] for row in json.loads(answered.read_text())}
    missing = [name for place, name in enumerate(candidates) if place not in by_place]
    if missing:
        raise DataError(f"SPICE gave no score for {len(missing)} images, first {missing[0]!r}")
    scores = tuple(float(by_place[place]) for place in range(len(candidates)))
    return Bridged(sum(scores) / len(scores), scores)


def _java(jar: Path | str, metric: str, source: str) -> str:
    program = shutil.which("java")
    if program is None:
        raise ConfigError(f"{metric} runs in Java, which is not on this machine: install a Java runtime (8 or later)")
    if not Path(jar).is_file():
        raise ConfigError(f"{metric} needs its own program, which is not at {jar}: get it from {source}")
    return program


def _check_spice(java: str, jar: Path) -> None:
    """What SPICE itself would only fail for after it has parsed every caption, or without a word that helps."""
    absent = [name for name in CORENLP if not (jar.parent / "lib" / name).is_file()]
    if absent:
        raise ConfigError(f"SPICE needs {' and '.join(absent)} in {jar.parent / 'lib'}: {CORENLP_SOURCE}")
    said = subprocess.run([java, "-version"], capture_output=True, text=True).stderr
    version = re.search(r'version "(?:1\.)?(\d+)', said)
    if version and int(version[1]) > LAST_JAVA_WITH_JAVASCRIPT:
        raise ConfigError(
            f"SPICE writes its scores by the JavaScript that Java had until version {LAST_JAVA_WITH_JAVASCRIPT}, but "
            f"{java} is version {version[1]}: put a Java of 8 to {LAST_JAVA_WITH_JAVASCRIPT} first on the PATH"
        )
