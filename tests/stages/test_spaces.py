"""Closed-form spaces through the real stage: a rotation hidden in an encoder's words is found from sentences and from words, saved, and read by every stage after it."""

import json

import numpy as np
import pytest
import torch

from tests.shipped import shipped
from tests.toy import Toy, stage_config, word_tokenizer
from xlt.errors import ConfigError, DataError
from xlt.evaluation.contexts import mean_states
from xlt.evaluation.vectors import Reader
from xlt.models.build import FromScratch, build, save
from xlt.models.pooling import Pool
from xlt.models.shapes import Pretrained
from xlt.models.space import Space
from xlt.objectives.contextual_procrustes import Anchors, ContextualProcrustes
from xlt.stages import align, zero_shot_eval
from xlt.tokenization.load import Pretrained as Tokenizer
from xlt.vocabulary import Vocabulary

WORDS = [f"w{i}" for i in range(40)]
TOKENIZER = word_tokenizer(WORDS)
OWN = Tokenizer(path=None)


def encoder_at(folder, layers, rotated):
    """An encoder in which w_(i + 20), the translation of w_i, has its vector rotated; special tokens have none."""
    node = FromScratch(
        architecture="xlm-roberta", layers=layers, width=16, attention_heads=2, feed_forward=32, max_positions=40,
        dropout=0.0, attention_dropout=0.0, init_from=None,
    )  # fmt: skip
    model = build(node, "encoder", shipped("mean_squared_error"), None, TOKENIZER, seed=5).eval()
    if rotated:
        table = model.reader.embeddings
        torch.manual_seed(4)
        # orthogonal to the vector of ones, so that layer normalisation rotates with it
        basis = torch.linalg.qr(torch.cat([torch.ones(16, 1), torch.randn(16, 15)], 1))[0][:, 1:]
        turn = basis @ torch.linalg.qr(torch.randn(15, 15))[0] @ basis.T
        with torch.no_grad():
            for part in (table.position_embeddings, table.token_type_embeddings):
                part.weight.zero_()
            table.word_embeddings.weight[:5] = 0
            plain = table.word_embeddings.weight[5:25]
            plain -= plain.mean(1, keepdim=True)
            table.word_embeddings.weight[25:45] = plain @ turn.T
    folder.mkdir()
    model.task["max_length"] = 24
    save(model, TOKENIZER, folder)
    return Pretrained(init_from=str(folder))


def sentence(i):
    return " ".join(f"w{n}" for n in np.random.default_rng(i).integers(0, 20, 3 + i % 4))


def turned(text):
    return " ".join(f"w{int(word[1:]) + 20}" for word in text.split())


def data():
    rows = {}
    for base, (split, n) in enumerate((("train", 80), ("dev", 30), ("test", 30))):
        texts = [sentence(1000 * base + i) for i in range(n)]
        rows["parallel", "en-de", split] = [{"source": text, "target": turned(text)} for text in texts]
        # what is said in the two languages is not the same
        rows["text", "en", split] = [{"text": text} for text in texts]
        rows["text", "de", split] = [{"text": turned(sentence(5000 * (base + 1) + i))} for i in range(n)]
    return Toy(rows)


PAIRS = {("dictionary", "en-de", "train"): [{"word": f"w{i}", "translation": f"w{i + 20}"} for i in range(20)]}


def procrustes(**changes):
    fixed = dict(
        anchors=Anchors.sentences, hub="en", center=True, rows=None, dictionary=None, min_count=1, pool=Pool.mean
    )
    return ContextualProcrustes(**{**fixed, **changes})


def solve(tmp_path, objective, encoder, name="run", languages=None):
    cfg = stage_config(tmp_path, "align", data(), objective, encoder, OWN, name=name)
    cfg.languages.train = languages
    return align.run(cfg)


def retrieved(tmp_path, place, name, **changes):
    cfg = stage_config(
        tmp_path,
        "zero-shot-eval",
        data(),
        shipped("sentence_retrieval", **changes),
        Pretrained(init_from=str(place)),
        OWN,
        name=name,
    )
    cfg.languages.source = None
    zero_shot_eval.run(cfg)
    return json.loads((tmp_path / name / "zero-shot-eval" / "metrics.json").read_text())["results"]["toy"]


CASES = [
    ("sentences", {}), ("sentences as they are", {"center": False}),
    ("words", {"anchors": Anchors.words, "dictionary": Toy(PAIRS), "center": False}),
]  # fmt: skip


@pytest.mark.parametrize("changes", [changes for _, changes in CASES], ids=[name for name, _ in CASES])
def test_a_hidden_rotation_is_found_and_every_stage_reads_it(tmp_path, changes):
    encoder = encoder_at(tmp_path / "encoder", layers=0, rotated=True)
    before = retrieved(tmp_path, encoder.init_from, "before")["accuracy"]["en-de"]
    solve(tmp_path, procrustes(**changes), encoder, languages=["de", "en"] if "anchors" in changes else None)
    after = retrieved(tmp_path, tmp_path / "run" / "align", "after")["accuracy"]["en-de"]
    assert before < 0.3 and after > 0.95, (before, after)
    if "anchors" not in changes:
        metrics = json.loads((tmp_path / "run" / "align" / "metrics.json").read_text())
        assert (
            metrics["results"]["toy"]["accuracy"]["en-de"]
            > 0.95
            > 0.3
            > metrics["space"]["before"]["accuracy"]["en-de"]
        )
        assert metrics["space"]["anchors"] == {"de": 80}
    model = build(
        Pretrained(init_from=str(tmp_path / "run" / "align")), "encoder", shipped("contrastive"), None, TOKENIZER, 1
    )
    assert model.languages == ("de", "en")
    ids = torch.tensor(TOKENIZER(["w1 w2", "w21 w22"])["input_ids"])
    de, en = model.hidden({"input_ids": ids, "attention_mask": None, "language_ids": torch.tensor([1, 0])}).flip(0)
    assert torch.allclose(de[1:3], en[1:3], atol=0.2 if "anchors" not in changes and changes == {} else 1e-3)


