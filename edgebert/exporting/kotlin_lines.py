"""The lines of Kotlin that ask a file in an Android app, with the library in android_demo/."""

from __future__ import annotations

# Task: the library's class, the call, and what is shown of its answer.
_CALLS = {
    "classification": ("TextClassifier", 'classify("turn the lights off")', "label, {0}.score"),
    "pairs": ("TextClassifier", 'classify("a cat sleeps", "an animal rests")', "label, {0}.score"),
    "multi-label": ("TextClassifier", 'classify("lights off, music on")', "labels"),
    "regression": ("TextScorer", 'score("a very good film")', ""),
    "ner": ("TokenTagger", 'tag("Ada lives in London")', "entities"),
    "pos": ("TokenTagger", 'tag("a cat sleeps")', "words"),
    "qa": ("QuestionAnswerer", 'answer("where is it?", "The key is here.")', "first().text"),
    "embeddings": ("TextEmbedder", 'similarity("good morning", "hello")', ""),
    "masked-lm": ("MaskFiller", 'fill("Paris is in [MASK].")', "filled"),
}
_PAIR_CALLS = {"regression": 'score("a cat sleeps", "an animal rests")'}
"""The calls of tasks whose models read one text or a pair, for models that read pairs."""


def kotlin_lines(task: str, file_name: str, texts: int = 1) -> tuple[str, ...]:
    """Three lines: open the asset, ask it, show the answer; none for a bare encoder.

    Args:
        task: Name of the file's task.
        file_name: File name of the asset.
        texts: Number of texts of the model's input.
    """
    if task not in _CALLS:
        return ()
    kind, call, shown = _CALLS[task]
    if texts == 2:
        call = _PAIR_CALLS.get(task, call)
    what = f"answer.{shown.format('answer')}" if shown else "answer"
    return (
        f'val model = {kind}.openAsset(context, "{file_name}")',
        f"val answer = model.{call}",
        f"show({what})",
    )
