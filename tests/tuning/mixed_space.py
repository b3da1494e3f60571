"""A space with every kind of hyperparameter, its score, and a loop over an oracle's trials."""

import math

import keras_tuner

SCORE = keras_tuner.Objective("score", "max")


def mixed_space(hp):
    """One of each kind; `units` and `style` are others under each of two conditions."""
    kind = hp.Choice("kind", ["a", "b", "c"])
    with hp.conditional_scope("kind", ["a"]):
        few = hp.Int("units", 1, 4)
        hp.Choice("style", ["thin", "flat"])
    with hp.conditional_scope("kind", ["b", "c"]):
        many = hp.Int("units", 10, 40, step=10)
        hp.Choice("style", ["bold", "round"])
    return {
        "units": few if kind == "a" else many,
        "rate": hp.Float("rate", 1e-4, 1.0, sampling="log"),
        "wide": hp.Choice("wide", [8, 16, 64]),
        "flag": hp.Boolean("flag"),
        "fixed": hp.Fixed("fixed", "always"),
    }


def score_of(values):
    return -abs(math.log10(values["rate"]) + 2) + values["flag"] - abs(values["wide"] - 16) / 100


def run_trials(oracle, most=10**6, score=score_of):
    """Run up to `most` trials of an oracle, failing those without a score; returns all values by number."""
    for _ in range(most):
        trial = oracle.create_trial("tuner")
        if trial.status == "STOPPED":
            break
        value = score(trial.hyperparameters.values)
        if value is None:
            trial.status = "FAILED"
            trial.message = "diverged: it has no score"
        else:
            oracle.update_trial(trial.trial_id, {"score": value})
            trial.status = "COMPLETED"
        oracle.end_trial(trial)
    return {t.number: t.user_attrs["values"] for t in oracle.study.get_trials(deepcopy=False)}
