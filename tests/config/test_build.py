"""What a config may say: each rule and each message, from the command line as the user types it. No stage runs."""

from __future__ import annotations

import copy

import pytest
from omegaconf import OmegaConf

from xlt import cli
from xlt.config.build import build_stage
from xlt.config.compose import compose
from xlt.errors import ConfigError

TOPICS = "dataset=classification_files"


@pytest.fixture
def built(shell, monkeypatch):
    """built("finetune", ...) -> the StageRun that the stage would have been given."""
    given = []
    monkeypatch.setattr(cli, "_stage_function", lambda stage: given.append)

    def run(stage, *argv):
        answer = shell(stage, *argv)
        assert answer.code == 0, answer.err
        return given.pop()

    return run


@pytest.fixture
def refused(shell, monkeypatch):
    """refused("finetune", ...) -> the sentences of stderr; the exit code is 2 and nothing was made."""

    def must_not_run(stage):
        def run(cfg):
            raise AssertionError("the stage was called with a wrong config")

        return run

    monkeypatch.setattr(cli, "_stage_function", must_not_run)

    def run(stage, *argv):
        answer = shell(stage, *argv)
        assert answer.code == 2
        assert not answer.out
        assert all(line.startswith("xlt: ") for line in answer.err)
        return [line.removeprefix("xlt: ") for line in answer.err]

    return run


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def test_a_right_config_arrives_typed(built):
    cfg = built(
        "finetune", TOPICS, "dataset.root=/data", "train.steps=7", "train.learning_rate=1", "seed=3", "model=tiny"
    )
    assert (cfg.stage, cfg.seed, cfg.train.steps, cfg.model.layers) == ("finetune", 3, 7, 2)
    assert type(cfg.train.learning_rate) is float
    assert cfg.train.schedule.value == "linear"
    assert cfg.run.dir == cfg.resolved["run"]["dir"] == "runs/main/finetune"
    assert cfg.dataset.root == "/data"


# one command each: what Hydra refuses stops it at the first, and all of it is told nevertheless
KEYS = {
    "train.stpes=3": "train.stpes: there is no such key; did you mean steps?",
    "trian.steps=3": "trian.steps: there is no such key; did you mean train.steps?",
    "objective.dropuot=0": "objective.dropuot: there is no such key; did you mean dropout?",
    "sead=3": "sead: there is no such key; did you mean seed?",
    "run.zzz=3": "run.zzz: there is no such key; run has name, root, dir, overwrite, cache",
    "+train.foo=3": "train.foo: there is no such key; there are steps, epochs, batch_size",
    "+objective.droput=3": "objective.droput: SequenceClassification has no such field; did you mean dropout?",
}
TYPES = {
    "train.steps=abc": "train.steps: 'abc' is not a whole number; give one",
    "hardware.threads=1.5": "hardware.threads: '1.5' is not a whole number; give one",
    "train.beta1=much": "train.beta1: 'much' is not a number; give one",
    "run.overwrite=perhaps": "run.overwrite: 'perhaps' is not true or false; give one of the two",
    "train.window=null": "train.window: null is not a value it can have; give one",
    "languages.source=en": "languages.source: a list is expected here; write [a,b]",
    "train.schedule=cosin": "train.schedule: 'cosin' is not one of its values; did you mean cosine?",
    "dataset.max_line=long": "dataset.max_line: 'long' is not a whole number; give one",
    "objective.pool=max": "objective.pool: 'max' is not one of its values; there are mean, first",
}
CHOICES = {
    "model=tinny": "model: there is no tinny; did you mean tiny?",
    "tokenizer=": "tokenizer: there is no choice without a name; there are bpe, pretrained, unigram",
    "+hardware=gpu": "hardware: chosen twice; give hardware=NAME once, without +",
    "a b=c=d": "a b=c=d: cannot be read as key=value; a value that holds = , : or blanks is quoted",
    "seed": "seed: cannot be read as key=value; a value that holds",
    "train.steps=x": "train.steps: 'x' is not a whole number; give one",
}
ALONE = [
    {"~train": "train: nothing is chosen; choose one with train=NAME (xlt ls train)"},
    {"~train.steps": "train.steps: cannot be removed, every finetune needs it; set it to another value"},
    {"seed=1,2": "seed: several values need a sweep; add --multirun, or write a list as [a,b]"},
    {"stage=pretrain": "stage: pretrain is not what was called; run xlt pretrain instead"},
    {"model=null": "model: null is not a choice; choose one with model=NAME (xlt ls model)"},
    {"experiment=null": "experiment: null is not a choice; leave it out"},
    {"experiment=nothing_like_it": "experiment: there is no nothing_like_it; there are "},
    {"--bogus": "--bogus: there is no such flag; see xlt finetune --help"},
    {"--multirum": "--multirum: there is no such flag; did you mean --multirun?; see xlt finetune --help"},
    {"--package": "--package: nothing follows it; see xlt finetune --help"},
    {"--plugin": "--plugin: give a value"},
    {"--plugin=not_here": "--plugin: not_here cannot be imported (No module named 'not_here'); run from its folder"},
]


