"""Two promises for each file of conf/objective, whatever is there: killed three times it ends in the same bits, and micro-batches change nothing.

The directory is walked. What an objective reads and which head it needs say how it is run here, so a new one is covered by being there; one of
a kind that this file cannot run fails by name. Real processes on the demo's data, a few rows of it, with the fast paths that are the default.
"""

import json
import signal
from pathlib import Path
from random import Random
from types import SimpleNamespace

import hydra
import pytest
import torch
from omegaconf import OmegaConf
from safetensors.torch import load_file

from tests.stages import test_resume
from tests.stages.test_resume import TIMINGS
from xlt.config import paths
from xlt.config.build import build_node
from xlt.config.compose import compose
from xlt.config.rules import TASKS
from xlt.objectives.mixture import Mixture
from xlt.types import aligns_entities, learns_words, links, only_scores, solves

NAMES = sorted(p.stem for p in (paths.conf_dir() / "objective").glob("*.yaml"))
MODELS = {  # by the head that an objective needs: each kind of network that has it
    "masked-lm": ("tiny", "modernbert_tiny"),
    "causal-lm": ("gpt2_tiny", "llama_tiny", "lstm_tiny", "bilstm_tiny"),
    "seq2seq-lm": ("mbart_tiny", "mt5_tiny"),
    "encoder": ("tiny", "bilstm_tiny"),
}
SMALLER = {
    "lstm": ["model.width=16", "model.embedding_width=16"],
    "bilstm": ["model.width=16", "model.embedding_width=16"],
    "": ["model.width=16", "model.attention_heads=2", "model.feed_forward=32"],
}
DEMO = [
    "dataset=demo", "dataset.text_sizes={en:40,sw:16,zh:24,fr:1,de:1,es:1,ru:1,ar:1}", "dataset.sizes.text.dev=6",
    "dataset.sizes.parallel={train:24,dev:6,test:2}", "dataset.sizes.classification={train:42,dev:14,test:14}",
    "dataset.sizes.tagging={train:42,dev:14,test:14}", "dataset.sizes.qa={train:42,dev:14,test:14}",
    "dataset.sizes.recommendation={train:42,dev:14,test:14}",
]  # fmt: skip
LANGUAGES = ["languages.train=[en,sw,zh]"]
STEPS = 16


def _presets() -> dict:
    """{name: objective} of all of them, by one composition."""
    with hydra.initialize_config_dir(str(paths.conf_dir()), version_base="1.3"):
        cfg = hydra.compose(None, [f"+objective@objective.{name}={name}" for name in NAMES])
    nodes = OmegaConf.to_container(cfg, resolve=True)["objective"]
    return {name: build_node(node, f"objective.{name}") for name, node in nodes.items()}


OBJECTIVES = _presets()
UNTRAINED = (solves, only_scores, links, learns_words, aligns_entities)
TRAINED = [name for name, objective in OBJECTIVES.items() if not any(kind(objective) for kind in UNTRAINED)]
CASES = [(name, model) for name in TRAINED for model in MODELS.get(OBJECTIVES[name].head, ("tiny",))]


def test_every_objective_is_run_here():
    """Only what is solved in closed form or searched for, learns word vectors, scores or links words has no updates of the loop; test_mapping.py runs the
    mappings, test_linking.py the links, test_entities.py the graphs, test_resume.py kills Procrustes while it is solved."""
    untrained = [
        *(
            "adversarial_mapping",
            "annotation_projection",
            "bitext_mining",
            "bootea",
            "contextual_procrustes",
            "entity_fusion",
            "entity_names",
            "gcn_align",
            "language_means",
            "latent_semantics",
            "mtranse",
            "ppmi",
            "procrustes",
            "rcsls",
        ),
        *("self_learning", "sentence_retrieval", "skipgram", "whitened_procrustes", "word_alignment"),
    ]
    assert TRAINED and sorted({*NAMES} - {*TRAINED}) == untrained
    for name in TRAINED:
        objective = OBJECTIVES[name]
        assert objective.head in MODELS, f"{name} needs the head {objective.head}: name models that have it in MODELS"
        assert stage_of(objective), f"{name} reads {objective.view}: say in stage_of and data_of how it is run here"
    shipped = {p.stem for p in (paths.conf_dir() / "model").glob("*_tiny.yaml")} | {"tiny"}
    assert shipped == {model for models in MODELS.values() for model in models}, "a family that is not run here"