def test_means_are_taken_away_at_every_layer(tmp_path):
    encoder = encoder_at(tmp_path / "encoder", layers=2, rotated=False)
    solve(tmp_path, shipped("language_means"), encoder)
    raw, centred = (
        build(Pretrained(init_from=str(place)), "encoder", shipped("contrastive"), None, TOKENIZER, 1).eval()
        for place in (encoder.init_from, tmp_path / "run" / "align")
    )
    for code in ("de", "en"):
        texts = [row["text"] for row in data().rows("text", code, "train")]
        plain, moved = (
            Reader(
                m, Vocabulary.of(TOKENIZER).read_by(m, ["de", "en"]), Pool.mean, (0, 1, 2), 40, 999, torch.device("cpu")
            ).read(texts, code)
            for m in (raw, centred)
        )
        assert np.abs(plain.mean(1)).max() > 0.01
        assert moved == pytest.approx(plain - plain.mean(1, keepdims=True), abs=1e-5)
    accuracy = retrieved(tmp_path, tmp_path / "run" / "align", "scored", every_layer=True)
    assert {"accuracy_layer_0", "accuracy_layer_2"} <= accuracy.keys()


def test_a_model_that_learns_on_keeps_its_space(tmp_path):
    from xlt.stages.training import Recipe, train

    encoder = encoder_at(tmp_path / "encoder", layers=0, rotated=True)
    solve(tmp_path, procrustes(), encoder)
    cfg = stage_config(
        tmp_path,
        "align",
        data(),
        shipped("contrastive"),
        Pretrained(init_from=str(tmp_path / "run" / "align")),
        OWN,
        name="more",
        learning_rate=1e-9,
    )
    train(cfg, Recipe(None, "languages.train", False))
    assert retrieved(tmp_path, tmp_path / "more" / "align", "after")["accuracy"]["en-de"] > 0.95
    spaces = [Space.load(str(tmp_path / name / "align" / "model")) for name in ("run", "more")]
    assert torch.equal(spaces[0].maps, spaces[1].maps) and torch.equal(spaces[0].means, spaces[1].means)


def test_words_are_means_over_their_contexts(tmp_path):
    model = build(
        encoder_at(tmp_path / "encoder", layers=2, rotated=False), "encoder", shipped("contrastive"), None, TOKENIZER, 1
    ).eval()
    reader = Reader(model, Vocabulary.of(TOKENIZER), Pool.mean, (0, 1, 2), 7, 20, torch.device("cpu"))
    sentences = [
        ["w1", "w2"],
        ["w3", "w1", "w1"],
        ["w9"],
        ["w4", "w5", "w6", "w7", "w8", "w1", "w2"],
    ]  # the last one is cut after five
    means, counts = mean_states(reader, sentences, "en", ["w1", "w2", "w0"])
    assert counts.tolist() == [3, 1, 0]

    def states(words):
        every = model.hidden_layers(
            {
                "input_ids": TOKENIZER(" ".join(words), return_tensors="pt")["input_ids"],
                "attention_mask": None,
            }
        )
        return torch.stack(every)[:, 0, 1:-1].double().detach()

    expected = (states(sentences[0])[:, 0] + states(sentences[1])[:, 1:].sum(1)) / 3
    assert torch.allclose(means[:, 0], expected, atol=1e-5)
    assert torch.allclose(means[:, 1], states(sentences[0])[:, 1], atol=1e-5) and not means[:, 2].any()


def test_what_cannot_be_solved_is_refused(tmp_path):
    encoder = encoder_at(tmp_path / "encoder", layers=0, rotated=True)
    with pytest.raises(ConfigError, match="objective.dictionary: words are anchors only with translations"):
        procrustes(anchors=Anchors.words)
    with pytest.raises(ConfigError, match="objective.hub: en-de does not have sw"):
        solve(tmp_path, procrustes(hub="sw"), encoder, "a")
    never = Toy({("dictionary", "en-de", "train"): [{"word": "w1", "translation": "xyz"}]})
    with pytest.raises(DataError, match="de: no pair of the dictionary has both of its words 1 times in the text"):
        solve(tmp_path, procrustes(anchors=Anchors.words, dictionary=never), encoder, "b")
    solve(tmp_path, procrustes(), encoder, "c")
    with pytest.raises(ConfigError, match="has a solved space already"):
        solve(tmp_path, procrustes(), Pretrained(init_from=str(tmp_path / "c" / "align")), "d")
    swahili = Toy({("parallel", "en-sw", "test"): [{"source": "w1", "target": "w2"}]})
    cfg = stage_config(
        tmp_path,
        "zero-shot-eval",
        swahili,
        shipped("sentence_retrieval"),
        Pretrained(init_from=str(tmp_path / "c" / "align")),
        OWN,
        name="e",
    )
    cfg.languages.source = None
    with pytest.raises(ConfigError, match="no language embedding for sw"):
        zero_shot_eval.run(cfg)
