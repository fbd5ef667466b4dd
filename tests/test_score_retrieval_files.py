"""Similarities, embeddings and pairs from files, and files that are something else."""

import json

import numpy as np
import pytest

from chiasm.errors import DataError
from chiasm.score.retrieval.array_files import read_matrix, read_pairs


def test_a_matrix_is_mapped_and_not_loaded(tmp_path):
    np.save(tmp_path / "s.npy", np.eye(3, dtype=np.float32))
    matrix = read_matrix(tmp_path / "s.npy")
    assert isinstance(matrix, np.memmap)
    assert (matrix == np.eye(3)).all()


def test_other_files_than_a_float_matrix_are_refused(tmp_path):
    np.save(tmp_path / "flat.npy", np.zeros(3))
    np.save(tmp_path / "whole.npy", np.zeros((2, 2), dtype=int))
    np.save(tmp_path / "objects.npy", np.array([[{}]], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "several.npz", a=np.eye(2))
    (tmp_path / "text.npy").write_text("[[1, 2]]")
    (tmp_path / "empty.npy").write_bytes(b"")
    whole = (tmp_path / "whole.npy").read_bytes()
    (tmp_path / "cut.npy").write_bytes(whole[: len(whole) - 8])
    for name in ("flat", "whole", "objects", "text", "empty", "cut"):
        with pytest.raises(DataError, match=name):
            read_matrix(tmp_path / f"{name}.npy")
    with pytest.raises(DataError, match="archive of several arrays"):
        read_matrix(tmp_path / "several.npz")
    with pytest.raises(DataError, match="No such file"):
        read_matrix(tmp_path / "absent.npy")


def test_pairs_by_text_or_one_by_one(tmp_path):
    path = tmp_path / "pairs.json"
    path.write_text("[0, 0, 1]")
    assert read_pairs(path).tolist() == [[0, 0], [0, 1], [1, 2]]
    path.write_text("[[1, 0], [0, 1]]")
    assert read_pairs(path).tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize("content", [[], [0.5], ["a"], [[0, 1, 2]], [[0, 1], [2]], {"0": 1}, 3, [True]])
def test_other_pairs_are_refused(tmp_path, content):
    path = tmp_path / "pairs.json"
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match="expected a list with the image number of each text"):
        read_pairs(path)
