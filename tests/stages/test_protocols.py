"""Where labels come from: joint, few-shot and translations, what each reads, what it is called, and what is said where it cannot be."""

import json
from types import SimpleNamespace

import pytest
import torch
import yaml
from safetensors.torch import load_file

from tests.stages.test_shapes import BESIDE
from tests.stages.test_training import TASK, data, encoder, tokenizer  # noqa: F401 (fixtures)
from tests.toy import Toy, stage_config
from xlt.config import paths, schema
from xlt.data.few_shot import FewShot, Start
from xlt.errors import ConfigError
from xlt.models.build import Pretrained
from xlt.objectives.mixture import Mixture, Part, Updates
from xlt.stages import finetune, zero_shot_eval

VIEW = "classification"
NODE = yaml.safe_load((paths.conf_dir() / "objective" / "sequence_classification.yaml").read_text(encoding="utf-8"))
AS_RUN = dict.fromkeys(("dataset", "languages", "batch_size", "batch_tokens", "max_length", "alpha", "weights"))


class Watched(Toy):
    """Remembers what was read."""

    def __init__(self, rows, labels=None):
        super().__init__(rows, labels)
        self.read = set()

    def rows(self, view, language, split):
        self.read.add((language, split))
        return super().rows(view, language, split)


@pytest.fixture(scope="module")
def bench(tmp_path_factory, data, tokenizer):  # noqa: F811
    """run(stage, name, ...) -> what it read and wrote; a model fine-tuned on English, in a data set of three languages."""
    folder = tmp_path_factory.mktemp("protocols")
    rows = {place: r for place, r in data._rows.items() if place[0] == VIEW}
    rows |= {(VIEW, "de", split): [{**row, "text": f"w9 {row['text']}"} for row in rows[VIEW, "en", split]] for split in ("train", "dev", "test")}  # fmt: skip

    def run(stage, name, source=("en",), target=None, model=None, objective=TASK, drop=(), **changes):
        watched = Watched({place: r for place, r in rows.items() if place[1:] not in drop})
        fields = {
            key: changes.pop(key) for key in ("few_shot", "translations", "leakage", "selection") if key in changes
        }
        scoring = stage is zero_shot_eval
        cfg = stage_config(folder, "zero-shot-eval" if scoring else "finetune", watched, None if scoring else objective, model or encoder(), BESIDE if model else tokenizer, name=name, **changes)  # fmt: skip
        cfg.languages = schema.Languages(None, source and list(source), target)
        cfg.resolved["objective"] = NODE
        vars(cfg).update(fields)
        stage.run(cfg)
        place = folder / name / cfg.stage
        return SimpleNamespace(read=watched.read, place=place, metrics=json.loads((place / "metrics.json").read_text()))

    def model(run):
        return Pretrained(init_from=str(run.place))

    return SimpleNamespace(
        folder=folder, rows=rows, run=run, model=model, english=run(finetune, "english", steps=8, learning_rate=5e-3)
    )


def shots(start=Start.sequential, **changes):
    return FewShot(**{"k": 2, "bucket": 1, "buckets": 3, "seed": 1, "start": start, **changes})


def saved(run, file="xlt.json"):
    return json.loads((run.place / "model" / file).read_text())


def drawn(run):
    """{language: rows} as the sampling table has them."""
    return {line["language"]: line["rows"] for line in run.metrics["sampling"]}


