"""VQA accuracy: the four scorers' normalisations, typos included, and the leave-one-out rule."""

import re
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chiasm.score.vqa import normalise
from chiasm.score.vqa.normalise import ARTICLES, CONTRACTIONS, NUMBERS
from chiasm.score.vqa.soft_accuracy import DIALECTS, Judge, leave_equals_out, leave_one_out

MARKS = [";", "/", "[", "]", '"', "{", "}", "(", ")", "=", "+", "\\", "_", "-", ">", "<", "@", "`", ",", "?", "!"]
ONE_COMMA, COMMAS = r"(\d)(,)(\d)", r"(?<=\d)(,)+(?=\d)"
TYPED, MEANT = r"(?!<=\d)(\.)(?!\d)", r"(?<!\d)\.(?!\d)"


def plainly(text, comma, period):
    """The published order of steps, one mark after the other, with nothing skipped."""
    text = text.replace("\n", " ").replace("\t", " ").strip()
    out = text
    for mark in MARKS:
        deleted = mark + " " in text or " " + mark in text or re.search(comma, text)
        out = out.replace(mark, "" if deleted else " ")
    out = re.compile(period).sub("", out, count=32)
    words = [NUMBERS.get(word, word) for word in out.lower().split()]
    return " ".join(CONTRACTIONS.get(word, word) for word in words if word not in ARTICLES)


def plainly_evalai(text):
    text = text.lower().replace(",", "").replace("?", "").replace("'s", " 's").strip()
    return plainly(text, COMMAS, TYPED)


PLAINLY = {
    "official": lambda text: plainly(text, ONE_COMMA, TYPED),
    "lmms": lambda text: plainly(text, COMMAS, TYPED),
    "evalai": plainly_evalai,
    "vlmevalkit": lambda text: plainly(text, ONE_COMMA, MEANT),
}


def accuracy_plainly(dialect, prediction, records):
    """Hold out one record after the other and count; `records` are dicts as in the annotation file."""
    records = [dict(record, answer=normalise.clean(record["answer"])) for record in records]
    prediction = normalise.clean(prediction)
    if dialect != "official" or len({record["answer"] for record in records}) > 1:
        records = [dict(record, answer=PLAINLY[dialect](record["answer"])) for record in records]
        prediction = PLAINLY[dialect](prediction)
    scores = []
    for index, held_out in enumerate(records):
        if dialect in ("official", "lmms"):
            others = [record for record in records if record != held_out]
        else:
            others = records[:index] + records[index + 1 :]
        scores.append(min(1, sum(record["answer"] == prediction for record in others) / 3))
    return sum(scores) / len(scores)


PIECES = [
    *MARKS, ".", "..", " ", "  ", "\n", "\t", "\r", "\u2028", "'", "'s", "1", "2,3", "4,,5", "٣", "a", "the", "An",
    "two", "None", "dont", "Im", "yall'd've", "somebody'd", "red", "Red", "é", "İ", "ß", "",
]  # fmt: skip
texts = st.lists(st.sampled_from(PIECES), max_size=8).map("".join) | st.text(max_size=12)


@pytest.mark.parametrize("dialect", PLAINLY)
@given(text=texts)
@example(text="." * 40)
def test_normalisation_equals_the_plain_order_of_steps(dialect, text):
    assert getattr(normalise, dialect)(text) == PLAINLY[dialect](text)


@pytest.mark.parametrize("dialect", PLAINLY)
@given(data=st.data())
def test_fast_accuracy_equals_holding_out_one_after_the_other(dialect, data):
    vocabulary = data.draw(st.lists(texts, min_size=1, max_size=3))
    answers = data.draw(st.lists(st.sampled_from(vocabulary), min_size=1, max_size=10))
    confidence = data.draw(st.lists(st.sampled_from(["yes", "no"]), min_size=len(answers), max_size=len(answers)))
    prediction = data.draw(st.sampled_from(vocabulary) | texts)
    bare = [{"answer": answer, "c": sure} for answer, sure in zip(answers, confidence, strict=True)]
    verdict = Judge(dialect)(prediction, answers, confidence)
    assert verdict.score == pytest.approx(accuracy_plainly(dialect, prediction, bare), abs=1e-12)
    with_ids = [dict(record, answer_id=index) for index, record in enumerate(bare)]
    assert verdict.score_with_ids == pytest.approx(accuracy_plainly(dialect, prediction, with_ids), abs=1e-12)
    assert Judge(dialect)(prediction, answers).score == verdict.score_with_ids


