"""The training that fine-tuning and pruning share: `fitting` runs it through Keras `fit`.

`batches` orders and pads the rows, `packed_encoder` and `operations` are the encoder laid out for
training, `optimizer` is AdamW with sparse embedding updates, `loop` steps, scores and stops, and
`state` keeps a run that can be resumed.
"""
