"""DAQUAR: sets of words, WUPS, and the reader of WordNet."""

import json
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chiasm.errors import DataError
from chiasm.score.vqa.daquar import Triple, read_triples, score_daquar, set_score, wups_likeness
from chiasm.score.vqa.wordnet import WordNet, find_wordnet

# A tree of senses: entity > thing > (seat > chair, table), entity > idea. A lemma's line names its senses in order.
SENSES = {
    "entity": [],
    "thing": ["entity"],
    "seat": ["thing"],
    "chair": ["seat"],
    "table": ["thing"],
    "idea": ["entity"],
}


@pytest.fixture
def wordnet_folder(tmp_path):
    folder = tmp_path / "wordnet"
    folder.mkdir()
    licence = "  1 a licence that is indented\n"
    offsets: dict[str, int] = {}
    data = licence
    for lemma, above in SENSES.items():
        offsets[lemma] = len(data)
        pointers = "".join(f" @ {offsets[parent]:08d} n 0000" for parent in above)
        data += f"{len(data):08d} 03 n 01 {lemma} 0 {len(above):03d}{pointers} | a gloss | with a bar  \n"
    (folder / "data.noun").write_text(data)
    index = "".join(f"{lemma} n 1 0 1 0 {offset:08d}  \n" for lemma, offset in sorted(offsets.items()))
    (folder / "index.noun").write_text(licence + index)
    (folder / "noun.exc").write_text("theses thing\n")
    return folder


def test_wu_palmer_by_hand(wordnet_folder):
    wordnet = WordNet(wordnet_folder)
    # Lowest common hypernym "thing" at depth 2; chair is two steps below it, table one: 4 / (2 + 1 + 4).
    assert wordnet.similarity("chair", "table") == pytest.approx(4 / 7)
    assert wordnet.similarity("table", "chair") == pytest.approx(4 / 7)
    # "seat" itself is the lowest, at depth 3: 6 / (1 + 0 + 6).
    assert wordnet.similarity("chair", "seat") == pytest.approx(6 / 7)
    # Only the root is common: 2 / (3 + 1 + 2).
    assert wordnet.similarity("chair", "idea") == pytest.approx(2 / 6)
    assert wordnet.similarity("chair", "chair") == 1.0
    assert wordnet.similarity("chair", "tape_dispenser") == 0.0


def test_base_forms(wordnet_folder):
    wordnet = WordNet(wordnet_folder)
    assert wordnet.senses("Chairs") == wordnet.senses("chair") != []
    assert wordnet.senses("theses") == wordnet.senses("thing")
    assert wordnet.senses("ideas") == wordnet.senses("idea")
    assert wordnet.senses("") == []


def test_wordnet_from_a_zip_and_where_it_is_looked_for(wordnet_folder, tmp_path, monkeypatch):
    archive = tmp_path / "nltk" / "corpora" / "wordnet.zip"
    archive.parent.mkdir(parents=True)
    with zipfile.ZipFile(archive, "w") as file:
        for path in wordnet_folder.iterdir():
            file.write(path, f"wordnet/{path.name}")
    assert WordNet(archive).similarity("chair", "table") == pytest.approx(4 / 7)
    monkeypatch.delenv("WNSEARCHDIR", raising=False)
    monkeypatch.delenv("WNHOME", raising=False)
    monkeypatch.setenv("NLTK_DATA", str(tmp_path / "nltk"))
    found = find_wordnet()
    assert found is not None
    assert found.path == archive
    (wordnet_folder / "index.noun").unlink()
    with pytest.raises(DataError, match=r"WordNet's index\.noun can't be read"):
        WordNet(wordnet_folder)


def test_sets_of_words_by_hand():
    def likeness(a, b):
        return 1.0 if a == b else {("a", "b"): 0.5, ("b", "c"): 0.25}.get(tuple(sorted((a, b))), 0.0)

    assert set_score(["a", "a"], ["a"], likeness) == 1.0
    # Predicted: a meets b (.5). True: b meets a (.5), c meets nothing (0): the product is 0.
    assert set_score(["a"], ["b", "c"], likeness) == 0.0
    # Predicted: a 1 x b .5 (meets a). True: a 1. The worse is .5.
    assert set_score(["a", "b"], ["a"], likeness) == 0.5
    assert set_score([], ["a"], likeness) == 0.0
    assert set_score([], [], likeness) == 1.0


@given(words=st.lists(st.sampled_from("abc"), min_size=1), others=st.lists(st.sampled_from("abc"), min_size=1))
def test_accuracy_is_equality_of_sets(words, others):
    assert set_score(words, others, lambda a, b: float(a == b)) == float(set(words) == set(others))


