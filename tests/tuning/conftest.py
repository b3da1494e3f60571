"""A search whose trials train nothing: benchmarks/faults/search.py."""

import dataclasses
import subprocess
from pathlib import Path
from typing import Any

import pytest

from benchmarks.faults import search as faults
from tuning.study.folder import Study
from tuning.study.trials import TrialRecord


@dataclasses.dataclass
class Standin:
    """Searches by name in one folder."""

    folder: Path

    def search(self, name: str, trials: int, plan: dict[str, Any] | None = None, **settings: Any) -> list[TrialRecord]:
        return faults.run_search(self.folder, name, trials, plan, **settings)

    def start(self, name: str, trials: int) -> subprocess.Popen[str]:
        return faults.start_search(self.folder, name, trials)

    def study(self, name: str) -> Study:
        return Study(self.folder / name)

    def starts(self, name: str) -> list[int]:
        return faults.read_starts(self.folder, name)

    def values(self, name: str) -> list[tuple]:
        return faults.read_values(self.study(name))


@pytest.fixture
def standin(tmp_path, monkeypatch):
    monkeypatch.setattr("tuning.search.load_data", faults.StandinData)
    (tmp_path / "standin.py").write_text(faults.STANDIN)
    return Standin(tmp_path)


@pytest.fixture(scope="module")
def module_standin(tmp_path_factory):
    """For a search that several tests of a module read."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr("tuning.search.load_data", faults.StandinData)
        yield Standin(tmp_path_factory.mktemp("standin"))
