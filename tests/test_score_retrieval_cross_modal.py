"""Image-text retrieval in both directions: ranks by counting against ranks by sorting, ties, blocks and bad input."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from chiasm.errors import ConfigError, DataError
from chiasm.score.retrieval import ranks
from chiasm.score.retrieval.cross_modal import pairs_of_captions, score_embeddings, score_similarity


def numbers(score):
    return {value.metric: value.value for value in score.values}


# Three images with two texts each. Best wrong text of each image: .5, .9, .2; best wrong image of each text below.
SIMILARITY = np.array([
    [0.9, 0.4, 0.5, 0.1, 0.0, 0.0],
    [0.1, 0.9, 0.8, 0.7, 0.0, 0.3],
    [0.2, 0.2, 0.2, 0.1, 0.2, 0.1],
])  # fmt: skip
PAIRS = pairs_of_captions([0, 0, 1, 1, 2, 2])


def test_numbers_by_hand():
    # Image 0: its texts at ranks 1 and 3 (.9, .5, .4). Image 1: 2 and 3 (.9 is wrong). Image 2: text 4 has .2 like
    # three wrong ones, which rank above it: 4; text 5 has .1 like text 3: 6.
    # Text 0: .9 against .1, .2: rank 1. Text 1: .4 against .9, .2: 2. Text 2: .8: 1. Text 3: .7: 1. Text 4: .2: 1.
    # Text 5: .1 against .0, .3: 2.
    score = score_similarity(SIMILARITY, PAIRS, cutoffs=(1, 3))
    assert [item.parsed for item in score.items] == [[1, 3], [2, 3], [4, 6], [1], [2], [1], [1], [1], [2]]
    found = numbers(score)
    assert found["image_to_text.hit@1"] == pytest.approx(1 / 3)
    assert found["image_to_text.hit@3"] == pytest.approx(2 / 3)
    assert found["image_to_text.recall@1"] == pytest.approx((1 / 2) / 3)
    assert found["image_to_text.recall@3"] == pytest.approx(2 / 3)
    assert found["image_to_text.mrr"] == pytest.approx((1 + 1 / 2 + 1 / 4) / 3)
    assert found["image_to_text.map"] == pytest.approx(
        ((1 + 2 / 3) / 2 + (1 / 2 + 2 / 3) / 2 + (1 / 4 + 2 / 6) / 2) / 3
    )
    assert found["text_to_image.hit@1"] == found["text_to_image.recall@1"] == pytest.approx(4 / 6)
    # In a random order: one of 3 images; two texts of 6, both missed at k = 1 with probability 4/6.
    assert found["baseline.chance.text_to_image.hit@1"] == pytest.approx(1 / 3)
    assert found["baseline.chance.image_to_text.hit@1"] == pytest.approx(1 - 4 / 6)
    assert found["baseline.chance.image_to_text.hit@3"] == pytest.approx(1 - (4 * 3 * 2) / (6 * 5 * 4))


def test_intervals_cluster_texts_by_their_image():
    items = score_similarity(SIMILARITY, PAIRS).items
    assert [item.image for item in items] == ["0", "1", "2", "0", "0", "1", "1", "2", "2"]


def test_a_constant_similarity_scores_nothing():
    found = numbers(score_similarity(np.zeros((4, 8)), pairs_of_captions(np.arange(8) // 2), cutoffs=(1,)))
    assert found["image_to_text.hit@1"] == found["text_to_image.hit@1"] == 0


def test_a_text_of_several_images_counts_any_for_hit_and_all_for_recall():
    similarity = np.array([[0.9], [0.8], [0.85]])
    with pytest.raises(DataError, match="1 of 3 images have no partner; the first is image 2"):
        score_similarity(similarity, np.array([[0, 0], [1, 0]]))
    similarity = np.array([[0.9, 0.0], [0.8, 0.0], [0.85, 0.5]])
    found = score_similarity(similarity, np.array([[0, 0], [1, 0], [2, 1]]), cutoffs=(1, 2))
    [text] = [item for item in found.items if item.id == "text/0"]
    assert text.parsed == [1, 3]
    assert text.statistics["text_to_image.hit@1"] == 1
    assert text.statistics["text_to_image.recall@2"] == 0.5


def ranks_by_sorting(row, positives):
    """Wrong candidates first among equals."""
    order = sorted(range(len(row)), key=lambda k: (-row[k], k in positives))
    return [place for place, k in enumerate(order, start=1) if k in positives]


@given(
    arrays.arrays(
        np.float32, st.tuples(st.integers(1, 6), st.integers(1, 9)), elements=st.sampled_from([-1, 0, 0.5, 1])
    ),
    st.data(),
)
def test_counting_equals_sorting(similarity, data):
    images, texts = similarity.shape
    extra = data.draw(st.lists(st.tuples(st.integers(0, images - 1), st.integers(0, texts - 1))))
    pairs = np.array([*((n, n % texts) for n in range(images)), *((n % images, n) for n in range(texts)), *extra])
    score = score_similarity(similarity, pairs)
    together = {(int(image), int(text)) for image, text in pairs}
    for item in score.items:
        what, number = item.id.split("/")
        row = similarity[int(number)] if what == "image" else similarity[:, int(number)]
        right = {b if what == "image" else a for a, b in together if int(number) == (a if what == "image" else b)}
        assert item.parsed == ranks_by_sorting(row, right)


def test_blocks_of_any_size_give_the_same_ranks(monkeypatch):
    generator = np.random.default_rng(0)
    similarity = generator.normal(size=(30, 60)).astype(np.float32)
    pairs = pairs_of_captions(np.arange(60) // 2)
    whole = score_similarity(similarity, pairs)
    for size in (1, 4 * 60 * 7):
        monkeypatch.setattr(ranks, "BLOCK_BYTES", size)
        assert score_similarity(similarity, pairs) == whole


def test_no_block_is_larger_than_its_limit(monkeypatch):
    monkeypatch.setattr(ranks, "BLOCK_BYTES", 4 * 100 * 8)
    asked = []

    def scores(start, stop):
        asked.append((stop - start) * 100 * 4)
        return np.zeros((stop - start, 100), dtype=np.float32)

    assert len(list(ranks.ranks_in_rows(scores, [np.array([0])] * 50, candidates=100, itemsize=4))) == 50
    assert max(asked) <= 4 * 100 * 8
    assert len(asked) == 7


def test_more_candidates_than_a_byte_can_count():
    # One text, 1,000 images that all score higher than its own: rank 1,001 from several blocks of rows.
    similarity = np.concatenate([np.ones((1000, 2)), np.zeros((1, 2))]).astype(np.float32)
    pairs = np.array([[1000, 0], *((n, 1) for n in range(1000)), [1000, 1]])
    ours = {item.id: item.parsed for item in score_similarity(similarity, pairs).items}
    assert ours["text/0"] == [1001]
    assert ours["text/1"] == list(range(1, 1002))


def test_embeddings_give_the_cosine_similarity():
    generator = np.random.default_rng(1)
    images, texts = generator.normal(size=(20, 16)), generator.normal(size=(40, 16))
    texts += np.repeat(images, 2, axis=0)
    pairs = pairs_of_captions(np.arange(40) // 2)
    cosine = (images / np.linalg.norm(images, axis=1)[:, None]) @ (texts / np.linalg.norm(texts, axis=1)[:, None]).T
    assert numbers(score_embeddings(images, texts, pairs)) == numbers(score_similarity(cosine, pairs))
    # Lengths matter to the dot product only.
    assert score_embeddings(images * 3, texts, pairs).values == score_embeddings(images, texts, pairs).values
    dot = score_embeddings(images, texts, pairs, cosine=False)
    assert numbers(dot) == numbers(score_similarity(images @ texts.T, pairs))


def test_a_memory_mapped_matrix_and_half_precision_are_read(tmp_path):
    np.save(tmp_path / "s.npy", SIMILARITY.astype(np.float16))
    mapped = np.load(tmp_path / "s.npy", mmap_mode="r")
    assert numbers(score_similarity(mapped, PAIRS)) == numbers(score_similarity(SIMILARITY, PAIRS))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite_are_named(value):
    similarity = SIMILARITY.copy()
    similarity[1, 4] = value
    with pytest.raises(DataError, match="scores of query 1 are not all finite"):
        score_similarity(similarity, PAIRS)
    embeddings = np.ones((3, 4))
    embeddings[2, 0] = value
    with pytest.raises(DataError, match="1 image embeddings are not finite or zero; the first is number 2"):
        score_embeddings(embeddings, np.ones((6, 4)), PAIRS)


def test_a_zero_embedding_has_no_cosine():
    with pytest.raises(DataError, match="3 image embeddings"):
        score_embeddings(np.zeros((3, 4)), np.ones((6, 4)), PAIRS)
    assert numbers(score_embeddings(np.zeros((3, 4)), np.ones((6, 4)), PAIRS, cosine=False))["text_to_image.hit@1"] == 0


def test_wrong_shapes_and_pairs_are_refused():
    with pytest.raises(ConfigError, match=r"must be float \(images, texts\)"):
        score_similarity(np.zeros(3), PAIRS)
    with pytest.raises(ConfigError, match="got uint8"):
        score_similarity(SIMILARITY.astype(np.uint8), PAIRS)
    with pytest.raises(ConfigError, match="whole numbers"):
        score_similarity(SIMILARITY, PAIRS.astype(float))
    with pytest.raises(ConfigError, match="of one width"):
        score_embeddings(np.ones((3, 4)), np.ones((6, 5)), PAIRS)
    with pytest.raises(ConfigError, match="cutoffs"):
        score_similarity(SIMILARITY, PAIRS, cutoffs=())
    with pytest.raises(DataError, match="image 3 and text 0 can't be a pair: there are 3 images and 6 texts"):
        score_similarity(SIMILARITY, np.array([[3, 0]]))
