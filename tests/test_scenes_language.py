"""What the drawn world says about its pictures is true, unambiguous and balanced."""

from collections import Counter, defaultdict
from dataclasses import replace

import pytest
import scenes_truth as truth

from chiasm.data.worlds.scenes import COLORS, HELD_OUT, OBJECT_NAMES, SCENE_NAMES, WORDS, Scenes, render

KINDS = {"existence", "count", "color", "size", "spatial", "comparison", "scene", "reading"}


@pytest.fixture(scope="module")
def examples():
    return [Scenes(split)[index] for split in ("train", "compositional") for index in range(350)]


@pytest.fixture(scope="module")
def questions(examples):
    return [(example, question) for example in examples for question in example.questions]


def test_every_answer_follows_from_the_boxes(questions):
    for example, question in questions:
        assert question.answers == (truth.answer(example, question),), f"{question} in {example.objects}"


@pytest.mark.parametrize("kind", sorted(KINDS - {"scene"}))
def test_the_second_opinion_depends_on_the_picture(questions, kind):
    """A check that reads the answer off the question would pass above; with other objects it must disagree."""
    disagreements = 0
    of_kind = [(example, question) for example, question in questions if question.kind == kind][:60]
    for (example, question), (other, _) in zip(of_kind, of_kind[30:] + of_kind[:30], strict=True):
        try:
            disagreements += truth.answer(replace(other, scene=example.scene), question) != question.answers[0]
        except (AssertionError, KeyError):
            disagreements += 1
    assert disagreements > len(of_kind) / 5


def test_what_a_question_is_about_is_what_it_names(questions):
    """By the second opinion's reading of the words: the one thing named, or all of its class where any will do."""
    for example, question in questions:
        named = truth.nouns(question.text)
        if question.kind in ("color", "size", "reading") or question.variant == "half":
            (about,) = question.about
            assert example.objects[about].name == named[0]
        elif question.kind == "existence":
            present = tuple(i for i, thing in enumerate(example.objects) if thing.name == named[0])
            assert question.about == present
        else:
            assert question.about == ()


def test_answers_are_short_lower_case_and_among_the_choices(questions):
    for _, question in questions:
        (answer,) = question.answers
        assert answer == answer.lower()
        assert len(answer.split()) <= 2
        assert not question.choices or answer in question.choices


def test_every_kind_is_asked_and_no_answer_dominates(examples, questions):
    assert {question.kind for _, question in questions} == KINDS
    assert 12 <= len(questions) / len(examples) <= 16
    answers = Counter(question.answers[0] for _, question in questions)
    assert max(answers.values()) < 0.25 * len(questions)
    for kind in ("existence", "color", "spatial", "comparison"):
        checks = Counter(q.answers[0] for _, q in questions if q.kind == kind and q.answers[0] in ("yes", "no"))
        assert 0.42 < checks["yes"] / checks.total() < 0.58, kind


def test_existence_is_balanced_in_every_picture_and_variant(examples):
    for example in examples:
        tally = Counter((q.variant, q.answers[0]) for q in example.questions if q.kind == "existence")
        variants = {variant for variant, _ in tally}
        assert variants <= {"random", "popular", "adversarial"}
        assert all(tally[variant, "yes"] == tally[variant, "no"] == 1 for variant in variants)


def test_negatives_follow_popes_rules():
    """Popular negatives are frequent classes; adversarial ones keep company with what the picture shows."""
    world = [Scenes("val").layout(index) for index in range(1500)]
    frequency = Counter(thing.name for layout in world for thing in layout.things)
    together: dict[str, Counter] = defaultdict(Counter)
    for layout in world:
        names = {thing.name for thing in layout.things}
        for name in names:
            together[name].update(names - {name})
    popular, adversarial = defaultdict(list), defaultdict(list)
    drawn_at_random = set()
    for index in range(400):
        example = Scenes("test")[index]
        present = {thing.name for thing in example.objects}
        for question in example.questions:
            if question.kind == "existence" and question.answers == ("no",):
                (absent,) = truth.nouns(question.text)
                popular[question.variant].append(frequency[absent])
                adversarial[question.variant].append(sum(together[name][absent] for name in present) / len(present))
                if question.variant == "random":
                    drawn_at_random.add(absent)

    def mean(values):
        return sum(values) / len(values)

    assert mean(popular["popular"]) > 1.25 * mean(popular["random"])
    assert mean(adversarial["adversarial"]) > 1.5 * mean(adversarial["random"])
    assert len(drawn_at_random) > 0.9 * len(OBJECT_NAMES)


def test_captions_name_only_what_is_there(examples):
    """The CHAIR measure of the truth itself is zero, and counts and colours hold."""
    for example in examples:
        assert len(example.captions) == 3
        for caption in example.captions:
            present = {thing.name for thing in example.objects}
            assert set(truth.nouns(caption)) <= present, caption
            for phrase in truth.PHRASE.finditer(caption.lower()):
                found = len(truth.fitting(example, phrase["thing"]))
                wanted = truth.NUMBERS[phrase["number"]]
                assert found >= 1 if wanted == 1 else found == wanted, f"{caption!r} but {example.objects}"


