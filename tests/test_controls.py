"""Controls keep questions and truth and take only the picture away."""

import numpy as np
import pytest

from chiasm.data.controls import with_pictures
from chiasm.data.worlds.scenes import Scenes
from chiasm.errors import ConfigError


@pytest.fixture(scope="module")
def scenes() -> Scenes:
    return Scenes("test", size=32, count=6)


def test_intact_is_the_dataset_itself(scenes):
    assert with_pictures(scenes, "intact") is scenes


def test_blank_keeps_size_and_truth(scenes):
    blank = with_pictures(scenes, "blank")
    assert np.unique(blank[2].image).tolist() == [127]
    assert blank[2].image.shape == scenes[2].image.shape
    assert blank[2].questions == scenes[2].questions
    assert blank.fingerprint() != scenes.fingerprint()


def test_shuffled_gives_everybody_the_picture_of_somebody_else(scenes):
    shuffled = with_pictures(scenes, "shuffled")
    originals = [scenes[i].image for i in range(6)]
    sources = [next(j for j, o in enumerate(originals) if np.array_equal(o, shuffled[i].image)) for i in range(6)]
    assert sorted(sources) == list(range(6))
    assert all(i != j for i, j in enumerate(sources))
    assert [shuffled[i].objects for i in range(6)] == [scenes[i].objects for i in range(6)]


def test_what_cannot_be_done_is_refused(scenes):
    with pytest.raises(ConfigError, match="did you mean 'shuffled'"):
        with_pictures(scenes, "shufled")
    with pytest.raises(ConfigError, match="no other"):
        with_pictures(Scenes("test", size=32, count=1), "shuffled")
