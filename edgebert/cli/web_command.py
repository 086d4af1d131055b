"""`edgebert web`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from edgebert.cli.options import folder_of_models_options, json_option, print_json, size_text
from edgebert.cli.shown_output import echo


@click.command()
@folder_of_models_options(
    "The folder of the page: a new one, or an earlier one of this command.",
    "The page's name, as people see it.",
)
@click.option(
    "--litertjs",
    default="",
    help="Folder of @litertjs/core; fetched once through npm when empty.",
)
@json_option
def web(models: tuple[Path, ...], folder: Path, name: str, litertjs: str, as_json: bool) -> None:
    """Write a static web page that answers with these .tflite files, offline too.

    MODELS are files of `edgebert export`. Any web host serves the folder, from any address.

    \b
    edgebert web model.tflite -o site/
    edgebert web ner.tflite qa.tflite -o site/ --name "My texts"
    """
    from edgebert.exporting.web_site import write_site

    site = write_site(models, folder, name, litertjs)
    if as_json:
        print_json({**asdict(site), "folder": str(site.folder)})
        return
    echo(f"{site.folder}: {site.name}")
    for file in site.models:
        echo(f"  {file}")
    echo(
        f"models {size_text(site.model_bytes)}, LiteRT.js {size_text(site.runtime_bytes)} in two "
        f"builds, page {size_text(site.page_gzip_bytes)} gzip'd"
    )
    echo(f"Try it: python -m http.server --directory {site.folder}, then open the address.")
