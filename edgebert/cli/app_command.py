"""`edgebert app`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgebert.cli.options import folder_of_models_options, json_option, print_json, size_text
from edgebert.cli.shown_output import echo

if TYPE_CHECKING:
    from edgebert.exporting.android_app import AppProject

_NEXT = (
    "Open the folder in Android Studio and press Run. Without it: an Android SDK, JDK 17 and "
    "Gradle 9, then `gradle installRelease` in the folder."
)


@click.command()
@folder_of_models_options(
    "The folder of the project: a new one.",
    "The app's name, as people see it.",
)
@click.option(
    "--id",
    "app_id",
    default="org.edgebert.demo",
    show_default=True,
    help="The app's id, such as com.example.texts. `edgebert profile --target adb --app` asks "
    "the app with the default one.",
)
@json_option
def app(models: tuple[Path, ...], folder: Path, name: str, app_id: str, as_json: bool) -> None:
    """Write an Android project with these .tflite files: library, demo app and models.

    MODELS are files of `edgebert export`. The project is for Gradle, so Android Studio opens it.

    \b
    edgebert app model.tflite -o MyApp/
    edgebert app ner.tflite qa.tflite -o MyApp/ --name "My texts" --id com.example.texts
    """
    from edgebert.exporting.android_app import write_app

    project = write_app(models, folder, name, app_id)
    if as_json:
        print_json(
            {
                "folder": str(project.folder),
                "name": project.name,
                "id": project.app_id,
                "models": [
                    {"asset": model.asset, "task": model.task, "size_bytes": model.size_bytes}
                    for model in project.models
                ],
            }
        )
        return
    _print(project)


def _print(project: AppProject) -> None:
    echo(f"{project.folder}: {project.name} ({project.app_id})")
    for model in project.models:
        echo(f"  {model.asset}  {model.task}, {size_text(model.size_bytes)}")
    echo(_NEXT)
