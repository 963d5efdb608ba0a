"""Adapters through the stages, in real processes: killed they end in the same bits, micro-batches change nothing, what is kept is small, and MAD-X goes from text to scores."""

import json
import signal
from random import Random
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModel

from tests import corpus
from tests.stages import test_resume

METHODS = {
    "lora": ["adapter=lora", "adapter.rank=4", "adapter.dropout=0.1"],
    "adalora": ["adapter=adalora", "adapter.every=3", "adapter.first_rank=6", "adapter.rank=4", "adapter.final=0.3"],
    "ia3": ["adapter=ia3"],
    "prefix_tuning": ["adapter=prefix_tuning", "adapter.length=3"],
    "prompt_tuning": ["adapter=prompt_tuning", "adapter.length=3"],
    "houlsby": ["adapter=houlsby"],
    "pfeiffer": ["adapter=pfeiffer"],
    "lt_sft": ["adapter=lt_sft", "adapter.share=0.05"],
}
SIZES = [
    "train.epochs=null",
    "train.batch_size=8",
    "train.batch_tokens=null",
    "train.window=4",
    "train.max_length=24",
    "train.save_every=5",
    "train.eval_every=4",
    "train.log_every=2",
    "train.eval_rows=6",
    "train.steps=18",
]


@pytest.fixture(scope="module")
def bench(tmp_path_factory, forks):
    folder = tmp_path_factory.mktemp("adapters")
    text = corpus.write_text(folder / "text", {"en": 90, "de": 50, "sw": 20})
    labelled = corpus.write_labelled(folder / "labelled")
    tokenizer = corpus.write_tokenizer(folder / "tokenizer")
    commands = {
        "base": ["pretrain", "dataset=text_files", f"dataset.root={text}", "model=tiny", "model.width=32", "model.feed_forward=64", "model.max_positions=40",
                 f"tokenizer.path={tokenizer}", *SIZES, "train.learning_rate=3e-3"],
    }  # fmt: skip
    made = SimpleNamespace(folder=folder, commands=commands, forks=forks, whole={}, workers=0)
    assert test_resume.run(made, "base", "made") == 0, (folder / "made" / "base.txt").read_text()
    made.base = folder / "made" / "base" / "pretrain"
    made.text = ["dataset=text_files", f"dataset.root={text}"]
    made.task = ["dataset=classification_files", f"dataset.root={labelled}"]
    for method, chosen in METHODS.items():
        commands[method] = ["finetune", *made.task, "languages.source=[en]", f"model.init_from={made.base}", *SIZES, *chosen, "adapter.learning_rate=3e-3"]  # fmt: skip
    languages = [
        "pretrain",
        *made.text,
        "model=pretrained",
        f"model.init_from={made.base}",
        *SIZES,
        "languages.train=[en,de]",
        "adapter.learning_rate=3e-3",
    ]
    commands["madx_language"] = [*languages, "adapter=madx_language"]
    commands["lt_sft_language"] = [*languages, "adapter=lt_sft_language", "adapter.share=0.05"]
    return made


def ran(bench, kind, name="made", code=0, **options):
    """The run directory, and what was said."""
    assert test_resume.run(bench, kind, name, **options) == code, said(bench, kind, name)
    return bench.folder / name / kind / bench.commands[kind][0]


def said(bench, kind, name="made"):
    return (bench.folder / name / f"{kind}.txt").read_text()


def weights_in(folder):
    return sum(p.stat().st_size for p in folder.rglob("*.safetensors"))


@pytest.mark.parametrize("method", ["adalora", *(pytest.param(m, marks=pytest.mark.slow) for m in METHODS if m != "adalora")])  # fmt: skip
def test_killed_three_times_it_ends_in_the_same_bits(bench, method):
    strikes = Random(method).sample(range(1, 19), 3) if method != "lt_sft" else [3, 9, 14]
    done = 0
    for update in sorted(strikes):
        assert test_resume.run(bench, method, "thrice", "update", max(1, update - done)) == -signal.SIGKILL
        place = bench.folder / "thrice" / method / "finetune" / "checkpoints"
        done = max((int(p.name.removeprefix("step-")) for p in place.glob("step-*")), default=0)
    test_resume.finish(bench, method, "thrice")


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_one_update_of_8_rows_is_two_of_4_and_four_of_2(bench, method):
    """The same moments after four updates that hardly move the weights; the fast path of training is on."""
    found = {}
    for size in (8, 4, 2):
        kind = f"{method} {size}"
        still = [a for a in bench.commands[method] if not a.startswith("adapter.dropout")]
        bench.commands[kind] = [*still, "train.steps=4", "adapter.learning_rate=1e-8", f"hardware.micro_batch_size={size}", "hardware.fused=true",
                                "objective.dropout=0", "model=tiny", "model.width=32", "model.feed_forward=64", "model.max_positions=40", "model.dropout=0",
                                "model.attention_dropout=0", f"model.init_from={bench.base}", *(["adapter.every=1"] if method == "adalora" else [])]  # fmt: skip
        place = ran(bench, kind, "cut")
        found[size] = load_file(max((place / "checkpoints").glob("step-*")) / "optimizer.safetensors")
    moments, *others = found.values()
    means = {k for k in moments if "exp_avg" in k and "_sq" not in k}
    norm = torch.stack([moments[k].norm() for k in means]).norm()
    assert means and norm > 1e-5
    for other in others:
        assert torch.stack([(other[k] - moments[k]).norm() for k in means]).norm() < 1e-4 * norm


