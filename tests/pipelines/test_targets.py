from pipelines.targets import IGNORE_LABEL
from tfcnn import tasks


def test_pipelines_and_losses_ignore_the_same_label():
    """pipelines never imports tfcnn, whose tasks import the standard library alone: each has the constant."""
    assert IGNORE_LABEL == tasks.IGNORE_LABEL == 255
