"""Our figures beside our peers', both sides in turn in one run.

`make bench` runs `prepare`, `peers` and `growth`. The others are run by name, and say what they
need.
"""
