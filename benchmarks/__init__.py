"""Our figures beside our peers', both sides in turn in one run.

`python -m benchmarks.peers` is what `make bench` runs; `int8_accuracy`, `finetune_sst2`,
`finetune_throughput` and `runner_overhead` are run by name, and say what they need.
"""
