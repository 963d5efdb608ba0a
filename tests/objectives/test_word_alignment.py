"""Word alignment on a model that is known: words that mean the same have the same vector, so that every link can be told by hand."""

import numpy as np
import pytest
import tokenizers
import torch
from transformers import PreTrainedTokenizerFast

from tests import aligned
from tests.presets import preset
from tests.toy import Toy, word_tokenizer
from xlt.data.encode import encode, gather
from xlt.data.subwords import encodings
from xlt.errors import ConfigError, DataError
from xlt.models.build import FromScratch, build
from xlt.models.static import make_static
from xlt.objectives.self_training_alignment import self_training
from xlt.vocabulary import Vocabulary

CONCEPTS = aligned.concepts()
WORDS = sorted(CONCEPTS)
TOKENIZER = word_tokenizer(WORDS)
VOCABULARY = Vocabulary.of(TOKENIZER)
ARGMAX = preset("word_alignment", method="argmax")
ROWS = [{"source": s.lower(), "target": t.lower(), "alignment": a} for s, t, a in aligned.PAIRS]


def model_of(layers, seed=1):
    node = FromScratch(
        architecture="xlm-roberta", layers=layers, width=96, attention_heads=2, feed_forward=32, max_positions=64,
        dropout=0.0, attention_dropout=0.0, init_from=None,
    )  # fmt: skip
    return build(node, "encoder", ARGMAX, None, TOKENIZER, seed).eval()


@pytest.fixture(scope="module")
def static():
    """A vector for each concept, the same for all words of it."""
    model, draw = model_of(0), torch.Generator().manual_seed(3)
    vectors = torch.randn(max(CONCEPTS.values()) + 1, 96, generator=draw)
    table = torch.randn(len(TOKENIZER), 96, generator=draw)
    for i, word in enumerate(WORDS):
        table[5 + i] = vectors[CONCEPTS[word]]
    make_static(model, table)
    return model


def batch_of(rows, objective, tmp_path, max_length=64, tokenizer=TOKENIZER):
    """(batch, gold) of rows of a parallel data set, as a run makes them."""
    where = (Toy({("parallel", "en-de", "test"): rows}), "parallel", "en-de", "test")
    table = encode(*where, objective.texts, tokenizer, "t", tmp_path, objective.annotate, objective.annotation)
    gold, n = table.gold({}), np.arange(len(rows))
    return objective.collate(gather([table], n * 0, n, n * 0, 0, [gold]), Vocabulary.of(tokenizer), max_length), gold


def found(objective, model, rows, tmp_path, **options):
    batch, gold = batch_of(rows, objective, tmp_path, **options)
    with torch.no_grad():
        outputs = objective.predict(model, batch)
    return {name: [each.numpy() for each in values] for name, values in outputs.items()}, gold


def test_words_of_the_same_meaning_are_linked(static, tmp_path):
    outputs, _ = found(ARGMAX, static, ROWS, tmp_path)
    pairs = [set(map(tuple, links.tolist())) for links in outputs["links"]]
    assert pairs[0] == {(0, 0), (1, 1), (2, 2), (3, 3)}
    assert pairs[1] == {(0, 0), (1, 1), (2, 5), (3, 2), (4, 3), (5, 4), (6, 6)}
    assert pairs[9] == {(0, 0), (1, 1), (2, 3), (3, 2), (4, 4)}
    for row, links, strengths in zip(ROWS, outputs["links"], outputs["strengths"], strict=True):
        words = row["source"].split(), row["target"].split()
        alike = [CONCEPTS[words[0][i]] == CONCEPTS[words[1][j]] for i, j in links.tolist()]
        np.testing.assert_allclose(strengths[alike], 1, atol=1e-3)


@pytest.mark.parametrize("method, low, high", [("argmax", -1, 0.001), ("match", 0.01, 0.15)])
def test_scores_of_the_dozen(static, tmp_path, method, low, high):
    """match links all words of the shorter sentence, also those that have no partner."""
    objective = preset("word_alignment", method=method)
    outputs, gold = found(objective, static, ROWS, tmp_path)
    scores = objective.score(outputs, gold)
    sure = possible = said = true = 0
    for row, links in zip(ROWS, outputs["links"], strict=True):
        sures = {tuple(map(int, x.split("-"))) for x in row["alignment"].split() if "-" in x}
        maybe = sures | {tuple(map(int, x.split("p"))) for x in row["alignment"].split() if "p" in x}
        pairs = set(map(tuple, links.tolist()))
        sure, possible = sure + len(pairs & sures), possible + len(pairs & maybe)
        said, true = said + len(pairs), true + len(sures)
    assert scores["aer"] == pytest.approx(1 - (sure + possible) / (said + true)) and low < scores["aer"] < high
    assert scores["precision"] == possible / said and scores["recall"] == sure / true
    records = list(objective.records(outputs, gold))
    assert records[0] == {"source": ["the", "dog", "sleeps", "."], "target": ["der", "hund", "schläft", "."],
                          "alignment": "0-0 1-1 2-2 3-3", "gold": "0-0 1-1 2-2 3-3"}  # fmt: skip
    without = [{"source": row["source"], "target": row["target"]} for row in ROWS]
    assert ARGMAX.score(*found(ARGMAX, static, without, tmp_path)) == {}, "nothing is scored without gold"


