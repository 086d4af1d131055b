"""The training that fine-tuning, pruning and distillation share.

- Data: `inputs` chooses and encodes the rows, `batches` orders them.
- Model: `fitting` builds the Keras model and trains it. `packed_encoder`, `packing` and
  `operations` are a fast encoder, `narrow_backbone` holds the variables of a pruned model, `heads`
  separates the head, and `distilling` is a student with its losses.
- Loop: `loop` runs the epochs, `evaluator` scores them, `optimizer` is AdamW with sparse embedding
  updates, `interrupts` handles Ctrl-C.
- Devices: `devices` is the interface and one device; `data_parallel`, `shares`, `strategies`,
  `cluster` and `agreement` are several devices or hosts.
- Files: `state` is a run that can be resumed, `record` its entry in the model's history.
- `stage_run` is the output folder, resuming, progress and devices of a call.
"""
