import pytest

from tests.tuning.scaling.untrained import Untrained
from tfcnn import train


@pytest.fixture
def untrained(monkeypatch):
    """tfcnn.train.run for this test; the accuracy of each run is 0.5 unless the test sets `outcome`."""
    runs = Untrained(lambda config: 0.5)
    monkeypatch.setattr(train, "run", runs)
    return runs
