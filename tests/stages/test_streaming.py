"""A streamed run: hardware changes nothing, pairs and the hub work, and what a stream cannot know is said."""

import json

import pytest

from tests import corpus
from tests.toy import Toy, stage_config, word_tokenizer
from xlt.config import schema
from xlt.errors import ConfigError
from xlt.stages.streaming import is_streamed, open_feed
from xlt.types import Batch

TIMINGS = {"seconds", "tokens_per_second", "peak_memory_bytes"}
ENCODER = ["model=tiny", "model.width=32", "model.feed_forward=64", "model.max_positions=40"]
PACE = ["train.steps=8", "train.window=4", "train.max_length=24", "train.shuffle_rows=16", "train.log_every=1", "train.eval_every=0"]  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("streaming")
    corpus.write_text(folder / "text", {"en": 90, "de": 50, "sw": 20})
    corpus.write_parallel(folder / "parallel")
    corpus.write_tokenizer(folder / "tokenizer")
    return folder


def run(forks, place, name, *arguments):
    """(exit code, what was printed, losses) of a streamed run."""
    where = [f"tokenizer.path={place}/tokenizer", f"run.root={place}/runs", f"run.cache={place}/cache", f"run.name={name}", "hardware=debug"]  # fmt: skip
    code = forks.run([*arguments, "dataset.streaming=true", *ENCODER, *PACE, *where], place / f"{name}.txt")
    log = place / "runs" / name / arguments[0] / "metrics.jsonl"
    lines = [json.loads(line) for line in log.read_text().splitlines()] if code == 0 else []
    said = (place / f"{name}.txt").read_text()
    return code, said, [{k: v for k, v in line.items() if k not in TIMINGS} for line in lines]


def text(place, *arguments):
    return ["pretrain", "dataset=text_files", f"dataset.root={place}/text", "train.batch_tokens=160", *arguments]


WEIGHTS = ["train.sampling=weights", "train.weights={en:2,de:1,sw:1}"]


def test_workers_and_micro_batches_change_nothing(forks, place):
    *_, alone = run(forks, place, "alone", *text(place, *WEIGHTS))
    *_, ahead = run(forks, place, "ahead", *text(place, *WEIGHTS), "hardware.workers=3")
    *_, split = run(forks, place, "split", *text(place, *WEIGHTS), "hardware.micro_batch_size=3")
    assert len([line for line in alone if "loss" in line]) == 8
    assert ahead == alone
    assert [line["tokens"] for line in split if "tokens" in line] == [
        line["tokens"] for line in alone if "tokens" in line
    ]
    first = [next(line["loss"] for line in run if "loss" in line) for run in (alone, split)]
    assert first[0] == pytest.approx(first[1], rel=0.05)  # dropout differs


def test_pairs_are_streamed(forks, place):
    code, said, lines = run(forks, place, "pairs", "align", "dataset=parallel_files", f"dataset.root={place}/parallel", "train.batch_size=8")  # fmt: skip
    assert code == 0, said
    assert len([line for line in lines if "loss" in line]) == 8


def test_a_part_of_a_mixture_is_streamed(forks, place):
    """It reads what it reads alone, whatever is prepared ahead; the part beside it is planned."""
    cross = ["objective=mlm_contrastive", "dataset@objective.parts.cross.dataset=parallel_files", f"objective.parts.cross.dataset.root={place}/parallel", "objective.parts.cross.alpha=0.3", "objective.parts.cross.batch_size=8"]  # fmt: skip
    alone, mixed = (run(forks, place, name, *text(place, *WEIGHTS), *more) for name, more in (("one", []), ("two", cross)))  # fmt: skip
    *_, ahead = run(forks, place, "two ahead".replace(" ", "-"), *text(place, *WEIGHTS), *cross, "hardware.workers=3")
    assert (alone[0], mixed[0]) == (0, 0), mixed[1]
    assert ahead == mixed[2]
    first = [next(line for line in lines if "loss" in line) for *_, lines in (alone, mixed)]
    assert first[1]["parts"]["mlm"]["languages"] == first[0]["languages"]
    assert "mlm (weight 1): languages drawn by train.weights" in mixed[1]
    assert "cross (weight 1): languages drawn with p^0.3" in mixed[1]


def test_a_part_that_is_refused_is_named(forks, place):
    code, said, _ = run(forks, place, "part refused".replace(" ", "-"), *text(place, "objective=mlm_contrastive", "dataset@objective.parts.cross.dataset=parallel_files", f"objective.parts.cross.dataset.root={place}/parallel"))  # fmt: skip
    assert code == 2 and "xlt: objective.parts.mlm: dataset.row_counts: a stream does not say how many rows" in said


def test_the_table_says_what_is_declared(forks, place):
    code, said, _ = run(forks, place, "declared", *text(place), "train.batch_tokens=null", "train.batch_size=10", "dataset.row_counts={en:80,de:40,sw:20}", "train.alpha=1")  # fmt: skip
    assert code == 0, said
    assert "en          80  unknown  57.1%       unknown    0.57" in said


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        ([], "dataset.row_counts: a stream does not say how many rows it has, and train.sampling=alpha draws by them; give dataset.row_counts={de:ROWS,en:ROWS,...}"),
        (["dataset.row_counts={en:80}"], "dataset.row_counts: has no de, sw; add the rows"),
        ([*WEIGHTS, "train.epochs=2"], "train.epochs: a stream does not say when it has been read once; set it to null and give train.steps"),
        (["train.sampling=unimax"], "train.sampling: unimax counts tokens, and a stream does not say how many it has; set train.batch_tokens=null"),
    ],
)  # fmt: skip
def test_what_a_stream_cannot_know_is_said(forks, place, arguments, sentence):
    code, said, _ = run(forks, place, f"refused {len(sentence)}".replace(" ", "-"), *text(place), *arguments)
    assert code == 2 and sentence in said and "Traceback" not in said


def test_labels_are_not_streamed(forks, place):
    corpus.write_labelled(place / "labelled")
    code, said, _ = run(forks, place, "labels", "finetune", "dataset=classification_files", f"dataset.root={place}/labelled", "languages.source=[en]")  # fmt: skip
    assert code == 2 and "dataset.streaming: xlt finetune reads all labels before it begins; set it to false" in said


def test_one_language_needs_no_share(tmp_path):
    class Endless(Toy):
        streaming, row_counts = True, None

        def stream(self, view, language, split, at):
            return ({"text": "a b"} for _ in range(10**9)), dict

    class Objective:
        view, separable = "text", True
        texts = staticmethod(lambda row: (row["text"],))
        row_length = staticmethod(lambda lengths, vocabulary, longest: lengths[:, 0])
        collate = staticmethod(lambda rows, vocabulary, longest: Batch({}, count=1, tokens=1, rows=len(rows)))

    tokenizer = word_tokenizer(["a", "b"])
    cfg = stage_config(tmp_path, "pretrain", Endless({}), Objective(), None, tokenizer, sampling=schema.Sampling.alpha)
    feed = open_feed(cfg, None, tokenizer, ["en"])
    assert [batch.rows for batch in feed.batches(0)] == [8] and feed.table[0].share == 1.0
    with pytest.raises(ConfigError, match="dataset.row_counts: a stream"):
        open_feed(cfg, None, tokenizer, ["en", "de"])


def test_a_mixture_of_data_sets_is_not_streamed():
    class Part:
        streaming = True

    class Parts:
        parts = {"wiki": Part()}  # noqa: RUF012

    with pytest.raises(ConfigError, match="dataset.parts.wiki.streaming: data sets that are read as one are counted"):
        is_streamed(Parts())
