"""Answers that begin and end where the logits say, whatever the batch; targets where the answer is; a question without one; and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from tests.data.test_sources import files, put
from tests.shipped import shipped
from tests.toy import Toy, word_tokenizer
from xlt import answers, noise
from xlt.data.encode import encode, gather
from xlt.errors import ConfigError, DataError
from xlt.evaluation.loop import predict
from xlt.models.build import FromScratch, build
from xlt.types import Gold, Rows
from xlt.vocabulary import Vocabulary

WORDS = [f"w{i}" for i in range(40)]
MAX_LENGTH = 20


def row(i: int, answered: bool = True) -> dict:
    """A question of 2 to 4 words on 1 to 30 of them; the answer is 1 to 3 words of these."""
    words = [WORDS[(i * 7 + k * 3) % 40] for k in range(1 + (i * 11) % 30)]
    first = (i * 5) % len(words)
    text = " ".join(words[first : first + 1 + i % 3])
    known = (
        {"text": [text], "answer_start": [len(" ".join([*words[:first], ""]))]}
        if answered
        else {"text": [], "answer_start": []}
    )
    return {
        "id": f"q{i}",
        "question": " ".join(words[-1 : -3 - i % 3 : -1] or words),
        "context": " ".join(words),
        "answers": known,
    }


ROWS = [row(i) for i in range(24)]
MIXED = [row(i, answered=i % 3 > 0) for i in range(24)]


def encoded(objective, rows, folder, tokenizer):
    where = (Toy({("qa", "en", "test"): rows}), "qa", "en", "test")
    return encode(*where, objective.texts, tokenizer, "hash", folder, objective.annotate, objective.annotation)


@pytest.fixture(scope="module", params=["answerable", "unanswerable"])
def case(request, tmp_path_factory):
    none = request.param == "unanswerable"
    objective = shipped(
        "span_extraction", overlap=0.5, question_length=3, max_answer_length=4, n_best=5, unanswerable=none
    )
    tokenizer = word_tokenizer(WORDS, "bert" if none else "xlm-r")
    node = FromScratch(
        architecture="bert" if none else "xlm-roberta", layers=2, width=16, attention_heads=2, feed_forward=32, max_positions=32,
        dropout=0.1, attention_dropout=0.1, init_from=None,
    )  # fmt: skip
    model = build(node, "encoder", objective, [], tokenizer, seed=3)
    with torch.no_grad():  # random weights are small: larger ones make a wrong place visible
        for parameter in model.parameters():
            parameter.mul_(4)
    rows = MIXED if none else ROWS
    table = encoded(objective, rows, tmp_path_factory.mktemp("cache"), tokenizer)
    return objective, model, table, table.gold({}), Vocabulary.of(tokenizer), rows


def predicted(case, budget):
    objective, model, table, gold, vocabulary, _ = case
    return predict(model, objective, table, gold, vocabulary, MAX_LENGTH, budget, Accelerator(cpu=True))


def batches(case, size):
    objective, _, table, gold, vocabulary, _ = case
    rows = np.arange(24)
    drawn = gather([table], np.zeros(24, int), rows, np.zeros(24, int), 1, [gold])
    return [objective.collate(drawn.slice(i, i + size), vocabulary, MAX_LENGTH) for i in range(0, 24, size)]


def test_a_batch_of_one_and_of_many_agree(case):
    one, many = predicted(case, 1), predicted(case, 10_000)
    np.testing.assert_allclose(one["null"], many["null"], atol=1e-5)
    for name in ("spans", "scores"):
        for a, b in zip(one[name], many[name], strict=True):
            np.testing.assert_allclose(a, b, atol=1e-5)
    assert max(map(len, one["scores"])) == 5 and min(map(len, one["scores"])) == 1, "as many as there are, up to five"


@torch.no_grad()
def test_answers_are_the_best_of_what_the_model_says_of_what_the_tokenizer_writes(case):
    """Of the rows that fit into one window: every span of at most four words, one by one."""
    _, model, _, _, vocabulary, rows = case
    found, read = predicted(case, 64), 0
    for i, each in enumerate(rows):
        question, context = each["question"].split()[:3], each["context"].split()
        texts, kinds = (" ".join(question), each["context"]), vocabulary.pair_types
        inputs = vocabulary.tokenizer(*texts, return_tensors="pt", return_token_type_ids=kinds)
        if inputs["input_ids"].shape[1] > MAX_LENGTH:
            continue
        begin_L, end_L = model.heads["span"](model.backbone(**inputs).last_hidden_state[0]).T
        offset = len(question) + len(vocabulary.prefix) + len(vocabulary.between)
        each = {(a, b): float(begin_L[offset + a] + end_L[offset + b]) for a in range(len(context)) for b in range(a, min(a + 4, len(context)))}  # fmt: skip
        best = sorted(each, key=each.get, reverse=True)[:5]
        assert [tuple(span) for span in found["spans"][i].tolist()] == best
        np.testing.assert_allclose(found["scores"][i], [each[span] for span in best], atol=1e-5)
        assert found["null"][i] == pytest.approx(float(begin_L[0] + end_L[0]), abs=1e-5)
        read += 1
    assert 5 < read < 19, "some fit and some do not"


@torch.no_grad()
def test_the_loss_is_a_sum_over_windows_and_what_is_not_text_has_no_share(case):
    objective, model, table, _, vocabulary, _ = case
    model.eval()
    (whole,) = batches(case, 24)
    begin_WL, end_WL = objective.logits(model, whole)
    expected = torch.zeros(24)
    for w, row in enumerate(whole["row"].tolist()):
        allowed = [0, *torch.where(whole["words"][w])[0].tolist()]
        for logits_WL, target in ((begin_WL, whole["starts"]), (end_WL, whole["ends"])):
            place = allowed.index(int(target[w]))
            expected[row] += F.cross_entropy(logits_WL[w, allowed][None], torch.tensor([place])) / 2
    counts = torch.bincount(whole["row"])
    for size in (24, 5):
        cut = batches(case, size)
        losses = [objective.loss_by_row(model, batch) for batch in cut]
        assert sum(float(total) for total, _ in losses) == pytest.approx(float(expected.sum()), rel=1e-5)
        assert sum(batch.count for batch in cut) == int(counts.sum()) > 24
        np.testing.assert_allclose(
            torch.cat([each for _, each in losses]), torch.stack([expected, counts], 1), rtol=1e-4
        )
    assert (
        sum(batch.tokens for batch in batches(case, 5))
        == objective.row_length(table.lengths, vocabulary, MAX_LENGTH).sum()
    )


VOCABULARY = Vocabulary.of(word_tokenizer(WORDS))
SPAN = st.tuples(st.integers(0, 39), st.integers(0, 6))


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 40), st.lists(SPAN, max_size=3)), min_size=1, max_size=4), st.integers(1, 5), st.integers(1, 12), st.floats(0, 0.99))  # fmt: skip
def test_an_answer_is_the_target_of_each_window_that_holds_it(rows, question, room, overlap):
    objective = shipped("span_extraction", overlap=overlap, question_length=question, unanswerable=True)
    known = [sorted({(a, a + n) for a, n in spans if a + n < length}) for length, spans in rows]
    notes = {
        "places": [np.stack([np.arange(n) * 2, np.arange(n) * 2 + 1], 1) for n, _ in rows],
        "answers": [np.array(spans, np.int64).reshape(-1, 2) for spans in known],
    }
    texts = [[np.full(7, 5) for _ in rows], [np.arange(n) % 40 + 5 for n, _ in rows]]
    drawn = Rows(texts, None, noise.combine(noise.key(0), np.arange(len(rows))), ["en"] * len(rows), notes)
    max_length = room + question + VOCABULARY.overhead(2)
    batch = objective.collate(drawn, VOCABULARY, max_length)
    met = [set() for _ in rows]
    for w, (i, shift) in enumerate(zip(batch["row"].tolist(), batch["shift"].tolist(), strict=True)):
        inside = torch.where(batch["words"][w])[0] + shift
        held = [(a, b) for a, b in known[i] if inside[0] <= a and b <= inside[-1]]
        target = (int(batch["starts"][w]), int(batch["ends"][w]))
        assert target == ((held[0][0] - shift, held[0][1] - shift) if held else (0, 0))
        met[i] |= {held[0]} if held else set()
        assert not (batch["judged"][w] & ~batch["words"][w]).any()
    judged = torch.bincount(batch["row"], weights=batch["judged"].sum(1).float())
    assert judged.tolist() == [n for n, _ in rows], "each token begins answers in one window"
    for (_, _), spans, seen in zip(rows, known, met, strict=True):
        if len(spans) == 1 and spans[0][1] - spans[0][0] < max(1, int(room * overlap)):
            assert seen == set(spans), "an answer that is not longer than what windows share is in one of them"


def test_white_space_begins_and_ends_no_answer():
    objective = shipped("span_extraction")
    notes = {"places": [np.array([[0, 1], [2, 1], [2, 3]])], "answers": [np.zeros((0, 2), np.int64)]}
    drawn = Rows(
        [[np.array([5])], [np.array([6, 7, 8])]], None, noise.combine(noise.key(0), np.arange(1)), ["en"], notes
    )
    batch = objective.collate(drawn, VOCABULARY, 20)
    assert batch["words"].tolist() == batch["judged"].tolist() == [[False] * 4 + [True, False, True, False]]


def outputs(spans, scores, null):
    return {"spans": [np.array(s).reshape(-1, 2) for s in spans], "scores": [np.array(s, float) for s in scores], "null": np.array(null, float)}  # fmt: skip


CHINESE = [
    {
        "id": 1,
        "question": "q",
        "context": "在長城北",
        "answers": {"text": ["長城", "在長城北"], "answer_start": [1, 0]},
    },
    {"id": 2, "question": "q", "context": "在 長城", "answers": {"text": ["長"], "answer_start": [2]}},
    {"id": 3, "question": "q", "context": "北", "answers": {"text": ["北"], "answer_start": [0]}},
]
PLACES = [np.stack([np.arange(len(row["context"])), np.arange(len(row["context"])) + 1], 1) for row in CHINESE]
GOLD = Gold(None, {}, {"places": PLACES}, 3, lambda: iter(CHINESE), "zho_Hant")


def test_scores_and_records():
    objective = shipped("span_extraction")
    out = outputs([[[1, 2], [0, 2]], [[2, 3], [0, 0]], []], [[5, 4], [3, 2], []], [9, 9, 9])
    assert objective.score(out, GOLD) == pytest.approx(
        {"f1": (1 + 2 / 3 + 0) / 3, "exact_match": 1 / 3, "f1_squad": 1 / 3, "exact_match_squad": 1 / 3}
    )
    assert set(objective.score(out, GOLD)) == set(objective.higher_is_better)
    first, second, third = objective.records(out, GOLD)
    assert first == {"question": "q", "answers": ["長城", "在長城北"], "prediction": "長城", "start": 1, "score": 5.0,
                     "n_best": [{"text": "長城", "start": 1, "score": 5.0}, {"text": "在長城", "start": 0, "score": 4.0}]}  # fmt: skip
    assert second["prediction"] == "長城" and second["start"] == 2
    assert (third["prediction"], third["start"], third["score"], third["n_best"]) == ("", None, None, [])
    json.dumps([first, second, third], allow_nan=False)


def test_no_answer_is_given_where_its_odds_are_above_the_threshold():
    rows = [*CHINESE[:2], CHINESE[2] | {"answers": {"text": [], "answer_start": []}}]
    gold = Gold(None, {}, {"places": PLACES}, 3, lambda: iter(rows), "zh")
    out = outputs([[[1, 2]], [[2, 2]], [[0, 0]]], [[5], [5], [5]], [4, 6, 7])  # odds -1, 1, 2

    def said(threshold):
        objective = shipped("span_extraction", unanswerable=True, null_threshold=threshold)
        scores = objective.score(out, gold)
        assert set(scores) == set(objective.higher_is_better)
        return [line["prediction"] for line in objective.records(out, gold)], scores

    assert said(0.0)[0] == ["長城", "", ""]
    texts, scores = said(None)
    assert texts == ["長城", "長", ""] and scores["f1"] == scores["f1_answerable"] == scores["unanswerable_found"] == 1
    assert said(5.0)[1]["unanswerable_found"] == 0 and said(5.0)[1]["f1"] == pytest.approx(2 / 3)
    assert [line["null_odds"] for line in shipped("span_extraction", unanswerable=True).records(out, gold)] == [
        -1,
        1,
        2,
    ]
    fitted = shipped("span_extraction", unanswerable=True).settle({"zh": out}, {"zh": gold})
    assert fitted == {"null_threshold": 1.0}
    assert shipped("span_extraction", unanswerable=True, null_threshold=0.5).settle({"zh": out}, {"zh": gold}) == {}
    assert shipped("span_extraction").settle({"zh": out}, {"zh": gold}) == {}


def test_a_threshold_is_fitted_on_all_languages_together():
    other = [CHINESE[0] | {"answers": {"text": [], "answer_start": []}}]
    golds = {
        "zh": Gold(None, {}, {"places": PLACES}, 3, lambda: iter(CHINESE), "zh"),
        "en": Gold(None, {}, {"places": PLACES[:1]}, 1, lambda: iter(other), "en"),
    }
    out = {"zh": outputs([[[1, 2]], [[2, 2]], [[0, 0]]], [[0]] * 3, [1, 3, 3]), "en": outputs([[[1, 2]]], [[0]], [2])}
    assert shipped("span_extraction", unanswerable=True).settle(out, golds) == {"null_threshold": 3.0}, (
        "two right are more than one"
    )


# What is refused

KNOWN = {"id": "q7", "question": "what", "context": "ab c", "answers": [{"text": "c", "start": 3}]}


def read(tmp_path, row, name="train.jsonl", **changes):
    put(tmp_path / "en" / name, [KNOWN | {"id": "q6"}, row])
    objective, data = shipped("span_extraction", **changes), files(tmp_path, "qa")
    where = (data, "qa", "en", "train", objective.texts, word_tokenizer(["c", "ab"]), "hash", tmp_path / "cache")
    return encode(*where, objective.annotate, objective.annotation)


@pytest.mark.parametrize(
    ("answers", "sentence"),
    [
        ([{"text": "c", "start": 2}], "the answer 'c' is not at character 2 of its context, ' ' is (id q7); correct the offset"),
        ([], "it has no answer (id q7); leave the row out, or set objective.unanswerable=true for questions that may have none"),
        ([{"text": "", "start": 0}], "one of its answers is empty (id q7); leave it out of answers, which may be an empty list"),
        ("c", "answers is 'c' where a list of {text, start} is expected; correct or remove the row"),
    ],
)  # fmt: skip
def test_a_bad_answer_is_named_with_its_line(tmp_path, answers, sentence):
    with pytest.raises(DataError) as refused:
        read(tmp_path, KNOWN | {"answers": answers})
    assert str(refused.value) == f"{tmp_path}/en/train.jsonl line 2: {sentence}"


def test_a_question_may_have_no_answer_if_that_is_said(tmp_path):
    table = read(tmp_path, KNOWN | {"answers": []}, unanswerable=True)
    assert [table.notes["answers"][i].tolist() for i in range(2)] == [[[1, 1]], []]
    with pytest.raises(DataError, match="line 2: it has no answer"):
        read(tmp_path, KNOWN | {"answers": []})


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"overlap": 1.0}, "objective.overlap: 1.0 is not in"),
        ({"question_length": 0}, "objective.question_length: 0 is not above 0; give a larger one"),
        ({"max_answer_length": 0}, "objective.max_answer_length: 0 is not above 0"),
        ({"n_best": -1}, "objective.n_best: -1 is not above 0"),
        ({"null_threshold": 1.5}, "objective.null_threshold: 1.5 is for questions that may have no answer; set objective.unanswerable=true, or it to null"),
    ],
)  # fmt: skip
def test_values_that_mean_nothing_are_refused(changes, sentence):
    with pytest.raises(ConfigError) as refused:
        shipped("span_extraction", **changes)
    assert sentence in str(refused.value)


def test_xquad_is_read_in_every_script(shared_data, tmp_path):
    """Each answer comes back from its tokens: as it is where they begin and end with it, else inside."""
    from tests.objectives.test_answer_spans import trained
    from xlt.data.subwords import encodings

    cut, objective = encodings(trained("pieces")), shipped("span_extraction")
    for language in ("ar", "de", "en", "es", "hi", "ru", "tr", "vi", "zh"):
        data = files(shared_data / "xquad", "qa", max_line=100_000)
        for row in data.rows("qa", language, "dev"):
            (encoding,) = cut([row["context"]])
            notes = objective.annotate(row, (None, encoding))
            each = zip(row["answers"]["text"], row["answers"]["answer_start"], notes["answers"].tolist(), strict=True)
            for text, start, (first, last) in each:
                begin, end = int(notes["places"][first, 0]), int(notes["places"][last, 1])
                assert begin <= start + len(text) - len(text.lstrip()) and start + len(text.rstrip()) <= end
                assert (
                    answers.exact_and_f1(row["context"][begin:end], [text], answers.mlqa_words(language), False)[1] > 0
                )
