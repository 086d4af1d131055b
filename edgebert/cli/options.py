"""Options that several commands share, and flags made from settings dataclasses."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

import click

from edgebert.cli.shown_output import echo
from edgebert.reporting.units import size_text as size_text
from edgebert.system.json_text import json_text

if TYPE_CHECKING:
    from edgebert.data.datasets import Dataset
    from edgebert.models.task_model import TaskModel
    from edgebert.tasks.task import Task

F = TypeVar("F", bound=Callable[..., Any])


class WholeNumbers(click.ParamType):  # type: ignore[type-arg]
    """Parses `1,2,4` as a tuple of integers."""

    name = "n,n,..."

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        try:
            return tuple(int(part) for part in str(value).split(",") if part.strip())
        except ValueError:
            self.fail(
                f"expected integers separated by commas, such as 1,2. Received: {value!r}",
                param,
                ctx,
            )


class Duration(click.ParamType):  # type: ignore[type-arg]
    """Parses `90`, `90s`, `5m` or `1h` as seconds."""

    name = "duration"
    _UNITS: ClassVar = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", str(value))
        if found is None:
            self.fail(f"expected a duration such as 90s or 5m. Received: {value!r}", param, ctx)
        return float(found[1]) * self._UNITS[found[2]]


class Share(click.ParamType):  # type: ignore[type-arg]
    """Parses `10%` or `0.1` as a fraction."""

    name = "share"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        found = re.fullmatch(r"(\d+(?:\.\d+)?)(%?)", str(value))
        share = float(found[1]) / (100 if found[2] else 1) if found else -1.0
        # A plain 10 most likely means 10 %, not 1000 %: refuse it.
        if found is None or (share >= 1 and not found[2]):
            self.fail(f"expected a share such as 10% or 0.1. Received: {value!r}", param, ctx)
        return share


def settings_options(
    kind: type, argument: str = "settings", without: tuple[str, ...] = ()
) -> Callable[[F], F]:
    """Adds one flag for each field of a settings dataclass. The command receives one object.

    Args:
        kind: The dataclass.
        argument: Name of the command's parameter for the object.
        without: Fields without a flag. They keep their defaults.
    """
    fields = [field for field in dataclasses.fields(kind) if field.name not in without]

    def decorate(command: F) -> F:
        @functools.wraps(command)
        def wrapper(**values: Any) -> Any:
            chosen = {field.name: values.pop(field.name) for field in fields}
            return command(**{argument: kind(**chosen)}, **values)

        wrapped: Any = wrapper
        for field in reversed(fields):
            wrapped = _option(field)(wrapped)
        return wrapped

    return decorate


def _option(field: dataclasses.Field[Any]) -> Callable[[Any], Any]:
    flag = "--" + field.name.replace("_", "-")
    choices = field.metadata["choices"]
    facts: dict[str, Any] = {"default": field.default, "help": field.metadata["help"]}
    facts["show_default"] = field.default not in ("", ())
    if isinstance(field.default, bool):
        return click.option(
            f"{flag}/--no-{flag[2:]}" if field.default else flag, field.name, is_flag=True, **facts
        )
    if isinstance(field.default, tuple):
        facts["default"] = ",".join(map(str, field.default))
        return click.option(flag, field.name, type=WholeNumbers(), **facts)
    if choices:
        return click.option(flag, field.name, type=click.Choice(choices), **facts)
    return click.option(flag, field.name, type=type(field.default), **facts)


def training_options(
    train_help: str, test_help: str, train_required: bool = True
) -> Callable[[F], F]:
    """Adds the options of a command that trains: output folder, three splits, --resume."""
    options = (
        click.option(
            "-o",
            "--out",
            required=True,
            type=click.Path(path_type=Path, file_okay=False),
            help="Folder to write. `transformers` can open it too.",
        ),
        click.option(
            "--train",
            "train_path",
            required=train_required,
            type=click.Path(path_type=Path),
            help=train_help,
        ),
        click.option(
            "--dev",
            "dev_path",
            type=click.Path(path_type=Path),
            help="Labelled data that selects the best epoch. Default: a part of --train.",
        ),
        click.option("--test", "test_path", type=click.Path(path_type=Path), help=test_help),
        click.option("--resume", is_flag=True, help="Continue an interrupted run."),
    )

    def decorate(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


overwrite_option = click.option(
    "--overwrite", is_flag=True, help="Replace a model of another run in the output folder."
)


def folder_of_models_options(folder_help: str, name_help: str) -> Callable[[F], F]:
    """The models, the folder and the name of what is made of them: a page or an app's project."""

    def add(command: F) -> F:
        models = click.argument("models", nargs=-1, required=True, type=click.Path(path_type=Path))
        folder = click.option(
            "-o",
            "--out",
            "folder",
            type=click.Path(path_type=Path, file_okay=False),
            required=True,
            help=folder_help,
        )
        name = click.option("--name", default="edgebert", show_default=True, help=name_help)
        return models(folder(name(command)))

    return add


