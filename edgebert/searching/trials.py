"""Runs the trials of a search: makes, exports and evaluates each variant of the model.

Each finished trial is written to disk at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from converters.compaction import LayerWidth, layer_widths
from converters.heads import CLASSIFIER
from edgebert.data.datasets import Dataset
from edgebert.distillation import distill
from edgebert.errors import QualityGateError
from edgebert.exporting.artifact import ExportTexts, export
from edgebert.exporting.parity import FloatReference
from edgebert.models.litert_model import LiteRtModel
from edgebert.models.task_model import TaskModel, open_model
from edgebert.pruning.latency_table import (
    LatencyTable,
    measure_latency_table,
    read_latency_table,
)
from edgebert.pruning.structured import prune_structure
from edgebert.pruning.vocabulary import trim_vocabulary
from edgebert.searching.clock import Clock
from edgebert.searching.judging import FLOAT, Judge
from edgebert.searching.moves import Moves, Steps, key_of, total_speedup, trained
from edgebert.searching.records import SearchFolder
from edgebert.searching.rounds import settings_of_round, work
from edgebert.settings import (
    CheckSettings,
    DistillSettings,
    ExportSettings,
    SearchSettings,
    StructureSettings,
    VocabularySettings,
)
from edgebert.system.progress import Progress
from edgebert.tasks.examples import all_input_texts, encodings_of
from edgebert.training.stage_run import StageRun

RECIPE = "dynamic-int8"
CHECK_TEXTS = 24
CHECKS = CheckSettings(check_texts=CHECK_TEXTS, quality=False)
"""What the manifests of the files have, for `edgebert run`, which can repeat them."""
EXPORT, DISTILLATION, PRUNING = "export", "distillation", "pruning"
"""Kinds of steps of the clock. The unit of a distillation is a text through the float model."""
NARROWEST_SHARE = 0.7
"""Layers are dropped if the model with one head per layer and no neurons would take a larger share
of the target latency."""


class TrialRunner:
    """Runs the trials of one search.

    Args:
        model: The float model.
        train: Data for vocabularies, calibration and distillation.
        dev: Data that chooses epochs and that candidates are evaluated on.
        settings: Settings of the search.
        folder: The folder of the search.
        clock: The time of the search.
    """

    def __init__(
        self,
        model: TaskModel,
        train: Dataset,
        dev: Dataset,
        settings: SearchSettings,
        folder: SearchFolder,
        clock: Clock,
    ) -> None:
        self.model, self.train, self.dev = model, train, dev
        self.settings, self.folder, self.clock = settings, folder, clock
        self.progress = clock.progress
        self.judge = Judge(model, dev, settings.seed, folder, clock)

    def key(self, moves: Moves) -> str:
        """The name of a trial: a hash of model, data, moves and distillation settings."""
        return key_of([self.folder.identity, moves.to_dict(), self._recipe(moves.steps)])

    def record(self, moves: Moves) -> dict[str, Any] | None:
        """The record of a finished trial, or None."""
        return self.folder.trial(self.key(moves))

    def run(
        self,
        group: Sequence[Moves],
        has_time_left: Callable[[], bool],
        report: Callable[[], None],
    ) -> None:
        """Runs the unfinished trials of one pruned model or of one distilled model.

        Args:
            group: Trials of one model.
            has_time_left: Called before each trial; no further trial starts if it returns False.
            report: Called after each trial is on disk.

        Raises:
            OutOfTimeError: The time that is left is reserved for the end of the search.
        """
        todo = [moves for moves in group if self.record(moves) is None]
        if not todo or not has_time_left():
            return
        began = time.monotonic()
        try:
            model = self.model_of(todo[0].steps)
        except QualityGateError as error:
            for moves in todo:
                self._write(moves, began, refused=str(error))
                report()
            return
        for trimmed in sorted({moves.trimmed for moves in todo}):
            variant = self._with_vocabulary(model, trimmed)
            reference = FloatReference(variant)
            for moves in (one for one in todo if one.trimmed == trimmed):
                if not has_time_left():
                    return
                self._try(moves, variant, reference, began)
                began = time.monotonic()
                report()

    def variant(self, moves: Moves) -> TaskModel:
        """The variant of a trial before export."""
        return self._with_vocabulary(self.model_of(moves.steps), moves.trimmed)

    def model_of(self, steps: Steps) -> TaskModel:
        """The model with these pruning steps behind it, with its whole vocabulary.

        It is read from its folder if present.

        Raises:
            QualityGateError: No model reaches the speedup of the last step.
        """
        if not steps:
            return self.model
        out = self._model_folder(steps)
        speedups = " and ".join(f"{step.speedup:g}x" for step in steps)
        if rounds := steps[-1].rounds:
            progress = self._prefixed(f"distill {speedups}, round {rounds}")
            run = StageRun(out, resume=True, overwrite=True, progress=progress)
            student, recipe = self.model_of(trained(steps, rounds - 1)), self.settings_of(steps)
            with self.clock.timed(DISTILLATION, self._work(steps)):
                return distill(self.model, student, self.train, self.dev, recipe, run).model
        if out.is_dir():
            return open_model(out)
        before, table = self.model_of(steps[:-1]), self.table()
        settings = StructureSettings(
            target_speedup=steps[-1].speedup,
            layers=_layers(before, table, steps[-1].speedup),
            tokens=table.tokens,
            seed=self.settings.seed,
        )
        progress = self._prefixed(f"prune {speedups}")
        with self.clock.timed(PRUNING):
            pruned = prune_structure(before, self.train, settings, progress, table).model
        pruned.save(out)
        return pruned

    @property
    def tokens(self) -> int:
        """Text length of the latency table: the setting, or the median of the dev texts."""
        encodings = encodings_of(self.model, self.dev.examples, self.model.max_length)
        wanted = self.settings.tokens or int(np.median([len(each) for each in encodings]))
        return min(max(wanted, 2), self.model.max_length)

    def table(self) -> LatencyTable:
        """The latency table, measured once."""

        def measure() -> dict[str, Any]:
            return measure_latency_table(
                self.model.checkpoint.config,
                self.tokens,
                every_token=self.model.checkpoint.head != CLASSIFIER,
                progress=lambda done, total: self.progress("latency table", done, total),
            ).to_dict()

        self.folder.once("latency_table", measure)
        return read_latency_table(self.folder.table)

    def _with_vocabulary(self, model: TaskModel, trimmed: bool) -> TaskModel:
        """The model with its vocabulary trimmed, if wanted.

        Trimming is the last step. It keeps every token of the training texts, so it does not change
        the model's outputs on them.
        """
        if not trimmed:
            return model
        return trim_vocabulary(
            model, all_input_texts(model, self.train), VocabularySettings()
        ).model

    def _try(
        self, moves: Moves, variant: TaskModel, reference: FloatReference, began: float
    ) -> None:
        """Exports and evaluates one variant, and writes its record."""
        path = self.folder.file(self.key(moves))
        settings = ExportSettings(recipe=RECIPE, embedding=moves.embedding, lengths="auto")
        with self.clock.timed(EXPORT):
            artifact = export(
                variant,
                path,
                settings,
                texts=ExportTexts(self.train.examples, self.dev.examples[:CHECK_TEXTS]),
                reference=reference,
            )
            scores = self.judge.score(LiteRtModel.open(path), agreement=moves.distilled)
        self._write(
            moves,
            began,
            export={**asdict(settings), **asdict(CHECKS)},
            **scores,
            size_bytes=artifact.size_bytes,
            gzip_bytes=artifact.gzip_bytes,
            vocabulary=variant.tokenizer.vocabulary.size,
            layers=[asdict(width) for width in layer_widths(variant.checkpoint)],
        )

    def _write(self, moves: Moves, began: float, refused: str = "", **found: Any) -> None:
        key = self.key(moves)
        self.folder.write_trial(
            key,
            {
                "key": key,
                "moves": moves.to_dict(),
                "recipe": self._recipe(moves.steps),
                "refused": refused,
                "seconds": round(time.monotonic() - began, 1),
                **found,
            },
        )

    def expected_training(self, steps: Steps) -> float:
        """The expected duration of the last round of distillation of a model, in seconds.

        Before the first distillation, the evaluation of the float model gives its speed.
        """
        work = self._work(steps)
        return self.clock.expected(DISTILLATION, work) or self.clock.expected(FLOAT, work)

    def _work(self, steps: Steps) -> float:
        return work(self.settings_of(steps), len(self.train), total_speedup(steps))

    def settings_of(self, steps: Steps) -> DistillSettings:
        """The settings of the last round of distillation of a model."""
        return settings_of_round(self.settings, steps, self.model.task.learns_from_copies)

    def _recipe(self, steps: Steps) -> list[dict[str, Any]]:
        """The settings of every round of distillation of a model, in their order."""
        return [
            asdict(self.settings_of(trained(steps[:place], number)))
            for place, step in enumerate(steps, 1)
            for number in range(1, step.rounds + 1)
        ]

    def _model_folder(self, steps: Steps) -> Path:
        written = [asdict(step) for step in steps]
        return self.folder.model(key_of([self.folder.identity, written, self._recipe(steps)]))

    def _prefixed(self, name: str) -> Progress:
        """Progress reports whose stage starts with a name."""

        def report(stage: str, done: int, total: int, **facts: Any) -> None:
            self.progress(f"{name}: {stage}", done, total, **facts)

        return report


def _layers(model: TaskModel, table: LatencyTable, speedup: float) -> int:
    """The number of layers that leaves time for heads and neurons; 0 keeps all layers."""
    now = layer_widths(model.checkpoint)
    goal = table.model_ms(now) / speedup
    for layers in range(len(now), 0, -1):
        if table.model_ms([LayerWidth(1, 0)] * layers) <= NARROWEST_SHARE * goal:
            return 0 if layers == len(now) else layers
    return 1
