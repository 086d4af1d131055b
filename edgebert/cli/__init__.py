"""The command line. Each command has one module, which is loaded when the command runs.

stdout has the result (a table, or JSON with `--json`), stderr has progress and warnings. Nothing
prompts. Exit codes: 0 success, 1 failure, 2 wrong usage, 3 missed quality gate, 130 interrupted.
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
from edgebert.system.missing_packages import missing_package
from edgebert.system.shown_text import shown
from edgebert.system.terminal_encoding import escape_what_the_terminal_lacks

# name: one line of help. The command is the function of that name in edgebert.cli.<name>_command.
COMMANDS = {
    "run": "Run the whole pipeline of a TOML file. Can be resumed.",
    "finetune": "Fine-tune a BERT on labelled text.",
    "prune": "Remove layers, heads, neurons, vocabulary or weights, with recovery training.",
    "distill": "Train a smaller BERT on the outputs of a fine-tuned one.",
    "convert": "Write a model as a Hugging Face folder or a keras-hub preset.",
    "quantize": "Export with several recipes and compare each with the float model.",
    "export": "Convert a model folder into one .tflite with everything an app needs.",
    "evaluate": "Measure the accuracy of model folders and .tflite files.",
    "predict": "Predict with a model folder or a .tflite.",
    "explain": "Show the pieces, answer and attention of one text as an HTML page.",
    "profile": "Measure size, latency and memory of .tflite files.",
    "report": "Merge measurements and accuracies into one HTML page, Markdown and JSON.",
    "search": "Search the best trade-offs of size, latency and accuracy under a budget.",
    "app": "Write an Android project that answers with .tflite files.",
    "web": "Write a static web page that answers with .tflite files, offline too.",
    "doctor": "Check this machine; each gap with the command that closes it.",
    "inspect": "Print the contents of a .tflite and how XNNPACK runs it.",
}


class LazyGroup(click.Group):
    """Loads the module of a command when the command runs. This keeps `--help` fast."""

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
        except ImportError as error:
            missing = missing_package(error)
            if missing is None:
                raise
            raise _failure(str(missing), missing.exit_code) from error
        except OSError as error:
            if isinstance(error, BrokenPipeError):
                raise
            raise _failure(_os_error_text(error), 1) from error
        except Exception as error:
            if not _is_out_of_memory(error):
                raise
            raise _failure(OUT_OF_MEMORY, 1) from error


OUT_OF_MEMORY = (
    "Expected more memory. Received: a request that this machine, or a limit of this process, "
    "refused. No incomplete file was left under its final name. Next: free memory, raise the "
    "limit (ulimit -v), or make the batch or the model smaller."
)


def _failure(message: str, exit_code: int) -> click.ClickException:
    failure = click.ClickException(shown(message))
    vars(failure)["exit_code"] = exit_code
    return failure


def _is_out_of_memory(error: Exception) -> bool:
    """Whether memory ran out, here or in TensorFlow, which is not imported for this."""
    return isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError"


def _os_error_text(error: OSError) -> str:
    where = f" ({error.filename})" if error.filename else ""
    return f"{error.strerror or error}{where}. No incomplete file was left under its final name."


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="edgebert")
def cli() -> None:
    """Convert a BERT checkpoint into a small, fast .tflite for mobile apps, with a report of its
    accuracy, size and latency.
    """


def main() -> None:
    """The entry point of the `edgebert` command."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    escape_what_the_terminal_lacks()
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
