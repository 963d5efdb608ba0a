"""One prediction for each word, the same as of each sentence by itself; scores are those of the shared task's own count; what is not IOB2 is named."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from tests.shipped import shipped
from tests.toy import Toy, word_tokenizer
from xlt import metrics
from xlt.data.encode import encode, gather
from xlt.errors import BadRow, DataError
from xlt.evaluation.loop import predict
from xlt.models.build import FromScratch, build
from xlt.objectives import tagging
from xlt.types import Gold
from xlt.vocabulary import Vocabulary

WORDS = [f"w{i}" for i in range(40)]
TAGS = ["B-LOC", "B-PER", "I-LOC", "I-PER", "O"]
INTENTS = ["ask", "tell"]
MAX_LENGTH = 12


def row(i: int) -> dict:
    """1 to 30 words, so that some sentences are longer than the model reads; every third span is of two words."""
    tokens = [WORDS[(i * 7 + k * 3) % 40] for k in range(1 + (i * 11) % 30)]
    tags = [["O", "B-PER", "O", "B-LOC", "I-LOC"][(k + i) % 5] for k in range(len(tokens))]
    if tags[0] == "I-LOC":
        tags[0] = "B-LOC"
    return {"tokens": tokens, "tags": tags, "label": INTENTS[i % 2]}


ROWS = [row(i) for i in range(24)]


@pytest.fixture(scope="module", params=["token_classification", "joint_intent_slots"])
def case(request, tmp_path_factory):
    objective, tokenizer = shipped(request.param, overlap=0.4), word_tokenizer(WORDS)
    node = FromScratch(
        architecture="xlm-roberta", layers=2, width=16, attention_heads=2, feed_forward=32, max_positions=20,
        dropout=0.1, attention_dropout=0.1, init_from=None,
    )  # fmt: skip
    labels = TAGS if request.param == "token_classification" else {"tags": TAGS, "label": INTENTS}
    model = build(node, "encoder", objective, labels, tokenizer, seed=3)
    with torch.no_grad():  # random weights are small: larger ones make a wrong place visible
        for parameter in model.parameters():
            parameter.mul_(4)
    table = encode(
        Toy({("tagging", "en", "test"): ROWS}), "tagging", "en", "test", objective.texts, tokenizer, "hash",
        tmp_path_factory.mktemp("cache"), objective.annotate, objective.annotation,
    )  # fmt: skip
    gold = table.gold({"tags": TAGS} if isinstance(labels, list) else labels)
    return objective, model, table, gold, Vocabulary.of(tokenizer), "logits" if isinstance(labels, list) else "slots"


def predicted(case, budget, rows=None):
    objective, model, table, gold, vocabulary, _ = case
    return predict(model, objective, table, gold, vocabulary, MAX_LENGTH, budget, Accelerator(cpu=True), rows)


def test_a_batch_of_one_and_of_many_agree(case):
    one, many = predicted(case, 1), predicted(case, 10_000)
    for name in one:
        for a, b, row in zip(one[name], many[name], ROWS, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-5)
            assert name == "intents" or a.shape == (len(row["tokens"]), len(TAGS))


@torch.no_grad()
def test_a_sentence_that_fits_is_read_as_the_tokenizer_writes_it(case):
    _, model, _, _, vocabulary, name = case
    found, tokenizer, read = predicted(case, 64), vocabulary.tokenizer, 0
    for i, row in enumerate(ROWS):
        inputs = tokenizer(row["tokens"], is_split_into_words=True, return_tensors="pt")
        if inputs["input_ids"].shape[1] > MAX_LENGTH:
            continue
        hidden_LD = model.backbone(**inputs).last_hidden_state[0]
        first = {}
        for place, word in enumerate(inputs.word_ids(0)):
            first.setdefault(word, place)
        words_MD = hidden_LD[[first[word] for word in range(len(row["tokens"]))]]
        head = model.heads["tagger" if name == "logits" else "slots"]
        np.testing.assert_allclose(found[name][i], head(words_MD), atol=1e-5)
        if name == "slots":
            np.testing.assert_allclose(found["intents"][i], model.heads["intent"](hidden_LD[0]), atol=1e-5)
        read += 1
    assert 5 < read < len(ROWS) - 5, "some fit and some do not"


def batches(case, size, rows=np.arange(24)):  # noqa: B008
    objective, _, table, gold, vocabulary, _ = case
    drawn = gather([table], np.zeros(len(rows), int), rows, np.zeros(len(rows), int), 1, [gold])
    return [objective.collate(drawn.slice(i, i + size), vocabulary, MAX_LENGTH) for i in range(0, len(rows), size)]


@torch.no_grad()
def test_the_loss_is_a_sum_over_words_or_rows(case):
    objective, model, _, gold, _, name = case
    outputs = predicted(case, 64)  # and no dropout from here on
    words = [F.cross_entropy(torch.tensor(x), torch.tensor(t), reduction="none") for x, t in zip(outputs[name], gold.notes["tags"], strict=True)]  # fmt: skip
    if name == "logits":
        expected, counts = [float(w.sum()) for w in words], [len(w) for w in words]
    else:
        intents = F.cross_entropy(torch.tensor(outputs["intents"]), torch.tensor(gold.labels), reduction="none")
        expected, counts = [float(i + w.mean()) for i, w in zip(intents, words, strict=True)], [1] * len(words)
    for size in (24, 5):
        cut = batches(case, size)
        losses = [objective.loss_by_row(model, batch) for batch in cut]
        assert sum(float(total) for total, _ in losses) == pytest.approx(sum(expected), rel=1e-5)
        assert sum(batch.count for batch in cut) == sum(counts)
        each = torch.cat([by_row for _, by_row in losses])
        np.testing.assert_allclose(each, np.stack([expected, counts], 1), rtol=1e-4)
    lengths = case[2].lengths
    assert sum(batch.tokens for batch in batches(case, 5)) == objective.row_length(lengths, case[4], MAX_LENGTH).sum()


def sure(names: list[str], known: list[str]) -> np.ndarray:
    """Logits whose most probable one is as named."""
    return np.eye(len(known))[[known.index(name) for name in names]] * 9


def test_scores_and_records(case):
    objective, _, _, gold, _, name = case
    guesses = [list(row["tags"]) for row in ROWS]
    wrong = next(i for i, row in enumerate(ROWS) if "I-LOC" in row["tags"])
    guesses[wrong] = ["O" if tag == "I-LOC" else tag for tag in guesses[wrong]]
    outputs = {name: [sure(tags, TAGS) for tags in guesses]}
    if name == "slots":
        intents = [row["label"] for row in ROWS]
        intents[wrong] = intents[wrong - 1] = "ask"  # one of the two is wrong
        outputs["intents"] = sure(intents, INTENTS)
    scores, records = objective.score(outputs, gold), list(objective.records(outputs, gold))
    assert set(scores) == set(objective.higher_is_better) and objective.metric in scores
    assert [r["tags"] for r in records] == [r["tags"] for r in ROWS]
    if name == "logits":
        assert [r["prediction"] for r in records] == guesses and 0 < scores["f1"] < 1
        assert len(records[3]["probabilities"]) == len(ROWS[3]["tokens"])
        words = sum(len(r["tokens"]) for r in ROWS)
        assert scores["accuracy"] == pytest.approx(1 - ROWS[wrong]["tags"].count("I-LOC") / words)
    else:
        assert scores["intent_accuracy"] == pytest.approx(1 - 1 / 24)
        other = {wrong} | {i for i, row in enumerate(ROWS) if intents[i] != row["label"]}
        assert scores["exact_match"] == pytest.approx(1 - len(other) / 24)
        assert [r["prediction"] for r in records] == [{"label": i, "tags": t} for i, t in zip(intents, guesses, strict=True)]  # fmt: skip
    with pytest.raises(ValueError, match="row 1: 0 predictions for 1 words"):
        objective.score({**outputs, name: [outputs[name][0][:0], *outputs[name][1:]]}, gold)


def test_parts_of_speech_are_scored_by_accuracy_alone():
    objective = shipped("token_classification", scheme="plain")
    gold = Gold(None, {"tags": ["NOUN", "VERB"]}, {"tags": [np.array([0, 1]), np.array([1])]}, 2)
    scores = objective.score(
        {"logits": [sure(["NOUN", "NOUN"], ["NOUN", "VERB"]), sure(["VERB"], ["NOUN", "VERB"])]}, gold
    )
    assert scores == {"accuracy": pytest.approx(2 / 3)} and objective.metric == "accuracy"
    assert set(scores) == set(objective.higher_is_better)


def conlleval(truths: list[list[str]], guesses: list[list[str]]) -> dict[str, float]:
    """Counted as the shared task's Perl script does: line by line, with a boundary after each sentence (Tjong Kim Sang and De Meulder 2003)."""

    def end(before, after):
        (p, x), (q, y) = before, after
        return p != "O" and (q in "BO" or x != y)

    def start(before, after):
        (p, x), (q, y) = before, after
        return q != "O" and (q == "B" or p == "O" or x != y)

    found = guessed = correct = 0
    last_truth = last_guess = ("O", "")
    inside = False
    for truth, guess in zip(truths, guesses, strict=True):
        for t, g in zip([*truth, "O"], [*guess, "O"], strict=True):
            now_truth, now_guess = (tuple((tag + "-").split("-")[:2]) for tag in (t, g))
            if inside:
                ends = end(last_truth, now_truth), end(last_guess, now_guess)
                if all(ends) and last_truth[1] == last_guess[1]:
                    correct, inside = correct + 1, False
                elif any(ends) or now_truth[1] != now_guess[1]:
                    inside = False
            starts = start(last_truth, now_truth), start(last_guess, now_guess)
            if all(starts) and now_truth[1] == now_guess[1]:
                inside = True
            found, guessed = found + starts[0], guessed + starts[1]
            last_truth, last_guess = now_truth, now_guess
    precision, recall = (correct / n if n else 0.0 for n in (guessed, found))
    return {"precision": precision, "recall": recall, "f1": 2 * precision * recall / (precision + recall) if correct else 0.0}  # fmt: skip


