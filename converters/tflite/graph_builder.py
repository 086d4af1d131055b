"""Writes a TFLite file: constants, signatures and operators, straight in the flatbuffer schema.

This module knows the file format and nothing about BERT. One `GraphBuilder` is one file; each of
its signatures is a `SubgraphBuilder`. Operators are written one by one, not traced from a program.
That keeps the layout that the runtime is fast with, names every tensor after its layer, and adds a
signature in milliseconds without a second copy of the weights.
"""

from __future__ import annotations

from ai_edge_litert import schema_py_generated as schema

from converters.tflite.flatbuffer import FILE_IDENTIFIER as FILE_IDENTIFIER
from converters.tflite.model_tables import ModelTables
from converters.tflite.subgraph_builder import SubgraphBuilder
from converters.tflite.tflite_file import model_content

_TABLES_BYTES = 1 << 20
"""Room for operators and tensors; the builder grows where they need more."""


class GraphBuilder(ModelTables):
    """Builds one `.tflite` file."""

    def subgraph(self, key: str) -> SubgraphBuilder:
        """Adds a signature named `key` with a subgraph of its own."""
        graph = schema.SubGraphT()
        graph.name = key
        graph.tensors, graph.operators = [], []
        graph.inputs, graph.outputs = [], []
        self.model.subgraphs.append(graph)
        signature = schema.SignatureDefT()
        signature.signatureKey = key
        signature.subgraphIndex = len(self.model.subgraphs) - 1
        signature.inputs, signature.outputs = [], []
        self.model.signatureDefs.append(signature)
        return SubgraphBuilder(self, graph, signature)

    def finish(self) -> bytes:
        """The file's bytes."""
        return bytes(self.content())

    def content(self) -> memoryview:
        """The file's bytes, where they were built: without a second copy."""
        self.forget_offsets()
        return model_content(self.model, self.nbytes + _TABLES_BYTES)