def test_threshold_takes_nine_tenths_of_an_unlike_word(wordnet_folder):
    wordnet = WordNet(wordnet_folder)
    assert wups_likeness(wordnet, 0.9)("chair", "table") == pytest.approx(0.4 / 7)
    assert wups_likeness(wordnet, 0.0)("chair", "table") == pytest.approx(4 / 7)
    assert wups_likeness(wordnet, 0.9)("tape_dispenser", "tape_dispenser") == 1.0


TRIPLES = "what is left ?\nchair\nimage1\nhow many seats ?\n2\nimage1\nwhat is on it ?\ntable, chair\nimage2\n"


@pytest.fixture
def files(tmp_path):
    def write(said, triples=TRIPLES):
        questions, predictions = tmp_path / "qa.format_triple", tmp_path / "said.txt"
        questions.write_text(triples)
        predictions.write_text(said)
        return questions, predictions

    return write


def test_score(files, wordnet_folder):
    score = score_daquar(*files("table\n2\nchair,table\n"), wordnet=WordNet(wordnet_folder))
    found = {
        value.metric: value.value for value in score.values if value.method[:8] != "baseline" and value.slice is None
    }
    assert found == pytest.approx({"accuracy": 2 / 3, "wups@0.9": (0.4 / 7 + 2) / 3, "wups@0.0": (4 / 7 + 2) / 3})
    assert [item.slices["question_type"] for item in score.items] == ["object", "number", "object"]
    assert [item.slices["outcome"] for item in score.items] == ["another answer", "right", "right"]
    assert score.items[2].parsed == ["chair", "table"]


def test_without_wordnet_wups_is_absent_and_says_so(files, monkeypatch):
    monkeypatch.setattr("chiasm.score.vqa.daquar.find_wordnet", lambda: None)
    score = score_daquar(*files("table\n2\n\n"))
    absent = [value for value in score.values if value.metric.startswith("wups")]
    assert [(value.metric, value.value, value.method) for value in absent] == [
        ("wups@0.9", None, "absent: no WordNet"),
        ("wups@0.0", None, "absent: no WordNet"),
    ]
    assert "install Debian's wordnet-base" in score.notes[0]
    assert score.notes[1] == "empty answer: 1 of 3 questions, counted as wrong."


def test_bad_files(files, tmp_path):
    with pytest.raises(DataError, match="has 2 answers without ids for 3 questions"):
        score_daquar(*files("table\n2\n"))
    with pytest.raises(DataError, match="has 2 lines; expected three for each question"):
        score_daquar(*files("table\n", "what ?\nchair\n"))
    questions, said = files("")
    said.write_bytes(b"caf\xe9\n")
    with pytest.raises(DataError, match=r"said\.txt: not UTF-8 text \(byte 3\)"):
        score_daquar(questions, said)
    with pytest.raises(DataError, match="No such file"):
        read_triples(tmp_path / "nowhere")


def test_the_original_layout_names_the_image_in_the_question(tmp_path):
    path = tmp_path / "qa.37.raw.test.txt"
    path.write_text("what is under the lamp in the image7 ?\ntable, chair\n\nhow many chairs are in the image12 ?\n3\n")
    assert read_triples(path) == [
        Triple("what is under the lamp in the image7 ?", "table, chair", "image7"),
        Triple("how many chairs are in the image12 ?", "3", "image12"),
    ]


def test_json_predictions_by_position(files):
    said = [{"question_id": index, "answer": text} for index, text in ((2, "table,chair"), (0, "chair"), (1, "3"))]
    score = score_daquar(*files(json.dumps(said)))
    assert [item.statistics["accuracy"] for item in score.items] == [1.0, 0.0, 1.0]


def test_daquar_with_the_users_wordnet(shared_data, tmp_path):
    wordnet = find_wordnet()
    if wordnet is None:
        pytest.skip("WordNet is not on this machine (Debian's wordnet-base)")
    # nltk 3.9's wup_similarity on WordNet 3.0, best over noun senses, run once.
    assert wordnet.similarity("chair", "table") == pytest.approx(0.8421052631578947)
    assert wordnet.similarity("desk", "table") == pytest.approx(0.9473684210526315)
    assert wordnet.similarity("cats", "dog") == pytest.approx(0.8571428571428571)
    questions = shared_data / "daquar" / "qa.894.raw.train.format_triple"
    said = tmp_path / "said.txt"
    said.write_text("table\n" * len(read_triples(questions)))
    accuracy, strict, loose = score_daquar(questions, said, wordnet, replicates=200).values[:3]
    assert accuracy.n == 6795
    assert accuracy.value < strict.value < loose.value
