"""Latency, memory and size of a model where it will run.

`measurement` says what a measurement is, the same for every target. `runner` is the one-file
program that measures, here or on a board; `end_to_end` is its sibling for text in, answer out.
`process` talks to either, `plan` says what is to be measured, `interleaving` gives everyone their
turns, and each target (`cpu`) is one file that puts them together.
"""
