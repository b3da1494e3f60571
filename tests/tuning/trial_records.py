"""Trials written by hand, for the report and its pictures."""

import datetime

from tuning.study.trials import Objective, TrialRecord

ONE = [Objective("val_accuracy", "max")]
TWO = [*ONE, Objective("macs", "min")]


def trial(number, scores, state="COMPLETED", **more):
    fields = {
        "values": {"lr": 0.01 * (number + 1), "opt": ("adamw", "sgd")[number % 2], "width": 0.5},
        "reason": None,
        "config": {"arch": "lenet5", "lr": 0.01 * (number + 1)},
        "metrics": {},
        "curve": {1: 0.5, 2: 0.6 + number / 100},
        "starts": 1,
        "began": datetime.datetime(2026, 1, 1) + datetime.timedelta(seconds=10 * number),
        "seconds": 9.5,
    }
    return TrialRecord(number, state, scores=scores, **fields | more)


POINTS = [(0.5, 10e6), (0.9, 40e6), (0.7, 20e6), (0.6, 30e6), (0.9, 50e6)]
