"""Every language-model objective through the real stage: interrupted runs, micro-batches, languages in the validation, what is saved."""

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

from tests.language_models import save
from tests.shipped import shipped
from tests.stages.test_training import SignalAt, equal, figures, sentence, weights
from tests.toy import Toy, masked_lm, stage_config, word_tokenizer
from xlt.errors import ConfigError, Interrupted
from xlt.models.build import Pretrained
from xlt.objectives.causal_lm import CausalLM
from xlt.objectives.denoising import Denoising
from xlt.objectives.masking import Unit
from xlt.objectives.text_noise import TextInfilling, WordNoise
from xlt.stages import pretrain
from xlt.tokenization.load import Pretrained as PretrainedTokenizer

WORDS = ["a", "b", *(f"w{i}" for i in range(40))]
INFILLING = TextInfilling(rate=0.35, mean_span=3.5, permute_sentences=True)
CASES = {
    "span": (masked_lm(unit=Unit.span), "masked-lm", "xlm-roberta"),
    "rare": (masked_lm(frequency_power=0.5), "masked-lm", "modernbert"),
    "translation_lm": (shipped("translation_lm", restart_positions=True), "masked-lm", "bert"),
    "causal_lm": (CausalLM(predict_end=True), "causal-lm", "gpt2"),
    "causal_lm_llama": (CausalLM(predict_end=True), "causal-lm", "llama"),
    "denoising": (Denoising(noise=INFILLING, language_tokens=True), "seq2seq-lm", "mbart"),
    "word_denoising": (Denoising(noise=WordNoise(shuffle=3, dropout=0.1, blank=0.1), language_tokens=False), "seq2seq-lm", "mt5"),
}  # fmt: skip


@pytest.fixture(scope="module")
def data():
    rows = {
        ("text", code, split): [{"text": sentence(i, base)} for i in range(n)]
        for base, code in enumerate(["de", "en", "sw"])
        for split, n in (("train", 40 - 12 * base), ("dev", 9))
    }
    for split, n in (("train", 30), ("dev", 10)):
        for base, pair in enumerate(["de-sw", "en-de"]):
            rows["parallel", pair, split] = [
                {"source": sentence(i, base), "target": sentence(i, 3 + base)} for i in range(n)
            ]
    return Toy(rows)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A checkpoint of every family, with a tokenizer that has a token for each language."""
    folder, size = tmp_path_factory.mktemp("checkpoints"), len(WORDS) + 5 + 3
    tokenizer = word_tokenizer(WORDS)
    tokenizer.add_special_tokens({"extra_special_tokens": ["<de>", "<en>", "<sw>"]})
    tokenizer.save_pretrained(folder / "tokenizer")
    tokenizer.save_pretrained(folder / "still" / "tokenizer")
    for _, head, family in CASES.values():
        save(folder / family, head, family, size)
        save(folder / "still" / family, head, family, size, dropout=False)
    return folder


def run(folder, place, data, name, case, **changes):
    objective, _, family = CASES[case]
    model, tokenizer = Pretrained(init_from=str(place / family)), PretrainedTokenizer(path=str(place / "tokenizer"))
    return pretrain.run(stage_config(folder, "pretrain", data, objective, model, tokenizer, name=name, **changes))


@pytest.mark.parametrize("case", CASES)
def test_interrupted_runs_end_in_the_same_bits(tmp_path, place, data, monkeypatch, case):
    run(tmp_path, place, data, "whole", case)
    interruptions = 0
    for asked in [1, *[3] * 9, *range(4, 400)]:  # during encoding, updates, validations and the final scoring
        with monkeypatch.context() as patch:
            SignalAt(patch, asked)
            try:
                run(tmp_path, place, data, "stopped", case)
                break
            except Interrupted:
                interruptions += 1
    assert interruptions > 5
    assert equal(weights(tmp_path, "whole"), weights(tmp_path, "stopped"))
    assert figures(tmp_path, "whole") == figures(tmp_path, "stopped")


@pytest.mark.parametrize("case", CASES)
def test_micro_batches_and_workers_change_nothing(tmp_path, place, data, case):
    changed = {"whole": {}, "split": {"micro_batch_size": 3, "workers": 2}, "by_length": {"group_tokens": 2}}
    for name, changes in changed.items():
        run(tmp_path, place / "still", data, name, case, **changes)
    metrics, first = figures(tmp_path, "whole")
    expected, whole = [line["loss"] for line in first if "loss" in line], weights(tmp_path, "whole")
    for other in ("split", "by_length"):
        found = [line["loss"] for line in figures(tmp_path, other)[1] if "loss" in line]
        assert found == pytest.approx(expected, rel=1e-5)
        assert found[0] == pytest.approx(expected[0], rel=1e-6)
        for name, weight in weights(tmp_path, other).items():
            # AdamW divides rounding by its own size
            torch.testing.assert_close(weight, whole[name], rtol=0, atol=2e-4)
    languages = ["de-sw", "en-de"] if case == "translation_lm" else ["de", "en", "sw"]
    assert set(metrics["results"]["toy"]) == {"loss", "perplexity", "accuracy"}
    for by in metrics["results"]["toy"].values():
        assert sorted(by) == languages


@pytest.mark.parametrize("case, auto", [("causal_lm", AutoModelForCausalLM), ("denoising", AutoModelForSeq2SeqLM)])
def test_what_is_saved_loads_in_plain_transformers(tmp_path, place, data, case, auto):
    run(tmp_path, place, data, "run", case)
    model, info = auto.from_pretrained(tmp_path / "run" / "pretrain" / "model", output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    saved = weights(tmp_path, "run")
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in saved.items())


@pytest.mark.parametrize("case, language", [("causal_lm", "en"), ("denoising", "en"), ("translation_lm", "de-sw")])
def test_it_learns(tmp_path, place, data, case, language):
    run(tmp_path, place, data, "run", case, steps=60, learning_rate=1e-2, eval_every=10)
    losses = [line["validation"]["loss"][language] for line in figures(tmp_path, "run")[1] if "validation" in line]
    assert losses[-1] < losses[0] - 0.1


def test_a_missing_language_token_stops_before_training(tmp_path, place, data):
    rows = {("text", "fr", "train"): [{"text": "w1 w2"}] * 20}
    with pytest.raises(ConfigError, match="tokenizer: it has no token for the language fr"):
        run(tmp_path, place, Toy(rows), "run", "denoising")
