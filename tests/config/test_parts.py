"""Mixtures from the command line: parts chosen, replaced, added and weighted; and a sentence for what is not a part."""

from __future__ import annotations

import pytest

from xlt.config.build import build_stage
from xlt.config.compose import compose
from xlt.errors import ConfigError
from xlt.objectives.coral import Coral
from xlt.objectives.mixture import Updates

CROSS = "objective.parts.cross"


def objective(*overrides):
    return build_stage(compose("pretrain", ["objective=mlm_contrastive", *overrides], [])).objective


def test_a_mixture_is_built_of_typed_parts():
    mixed = objective()
    assert [(name, type(p.objective).__name__, p.weight) for name, p in mixed.parts.items()] == [("mlm", "MaskedLM", 1), ("cross", "Contrastive", 1)]  # fmt: skip
    assert (mixed.main, mixed.updates, mixed.parts["cross"].settings) == ("mlm", Updates.joint, {"batch_size": 64, "batch_tokens": None})  # fmt: skip


@pytest.mark.parametrize(
    ("name", "kinds", "updates"),
    [("mlm_tlm", ["MaskedLM", "TranslationLM"], "alternate"), ("mlm_tlm_contrastive", ["MaskedLM", "TranslationLM", "Contrastive"], "joint")],
)  # fmt: skip
def test_the_shipped_mixtures(name, kinds, updates):
    mixed = build_stage(compose("pretrain", [f"objective={name}"], [])).objective
    assert [type(part.objective).__name__ for part in mixed.parts.values()] == kinds
    assert (mixed.updates.value, mixed.head, mixed.metric) == (updates, "masked-lm", "mlm/loss")
    assert {part.weight for part in mixed.parts.values()} == {1}


def test_a_part_is_replaced_and_reads_a_data_set_of_its_own():
    mixed = objective(f"objective@{CROSS}.objective=coral", f"dataset@{CROSS}.dataset=tatoeba", f"{CROSS}.dataset.root=/d", f"{CROSS}.languages=[de,en]", "objective.updates=alternate")  # fmt: skip
    part = mixed.parts["cross"]
    assert isinstance(part.objective, Coral)
    assert (part.dataset.name, part.dataset.root, part.languages, mixed.updates) == ("tatoeba", "/d", ["de", "en"], Updates.alternate)  # fmt: skip


def test_a_part_is_added():
    mixed = objective("+part@objective.parts.more=pairs", "+objective@objective.parts.more.objective=optimal_transport")
    assert list(mixed.parts) == ["mlm", "cross", "more"]


@pytest.mark.parametrize("weight", ["0:1,100000:0.1", "0:0,10:1,2000:1e-3", "0:1,100000:0.1,300000:0"])
def test_xlms_points_need_no_quotes(weight):
    assert objective(f"{CROSS}.weight={weight}").parts["cross"].weight == weight
    assert objective(f"{CROSS}.weight='{weight}'").parts["cross"].weight == weight, "but may have them"


@pytest.mark.parametrize(("weight", "value"), [("0.25", 0.25), ("2", 2), ("0:1", "0:1")])
def test_a_constant_weight(weight, value):
    part = objective(f"{CROSS}.weight={weight}").parts["cross"]
    assert part.weight == value
    assert part.schedule(5) == {0.25: 0.25, 2: 2, "0:1": 1}[value]


def test_points_are_one_value_also_in_a_sweep(shell):
    printed = shell("pretrain", "objective=mlm_contrastive", f"{CROSS}.weight=0:1,9:0", "--cfg", "job", "-p", CROSS)
    assert (printed.code, printed.err) == (0, [])
    assert "weight: 0:1,9:0\n" in printed.out