def strict(tags: list[str]) -> set[tuple[int, int, str]]:
    """Spans that begin with B-X and go on with I-X; what does not begin so is none."""
    spans, begin = set(), None
    for i, tag in enumerate([*tags, "O"]):
        if begin is not None and tag != f"I-{tags[begin][2:]}":
            spans.add((begin, i, tags[begin][2:]))
            begin = None
        if tag.startswith("B-"):
            begin = i
    return spans


SIDES = st.lists(
    st.lists(st.tuples(st.sampled_from(TAGS), st.sampled_from(TAGS)), min_size=1, max_size=9), min_size=1, max_size=4
)


@given(SIDES)
def test_spans_are_counted_as_conlleval_counts_them(pairs):
    truths, guesses = ([[pair[side] for pair in row] for row in pairs] for side in (0, 1))
    assert metrics.scores(metrics.span_sums(guesses, truths, strict=False)) == pytest.approx(conlleval(truths, guesses))


@given(SIDES)
def test_strict_spans_begin_with_b(pairs):
    truths, guesses = ([[pair[side] for pair in row] for row in pairs] for side in (0, 1))
    t, g = ({(i, *span) for i, row in enumerate(side) for span in strict(row)} for side in (truths, guesses))
    precision, recall = len(t & g) / max(len(g), 1), len(t & g) / max(len(t), 1)
    f1 = 2 * precision * recall / (precision + recall) if t & g else 0.0
    expected = {"f1": f1, "precision": precision, "recall": recall}
    assert metrics.scores(metrics.span_sums(guesses, truths, strict=True)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("tags", "sentence"),
    [
        (["O", "I-PER"], "tags[1] of 'b' is I-PER, but O stands before it: in IOB2 B-PER begins a span; correct it, or set objective.repair=true"),
        (["I-PER", "O"], "tags[0] of 'a' is I-PER, but nothing stands before it"),
        (["B-LOC", "I-PER"], "tags[1] of 'b' is I-PER, but B-LOC stands before it"),
        (["S-LOC", "O"], "tags[0] of 'a' is 'S-LOC', and IOB2 knows O, B-NAME and I-NAME; convert the tags, or set objective.scheme=plain"),
        (["B-", "O"], "tags[0] of 'a' is 'B-'"),
    ],
)  # fmt: skip
def test_what_is_not_iob2_is_refused(tags, sentence):
    with pytest.raises(BadRow) as refused:
        tagging.checked(["a", "b"], tags, repair=False)
    assert sentence in str(refused.value)


