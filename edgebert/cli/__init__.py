"""The command line: one file a command, each loaded when it is called.

stdout is the result (a table, or JSON with `--json`), stderr is progress and warnings. Nothing
prompts. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 a quality gate was missed, 130 interrupted.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

import click

from converters.errors import ConversionError
from edgebert import __version__
from edgebert.errors import EdgebertError

# name: one line of help. The command is the function of that name in edgebert.cli.<name>_command.
COMMANDS = {
    "run": "Run the whole pipeline of a TOML file, resumable.",
    "finetune": "Fine-tune a BERT on labelled text.",
    "prune": "Take out layers, heads, neurons, tokens or weights, with recovery training.",
    "distill": "Teach a smaller BERT what a fine-tuned one knows.",
    "convert": "Write a model as a Hugging Face folder or a keras-hub preset.",
    "quantize": "Try quantization recipes and compare them with the float model.",
    "export": "Turn a model folder into one .tflite that carries all an app needs.",
    "evaluate": "Score a model folder or a .tflite on labelled text.",
    "predict": "Label text with a model folder or a .tflite.",
    "profile": "Measure size, latency and memory of .tflite files.",
    "report": "Merge measurements, checks and accuracies into one page, Markdown and JSON.",
    "search": "Find the best trades of size, latency and accuracy, and one under a budget.",
    "inspect": "Print what is inside a .tflite, and what XNNPACK takes of it.",
}


class LazyGroup(click.Group):
    """Loads a command's module when the command runs, so that `--help` stays instant."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"edgebert.cli.{cmd_name}_command")
        command: click.Command = getattr(module, cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (EdgebertError, ConversionError) as error:
            raise _failure(str(error), getattr(error, "exit_code", 1)) from error
        except OSError as error:
            if isinstance(error, BrokenPipeError):
                raise
            raise _failure(_os_error_text(error), 1) from error


def _failure(message: str, exit_code: int) -> click.ClickException:
    failure = click.ClickException(message)
    vars(failure)["exit_code"] = exit_code
    return failure


def _os_error_text(error: OSError) -> str:
    where = f" ({error.filename})" if error.filename else ""
    return f"{error.strerror or error}{where}. Nothing half-written was left under a final name."


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="edgebert")
def cli() -> None:
    """From a BERT checkpoint to a small, fast .tflite that any mobile app can load, with a report
    that proves its accuracy, size and latency.
    """


def main() -> None:
    """The entry point of the `edgebert` command."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        cli.main(standalone_mode=False, prog_name="edgebert")
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
