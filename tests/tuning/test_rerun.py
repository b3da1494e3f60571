"""A trial that is trained again."""

import sys

import pytest

from tuning import rerun

OTHER = """
def trainer(config, report):
    for epoch in (1, 2, 3):
        report(epoch, {"val_accuracy": 0.5})
    return {"val_accuracy": 0.5}
"""


@pytest.fixture
def comparison(standin):
    """(study, its only trial, what comes out of a trainer whose scores are others)."""
    standin.search("again", 1)
    study = standin.study("again")
    (trial,) = study.trials()
    (standin.folder / "other.py").write_text(OTHER)
    return study, trial, rerun.rerun(trial, "val_accuracy", f"{standin.folder / 'other.py'}:trainer")


@pytest.mark.slow
def test_scores_and_curves_are_compared(comparison):
    _, trial, comparisons = comparison
    values = {name: (before, now) for name, before, now in comparisons}
    assert values["val_accuracy"] == (trial.scores[0], 0.5)
    assert values["val_accuracy after epoch 2"] == (trial.curve[2], 0.5)


@pytest.mark.slow
def test_a_score_that_came_out_otherwise_is_an_error(comparison, monkeypatch, capsys):
    study, _, comparisons = comparison
    monkeypatch.setattr(rerun, "rerun", lambda trial, objective: comparisons)
    monkeypatch.setattr(sys, "argv", ["rerun", str(study.path), "0"])
    with pytest.raises(rerun.Differs, match="trial 0 came out with another val_accuracy"):
        rerun.main()
    assert rerun.Differs.exit_code == 1
    assert "not equal" in capsys.readouterr().out