def stage_of(objective) -> str | None:
    """The stage that learns it; None if it reads what nobody told this file how to give."""
    if objective.view in TASKS:
        return "finetune"
    if objective.view in ("text", "parallel"):
        return "align" if objective.head == "encoder" else "pretrain"
    return None


@pytest.fixture(scope="module")
def bench(tmp_path_factory, forks):
    """What test_resume's helpers work with; a tokenizer with a token for each language, and labelled pairs made of the demo's sentences."""
    folder = tmp_path_factory.mktemp("objectives")
    commands = {"tokenizer": ["tokenize", *DEMO, *LANGUAGES, "tokenizer=unigram", "tokenizer.vocab_size=600", "tokenizer.language_tokens=true"]}  # fmt: skip
    bench = SimpleNamespace(folder=folder, commands=commands, forks=forks, whole={}, workers=0)
    assert test_resume.run(bench, "tokenizer", "made") == 0, (folder / "made" / "tokenizer.txt").read_text()
    _write_pairs(folder / "pairs")
    _write_frames(folder / "frames")
    _write_choices(folder / "choices")
    _write_dialogs(folder / "dialogs")
    _write_marked(folder / "marked")
    return bench


def _write_pairs(folder: Path) -> None:
    """<folder>/en/{train,dev}.tsv: two sentences, and whether their topic is the same."""
    dataset = build_node(OmegaConf.to_container(compose("finetune", [*DEMO], []).dataset, resolve=True), "dataset")
    for split in ("train", "dev"):
        rows = list(dataset.rows("classification", "en", split))
        lines = ["premise\thypothesis\tlabel"]
        for i, row in enumerate(rows):
            # every other one has a partner of its own topic, so that there are both labels
            other = next(
                r for r in rows[i + 1 :] + rows if (r["label"] == row["label"]) == bool(i % 2) and r is not row
            )
            lines.append(f"{row['text']}\t{other['text']}\t{'same' if i % 2 else 'other'}")
        (folder / "en").mkdir(parents=True, exist_ok=True)
        (folder / "en" / f"{split}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _write_frames(folder: Path) -> None:
    """<folder>/en/{train,dev}.jsonl: tagged words, and whether one of them is part of a name."""
    dataset = build_node(OmegaConf.to_container(compose("finetune", [*DEMO], []).dataset, resolve=True), "dataset")
    (folder / "en").mkdir(parents=True)
    for split in ("train", "dev"):
        rows = [row | {"label": str(set(row["tags"]) != {"O"})} for row in dataset.rows("tagging", "en", split)]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / "en" / f"{split}.jsonl").write_text(text, encoding="utf-8")


def _write_choices(folder: Path) -> None:
    """<folder>/en/{train,dev}.jsonl: a sentence, and two or three, of which one has its topic."""
    for split, rows in _classified("en"):
        made = []
        for i, row in enumerate(rows):
            others = [r["text"] for r in rows[i + 1 :] + rows if r["label"] != row["label"]][: 1 + i % 2]
            alike = next(r["text"] for r in rows[i + 1 :] + rows if r["label"] == row["label"])
            made.append({"premise": row["text"], "choices": [*others[:1], alike, *others[1:]], "label": 1})
        _write_lines(folder / "en" / f"{split}.jsonl", made)


def _write_dialogs(folder: Path) -> None:
    """<folder>/en/{train,dev}.jsonl: sentences, and another one of the last one's topic."""
    for split, rows in _classified("en"):
        texts = [row["text"] for row in rows]
        made = [{"history": texts[max(0, i - i % 3 - 1) : i + 1], "response": next(r["text"] for r in rows[i + 1 :] + rows if r["label"] == row["label"])}
                for i, row in enumerate(rows)]  # fmt: skip
        _write_lines(folder / "en" / f"{split}.jsonl", made)


def _write_marked(folder: Path) -> None:
    """<folder>/en/{train,dev}.jsonl: a sentence's topic and whether it is long, as any number of labels, and its length as a number."""
    for split, rows in _classified("en"):
        made = []
        for i, row in enumerate(rows):
            labels = [name for name, here in ((row["label"], i % 3), ("long", len(row["text"]) > 40)) if here]
            made.append({"text": row["text"], "labels": labels, "score": len(row["text"]) / 40})
        _write_lines(folder / "en" / f"{split}.jsonl", made)


