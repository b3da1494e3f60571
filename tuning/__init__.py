"""Hyperparameter search: samples values and calls tfcnn with them; declares no layers."""

import signal
import sys

if sys.argv[:1] == ["-m"]:  # `python -m` looks for a command: Ctrl-C ends it as SIGTERM does, without a traceback
    signal.signal(signal.SIGINT, signal.SIG_DFL)
