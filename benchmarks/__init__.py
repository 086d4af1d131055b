"""Our figures beside our peers', both sides in turn in one run: `python -m benchmarks`."""
