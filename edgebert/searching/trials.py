"""Runs the trials of a search: makes, exports and evaluates each variant of the model.

Each finished trial is written to disk at once.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.compaction import layer_widths
from converters.heads import CLASSIFIER
from edgebert.data.datasets import Dataset, take
from edgebert.distillation import distill
from edgebert.errors import DataError, QualityGateError, UsageError
from edgebert.exporting.artifact import ExportTexts, export
from edgebert.exporting.parity import FloatReference
from edgebert.models.litert_model import LiteRtModel
from edgebert.models.task_model import TaskModel, open_model
from edgebert.pruning.latency_table import (
    LatencyTable,
    measure_latency_table,
    read_latency_table,
)
from edgebert.pruning.shots import SharedCurvature
from edgebert.pruning.structured import prune_structure
from edgebert.pruning.vocabulary import trim_vocabulary
from edgebert.searching.choosing import layers_to_keep
from edgebert.searching.clock import Clock
from edgebert.searching.judging import TEXT, Judge
from edgebert.searching.moves import (
    INT8,
    Moves,
    Steps,
    goals,
    key_of,
    key_parts,
    read_plan,
    total_speedup,
    trained,
)
from edgebert.searching.records import SearchFolder, table_name
from edgebert.searching.rounds import (
    forms_of_round,
    settings_of_round,
    texts_of_round,
    work,
)
from edgebert.searching.teaching_data import TeachingData
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
from edgebert.training.kept_states import SharedStates, has_room, states_bytes
from edgebert.training.record import has_finished
from edgebert.training.stage_run import StageRun

CHECK_TEXTS = 24
CHECKS = CheckSettings(check_texts=CHECK_TEXTS, quality=False)
"""What the manifests of the files have, for `edgebert run`, which can repeat them."""
EXPORT, EXPORT_INT4 = "export", "int4 export"
DISTILLATION, PRUNING = "distillation", "pruning"
"""Kinds of steps of the clock. The unit of a distillation is a text through the float model."""
COST_OF_INT4 = 4.0
"""The expected duration of the first int4 export, against one with int8 kernels."""
SAMPLED_EXAMPLES = 1000
"""Examples that the expected size of the float model's states comes from."""