def test_a_caption_lists_everything(examples):
    for example in examples:
        classes = {thing.name for thing in example.objects}
        assert any(
            set(truth.nouns(caption)) == classes
            and sum(truth.NUMBERS[p["number"]] for p in truth.PHRASE.finditer(caption.lower())) == len(example.objects)
            for caption in example.captions
        ), example.captions


def test_relations_in_captions_hold(examples):
    seen = 0
    for example in examples:
        for caption in example.captions:
            match = truth.RELATED.search(caption.lower())
            if match:
                seen += 1
                pairs = [
                    (a, b)
                    for a in truth.fitting(example, match["first"])
                    for b in truth.fitting(example, match["second"])
                    if a is not b
                ]
                verdicts = {truth.lies(a, truth.relation_in(match), b, example.image.shape[0]) for a, b in pairs}
                assert "yes" in verdicts, f"{caption!r} but {example.objects}"
    assert seen > len(examples) / 3


def test_annotated_relations_are_clear_and_complete(examples):
    for example in examples:
        side = example.image.shape[0]
        stated = {(r.subject, r.predicate, r.object) for r in example.relations}
        assert len(stated) == len(example.relations)
        for a, first in enumerate(example.objects):
            for b, second in enumerate(example.objects):
                if a != b:
                    for predicate in ("left of", "right of", "above", "below"):
                        clear = truth.lies(first, predicate, second, side) == "yes"
                        assert ((a, predicate, b) in stated) == clear
                    assert ((a, "in front of", b) in stated) == ((b, "behind", a) in stated)
        for a, predicate, b in stated:
            assert truth.lies(example.objects[a], predicate, example.objects[b], side) == "yes"


def test_what_is_in_front_hides_a_clear_part_of_the_other():
    data, seen = Scenes("val"), 0
    for index in range(150):
        example, layout = data[index], data.layout(index)
        for relation in example.relations:
            if relation.predicate == "in front of":
                behind = replace(layout, things=(layout.things[relation.object],))
                silhouette = render(behind, "x", 96)[1][0]
                assert (silhouette & example.objects[relation.subject].mask).sum() >= 12
                seen += 1
    assert seen > 30


def test_references_mean_exactly_their_boxes(examples):
    for example in examples:
        texts = [reference.text for reference in example.references]
        assert len(set(texts)) == len(texts)
        for reference in example.references:
            assert {thing.box for thing in truth.meant(example, reference.text)} == set(reference.boxes), reference
        named = {truth.nouns(text)[0] for text in texts}
        assert {thing.name for thing in example.objects} <= named
        assert sum(not reference.boxes for reference in example.references) == 2


def test_ids_are_unique_and_lead_to_their_example(examples):
    ids = [item.id for example in examples for item in (*example.questions, *example.references)]
    assert len(set(ids)) == len(ids)
    for example in examples:
        for question in example.questions:
            assert question.id.startswith(f"{example.id}/{question.kind}/")


def test_forest_backgrounds_are_never_asked_for_their_trees(examples):
    forests = [example for example in examples if example.scene == "forest"]
    assert forests
    for example in forests:
        said = (*example.captions, *(q.text for q in example.questions), *(r.text for r in example.references))
        assert all("tree" not in truth.nouns(text) for text in said)


def test_train_never_says_a_held_out_pair():
    """Not even to deny it: a model must not learn from words which pairs don't occur."""
    pairs = {f"{color} {name}" for name, color in HELD_OUT.items()}
    for index in range(300):
        example = Scenes("train")[index]
        said = (*example.captions, *(q.text for q in example.questions), *(r.text for r in example.references))
        assert not [text for text in said for pair in pairs if pair in text.lower()]
        for question in example.questions:
            if question.kind == "color" and question.variant == "check":
                (name,), color = truth.nouns(question.text), question.text.rstrip("?").split()[-1]
                assert HELD_OUT[name] != color


def test_compositional_questions_are_about_novel_pairs():
    about = 0
    for index in range(200):
        example = Scenes("compositional")[index]
        novel = {o.name for o in example.objects if HELD_OUT[o.name] == o.attributes["color"]}
        about += any(
            q.kind == "color" and q.answers[0] in COLORS and HELD_OUT[truth.nouns(q.text)[0]] == q.answers[0]
            for q in example.questions
        )
        assert any(set(truth.nouns(q.text)) & novel for q in example.questions)
    assert about > 120


def test_the_vocabulary_is_closed_and_used_up(examples):
    words = Counter(
        word.strip('.,?:"')
        for example in examples
        for text in (*example.captions, *(a for q in example.questions for a in (q.text, *q.answers)))
        for word in text.lower().split()
    )
    assert len(words) < 230
    for word in (*OBJECT_NAMES, *COLORS, *WORDS, *(w for scene in SCENE_NAMES for w in scene.split())):
        assert words[word] > 0, word
