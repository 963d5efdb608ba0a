"""Three rules of selection from one fine-tuning: each scores the weights that its definition names, and says so."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from safetensors.torch import load_file, save_file

from tests.stages.test_shapes import BESIDE
from tests.stages.test_training import TASK, data, encoder, tokenizer  # noqa: F401 (fixtures)
from tests.toy import Toy, stage_config
from xlt.config import paths
from xlt.errors import ConfigError
from xlt.models.build import Pretrained
from xlt.stages import finetune, zero_shot_eval

PLACE = ("classification", "sw", "test")


@pytest.fixture(scope="module")
def tuned(tmp_path_factory, data, tokenizer):  # noqa: F811
    """A fine-tuning on English that kept the weights of each of its six validations."""
    folder = tmp_path_factory.mktemp("tuned")
    cfg = stage_config(
        folder, "finetune", data, TASK, encoder(), tokenizer, steps=24, learning_rate=5e-3, candidates=None
    )
    node = yaml.safe_load((paths.conf_dir() / "objective" / "sequence_classification.yaml").read_text(encoding="utf-8"))
    cfg.resolved |= {"objective": node, "stage": "finetune"}
    finetune.run(cfg)
    return SimpleNamespace(folder=folder, run=folder / "run" / "finetune", data=data)


def score(tuned, name, selection, rows=None, run=None):
    """metrics.json of scoring the model by a rule; rows: in the place of the Swahili test rows."""
    rows = tuned.data._rows if rows is None else tuned.data._rows | {PLACE: rows}
    model = Pretrained(init_from=str(run or tuned.run))
    cfg = stage_config(tuned.folder, "zero-shot-eval", Toy(rows), None, model, BESIDE, name=name)
    cfg.selection = selection
    zero_shot_eval.run(cfg)
    return json.loads((tuned.folder / name / "zero-shot-eval" / "metrics.json").read_text())


def as_model(tuned, name, weights):
    """A run directory whose model has these weights, which are named as in a checkpoint."""
    place = tuned.folder / name / "finetune" / "model"
    place.mkdir(parents=True)
    for file in (tuned.run / "model").iterdir():
        if file.name != "MANIFEST.json":
            (place / file.name).write_bytes(file.read_bytes())
    body = {k.removeprefix("backbone."): v for k, v in weights.items() if k.startswith("backbone.")}
    assert body.keys() == load_file(place / "model.safetensors").keys()
    save_file(body, place / "model.safetensors", metadata={"format": "pt"})
    save_file(
        {k.removeprefix("heads."): v for k, v in weights.items() if k.startswith("heads.")}, place / "heads.safetensors"
    )
    return place.parent


def kept(tuned):
    """{step: weights} of all candidates."""
    places = sorted((tuned.run / "candidates").glob("step-*"))
    return {int(p.name[5:]): load_file(p / "weights.safetensors") for p in places}


def test_the_oracle_takes_the_checkpoint_with_the_best_target_dev_score(tuned):
    oracle, candidates = score(tuned, "oracle", "oracle"), kept(tuned)
    assert sorted(candidates) == [4, 8, 12, 16, 20, 24]
    dev = tuned.data._rows["classification", "sw", "dev"]
    own = {  # each checkpoint as a model of its own, with the dev rows as its test rows
        step: score(tuned, f"dev-{step}", "source-dev", dev, as_model(tuned, f"model-{step}", weights))["results"]["toy"]["accuracy"]["sw"]
        for step, weights in candidates.items()
    }  # fmt: skip
    assert len(set(own.values())) > 1, "a choice between equals would show nothing"
    best = max(own.values())
    assert oracle["selection"] == "oracle"
    assert oracle["selected"] == {
        "step": min(step for step, dev in own.items() if dev == best),
        "target_dev": {str(step): dev for step, dev in own.items()},
    }
    chosen = tuned.folder / f"model-{oracle['selected']['step']}" / "finetune"
    assert score(tuned, "chosen", "source-dev", run=chosen)["results"] == oracle["results"]


def test_the_average_scores_the_mean_of_the_weights(tuned):
    average, candidates = score(tuned, "average", "average"), kept(tuned)
    assert average["selected"] == {"steps": [4, 8, 12, 16, 20, 24]}
    first = next(iter(candidates.values()))
    mean = {
        name: type(first[name])(np.mean([w[name].numpy().astype(np.float64) for w in candidates.values()], 0).astype(np.float32))
        for name in first
    }  # fmt: skip
    assert score(tuned, "mean", "source-dev", run=as_model(tuned, "model-mean", mean))["results"] == average["results"]


def test_all_of_them_side_by_side_are_each_of_them_alone(tuned):
    together = score(tuned, "all", "all")
    assert together["selection"] == "source-dev" and list(together["selections"]) == ["average", "oracle", "source-dev"]
    for rule, found in together["selections"].items():
        alone = score(tuned, f"alone-{rule}", rule)
        assert found["results"] == alone["results"] and found["transfer"] == alone["transfer"]
        assert alone["selection"] == rule and found.get("selected") == alone.get("selected")
        lines = [tuned.folder / name / "zero-shot-eval" / "predictions" / inside / "toy.sw.jsonl"
                 for name, inside in (("all", "" if rule == "source-dev" else rule), (f"alone-{rule}", ""))]  # fmt: skip
        assert lines[0].read_bytes() == lines[1].read_bytes()
    assert together["results"] == together["selections"]["source-dev"]["results"]


def test_source_dev_does_not_look_at_target_dev_data(tuned):
    read = []

    class Watched(Toy):
        def rows(self, view, language, split):
            read.append((language, split))
            return super().rows(view, language, split)

    for rule in ("source-dev", "average"):
        cfg = stage_config(tuned.folder, "zero-shot-eval", Watched(tuned.data._rows), None, Pretrained(init_from=str(tuned.run)), BESIDE, name=f"watched {rule}")  # fmt: skip
        cfg.selection = rule
        zero_shot_eval.run(cfg)
    assert {split for _, split in read} == {"test"}


def test_what_cannot_be_selected_is_said(tuned):
    bare = as_model(tuned, "bare2", next(iter(kept(tuned).values())))
    with pytest.raises(ConfigError, match=r"selection: .*bare2/finetune kept no weights to select among; give the run"):
        score(tuned, "nothing kept", "average", run=bare)
    rows = {place: r for place, r in tuned.data._rows.items() if place[1:] != ("sw", "dev")}
    with pytest.raises(
        ConfigError,
        match="selection: the oracle chooses on dev data of the target languages, and toy has none in sw; take",
    ):
        score(SimpleNamespace(folder=tuned.folder, run=tuned.run, data=Toy(rows)), "no dev", "oracle")