@pytest.mark.parametrize("method", ["softmax", "entmax", "argmax", "itermax", "match"])
def test_a_row_does_not_see_what_stands_beside_it(method, tmp_path):
    objective, model = preset("word_alignment", method=method, temperature=0.2), model_of(2)
    outputs, _ = found(objective, model, ROWS, tmp_path)
    for i, row in enumerate(ROWS):
        alone, _ = found(objective, model, [row], tmp_path)
        assert alone["links"][0].tolist() == outputs["links"][i].tolist()
        np.testing.assert_allclose(alone["strengths"][0], outputs["strengths"][i], atol=1e-5)


def test_no_word_is_lost_at_the_end_of_a_window(static, tmp_path):
    """Two sentences of 60 different words, one the other's reverse: vectors that know no context give the same links in windows of 16."""
    chosen = list({CONCEPTS[word]: word for word in WORDS}.values())[:60]
    rows = [{"source": " ".join(chosen), "target": " ".join(reversed(chosen))}]
    assert len(chosen) == 60
    for length in (64, 16):
        outputs, _ = found(ARGMAX, static, rows, tmp_path, max_length=length)
        assert outputs["links"][0].tolist() == [[i, 59 - i] for i in range(60)]
    batch, _ = batch_of(rows, ARGMAX, tmp_path, max_length=16)
    lengths = np.array([[60, 60]])
    assert batch.tokens == ARGMAX.row_length(lengths, VOCABULARY, 16)[0] > 2 * 62


def test_the_layer_is_the_one_that_is_asked_for(tmp_path):
    model = model_of(3)
    batch, _ = batch_of(ROWS[:2], ARGMAX, tmp_path)
    inputs = {"input_ids": batch["source_input_ids"], "attention_mask": batch["source_attention_mask"]}
    hidden = model.hidden_layers(inputs)
    for layer, wanted in ((None, 2), (0, 0), (3, 3)):
        states, real = preset("word_alignment", layer=layer).states(model, batch, "source")
        assert torch.allclose(states[real], hidden[wanted][:, 1:-1][real], atol=1e-6)


def test_gold_that_leads_to_no_word(tmp_path):
    row = {"source": "the dog", "target": "der hund", "alignment": "0-0 2-1"}
    with pytest.raises(DataError, match=r"alignment: 2-1 leads to no word, for there are 2 and 2"):
        batch_of([row], ARGMAX, tmp_path)
    with pytest.raises(DataError, match="objective.gold_from"):
        batch_of([{**row, "alignment": "0-1"}], preset("word_alignment", gold_from=1), tmp_path)
    _, gold = batch_of([{**row, "alignment": "1-1 2p2"}], preset("word_alignment", gold_from=1), tmp_path)
    assert gold.notes["gold"][0].tolist() == [[0, 0, 1], [1, 1, 0]]


def test_fields_that_cannot_be():
    with pytest.raises(ConfigError) as error:
        preset("word_alignment", temperature=0, alpha=2, rounds=0, softmax_threshold=1.0, distortion=2, gold_from=2)
    assert [p.split(":")[0] for p in error.value.problems] == [f"objective.{name}" for name in (
        "temperature", "softmax_threshold", "alpha", "distortion", "rounds", "gold_from", "similarity")]  # fmt: skip
    with pytest.raises(ConfigError, match="itermax scales it"):
        preset("word_alignment", method="itermax", similarity="dot")


# Sub-words


@pytest.fixture(scope="module")
def pieces():
    """A SentencePiece-like tokenizer with the mark ▁, also by itself."""
    vocab = [("<unk>", -9.0), *((p, -2.0) for p in ("▁", "▁un", "believ", "able", "▁a", "我", "愛", "我愛", "你"))]
    tokenizer = tokenizers.Tokenizer(tokenizers.models.Unigram(vocab, unk_id=0))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", pad_token="<unk>")


def words_of(pieces, row, tmp_path):
    """({side: [(piece, [first word, last word])]} of the pieces that are compared, how many words both sides have)."""
    encoded = encodings(pieces)([row["source"], row["target"]])
    batch, gold = batch_of([row], ARGMAX, tmp_path, tokenizer=pieces)
    found = {}
    for side, e in zip(("source", "target"), encoded, strict=True):
        places = batch[f"{side}_where"] - len(Vocabulary.of(pieces).prefix)  # of a single row, whose only window it is
        names = pieces.convert_ids_to_tokens(e.ids[places.numpy()].tolist())
        found[side] = list(zip(names, batch[f"{side}_words"].tolist(), strict=True))
    return found, gold.notes["sizes"][0]