def test_one_or_several_sources_are_transfer_and_all_of_them_joint(bench):
    several = bench.run(finetune, "several", ["en", "de"], steps=2)
    joint, named = (
        bench.run(finetune, "joint", None, steps=2),
        bench.run(finetune, "named", ["sw", "en", "de"], steps=2),
    )
    assert bench.english.metrics["protocol"] == several.metrics["protocol"] == {"name": "transfer"}
    assert joint.metrics["protocol"] == named.metrics["protocol"] == saved(joint)["protocol"] == {"name": "joint"}
    assert saved(several)["source_languages"] == ["en", "de"] and saved(joint)["source_languages"] == ["de", "en", "sw"]
    assert drawn(several) == {"en": 40, "de": 40} and drawn(joint) == {"de": 40, "en": 40, "sw": 40}
    assert set(joint.metrics["results"]["toy"]["accuracy"]) == {"de", "en", "sw"}, "all of them choose the checkpoint"
    scored = bench.run(zero_shot_eval, "joint", model=bench.model(joint)).metrics
    assert scored["protocol"] == {"name": "joint"} and scored["transfer"]["toy"] == {}, (
        "there is no gap without a target"
    )
    assert bench.run(zero_shot_eval, "several", model=bench.model(several)).metrics["transfer"]["toy"]["accuracy"]["source"] == ["de", "en"]  # fmt: skip


def test_shots_after_the_source_go_on_with_its_head_and_read_no_dev_data_of_a_target(bench):
    few = bench.run(
        finetune,
        "after",
        target=["sw"],
        model=bench.model(bench.english),
        few_shot=shots(),
        steps=1,
        learning_rate=1e-9,
    )
    assert few.read == {("sw", "train"), ("en", "dev")}
    assert drawn(few) == {"sw": 4}, "two of each of two labels"
    for file in ("model.safetensors", "heads.safetensors"):
        before, after = (load_file(run.place / "model" / file) for run in (bench.english, few))
        assert all(torch.allclose(before[k], after[k], atol=1e-7) for k in before) and before.keys() == after.keys()
    stamp = {
        "name": "few-shot",
        "start": "sequential",
        "languages": ["sw"],
        "k": 2,
        "bucket": 1,
        "buckets": 3,
        "seed": 1,
    }
    assert few.metrics["protocol"] == stamp and few.metrics["selection"] == saved(few)["selection"] == "last"
    assert saved(few)["source_languages"] == ["en"]
    scored = bench.run(
        zero_shot_eval, "after", model=bench.model(few), few_shot=shots(), selection="source-dev"
    ).metrics
    assert scored["protocol"] == stamp and scored["selection"] == "last"
    assert scored["transfer"]["toy"]["accuracy"]["source"] == ["en"] and set(scored["n"]["toy"]) == {"de", "en", "sw"}


def test_shots_together_with_the_source_are_one_fine_tuning(bench):
    few = bench.run(finetune, "together", few_shot=shots(Start.together, k=3), steps=2)
    assert few.read == {("en", "train"), ("en", "dev"), ("de", "train"), ("sw", "train")}
    assert drawn(few) == {"en": 40, "de": 6, "sw": 6}
    assert few.metrics["selection"] == "source-dev" and set(few.metrics["results"]["toy"]["accuracy"]) == {"en"}
    assert few.metrics["protocol"]["languages"] == ["de", "sw"] and saved(few)["source_languages"] == ["en"]


def test_the_seed_of_the_run_draws_no_other_shots(bench):
    def learned(name, seed, bucket):
        run = bench.run(
            finetune, name, target=["sw"], model=bench.model(bench.english), few_shot=shots(bucket=bucket), steps=1
        )
        return json.loads((run.place / "manifest.json").read_text())["lineage"]["data"]["toy/sw/train"]

    assert learned("one", 1, 1) == learned("two", 2, 1) != learned("three", 1, 2)


