"""EfficientNet's published family."""

import json
from pathlib import Path

import pytest

from tuning.scaling import published

COUNTS = Path(__file__).resolve().parents[2] / "tfcnn" / "models"


@pytest.mark.slow
def test_published_family():
    """Widths, depths and images of the authors' code; counts of the golden tables."""
    golden = {}
    for file in ("reference.json", "published.json"):
        rows = json.loads((COUNTS / file).read_text())["rows"]
        golden |= {row["arch"]: row.get("trainable") for row in rows if row["arch"].startswith("efficientnet")}
    family = [line.split() for line in published.published_table().splitlines()[2:]]
    assert [row[1] for row in family] == ["1.0", "1.0", "1.1", "1.2", "1.4", "1.6", "1.8", "2.0"]
    assert [row[2] for row in family] == ["1.0", "1.1", "1.2", "1.4", "1.8", "2.2", "2.6", "3.1"]
    assert [row[3] for row in family] == ["224", "240", "260", "300", "380", "456", "528", "600"]
    for name, row in zip(published.PUBLISHED, family, strict=True):
        ours, theirs = (int(cell.replace(",", "")) for cell in row[7:9])
        assert ours == theirs == golden[name]
        assert float(row[9]) == pytest.approx(float(row[10]), rel=0.05)
