"""Hyperparameter search: samples values and calls tfcnn with them; declares no layers."""

import _signal
import sys

DISTRIBUTION = "tfcnn"  # by which another package of this name is told

# `python -m` looks for a command: Ctrl-C ends it as SIGTERM does, without a traceback. The import of signal would take
# some milliseconds; the module in C is there.
if sys.argv[:1] == ["-m"]:
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
