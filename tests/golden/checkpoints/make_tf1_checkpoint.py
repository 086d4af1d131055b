"""Makes the GoogleTF1 folders and tf1_outputs.npz with google-research/bert's own programs.

Run once where TensorFlow and tf_keras are, with the folder that holds its package `bert` (that of
the unpacked wheel bert-tensorflow 1.0.4):

    TF_USE_LEGACY_KERAS=1 python tests/golden/checkpoints/make_tf1_checkpoint.py FOLDER

`tf.contrib` is gone from TensorFlow, so its layer_norm is given here; all else is the original's:
the encoder of modeling.py, and the heads of run_squad.py, run_pretraining.py and run_classifier.py
(whose own function gives no hidden states, so its lines stand here).
"""

from __future__ import annotations

import importlib
import json
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf

HERE = Path(__file__).parent
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
BATCH, TOKENS = 2, 12


def layer_norm(inputs: tf.Tensor, scope: str | None, **axes: int) -> tf.Tensor:
    """What `tf.contrib.layers.layer_norm` computes over the last axis."""
    assert set(axes.values()) == {-1}
    width = inputs.shape[-1]
    with tf.variable_scope(scope, default_name="LayerNorm"):
        beta, gamma = tf.get_variable("beta", [width]), tf.get_variable("gamma", [width])
        mean, variance = tf.nn.moments(inputs, [-1], keepdims=True)
        return tf.nn.batch_normalization(inputs, mean, variance, beta, gamma, 1e-12)


def program(name: str) -> Any:
    """A module of the package, less the flags that another one has defined."""
    for flag in [flag for flag in tf.flags.FLAGS if flag != "verbosity"]:
        delattr(tf.flags.FLAGS, flag)
    return importlib.import_module(f"bert.{name}")


def classifier(inputs: list[tf.Tensor]) -> dict[str, tf.Tensor]:
    modeling = importlib.import_module("bert.modeling")
    model = modeling.BertModel(modeling.BertConfig.from_dict(CONFIG), False, *inputs)
    weights = tf.get_variable("output_weights", [LABELS, CONFIG["hidden_size"]])
    bias = tf.get_variable("output_bias", [LABELS])
    logits = tf.matmul(model.get_pooled_output(), weights, transpose_b=True) + bias
    return {"hidden_states": model.get_sequence_output(), "logits": logits}


def question_answerer(inputs: list[tf.Tensor]) -> dict[str, tf.Tensor]:
    run_squad = program("run_squad")
    config = run_squad.modeling.BertConfig.from_dict(CONFIG)
    return {"spans": tf.stack(run_squad.create_model(config, False, *inputs, False), -1)}


def pretrained(inputs: list[tf.Tensor]) -> dict[str, tf.Tensor]:
    """Log probabilities of every token's place, and of whether the next sentence follows."""
    run_pretraining = program("run_pretraining")
    config = run_pretraining.modeling.BertConfig.from_dict(CONFIG)
    model = run_pretraining.modeling.BertModel(config, False, *inputs)
    positions = tf.constant([list(range(TOKENS))] * BATCH)
    *_, tokens = run_pretraining.get_masked_lm_output(
        config,
        model.get_sequence_output(),
        model.get_embedding_table(),
        positions,
        tf.zeros([BATCH, TOKENS], tf.int32),
        tf.ones([BATCH, TOKENS]),
    )
    *_, next_sentence = run_pretraining.get_next_sentence_output(
        config, model.get_pooled_output(), tf.zeros([BATCH], tf.int32)
    )
    return {
        "masked_lm": tf.reshape(tokens, [BATCH, TOKENS, -1]),
        "next_sentence": next_sentence,
    }


FOLDERS: dict[str, tuple[int, Callable[[list[tf.Tensor]], dict[str, tf.Tensor]]]] = {
    "GoogleTF1": (3, classifier),
    "GoogleTF1Squad": (4, question_answerer),
    "GoogleTF1Pretraining": (5, pretrained),
}
"""Folder: seed of the weights, and what builds the model."""


def make(name: str, inputs: list[np.ndarray]) -> dict[str, np.ndarray]:
    """Writes a folder; returns the outputs of its model."""
    folder, (seed, build) = HERE / name, FOLDERS[name]
    folder.mkdir(exist_ok=True)
    with tf.Graph().as_default(), tf.Session() as session:
        outputs = build([tf.constant(array, tf.int32) for array in inputs])
        rng = np.random.default_rng(seed)
        for variable in tf.global_variables():
            mean = 1 if "gamma" in variable.name else 0
            variable.load(rng.normal(mean, 0.3, variable.shape), session)
        arrays = session.run(outputs)
        saver = tf.train.Saver()
        saver.save(session, str(folder / "bert_model.ckpt"), write_meta_graph=False)
    (folder / "checkpoint").unlink()
    (folder / "bert_config.json").write_text(json.dumps(CONFIG, indent=2) + "\n")
    (folder / "vocab.txt").write_bytes((HERE / "BertModel" / "vocab.txt").read_bytes())
    return dict(arrays)


def main(package_folder: str) -> None:
    contrib = types.ModuleType("tensorflow.contrib")
    contrib.layers = types.SimpleNamespace(layer_norm=layer_norm)
    tf.contrib = contrib
    sys.modules |= {
        "tensorflow": tf,
        "tensorflow.compat.v1": tf,
        "tensorflow.contrib": contrib,
    }
    sys.path.insert(0, package_folder)
    tf.disable_eager_execution()
    with np.load(HERE / "outputs.npz") as arrays:
        inputs = [arrays[name] for name in ("token_ids", "padding_mask", "segment_ids")]
    found = {key: array for name in FOLDERS for key, array in make(name, inputs).items()}
    np.savez_compressed(HERE / "tf1_outputs.npz", **found)


if __name__ == "__main__":
    main(sys.argv[1])