@pytest.mark.parametrize("mistakes", [KEYS, TYPES, CHOICES, *ALONE], ids=lambda m: next(iter(m)))
def test_each_mistake_has_its_sentence_and_all_are_told_at_once(refused, mistakes):
    found = refused("finetune", TOPICS, "model=tiny", *mistakes)
    assert len(found) == len(mistakes)
    for sentence in mistakes.values():
        assert [line for line in found if line.startswith(sentence)], f"not told: {sentence}"


def test_what_cannot_be_printed(refused):
    assert refused("finetune", "--cfg", "jbo") == ["--cfg: jbo cannot be printed; give job, hydra or all"]


def test_of_a_choice_that_does_not_exist_nothing_else_is_said(refused):
    lines = refused("finetune", TOPICS, "model=tinny", "model.width=3", "train.steps=x")
    assert [line.split(":")[0] for line in lines] == ["model", "train.steps"]


@pytest.fixture(scope="module")
def composed():
    return compose("finetune", [TOPICS, "model=tiny"], [])


# what composes and is wrong nevertheless: {key: value} -> the sentences
WRONG = [
    ({"train.steps": -3}, "train.steps: -3 is not above 0; give a larger one"),
    ({"train.warmup": -1}, "train.warmup: -1.0 is below 0; give 0 or more"),
    ({"train.alpha": 2}, "train.alpha: 2.0 is not in [0, 1]; give a share"),
    ({"train.alpha": "much"}, "train.alpha: 'much' is not a number; give a number, or points over the updates such as 0:0.3,50000:0.7"),
    ({"train.alpha": "0:0.3,9:1.5"}, "train.alpha: 1.5 is not in [0, 1]; give a share"),
    ({"train.alpha": "9:0.3,0:0.5"}, "train.alpha: the updates 9, 0 do not rise; give a number"),
    ({"train.epoch_cap": 0}, "train.epoch_cap: 0.0 is not above 0; give the passes"),
    ({"train.sampling": "weights"}, "train.weights: None where {CODE:WEIGHT,...} is expected; give it"),
    ({"train.weights": {"en": 1}}, "train.weights: would not be read with train.sampling=alpha; set train.sampling=weights"),
    ({"train.sampling": "weights", "train.weights": {"en": -1}}, "train.weights.en: -1 is not a number of 0 or above; give one"),
    ({"train.sampling": "weights", "train.weights": {False: 1}}, "train.weights: False is not a language code; YAML reads a bare no"),
    ({"train.epochs": 0}, "train.epochs: 0.0 is not above 0; null switches it off"),
    ({"hardware.threads": 0}, "hardware.threads: 0 is not above 0; null lets xlt choose"),
    ({"hardware.workers": -1}, "hardware: eval_tokens 8192 must be above 0 and workers -1 at least 0"),
    ({"run.name": "/abs"}, "run.name: '/abs' cannot name a folder below runs; set run.dir for a folder elsewhere"),
    ({"train.steps": 0, "train.alpha": 7, "languages.source": ["zz"]}, "train.steps: 0", "train.alpha: 7.0", "languages.source: 'zz'"),
    ({"languages.source": ["englsh"]}, "languages.source: 'englsh' is not a known language code; did you mean eng?"),
    ({"languages.target": ["12"]}, "languages.target: '12' is not a known language code; use ISO 639-1 or 639-3"),
    ({"languages.source": [False]}, 'languages.source: False is not a language code; YAML reads a bare no as False: quote it, "no"'),
    ({"dataset.name": "???"}, "dataset.name: has no value; give dataset.name=..."),
    ({"run.name": "???"}, "run.name: has no value; give run.name=..."),
    ({"dataset.columns": 3}, "dataset.columns: keys with values are expected here; write {a:b,c:d}"),
    ({"dataset.name": "${run.nme}"}, "dataset.name: ${run.nme} refers to nothing; correct the name in it"),
    ({"run.root": "${oc.env:XLT_NOT_SET}"}, "run.root: the environment variable XLT_NOT_SET is not set; set it, or give a value here"),
    ({"train.stepz": 3}, "train.stepz: there is no such key; did you mean steps?"),
    ({"objective.temprature": 3}, "objective.temprature: SequenceClassification has no such field; there are pair, pool"),
    ({"sead": 3}, "sead: there is no such group or key; did you mean seed?"),
    ({"model": None}, "model: xlt finetune needs one; choose one with model=NAME (xlt ls model)"),
    ({"dataset": None}, "dataset: xlt finetune needs one; choose one with dataset=NAME (xlt ls dataset)"),
    ({"objective": None}, "objective: none is chosen, and xlt finetune reads classification or "),
    ({"model": {"layers": 3}}, "model: expected a node with _target_, found {'layers': 3}; choose one with model=NAME (xlt ls model)"),
    ({"model": {"_target_": "xlt.models.build.Pretrained"}}, "model.init_from: is missing; Pretrained needs it"),
    *(
        ({"model": {"_target_": target}}, f"model._target_: {sentence}")
        for target, sentence in {
            "os.system": "os.system is outside xlt, and only code that you trust may be run; if it is yours, pass --plugin os",
            "builtins.open": "builtins.open is outside xlt",
            "open": "open is outside xlt",
            "torch.load": "torch.load is outside xlt",
            "xltish.Model": "xltish.Model is outside xlt",
            "xlt.files.os.system": "there is no xlt.files.os.system",
            "xlt.files.shutil": "xlt.files.shutil is not a class that configs may build",
            "xlt.files.write_text": "xlt.files.write_text is not a class that configs may build",
            "xlt.data.sources.Path": "xlt.data.sources.Path is not a class that configs may build",
            "xlt.models.build.Pretraned": "there is no xlt.models.build.Pretraned",
        }.items()
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("values", "sentences"), [(v, s) for v, *s in WRONG], ids=lambda p: str(p) if isinstance(p, dict) else ""
)
def test_what_composes_is_checked_again(composed, values, sentences):
    cfg = copy.deepcopy(composed)
    for key, value in values.items():
        OmegaConf.update(cfg, key, value, merge=False, force_add=True)
    with pytest.raises(ConfigError) as caught:
        build_stage(cfg)
    assert len(caught.value.problems) == len(sentences)
    for found, sentence in zip(sorted(caught.value.problems), sorted(sentences), strict=True):
        assert found.startswith(sentence)


@pytest.mark.parametrize(
    ("stage", "choice", "sentence"),
    [
        ("tokenize", "tokenizer=pretrained", "tokenizer: this one exists already, and xlt tokenize learns one"),
        ("pretrain", "objective=sequence_classification", "objective: SequenceClassification reads classification, and xlt pretrain"),
        ("align", "objective=masked_lm", None),
        ("align", "objective=sequence_classification", "objective: SequenceClassification reads classification, and xlt align"),
    ],
)  # fmt: skip
def test_a_choice_fits_its_stage(shell, refused, built, stage, choice, sentence):
    if sentence is None:
        assert built(stage, TOPICS, choice).stage == stage
    else:
        assert refused(stage, TOPICS, choice)[0].startswith(sentence)


@pytest.mark.parametrize("code", ["nan", "no"])
def test_languages_that_yaml_misreads_are_right_on_the_command_line(built, code):
    assert built("finetune", TOPICS, f"languages.source=[{code}]").languages.source == [code]


def test_a_bare_no_in_a_file_is_told_with_the_remedy(refused, built, tmp_path):
    write(tmp_path / "my/languages/nordic.yaml", "# bare\ntrain: null\nsource: [en, no]\ntarget: null\n")
    (line,) = refused("finetune", TOPICS, "--config-dir", "my", "languages=nordic")
    assert line == 'languages.source: False is not a language code; YAML reads a bare no as False: quote it, "no"'
    write(tmp_path / "my/languages/nordic.yaml", '# quoted\ntrain: null\nsource: ["en", "no"]\ntarget: null\n')
    assert built("finetune", TOPICS, "--config-dir", "my", "languages=nordic").languages.source == ["en", "no"]
    write(tmp_path / "my/dataset/norse.yaml", "# bare\ndefaults: [text_files, _self_]\nlanguage_codes: [no, se]\n")
    (line,) = refused("finetune", "--config-dir", "my", "dataset=norse")
    assert "is what YAML makes of a bare no or yes; quote the code" in line


@pytest.mark.parametrize("flag", [["--config-dir=my"], ["-cd", "my"], []])
def test_a_folder_of_ones_own_is_found(built, tmp_path, monkeypatch, flag):
    write(tmp_path / "my/model/mine.yaml", "# mine\ndefaults: [tiny, _self_]\nlayers: 3\n")
    if not flag:
        monkeypatch.setenv("XLT_CONF", "my")
    assert built("finetune", TOPICS, *flag, "model=mine").model.layers == 3


def test_a_folder_that_is_not_there(refused, monkeypatch):
    assert refused("finetune", "-cd", "nope")[0].startswith(
        "--config-dir: nope is not a folder; give the folder that holds"
    )
    assert refused("finetune", "-cd", ".", "--config-dir=.")[0].startswith(
        "--config-dir: given twice (., .); put your files"
    )
    monkeypatch.setenv("XLT_CONF", "nowhere")
    assert refused("finetune")[0].startswith("XLT_CONF: nowhere is not a folder")


def test_a_file_that_has_the_name_of_ours_is_refused(refused, tmp_path):
    write(tmp_path / "my/model/tiny.yaml", "# not ours\nlayers: 9\n")
    (line,) = refused("finetune", TOPICS, "--config-dir", "my")
    assert line == "my/model/tiny.yaml: xlt ships a model/tiny.yaml and Hydra would ignore yours; rename it"


@pytest.mark.parametrize(
    ("file", "text", "sentence"),
    [
        ("train/mine", "# x\nstepps: 3\n", "train/mine.yaml: train.stepps: there is no such key; did you mean steps?"),
        ("train/mine", "# x\nsteps: abc\n", "train/mine.yaml: train.steps: 'abc' is not a whole number; give one"),
        ("train/mine", "# x\nsteps: [3\nb: 4\n", "not YAML (expected ',' or ']', but got ':'); correct the line"),
        ("dataset/mine", "# x\ndefaults: [textfiles]\n", "dataset: there is no textfiles; did you mean text_files?"),
        ("model/mine", "# x\n- a\n", "model: expected a node with _target_, found ['a']; choose one with model=NAME"),
        ("model/mine", "# x\n", "model: expected a node with _target_, found {}; choose one with model=NAME"),
        (
            "model/mine",
            "# x\n_target_: xlt.models.build.Pretrained\n",
            "model.init_from: is missing; Pretrained needs it",
        ),
    ],
)
def test_a_file_of_ones_own_that_is_wrong(refused, tmp_path, file, text, sentence):
    write(tmp_path / f"my/{file}.yaml", text)
    group = file.split("/")[0]
    dataset = [] if group == "dataset" else [TOPICS]
    assert sentence in refused("finetune", *dataset, "--config-dir", "my", f"{group}=mine")[0]


def test_a_file_that_is_not_text(refused, tmp_path):
    write(tmp_path / "my/train/mine.yaml", "")
    (tmp_path / "my/train/mine.yaml").write_bytes(b"# x\nsteps: \xff\n")
    (line,) = refused("finetune", TOPICS, "--config-dir", "my", "train=mine")
    assert line == "my/train/mine.yaml: not UTF-8 text; save the file as UTF-8"


PLUGIN = """
from dataclasses import dataclass
@dataclass(frozen=True)
class Mine:
    init_from: str | None
"""


def test_a_plugin_opens_one_module_only(shell, monkeypatch, tmp_path):
    monkeypatch.setattr(cli, "_stage_function", lambda stage: lambda cfg: print(cfg.model.init_from))
    for name in ("my_plugin", "my_plugin_too"):
        write(tmp_path / f"{name}.py", PLUGIN)
        write(tmp_path / f"my/model/{name}.yaml", f"# x\n_target_: {name}.Mine\ninit_from: here\n")
    call = ["finetune", TOPICS, "--config-dir", "my"]
    untrusted = shell(*call, "model=my_plugin")
    assert untrusted.code == 2
    assert untrusted.err[0].endswith(
        "my_plugin.Mine is outside xlt, and only code that you trust may be run; if it is yours, pass --plugin my_plugin"
    )
    assert shell(*call, "model=my_plugin", "--plugin", "my_plugin").out == "here\n"
    assert "my_plugin_too.Mine is outside xlt" in shell(*call, "model=my_plugin_too", "--plugin=my_plugin").err[0]
