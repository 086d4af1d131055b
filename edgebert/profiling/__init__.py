"""Latency, memory and size of a model on the device where it will run.

`measurement` defines a measurement; it is the same for every target. `runner` is the one-file
benchmark program that runs here or on a board. `end_to_end` is its counterpart for text in, answer
out. `process` sends requests to either of them. `plan` lists the configurations to measure.
`interleaving` alternates the timed blocks of all configurations. `session` combines these, and each
target (`cpu`, `ssh`, `adb`, ...) runs a session on its machine.
"""