@given(st.lists(st.sampled_from(TAGS), min_size=1, max_size=12))
def test_repaired_tags_hold_the_spans_that_conlleval_reads(tags):
    repaired = tagging.checked(tags, tags, repair=True)
    assert tagging.checked(tags, repaired, repair=False) == repaired
    assert conlleval([tags], [repaired]) == conlleval([tags], [tags])


def test_a_violation_is_reported_with_file_and_line(tmp_path):
    from tests.data.test_sources import files

    (tmp_path / "en").mkdir()
    lines = ["a B-PER", "b I-PER", "", "c O", "d I-LOC", ""]
    (tmp_path / "en" / "train.conll").write_text("\n".join(lines) + "\n")
    data = files(tmp_path, "tagging", pattern="{root}/{lang}/{split}.conll", columns={"tokens": "1", "tags": "2"})
    objective = shipped("token_classification")
    with pytest.raises(
        DataError, match=rf"{tmp_path}/en/train.conll line 4: tags\[1\] of 'd' is I-LOC, but O stands before it"
    ):
        encode(data, "tagging", "en", "train", objective.texts, word_tokenizer(["a"]), "hash", tmp_path / "cache", objective.annotate, objective.annotation)  # fmt: skip


def test_an_utterance_without_an_intent_is_refused(tmp_path):
    objective, rows = shipped("joint_intent_slots"), [{"tokens": ["a"], "tags": ["O"]}]
    with pytest.raises(DataError, match=r"row 1: it has no label, which is the intent; map dataset.columns.label"):
        encode(Toy({("tagging", "en", "train"): rows}), "tagging", "en", "train", objective.texts, word_tokenizer(["a"]), "hash", tmp_path, objective.annotate, objective.annotation)  # fmt: skip