def test_ranks_change_and_are_logged(bench):
    place = (
        ran(bench, "adalora", "whole")
        if "adalora" not in bench.whole
        else bench.folder / "whole" / "adalora" / "finetune"
    )
    lines = [json.loads(line) for line in (place / "metrics.jsonl").read_text().splitlines()]
    ranks = [line["ranks"] for line in lines if "ranks" in line]
    assert len(ranks[0]) == 2 * 6 and set(ranks[0].values()) == {6}
    totals = [sum(r.values()) for r in ranks]
    assert totals == sorted(totals, reverse=True) and totals[-1] == 2 * 6 * 4, "the budget, dealt out"
    assert len(set(ranks[-1].values())) > 1, "not the same rank everywhere"


def test_what_is_kept_is_the_adapter_alone_and_is_counted(bench):
    place = ran(bench, "lora")
    whole = weights_in(bench.base / "model")
    assert weights_in(place / "model") < whole / 4
    for checkpoint in (place / "checkpoints").glob("step-*"):
        assert (checkpoint / "weights.safetensors").stat().st_size < whole / 4
        assert (checkpoint / "optimizer.safetensors").stat().st_size < whole / 2
    assert all(weights_in(p) < whole / 4 for p in (place / "candidates").glob("step-*"))
    trained = json.loads((place / "metrics.json").read_text())["trained"]
    assert trained["adapter"] == "lora" and 0 < trained["share"] < 0.3
    assert trained["memory"]["gradients_and_moments"] == 12 * trained["parameters"]
    assert f"adapter lora: {trained['parameters']:,} of " in said(bench, "lora") and "MB less than all would (computed)" in said(bench, "lora")  # fmt: skip


def test_scoring_reads_base_and_adapter_by_every_rule_of_selection(bench):
    tuned = ran(bench, "lora")
    bench.commands["scored"] = ["zero-shot-eval", *bench.task, f"model.init_from={tuned}", "selection=all"]
    metrics = json.loads((ran(bench, "scored") / "metrics.json").read_text())
    assert set(metrics["selections"]) == {"source-dev", "oracle", "average"}
    bench.commands["table"] = ["report", str(tuned), str(bench.folder / "made" / "scored")]


def test_a_merged_run_leaves_a_plain_model_and_the_adapter_beside_it(bench):
    bench.commands["merged"] = [*bench.commands["lora"], "adapter.merge=true"]
    place, apart = ran(bench, "merged"), ran(bench, "lora")
    plain = AutoModel.from_pretrained(place / "model", add_pooling_layer=False).eval()
    assert (place / "adapter" / "adapter_model.safetensors").read_bytes() == (apart / "model" / "adapter_model.safetensors").read_bytes()  # fmt: skip
    results = []
    for name, model in (("with", apart), ("without", place)):
        bench.commands[name] = ["zero-shot-eval", *bench.task, f"model.init_from={model}"]
        ran(bench, name)
        results.append((bench.folder / "made" / name / "zero-shot-eval" / "metrics.json").read_text())
    first, second = (json.loads(r)["results"] for r in results)
    assert first == second and plain.config.hidden_size == 32


def test_madx_from_text_to_scores(bench):
    languages = ran(bench, "madx_language")
    facts = json.loads((languages / "model" / "adapter.json").read_text())
    assert facts["languages"] == ["en", "de"] and facts["base"]["path"] == str(bench.base / "model")
    metrics = json.loads((languages / "metrics.json").read_text())
    assert (
        set(next(iter(metrics["results"].values()))["loss"]) == {"en", "de"}
        and metrics["trained"]["adapter"] == "madx_language"
    )
    bench.commands["task"] = [
        "finetune",
        *bench.task,
        "languages.source=[en]",
        f"model.init_from={languages}",
        *SIZES,
        "adapter=madx_task",
    ]
    task = ran(bench, "task")
    bench.commands["madx scored"] = ["zero-shot-eval", *bench.task, f"model.init_from={task}", "languages.target=[de]"]
    scored = json.loads((ran(bench, "madx scored") / "metrics.json").read_text())
    assert set(next(iter(scored["results"].values()))["accuracy"]) == {"en", "de"}
    bench.commands["madx refused"] = ["zero-shot-eval", *bench.task, f"model.init_from={task}"]
    ran(bench, "madx refused", code=2)
    assert "languages: there is no adapter of sw, only of en, de" in said(bench, "madx refused")