@pytest.mark.parametrize(
    ("mistake", "sentence"),
    [
        ("objective.parts.corss.weight=1", "objective.parts.corss.weight: there is no such key; did you mean objective.parts.cross.weight?"),
        (f"{CROSS}.wieght=1", f"{CROSS}.wieght: there is no such key; did you mean weight?"),
        (f"{CROSS}.weight=lots", f"{CROSS}.weight: 'lots' cannot be read, 'lots' is not a number; give a number, or points as '0:1,100000:0.1'"),
        (f"{CROSS}.weight=5:1,3:2", f"{CROSS}.weight: '5:1,3:2' cannot be read, the updates 5, 3 do not rise; give"),
        (f"{CROSS}.weight=-1", f"{CROSS}.weight: -1 falls below 0; a loss is not maximised"),
        (f"{CROSS}.objective.temperature=0", f"{CROSS}.objective.temperature: 0.0 is not positive; 0.05 is usual"),
        (f"{CROSS}.objective.temprature=1", f"{CROSS}.objective.temprature: there is no such key; did you mean temperature?"),
        (f"{CROSS}.objective=coral", f"{CROSS}.objective: 'coral' is no objective; choose one with objective@objective.parts.PART.objective=NAME"),
        (f"{CROSS}.dataset=tatoeba", f"{CROSS}.dataset: 'tatoeba' is no data set; choose one with dataset@objective.parts.PART.dataset=NAME"),
        (f"{CROSS}.batch_size=few", f"{CROSS}.batch_size: 'few' is not a whole number; give one"),
        (f"{CROSS}.languages=[false]", f'{CROSS}.languages: False is not a language code; YAML reads a bare no as False: quote it, "no"'),
        ("+objective.parts.more.weight=1", "objective.parts.more: is not a part; add one with +part@objective.parts.more=as_run"),
        ("+part@objective.parts.more=some", "part: there is no some; there are as_run, pairs"),
        ("objective@objective.parts.more.objective=coral", "objective@objective.parts.more.objective: nothing was chosen there that could be replaced; add it with +objective@objective.parts.more.objective=NAME"),
        (f"objective@{CROSS}.objective=procrustes", f"{CROSS}.objective: Procrustes has no loss of its own that could be mixed; choose another one"),
        (f"objective@{CROSS}.objective=sequence_classification", f"{CROSS}: SequenceClassification reads classification, and xlt pretrain reads text or parallel"),
        (f"dataset@{CROSS}.dataset=mono", f"{CROSS}: dataset: mono has no parallel view, which this objective reads (it has text)"),
        ("objective.updates=sometimes", "objective.updates: 'sometimes' is not one of its values; there are joint, alternate"),
    ],
)  # fmt: skip
def test_what_is_no_part_is_a_sentence(shell, mistake, sentence):
    answer = shell("check", "pretrain", "objective=mlm_contrastive", mistake)
    assert (answer.code, len(answer.err)) == (2, 1), answer.err
    assert answer.err[0].startswith(f"xlt: {sentence}")


def test_what_a_class_says_of_itself_is_said_of_its_place(shell):
    """Also without a mixture of objectives: a data set inside a data set."""
    answer = shell("check", "align", "dataset=tatoeba_ntrex", "dataset.parts.ntrex.view=odd", "dataset.root=/d")
    assert answer.code == 2
    assert any("dataset.parts.ntrex.view: " in line for line in answer.err)


def test_fields_for_a_part_that_a_data_set_lacks_are_refused(shell, tmp_path):
    """An experiment's, for example, when another data set is chosen over its own."""
    for name in ("tatoeba", "ntrex"):
        (tmp_path / name).mkdir()
    answer = shell("check", "align", "experiment=quick_transfer", "dataset=tatoeba_ntrex", f"dataset.root={tmp_path}")
    assert (answer.code, len(answer.err)) == (2, 1), answer.err
    assert answer.err[0].startswith("xlt: dataset.parts.tico19: tatoeba_ntrex has no such part")


def test_an_adversary_is_chosen_with_text_of_its_own():
    cfg = compose("finetune", ["dataset=sib200", "adversarial=reversal", "dataset@adversarial.dataset=mono", "adversarial.languages=[de]"], [])  # fmt: skip
    chosen = build_stage(cfg).adversarial
    assert (chosen.dataset.name, chosen.languages) == ("mono", ["de"])


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (
            ["adversarial=reversal", "adversarial.languages=[False]"],
            "adversarial.languages: False is not a language code",
        ),
        (["adversarial=critic", "objective=procrustes"], "adversarial: Procrustes has no training that it could join"),
        (["perturbation=fgm", "objective=procrustes"], "perturbation: Procrustes has no training that it could join"),
        (["train.layer_decay=0"], "train.layer_decay: 0.0 is not in"),
        (["train.rates={backbone.*:0}"], r"train.rates.backbone\.\*: 0 is not a number above 0"),
        (["train.rates=0.1"], "train.rates: 0.1 where"),
        (["train.freeze_layers=-1"], "train.freeze_layers: -1 is below 0"),
        (["train.reset_layers=-1"], "train.reset_layers: -1 is below 0"),
    ],
)
def test_what_learns_and_against_whom_is_checked(overrides, said):
    with pytest.raises(ConfigError, match=said):
        build_stage(compose("align", ["dataset=parallel_files", *overrides], []))
