"""Makes GoogleTF1 and its outputs in tf1_outputs.npz with google-research/bert's own modeling.py.

Run once where TensorFlow and tf_keras are, with the folder that holds modeling.py (the package
bert-tensorflow 1.0.4 has it):

    TF_USE_LEGACY_KERAS=1 python tests/golden/checkpoints/make_tf1_checkpoint.py FOLDER

`tf.contrib` is gone from TensorFlow, so its layer_norm is given here; all else is the original's.
The head is that of run_classifier.py.
"""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path

import numpy as np
import tensorflow.compat.v1 as tf

HERE = Path(__file__).parent
FOLDER = HERE / "GoogleTF1"
CONFIG = {
    "attention_probs_dropout_prob": 0.1,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "hidden_size": 8,
    "initializer_range": 0.02,
    "intermediate_size": 12,
    "max_position_embeddings": 16,
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "type_vocab_size": 2,
    "vocab_size": 26,
}
LABELS = 3


def layer_norm(inputs: tf.Tensor, scope: str | None, **axes: int) -> tf.Tensor:
    """What `tf.contrib.layers.layer_norm` computes over the last axis."""
    assert set(axes.values()) == {-1}
    width = inputs.shape[-1]
    with tf.variable_scope(scope, default_name="LayerNorm"):
        beta, gamma = tf.get_variable("beta", [width]), tf.get_variable("gamma", [width])
        mean, variance = tf.nn.moments(inputs, [-1], keepdims=True)
        return tf.nn.batch_normalization(inputs, mean, variance, beta, gamma, 1e-12)


def main(modeling_folder: str) -> None:
    contrib = types.ModuleType("tensorflow.contrib")
    contrib.layers = types.SimpleNamespace(layer_norm=layer_norm)
    tf.contrib = contrib
    sys.modules |= {"tensorflow": tf, "tensorflow.contrib": contrib}
    sys.path.insert(0, modeling_folder)
    import modeling

    tf.disable_eager_execution()
    with np.load(HERE / "outputs.npz") as arrays:
        inputs = [arrays[name] for name in ("token_ids", "padding_mask", "segment_ids")]
    model = modeling.BertModel(
        modeling.BertConfig.from_dict(CONFIG), False, *(tf.constant(x, tf.int32) for x in inputs)
    )
    weights = tf.get_variable("output_weights", [LABELS, CONFIG["hidden_size"]])
    bias = tf.get_variable("output_bias", [LABELS])
    logits = tf.matmul(model.get_pooled_output(), weights, transpose_b=True) + bias
    FOLDER.mkdir(exist_ok=True)
    with tf.Session() as session:
        rng = np.random.default_rng(3)
        for variable in tf.global_variables():
            mean = 1 if "gamma" in variable.name else 0
            variable.load(rng.normal(mean, 0.3, variable.shape), session)
        hidden, scores = session.run([model.get_sequence_output(), logits])
        saver = tf.train.Saver()
        saver.save(session, str(FOLDER / "bert_model.ckpt"), write_meta_graph=False)
    (FOLDER / "checkpoint").unlink()
    (FOLDER / "bert_config.json").write_text(json.dumps(CONFIG, indent=2) + "\n")
    (FOLDER / "vocab.txt").write_bytes((HERE / "BertModel" / "vocab.txt").read_bytes())
    np.savez_compressed(HERE / "tf1_outputs.npz", hidden_states=hidden, logits=scores)


if __name__ == "__main__":
    main(sys.argv[1])