class TrialRunner:
    """Runs the trials of one search.

    Args:
        model: The float model.
        data: Data for vocabularies, calibration and distillation.
        dev: Data that chooses epochs and that candidates are evaluated on.
        settings: Settings of the search.
        folder: The folder of the search.
        clock: The time of the search.

    Attributes:
        first_rows: Number of texts of the first round of distillation; 0 is that of the settings.
    """

    def __init__(
        self,
        model: TaskModel,
        data: TeachingData,
        dev: Dataset,
        settings: SearchSettings,
        folder: SearchFolder,
        clock: Clock,
    ) -> None:
        self.model, self.train, self.taught, self.dev = model, data.train, data.taught, dev
        self.settings, self.folder, self.clock = settings, folder, clock
        self.progress, self.first_rows = clock.progress, 0
        self._curvature = SharedCurvature()
        self._states, self._forms = SharedStates(), dict[Steps, tuple[int, int]]()
        self._hidden_sizes = read_plan(settings).hidden_sizes
        self._records: dict[str, dict[str, Any]] = {}
        self.judge = Judge(model, dev, settings.seed, folder, clock)

    def key(self, moves: Moves) -> str:
        """The name of a trial: a hash of model, data, moves and distillation settings."""
        return key_of([self.folder.identity, moves.key_part(), self._recipe(moves.steps)])

    def record(self, moves: Moves) -> dict[str, Any] | None:
        """The record of a finished trial, or None."""
        key = self.key(moves)
        if key not in self._records and (found := self.folder.trial(key)) is not None:
            self._records[key] = found
        return self._records.get(key)

    def run(
        self,
        group: Sequence[Moves],
        has_time_left: Callable[[float], bool],
        report: Callable[[], None],
    ) -> None:
        """Runs the unfinished trials of one pruned model or of one distilled model.

        Args:
            group: Trials of one model.
            has_time_left: Called before each trial with its expected seconds; no further trial
                starts if it returns False.
            report: Called after each trial is on disk.

        Raises:
            OutOfTimeError: The time that is left is reserved for the end of the search.
        """
        todo = [moves for moves in group if self.record(moves) is None]
        if not todo or not has_time_left(self.expected_pruning(todo[0].steps)):
            return
        began = time.monotonic()
        try:
            model = self.model_of(todo[0].steps)
        except QualityGateError as error:
            for moves in todo:
                self._write(moves, began, refused=str(error))
                report()
            return
        for vocabulary in dict.fromkeys(moves.vocabulary for moves in todo):
            same = [moves for moves in todo if moves.vocabulary == vocabulary]
            try:
                variant = self._with_vocabulary(model, *vocabulary)
            except UsageError as error:
                for moves in same:
                    self._write(moves, began, refused=str(error))
                continue
            reference = FloatReference(variant)
            for moves in same:
                if not has_time_left(self._expected_export(moves)):
                    return
                try:
                    self._try(moves, variant, reference, began)
                except (QualityGateError, DataError) as error:
                    self._write(moves, began, refused=str(error))
                began = time.monotonic()
                report()

    def variant(self, moves: Moves) -> TaskModel:
        """The variant of a trial before export."""
        return self._with_vocabulary(self.model_of(moves.steps), *moves.vocabulary)

    def model_of(self, steps: Steps) -> TaskModel:
        """The model with these pruning steps behind it, with its whole vocabulary.

        It is read from its folder if present.

        Raises:
            QualityGateError: No model has the speedup and the hidden size of the last step.
        """
        if not steps:
            return self.model
        out = self._model_folder(steps)
        if rounds := steps[-1].rounds:
            if has_finished(out):
                return open_model(out)
            progress = self._prefixed(f"distill {goals(steps)}, round {rounds}")
            run = StageRun(out, resume=True, overwrite=True, progress=progress, states=self._states)
            student, recipe = self.model_of(trained(steps, rounds - 1)), self.settings_of(steps)
            # The rest of a training that is resumed says nothing of the duration of a whole one.
            timed = self.clock.timed(DISTILLATION, self._work(steps, recipe))
            with contextlib.nullcontext() if out.exists() else timed:
                return distill(self.model, student, self.taught, self.dev, recipe, run).model
        if out.is_dir():
            return open_model(out)
        pruned = self._pruned(steps)
        pruned.save(out)
        return pruned

    def _pruned(self, steps: Steps) -> TaskModel:
        """The model with the last pruning step behind it, without distillation after it."""
        before, table, step = self.model_of(steps[:-1]), self.table(), steps[-1]
        settings = StructureSettings(
            target_speedup=step.speedup,
            hidden_size=step.hidden_size,
            layers=layers_to_keep(before.checkpoint, table, step),
            tokens=table.tokens,
            seed=self.settings.seed,
        )
        progress = self._prefixed(f"prune {goals(steps)}")
        with self.clock.timed(PRUNING):
            pruned = prune_structure(before, self.train, settings, progress, table, self._curvature)
            return pruned.model

    @property
    def tokens(self) -> int:
        """Text length of the latency table: the setting, or the median of the dev texts."""
        wanted = self.settings.tokens or int(np.median(self._lengths))
        return min(max(wanted, 2), self.model.max_length)

    def table(self) -> LatencyTable:
        """The latency table with all hidden sizes of the search, measured once."""

        def measure() -> dict[str, Any]:
            return measure_latency_table(
                self.model.checkpoint.config,
                self.tokens,
                every_token=self.model.checkpoint.head != CLASSIFIER,
                progress=lambda done, total: self.progress("latency table", done, total),
                hidden_sizes=self._hidden_sizes,
            ).to_dict()

        name = table_name(self._hidden_sizes)
        self.folder.once(name, measure)
        return read_latency_table(self.folder.path / f"{name}.json")

    def _with_vocabulary(self, model: TaskModel, trimmed: bool, keep_tokens: int) -> TaskModel:
        """The model with its vocabulary trimmed, if wanted.

        Trimming is the last step. Without a number of tokens it keeps every token of the training
        texts, so it does not change the model's outputs on them.

        Raises:
            UsageError: Fewer tokens than any text may need.
        """
        if not trimmed:
            return model
        settings = VocabularySettings(
            keep_tokens=keep_tokens, characters="scripts" if keep_tokens else "all"
        )
        return trim_vocabulary(model, all_input_texts(model, self.train), settings).model

    def _try(
        self, moves: Moves, variant: TaskModel, reference: FloatReference, began: float
    ) -> None:
        """Exports and evaluates one variant, and writes its record."""
        path = self.folder.file(self.key(moves))
        texts = self.train.examples
        settings = ExportSettings(recipe=moves.recipe, embedding=moves.embedding, lengths="auto")
        with self.clock.timed(EXPORT if moves.recipe == INT8 else EXPORT_INT4):
            artifact = export(
                variant,
                path,
                settings,
                texts=ExportTexts(texts, self.dev.examples[:CHECK_TEXTS], texts),
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

    def fit(self, steps: Steps, has_time: Callable[[float], bool]) -> bool:
        """Gives the last round of distillation of a model its longest form that ends in time.

        A round that was started keeps its form: a search that is resumed takes the same way.

        Args:
            steps: The pruning steps of the model.
            has_time: Whether a training of that many seconds ends in time.

        Returns:
            Whether a form ends in time.
        """
        name = f"lengths/{key_of(key_parts(steps))}"
        form = self.folder.known(name, numbers=1) or {}
        if form.keys() != {"epochs", "augment"}:
            whole = self.settings_of(steps)
            forms = forms_of_round(whole, lambda form: self._work(steps, form))
            fitting = (form for form in forms if has_time(self._training_seconds(steps, form)))
            found = next(fitting, None)
            if found is None:
                return False
            form = {"epochs": found.epochs, "augment": found.augment}
            self.folder.write(f"{name}.json", form)
        self._forms[steps] = int(form["epochs"]), int(form["augment"])
        return True

    def expected_training(self, steps: Steps) -> float:
        """The expected duration of the last round of distillation of a model, in seconds."""
        return self._training_seconds(steps, self.settings_of(steps))

    def _training_seconds(self, steps: Steps, settings: DistillSettings) -> float:
        """Before the first distillation, the evaluation of the float model gives the speed."""
        work = self._work(steps, settings)
        return self.clock.expected(DISTILLATION, work) or self.clock.expected(TEXT, work)

    def expected_pruning(self, steps: Steps) -> float:
        """The expected duration of the pruning of a model, in seconds; 0 if it is on disk."""
        is_made = not steps or steps[-1].rounds or self._model_folder(steps).is_dir()
        return 0.0 if is_made else self.clock.expected(PRUNING)

    def _expected_export(self, moves: Moves) -> float:
        seconds = self.clock.expected(EXPORT)
        if moves.recipe == INT8:
            return seconds
        return self.clock.expected(EXPORT_INT4) or COST_OF_INT4 * seconds

    def _work(self, steps: Steps, settings: DistillSettings) -> float:
        rows, speedup = len(self.taught), total_speedup(steps)
        return work(settings, rows, speedup, self._keeps_states(settings))

    def _keeps_states(self, settings: DistillSettings) -> bool:
        """Whether the states of the float model for the texts of a round have room."""
        if settings.method == "soft-labels":
            return True
        texts, config = texts_of_round(settings, len(self.taught)), self.model.checkpoint.config
        tokens = round(texts * self._tokens_of_example)
        return has_room(states_bytes(tokens, config.num_layers, config.hidden_size))

    @cached_property
    def _lengths(self) -> npt.NDArray[np.int64]:
        """Tokens of each encoded text of the dev data; an example may have several."""
        encodings = encodings_of(self.model, self.dev.examples, self.model.max_length)
        return np.fromiter(map(len, encodings), np.int64, len(encodings))

    @cached_property
    def _tokens_of_example(self) -> float:
        """Mean number of tokens of the examples that students learn from, of a sample."""
        some = take(self.taught, SAMPLED_EXAMPLES, self.settings.seed).examples
        encodings = encodings_of(self.model, some, self.model.max_length)
        return sum(map(len, encodings)) / len(some)

    def settings_of(self, steps: Steps) -> DistillSettings:
        """The settings of the last round of distillation of a model."""
        found = settings_of_round(self.settings, steps, self.model.task.learns_from_copies)
        epochs, copies = self._forms.get(steps, (found.epochs, found.augment))
        found = replace(found, epochs=epochs, augment=copies)
        is_first = len(steps) == 1 and steps[-1].rounds == 1
        return replace(found, max_rows=self.first_rows) if is_first and self.first_rows else found

    def _recipe(self, steps: Steps) -> list[dict[str, Any]]:
        """The settings of every round of distillation of a model, in their order."""
        return [
            asdict(self.settings_of(trained(steps[:place], number)))
            for place, step in enumerate(steps, 1)
            for number in range(1, step.rounds + 1)
        ]

    def _model_folder(self, steps: Steps) -> Path:
        content = [self.folder.identity, key_parts(steps), self._recipe(steps)]
        return self.folder.model(key_of(content))

    def _prefixed(self, name: str) -> Progress:
        """Progress reports whose stage starts with a name."""

        def report(stage: str, done: int, total: int, **facts: Any) -> None:
            self.progress(f"{name}: {stage}", done, total, **facts)

        return report