@pytest.mark.parametrize("kind, below", [("madx_language", "task"), ("lt_sft_language", "sparse task")])
def test_languages_are_added_to_those_that_are_there(bench, kind, below):
    languages = ran(bench, kind)
    share = [a for a in bench.commands[kind] if a.startswith("adapter.share")]
    method = ["adapter=madx_task"] if kind == "madx_language" else ["adapter=lt_sft", *share]
    bench.commands[below] = ["finetune", *bench.task, "languages.source=[en]", f"model.init_from={languages}", *SIZES, *method]  # fmt: skip
    task = ran(bench, below)
    again = [a for a in bench.commands[kind] if not a.startswith(("languages.train", "model.init_from"))]
    more = f"more {kind}"
    bench.commands[more] = [*again, f"model.init_from={languages}", "languages.train=[sw]"]
    added = ran(bench, more)
    facts = json.loads((added / "model" / "adapter.json").read_text())
    assert facts["languages"] == ["en", "de", "sw"] and facts["base"]["path"] == str(bench.base / "model")
    (file,) = (p.name for p in (added / "model").glob("*.safetensors") if p.name != "heads.safetensors")
    old, new = load_file(languages / "model" / file), load_file(added / "model" / file)
    assert all(old[n].equal(new[n]) for n in old)
    assert len(new) > len(old)
    scoring = ["zero-shot-eval", *bench.task, f"model.init_from={task}"]
    bench.commands[f"{more} scored"] = [*scoring, "model=more_languages", f"model.language_adapters={added}"]
    bench.commands[f"{more} before"] = [*scoring, "languages.target=[de]", "selection=all"]
    scored, chosen = (json.loads((ran(bench, f"{more} {name}") / "metrics.json").read_text()) for name in ("scored", "before"))  # fmt: skip
    choices = chosen["selections"]
    assert set(choices) == {"source-dev", "oracle", "average"}
    oracle = choices["oracle"]["selected"]
    dev = oracle["target_dev"]
    assert len(dev) > 1 and dev[str(oracle["step"])] == max(dev.values())
    scored, before = (next(iter(each["results"].values()))["accuracy"] for each in (scored, chosen))
    assert set(scored) == {"en", "de", "sw"} and {code: scored[code] for code in before} == before
    bench.commands[f"{more} twice"] = [*again, f"model.init_from={added}", "languages.train=[de]"]
    ran(bench, f"{more} twice", code=2)
    assert "languages.train: de has an adapter in" in said(bench, f"{more} twice")


@pytest.mark.slow
def test_language_runs_that_are_killed_go_on(bench):
    test_resume.whole(bench, "madx_language")
    assert test_resume.run(bench, "madx_language", "thrice", "update", 25) == -signal.SIGKILL, "in the second language"
    test_resume.finish(bench, "madx_language", "thrice")


def test_sparse_languages_and_a_task_compose(bench):
    languages = ran(bench, "lt_sft_language")
    bench.commands["sparse task"] = ["finetune", *bench.task, "languages.source=[en]", f"model.init_from={languages}", *SIZES, "adapter=lt_sft", "adapter.share=0.05"]  # fmt: skip
    task = ran(bench, "sparse task")
    assert weights_in(task / "model") < weights_in(bench.base / "model") / 2
    bench.commands["sparse scored"] = [
        "zero-shot-eval",
        *bench.task,
        f"model.init_from={task}",
        "languages.target=[de]",
    ]
    scored = json.loads((ran(bench, "sparse scored") / "metrics.json").read_text())
    assert set(next(iter(scored["results"].values()))["accuracy"]) == {"en", "de"}


@pytest.mark.parametrize(
    "name, changes, message",
    [
        ("no base", ["model=tiny", "model.init_from=null"], "adapter: it is kept apart from the model under it, and random weights lie nowhere"),
        ("languages", ["adapter=madx_language"], "is of languages, which are learned one by one from text; use it with xlt pretrain"),
        ("layers", ["model=tiny", "model.layers=3", "model.width=32", "model.feed_forward=64", "model.max_positions=40"], "model.layers: 3, and the model at"),
        ("rank", ["adapter.rank=0"], "adapter.rank: 0 is not above 0"),
        ("target", ["adapter.target_modules=[nothing]"], "adapter.target_modules: lora finds no linear map to adapt"),
    ],
)  # fmt: skip
def test_mistakes_are_sentences(bench, name, changes, message):
    kept = [a for a in bench.commands["lora"] if not (name == "languages" and a.startswith("adapter.rank"))]
    tokenizer = f"tokenizer.path={bench.folder / 'tokenizer'}"
    kept = [a for a in kept if not (name == "languages" and (a.startswith("adapter.dropout") or a == "adapter=lora"))]
    bench.commands[name] = [*kept, tokenizer, *changes]
    ran(bench, name, "mistakes", code=2)
    assert message in said(bench, name, "mistakes") and "Traceback" not in said(bench, name, "mistakes")