@pytest.mark.parametrize(
    "changes, sentence",
    [
        (dict(few_shot=shots()), "few_shot.start: sequential goes on with a fine-tuned model; give model.init_from=runs/main/finetune, or"),
        (dict(few_shot=shots(Start.together), target=["en"]), "languages.target: en are source languages already, so no shots are left to draw"),
        (dict(few_shot=shots(Start.together), translations=Toy({})), "few_shot.k: shots are drawn from dataset, and translations are given beside it"),
        (dict(translations=Toy({(VIEW, "sw", "train"): []})), "languages.source: none of en has a train split in translations; it has sw"),
        (dict(few_shot=shots(), objective=Mixture(updates=next(iter(Updates)), parts={"task": Part(objective=TASK, weight=1, **AS_RUN)})), "few_shot.k: the parts of a mixture have data of their own"),
    ],
)  # fmt: skip
def test_what_cannot_be_learned_is_a_sentence(bench, request, changes, sentence):
    with pytest.raises(ConfigError, match=sentence):
        bench.run(finetune, request.node.name[-12:], **changes)


def test_a_sweep_that_names_another_few_shot_run_is_refused(bench):
    few = bench.run(finetune, "k is 1", target=["sw"], model=bench.model(bench.english), few_shot=shots(k=1), steps=1)
    with pytest.raises(
        ConfigError,
        match="few_shot: .* was not fine-tuned with k=5 and bucket=1; these keys name the run of a sweep here",
    ):
        bench.run(zero_shot_eval, "other", model=bench.model(few), few_shot=shots(k=5))


def test_the_model_beside_it_is_scored_where_none_is_named(bench):
    bench.run(finetune, "beside", steps=1)
    assert bench.run(zero_shot_eval, "beside", model=Pretrained(init_from=None)).metrics["protocol"] == {
        "name": "transfer"
    }
    with pytest.raises(ConfigError, match="model.init_from: no model is named"):
        bench.run(zero_shot_eval, "nothing beside", model=Pretrained(init_from=None))


def test_translated_training_data_are_learned_and_their_originals_not_read(bench):
    translated = Watched({(VIEW, "sw", split): bench.rows[VIEW, "en", split][:10] for split in ("train", "dev")})
    run = bench.run(finetune, "translate-train", ["en", "sw"], translations=translated, steps=2)
    assert run.read == {("en", "train"), ("en", "dev")} and translated.read == {("sw", "train"), ("sw", "dev")}
    assert drawn(run) == {"en": 40, "sw": 10}
    assert run.metrics["protocol"] == saved(run)["protocol"] == {"name": "translate-train", "languages": ["sw"]}
    scored = bench.run(zero_shot_eval, "translate-train", model=bench.model(run)).metrics
    assert scored["transfer"]["toy"]["accuracy"]["source"] == ["en"], "no label of the target itself was seen"


def test_translated_training_data_alone_need_dev_data_of_their_own(bench):
    alone = Toy({(VIEW, "sw", "train"): bench.rows[VIEW, "en", "train"]})
    with pytest.raises(ConfigError, match="toy has no dev split for sw, by which the checkpoint is chosen"):
        bench.run(finetune, "no dev", ["sw"], translations=alone)


def test_translated_test_rows_are_scored_in_the_place_of_their_originals(bench):
    wrong = {"bad": "good", "good": "bad"}
    rows = [{**row, "label": wrong[row["label"]]} for row in bench.rows[VIEW, "en", "test"]]
    translated = Watched({(VIEW, "sw", "test"): rows})
    run = bench.run(zero_shot_eval, "translate-test", model=bench.model(bench.english), translations=translated)
    accuracy = run.metrics["results"]["toy"]["accuracy"]
    assert accuracy["sw"] == pytest.approx(1 - accuracy["en"]) and accuracy.keys() == {"en", "sw"}
    assert ("sw", "test") not in run.read and translated.read == {("sw", "test")}
    assert run.metrics["protocol"] == {"name": "translate-test", "languages": ["sw"]}


def test_test_translations_of_source_languages_are_refused(bench):
    translated = Toy({(VIEW, "en", "test"): bench.rows[VIEW, "en", "test"]})
    with pytest.raises(ConfigError, match="translations: it has a test split in en, which .* was fine-tuned on; give"):
        bench.run(zero_shot_eval, "same", model=bench.model(bench.english), translations=translated)