@pytest.mark.parametrize(
    ("text", "official", "lmms", "evalai", "vlmevalkit"),
    [
        ("The two dogs.", "2 dogs", "2 dogs", "2 dogs", "2 dogs"),
        ("t-shirt", "t shirt", "t shirt", "t shirt", "t shirt"),
        # A hyphen that touches a space is deleted in both places.
        ("t-shirt - red", "tshirt red", "tshirt red", "tshirt red", "tshirt red"),
        # A comma within a number deletes every mark; two commas only in lmms; evalai has dropped them before.
        ("1,000/day", "1000day", "1000day", "1000 day", "1000day"),
        ("1,,000/day", "1 000 day", "1000day", "1000 day", "1 000 day"),
        # The typo drops a period after a digit; the corrected pattern keeps it.
        ("version 2.", "version 2", "version 2", "version 2", "version 2."),
        ("3.5", "3.5", "3.5", "3.5", "3.5"),
        # evalai cuts off a possessive.
        ("Bob's", "bob's", "bob's", "bob 's", "bob's"),
        # Contractions gain their apostrophe, but the capitalised entries of the table can't fire.
        ("dont", "don't", "don't", "don't", "don't"),
        ("Im", "im", "im", "im", "im"),
        ("somebody'd", "somebodyd", "somebodyd", "somebodyd", "somebodyd"),
        ("none of the above", "0 of above", "0 of above", "0 of above", "0 of above"),
        ("a\nb\tc", "b c", "b c", "b c", "b c"),
        ("", "", "", "", ""),
    ],
)
def test_each_scorer_rewrites_as_published(text, official, lmms, evalai, vlmevalkit):
    got = (normalise.official(text), normalise.lmms(text), normalise.evalai(text), normalise.vlmevalkit(text))
    assert got == (official, lmms, evalai, vlmevalkit)


def test_only_32_periods_are_removed():
    assert normalise.official("x" + "." * 40) == "x" + "." * 8


def test_the_contraction_table_is_the_published_one():
    # Counted in the published table: 120 entries, of which 4 are capitalised and 2 map to themselves.
    assert len(CONTRACTIONS) == 114
    assert CONTRACTIONS["couldn'tve"] == CONTRACTIONS["couldnt've"] == "couldn't've"
    assert CONTRACTIONS["ow's'at"] == CONTRACTIONS["'ows'at"] == CONTRACTIONS["'ow'sat"] == "'ow's'at"
    assert CONTRACTIONS["twas"] == "'twas"
    assert not {"shed", "wed", "well", "its", "were"} & CONTRACTIONS.keys()


def test_closed_form_of_ten_people():
    # n of 10 people agree: held out n times with n - 1 others left, 10 - n times with all n of them.
    assert [leave_one_out(n) for n in range(11)] == pytest.approx([0, 0.3, 0.6, 0.9] + [1.0] * 7)


def test_simple_rule_is_never_below_leave_one_out():
    for n in range(11):
        assert min(n / 3, 1) >= leave_one_out(n) - 1e-12


def test_equal_records_are_left_out_together():
    # 4 of 10 say "cat", all with the same confidence: held out 4 times with no match left, 6 times with all 4.
    assert leave_equals_out([4], people=10) == pytest.approx(0.6)
    # 3 + 1 by confidence: 3 x min(1, 1/3) + 1 x min(1, 3/3) + 6 x 1, over 10.
    assert leave_equals_out([3, 1], people=10) == pytest.approx(0.8)
    assert leave_equals_out([1, 1, 1], people=10) == leave_one_out(3)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_where_the_dialects_part(dialect):
    # All ten say "Red", in capitals: official compares to the letter where people agree, and so refuses "red".
    unanimous = dict.fromkeys(DIALECTS, 1.0) | {"official": 0.0, "vizwiz": 0.0}
    assert Judge(dialect)("red", ["Red"] * 10).score == unanimous[dialect]
    # Two say "a red car": the six rules that compare whole answers differ in the article and the thirds.
    expected = {"simple": 0.0, "exact": 0.0, "substring": 1.0}.get(dialect, 0.6)
    assert Judge(dialect)("the red car", ["red car"] * 2 + ["bus"] * 8).score == pytest.approx(expected)


def test_agreement_is_judged_before_normalising():
    # "Red" and "red" differ as written, so the official scorer normalises, and "RED." matches all ten.
    verdict = Judge("official")("RED.", ["Red"] * 9 + ["red"])
    assert (verdict.score, verdict.raw) == (1.0, False)


def test_substring_credits_parts_but_not_nothing():
    assert Judge("substring")("1", ["10"] * 10).score == 1.0
    assert Judge("substring")("", ["10"] * 10).score == 0.0
    assert Judge("substring")("10", [""] * 10).score == 0.0


def test_article_alone_meets_an_empty_answer():
    # "the" is normalised to nothing, as is an empty prediction: the scorers count that as a match.
    assert Judge("evalai")("", ["the"] * 10).score == 1.0


@given(answers=st.lists(texts, min_size=1, max_size=10), prediction=texts, seed=st.randoms())
def test_the_order_of_the_people_does_not_matter(answers, prediction, seed):
    shuffled = list(answers)
    seed.shuffle(shuffled)
    for dialect in DIALECTS:
        assert Judge(dialect)(prediction, answers).score == Judge(dialect)(prediction, shuffled).score


@pytest.mark.parametrize("dialect", DIALECTS)
def test_more_matches_never_cost_points(dialect):
    scores = [Judge(dialect)("cat", ["cat"] * n + [f"dog {n}" for n in range(10 - n)]).score for n in range(11)]
    assert all(low <= high for low, high in pairwise(scores))
    assert (scores[0], scores[-1]) == (0.0, 1.0)
