"""Shared fixtures."""

import os
from pathlib import Path

import pytest

# A folder that is not there may look like a name of the hub: no test asks the network.
os.environ["HF_HUB_OFFLINE"] = "1"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real photos and annotations, where there is one; it is never part of the repository."""
    folder = Path(os.environ.get("CHIASM_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("real data is not on this machine (set CHIASM_SHARED_DATA)")
    return folder
