"""`python -m benchmarks.faults`: what becomes of a run, as `python -m benchmarks.faults.training` prints it."""

from benchmarks.faults.training import main

if __name__ == "__main__":
    main()