def test_sub_words_know_their_words(pieces, tmp_path):
    row = {"source": "a unbelievable a", "target": "我愛你"}
    words, sizes = words_of(pieces, row, tmp_path)
    assert words["source"] == [("▁a", [0, 0]), ("▁un", [1, 1]), ("believ", [1, 1]), ("able", [1, 1]), ("▁a", [2, 2])]
    assert words["target"] == [("我愛", [0, 1]), ("你", [2, 2])], "a piece of two words; the mark ▁ is left out"
    assert sizes.tolist() == [3, 3]


def test_words_that_are_given_are_taken_as_they_are(pieces, tmp_path):
    words, sizes = words_of(pieces, {"source": ["a", "unbelievable"], "target": ["我愛", "你", "我"]}, tmp_path)
    assert words["target"] == [("我愛", [0, 0]), ("你", [1, 1]), ("我", [2, 2])]
    assert sizes.tolist() == [2, 3]


# Self-training


def loss_by_loops(likeness, links, consistency):
    """Equation 4 of the paper, and its consistency objective, for one pair of sentences; softmax."""
    n, m = likeness.shape
    forward = [[np.exp(likeness[i, j]) / np.exp(likeness[i]).sum() for j in range(m)] for i in range(n)]
    backward = [[np.exp(likeness[i, j]) / np.exp(likeness[:, j]).sum() for i in range(n)] for j in range(m)]
    sure = sum(0.5 * (forward[i][j] / n + backward[j][i] / m) for i, j in np.ndindex(n, m) if links[i, j])
    trace = np.trace(np.array(forward) @ np.array(backward))
    return -(sure + consistency * trace / min(n, m))


@pytest.mark.parametrize("consistency", [0.0, 0.7])
def test_self_training_is_the_papers_formula(consistency):
    draw = np.random.default_rng(4)
    sizes, likeness = [(3, 5), (4, 2), (1, 1)], torch.from_numpy(draw.normal(size=(3, 4, 5)))
    links = torch.from_numpy(draw.random((3, 4, 5)) < 0.4)
    source = torch.tensor([[i < n for i in range(4)] for n, _ in sizes])
    target = torch.tensor([[j < m for j in range(5)] for _, m in sizes])
    losses = self_training(likeness, source, target, links, entmax=False, consistency=consistency)
    wanted = [
        loss_by_loops(likeness[b, :n, :m].numpy(), links[b, :n, :m].numpy(), consistency)
        for b, (n, m) in enumerate(sizes)
    ]
    np.testing.assert_allclose(losses, wanted, rtol=1e-10)


def test_a_pair_that_is_sure_of_all_of_its_links_has_the_least_loss():
    sure, real = torch.eye(4)[None] * 50, torch.ones(1, 4, dtype=bool)
    for entmax in (False, True):
        links = torch.eye(4, dtype=bool)[None]
        assert self_training(sure, real, real, links, entmax, 0.0).item() == pytest.approx(-1, abs=1e-5)
        assert self_training(sure, real, real, links, entmax, 1.0).item() == pytest.approx(-2, abs=1e-5)


def tuning(**changes):
    """self_training_alignment with an aligner whose fields are changed."""
    return preset("self_training_alignment", aligner=preset("word_alignment", **changes))


def test_training_makes_its_own_links_surer(tmp_path):
    objective, model = tuning(method="argmax", temperature=0.1), model_of(2).train()
    batch, _ = batch_of(ROWS, objective, tmp_path)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    losses = []
    for _ in range(8):
        loss, by_row = objective.loss_by_row(model, batch)
        assert loss.item() == pytest.approx(by_row[:, 0].sum().item(), rel=1e-5) and by_row[:, 1].tolist() == [1.0] * 12
        optimizer.zero_grad()
        (loss / batch.count).backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.01
    gradient = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    assert any("layer.0" in name for name in gradient)
    assert not any("layer.1" in name for name in gradient), (
        "two thirds of 2 layers is the first; what is above has no part"
    )


def test_scores_of_training_are_the_aligners_where_there_is_gold(static, tmp_path):
    objective = tuning(method="argmax")
    batch, gold = batch_of(ROWS, objective, tmp_path)
    outputs = {k: v.detach().numpy() if torch.is_tensor(v) else [x.numpy() for x in v] for k, v in objective.predict(static, batch).items()}  # fmt: skip
    scores, plain = objective.score(outputs, gold), ARGMAX.score(*found(ARGMAX, static, ROWS, tmp_path))
    assert {k: v for k, v in scores.items() if k != "loss"} == plain and -1 <= scores["loss"] < 0


def test_an_aligner_is_wanted():
    with pytest.raises(ConfigError, match="objective.aligner: None links no words"):
        preset("self_training_alignment", aligner=None)
