"""Runs the steps of a page one after another in one process: `python tests/docs/run_steps.py < STEPS.json`.

A step is ["command", [module, arguments ...]] or ["python", source]. Ends with the exit code of the first that fails.
"""

import glob
import json
import runpy
import sys


def run_command(words: list[str]) -> None:
    module, *arguments = words
    expanded = [sorted(glob.glob(word)) or [word] if "*" in word else [word] for word in arguments]
    sys.argv = [module, *(word for several in expanded for word in several)]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if end.code:
            raise


def main() -> None:
    for kind, content in json.load(sys.stdin):
        print(">>>", content if kind == "python" else " ".join(content), flush=True)
        if kind == "python":
            exec(compile(content, "block", "exec"), {"__name__": "__main__"})
        else:
            run_command(content)


if __name__ == "__main__":
    main()