def _classified(language: str) -> list[tuple[str, list[dict]]]:
    """(split, rows) of the demo's topics."""
    dataset = build_node(OmegaConf.to_container(compose("finetune", [*DEMO], []).dataset, resolve=True), "dataset")
    return [(split, list(dataset.rows("classification", language, split))) for split in ("train", "dev")]


def _write_lines(path: Path, rows: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def data_of(bench, objective) -> list[str]:
    """The demo; or the pairs, for a task that reads two texts."""
    if objective.view in ("multilabel", "regression"):
        return [f"dataset={objective.view}_files", f"dataset.root={bench.folder / 'marked'}", "languages.source=[en]"]
    if objective.view == "tagging":
        return [
            "dataset=tagging_files",
            f"dataset.root={bench.folder / 'frames'}",
            "+dataset.columns.label=label",
            "languages.source=[en]",
        ]
    if objective.view in ("multiple_choice", "dialog"):
        folder = {"multiple_choice": "choices", "dialog": "dialogs"}[objective.view]
        # of random weights the first tokens of two choices are so alike that their gradients cancel to rounding
        pooled = ["objective.pool=mean"] if objective.view == "multiple_choice" else []
        return [
            f"dataset={objective.view}_files",
            f"dataset.root={bench.folder / folder}",
            "languages.source=[en]",
            *pooled,
        ]
    if objective.view in ("retrieval", "recommendation"):
        return [*DEMO, "languages.source=[en]"]
    if objective.view == "qa":
        return [*DEMO, "languages.source=[en]", "objective.question_length=12"]
    if objective.view != "classification":
        sure = ["objective.threshold=0.15"] if hasattr(objective, "threshold") and objective.view == "text" else []
        return [*DEMO, *LANGUAGES, *sure]
    if len(objective.texts({"text": "a", "text_pair": "b", "label": "c"})) == 2:
        return ["dataset=pair_classification_files", f"dataset.root={bench.folder / 'pairs'}", "languages.source=[en]", "dataset.label_names=[other,same]"]  # fmt: skip
    return [*DEMO, "languages.source=[en]"]


def model_of(bench, objective, model: str, dropout: bool) -> list[str]:
    """The smallest of that family; or a classifier that was fine-tuned, for what continues one. dropout: as it is shipped, else none."""
    kind = model.removesuffix("_tiny")
    shape = [f"model={model}", *SMALLER[kind if kind in SMALLER else ""]]
    if not dropout:
        shape += ["model.dropout=0", *([] if kind in SMALLER else ["model.attention_dropout=0"])]
    if hasattr(objective, "teacher"):
        shape.append(f"objective.teacher={teacher_of(bench)}")
    if not getattr(objective, "continues_task", False):
        return shape
    classifier = f"classifier {model} {dropout}"
    if classifier not in bench.commands:
        bench.commands[classifier] = ["finetune", *DEMO, "languages.source=[en]", *shape, *pace(bench, "train.steps=4"),
                                      *([] if dropout else ["objective.dropout=0"])]  # fmt: skip
        assert test_resume.run(bench, classifier, "made") == 0, (
            bench.folder / "made" / f"{classifier}.txt"
        ).read_text()
    return [*shape, f"model.init_from={bench.folder / 'made' / classifier / 'finetune'}"]


def teacher_of(bench) -> Path:
    """A run that made an encoder of the same width."""
    if "teacher" not in bench.commands:
        bench.commands["teacher"] = [
            "align",
            *DEMO,
            *LANGUAGES,
            "model=tiny",
            *SMALLER[""],
            *pace(bench, "train.steps=4"),
        ]
        assert test_resume.run(bench, "teacher", "made") == 0, (bench.folder / "made" / "teacher.txt").read_text()
    return bench.folder / "made" / "teacher" / "align"


def pace(bench, *changes: str) -> list[str]:
    """Eight rows an update; saved, validated and logged at different updates, so that a checkpoint holds sums that are not yet logged."""
    tokenizer = bench.folder / "made" / "tokenizer" / "tokenize"
    return [f"tokenizer.path={tokenizer}", "train.epochs=null", "train.batch_size=8", "train.batch_tokens=null", "train.window=2",
            "train.max_length=32", "train.learning_rate=3e-3", "train.warmup=0", "train.save_every=3", "train.eval_every=4", "train.log_every=5",
            "train.eval_rows=4", "hardware.fused=true", f"train.steps={STEPS}", *changes]  # fmt: skip


# of random weights all sub-words are alike, and links between them have no gradient to speak of unless they are told apart more sharply
SHARPER = {"self_training_alignment": ["objective.aligner.similarity=cosine", "objective.aligner.temperature=0.01"]}


def command(bench, name: str, model: str, *changes: str, dropout: bool = True) -> list[str]:
    objective = OBJECTIVES[name]
    parts = objective.parts.items() if isinstance(objective, Mixture) else ()
    sizes = [f"objective.parts.{part}.batch_size=8" for part, settings in parts if settings.batch_size is not None]
    still = [] if dropout or not hasattr(objective, "dropout") else ["objective.dropout=0"]
    return [stage_of(objective), f"objective={name}", *data_of(bench, objective), *model_of(bench, objective, model, dropout),
            *pace(bench), *sizes, *still, *SHARPER.get(name, []), *changes]  # fmt: skip


def place(bench, kind: str, run: str) -> Path:
    return bench.folder / run / kind / bench.commands[kind][0]


def newest(bench, kind: str, run: str) -> Path | None:
    """The last checkpoint of a run."""
    return max((place(bench, kind, run) / "checkpoints").glob("step-*"), default=None)


@pytest.mark.slow
@pytest.mark.parametrize("name, model", CASES)
def test_killed_three_times_it_ends_in_the_same_bits(bench, name, model):
    """At three updates drawn for each case. Beside what test_resume.py compares: weights, moments and progress of the last checkpoint."""
    kind = f"{name}-{model}"
    bench.commands[kind] = command(bench, name, model)
    for update in sorted(Random(kind).sample(range(1, STEPS + 1), 3)):
        saved = newest(bench, kind, "thrice")
        done = 0 if saved is None else int(saved.name.removeprefix("step-"))
        assert test_resume.run(bench, kind, "thrice", "update", update - done) == -signal.SIGKILL, _said(bench, kind, "thrice")  # fmt: skip
        assert not (place(bench, kind, "thrice") / "metrics.json").exists()
    test_resume.finish(bench, kind, "thrice")
    whole, thrice = newest(bench, kind, "whole"), newest(bench, kind, "thrice")
    assert whole.name == thrice.name == f"step-{STEPS:08d}"
    for file in ("weights.safetensors", "optimizer.safetensors"):
        assert (whole / file).read_bytes() == (thrice / file).read_bytes(), file
    states = [json.loads((folder / "state.json").read_text()) for folder in (whole, thrice)]
    first, second = ({k: v for k, v in state.items() if k not in TIMINGS} for state in states)
    assert first == second


@pytest.mark.slow
@pytest.mark.parametrize("name, model", CASES)
def test_one_update_of_8_rows_is_two_of_4_and_four_of_2(bench, name, model):
    """Cut, or encoded in pieces where the loss is of the whole batch: the same gradients, as AdamW's moments tell them, over four updates that hardly move the weights; and the same losses in the log."""
    found = {}
    for size in (8, 4, 2):
        kind = f"{name}-{model}-{size}"
        bench.commands[kind] = command(bench, name, model, "train.steps=4", "train.learning_rate=1e-8", "train.log_every=1",
                                       f"hardware.micro_batch_size={size}", dropout=False)  # fmt: skip
        assert test_resume.run(bench, kind, "cut") == 0, _said(bench, kind, "cut")
        lines = [json.loads(line) for line in (place(bench, kind, "cut") / "metrics.jsonl").read_text().splitlines()]
        log = [{k: v for k, v in line.items() if k != "tokens_per_second"} for line in lines]
        found[size] = (log, load_file(newest(bench, kind, "cut") / "optimizer.safetensors"))
    (log, moments), *others = found.values()
    means = {k for k in moments if "exp_avg" in k and "_sq" not in k}
    norm = torch.stack([moments[k].norm() for k in means]).norm()
    assert means and norm > 1e-10, "there were gradients to compare"
    for other_log, other in others:
        assert other.keys() == moments.keys()
        assert torch.stack([(other[k] - moments[k]).norm() for k in means]).norm() < 5e-5 * norm
        assert _close(log, other_log), (log, other_log)


def _close(a, b) -> bool:
    """Equal but for the rounding of numbers."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_close(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(_close, a, b))
    return a == pytest.approx(b, rel=1e-5, abs=1e-7) if isinstance(a, float) else a == b


def _said(bench, kind: str, run: str) -> str:
    return (bench.folder / run / f"{kind}.txt").read_text()