def request_options(command: F) -> F:
    """Adds --task, --pairs and --prompt; the command gets a `TaskRequest`."""
    from edgebert.settings import TASKS

    @functools.wraps(command)
    def wrapper(task: str, pairs: bool, prompt: str, **values: Any) -> Any:
        from edgebert.tasks.foreign import TaskRequest

        return command(request=TaskRequest(task, pairs, prompt), **values)

    prompted: Any = click.option(
        "--prompt",
        default="",
        metavar="NAME",
        help="Prompt of an embedding model before every text, or none; its default if left out.",
    )(wrapper)
    wrapped: Any = click.option(
        "--pairs", is_flag=True, help="Each input of the model is a pair of texts."
    )(prompted)
    return cast(
        F,
        click.option(
            "--task",
            type=click.Choice(["auto", *TASKS]),
            default="auto",
            show_default=True,
            help="Task of the model, where its files do not tell it.",
        )(wrapped),
    )


json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print the result as JSON on stdout."
)


def print_origin(model: TaskModel) -> None:
    """Prints on stderr what kind of model a foreign folder holds, and the notes about it."""
    entry = model.history[-1] if model.history else {}
    if entry.get("stage") == "open":
        config = model.checkpoint.config
        name = f" {entry['hub']}@{entry['revision'][:12]}" if "hub" in entry else ""
        echo(
            f"Opened a {entry['format']}{name}: {model.task.name}, {config.num_layers} layers of "
            f"{config.hidden_size}.",
            err=True,
        )
    print_notes(model)


def print_notes(model: TaskModel) -> None:
    """Prints on stderr what was left out of a model folder, or assumed about it."""
    for note in model.checkpoint.notes:
        echo(note, err=True)


def print_replaced_head(model: TaskModel, task: Task[Any]) -> None:
    """Prints on stderr that the head of a base is replaced, if the base has another task."""
    if model.task.has_answers and model.checkpoint.head != task.head:
        echo(
            f"The base has a head for {model.task.title}: it is replaced by a new one for "
            f"{task.name}.",
            err=True,
        )


def print_new_labels(model: TaskModel, task: Task[Any], train: Dataset) -> None:
    """Says on stderr that numbers in the data are names of new labels, and not those of the base.

    They may be indices of the base's labels, but the data may also be that of another task.
    """
    from edgebert.data.label_numbers import are_label_numbers

    if model.checkpoint.head == task.head and are_label_numbers(train, model.labels):
        names = ",".join(f"{number}={label}" for number, label in enumerate(model.labels))
        echo(
            "The labels of the data are numbers, so the base gets a new head for them. To go on "
            f'with its own labels, add --label-map "{names}".',
            err=True,
        )


def print_json(content: Any) -> None:
    """Prints one indented JSON value on stdout."""
    click.echo(json_text(content, indent=2))
