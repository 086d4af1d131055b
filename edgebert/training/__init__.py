"""The training that fine-tuning, pruning and distillation share: `fitting` runs it through Keras
`fit`.

`batches` orders and pads the rows, `packed_encoder` and `operations` are the encoder laid out for
training, `narrow_backbone` holds what is left of a pruned model, `distilling` is a student with its
losses, `optimizer` is AdamW with sparse embedding updates, `loop` steps, scores and stops, and
`state` keeps a run that can be resumed.
"""
