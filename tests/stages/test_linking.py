"""xlt align with objectives that link words, from the shell, on made-up languages whose i-th words mean the same: every link and tag is known."""

import json

import pytest
import torch

from tests import aligned, corpus
from tests.presets import preset
from xlt.models.build import FromScratch, build, save
from xlt.models.static import make_static
from xlt.tokenization.load import load

UPOS = ("NOUN", "VERB", "ADJ", "ADV")
ARGMAX = "objective.aligner.method=argmax"


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    """A model without layers: the same vector for all words of a meaning."""
    folder = tmp_path_factory.mktemp("encoder")
    tokenizer = load(str(corpus.write_tokenizer(folder / "tokenizer")))
    node = FromScratch(
        architecture="xlm-roberta", layers=0, width=32, attention_heads=2, feed_forward=32, max_positions=160,
        dropout=0.0, attention_dropout=0.0, init_from=None,
    )  # fmt: skip
    model = build(node, "encoder", preset("word_alignment"), None, tokenizer, 1)
    draw = torch.Generator().manual_seed(2)
    meanings, rest = torch.randn(64, 32, generator=draw), torch.randn(5, 32, generator=draw)
    make_static(model, torch.cat([rest, *[meanings] * len(corpus.LANGUAGES)]))
    model.task |= {"max_length": 128}
    (folder / "model").mkdir()
    save(model, tokenizer, folder / "model")
    return folder / "model"


def different(language, number):
    """A sentence without a word twice, of which argmax finds every link."""
    return list(dict.fromkeys(corpus.sentence(language, number)))


def write_lines(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def ner_tags(words):
    """A name of two words at the second place, one of one word at the fifth."""
    tags = ["O", "B-PER", "I-PER", "O", "B-LOC"] + ["O"] * len(words)
    return tags[: len(words)]


def pos_tags(words):
    return [UPOS[corpus.words("en").index(word) % 4] for word in words]


@pytest.fixture
def tagged(tmp_path):
    """<folder>/en-de: tagged words, and the translation with its gold tags, its words in reverse order."""
    for split, start, size in (("train", 0, 40), ("dev", 50, 10)):
        rows = []
        for i in range(start, start + size):
            english, german = different("en", i), different("de", i)[::-1]
            tags = {"source_tags": ner_tags(english), "target_tags": [*reversed(ner_tags(english))]}
            begun = [t.replace("B-", "?-").replace("I-PER", "B-PER").replace("?-PER", "I-PER").replace("?-", "B-") for t in tags["target_tags"]]  # fmt: skip
            if "I-PER" not in ner_tags(english):  # a name cut off after its first word
                begun = [t.replace("I-PER", "B-PER") for t in begun]
            rows.append({"id": f"s{i}", "source": english, "source_tags": tags["source_tags"], "target": german, "target_tags": begun})  # fmt: skip
        write_lines(tmp_path / "tagged" / "en-de" / f"{split}.jsonl", rows)
    return tmp_path / "tagged"


DATA = ["dataset=tagged_parallel_files", "dataset.root=tagged", "+dataset.columns.id=id", "+dataset.columns.target_tags=target_tags"]  # fmt: skip


def metrics_of(tmp_path, name="main"):
    return json.loads((tmp_path / "runs" / name / "align" / "metrics.json").read_text())


def test_links_are_written_in_the_rows_order_and_scored(shell, tmp_path, encoder):
    for split, start in (("train", 0), ("test", 100)):
        rows = []
        for i in range(start, start + 20):
            english, german = different("en", i), different("de", i)
            gold = " ".join(f"{j}-{j}" for j in range(len(english)))
            rows.append({"source": " ".join(english), "target": " ".join(german), "alignment": gold})
        write_lines(tmp_path / "gold" / "en-de" / f"{split}.jsonl", rows)
    command = ["dataset=aligned_files", "dataset.root=gold", f"model.init_from={encoder}", "objective=word_alignment",
               "objective.method=argmax"]  # fmt: skip
    answer = shell("align", *command)
    assert answer.code == 0, answer.err
    for split, start in (("train", 0), ("test", 100)):
        lines = (tmp_path / f"runs/main/align/alignments/aligned_files.en-de.{split}.txt").read_text().splitlines()
        wanted = [" ".join(f"{j}-{j}" for j in range(len(different("en", i)))) for i in range(start, start + 20)]
        assert lines == wanted
    found = metrics_of(tmp_path)
    assert found["results"]["aligned_files"] == {m: {"en-de": v} for m, v in (("aer", 0), ("f1", 1), ("precision", 1), ("recall", 1))}  # fmt: skip
    assert found["n"] == {"aligned_files": {"en-de": 40}} and found["split"] == "train+test"
    assert found["higher_is_better"]["aer"] is False and found["lineage"]["parent"]

    answer = shell("zero-shot-eval", *command)
    assert answer.code == 0, answer.err
    scored = json.loads((tmp_path / "runs/main/zero-shot-eval/metrics.json").read_text())
    assert scored["results"]["aligned_files"]["aer"] == {"en-de": 0.0} and "intervals" in scored
    line = (tmp_path / "runs/main/zero-shot-eval/predictions/aligned_files.en-de.jsonl").read_text().splitlines()[0]
    assert json.loads(line)["alignment"] == json.loads(line)["gold"]


def test_text_without_gold_is_linked_and_not_scored(shell, tmp_path, encoder):
    corpus.write_parallel(tmp_path / "text")
    command = ["dataset=parallel_files", "dataset.root=text", f"model.init_from={encoder}", "objective=word_alignment"]
    answer = shell("align", *command)
    assert answer.code == 0, answer.err
    folder = tmp_path / "runs/main/align/alignments"
    assert {p.name: len(p.read_text().splitlines()) for p in folder.iterdir()} == {
        "parallel_files.en-de.train.txt": 60,
        "parallel_files.en-de.dev.txt": 16,
    }
    assert metrics_of(tmp_path)["results"] == {"parallel_files": {}}
    (tmp_path / "text/en-de/dev.tsv").rename(tmp_path / "text/en-de/test.tsv")
    answer = shell("zero-shot-eval", *command)
    assert answer.code == 2
    assert answer.err[-1].endswith("WordAlignment finds no aer there, for it needs gold links, a column `alignment` (see dataset=aligned_files)")  # fmt: skip


def test_names_are_projected_and_learned_from(shell, tmp_path, tagged, encoder):
    answer = shell("align", *DATA, f"model.init_from={encoder}", "objective=annotation_projection", ARGMAX)
    assert answer.code == 0, answer.err
    assert metrics_of(tmp_path)["results"]["tagged_parallel_files"] == {m: {"en-de": 1.0} for m in ("coverage", "f1", "kept", "precision", "recall")}  # fmt: skip
    first = (tmp_path / "runs/main/align/projected/de/train.conll").read_text().split("\n\n")[0]
    gold = json.loads((tagged / "en-de/train.jsonl").read_text().splitlines()[0])
    assert first.split("\n") == [f"{word}\t{tag}" for word, tag in zip(gold["target"], gold["target_tags"], strict=True)]  # fmt: skip
    answer = shell(
        "finetune", "dataset=conll_files", "dataset.root=runs/main/align/projected", "languages.source=[de]",
        "objective=token_classification", "model=pretrained", f"model.init_from={encoder}", "train.epochs=1", "train.batch_size=8",
    )  # fmt: skip
    assert answer.code == 0, answer.err
    task = json.loads((tmp_path / "runs/main/finetune/model/xlt.json").read_text())
    assert task["labels"] == ["B-LOC", "B-PER", "I-PER", "O"] and task["source_languages"] == ["de"]


def test_parts_of_speech_are_projected_and_learned_from(shell, tmp_path, encoder):
    rows = []
    for i in range(30):
        english, german = different("en", i), different("de", i)
        rows.append({"source": english, "source_tags": pos_tags(english), "target": " ".join(german)})
    rows[3]["target"] += " zzz zzz zzz zzz zzz zzz zzz zzz zzz zzz zzz zzz"  # linked to nothing: too thin
    for split, few in (("train", rows[:24]), ("dev", rows[24:])):
        write_lines(tmp_path / "tagged" / "en-de" / f"{split}.jsonl", few)
    answer = shell("align", "dataset=tagged_parallel_files", "dataset.root=tagged", f"model.init_from={encoder}",
                   "objective=annotation_projection", "objective.project=pos", ARGMAX)  # fmt: skip
    assert answer.code == 0, answer.err
    found = metrics_of(tmp_path)["results"]["tagged_parallel_files"]
    assert set(found) == {"coverage", "kept"} and found["kept"]["en-de"] == pytest.approx(29 / 30)
    blocks = (tmp_path / "runs/main/align/projected/de/train.conllu").read_text().strip("\n").split("\n\n")
    assert len(blocks) == 23 and not any("zzz" in block for block in blocks)
    lines = blocks[0].split("\n")
    assert lines[:2] == ["# sent_id = 1", f"# text = {' '.join(different('de', 0))}"]
    assert [line.split("\t")[3] for line in lines[2:]] == pos_tags(different("en", 0))
    assert all(len(line.split("\t")) == 10 for line in lines[2:])
    answer = shell(
        "finetune", "dataset=conllu_files", "dataset.root=runs/main/align/projected", "languages.source=[de]",
        "objective=token_classification", "objective.scheme=plain", "model=pretrained", f"model.init_from={encoder}",
        "train.epochs=1", "train.batch_size=8",
    )  # fmt: skip
    assert answer.code == 0, answer.err


def test_tags_of_files_that_are_aligned_by_id(shell, tmp_path, encoder):
    """As uner_pud has them: a file a language, the same id for a sentence and its translation, in any order."""
    english = [{"id": f"s{i}", "tokens": different("en", i), "tags": ner_tags(different("en", i))} for i in range(8)]
    german = [{"id": f"s{i}", "tokens": different("de", i), "tags": ner_tags(different("en", i))} for i in range(8)]
    for code, rows in (("en", english), ("de", german[::-1])):
        write_lines(tmp_path / "pud" / code / "test.jsonl", rows)
    answer = shell("align", "dataset=uner_pud", "dataset.root=pud", f"model.init_from={encoder}",
                   "objective=annotation_projection", ARGMAX)  # fmt: skip
    assert answer.code == 0, answer.err
    assert metrics_of(tmp_path)["results"]["uner_pud"]["f1"] == {"en-de": 1.0}
    written = (tmp_path / "runs/main/align/projected/de/test.conll").read_text().split("\n\n")[0]
    assert written.split("\n")[0].split("\t")[0] == different("de", 0)[0], "in the order of the English file"


@pytest.mark.parametrize(
    "stage, changes, sentence",
    [
        ("align", ["model.init_from=null"], "model.init_from: AnnotationProjection links words by the states of a model; give a run directory"),
        ("align", ["dataset=conll_files"], "dataset: conll_files has no tagged_parallel view"),
        ("align", ["objective.aligner.layer=4"], "objective.layer: 4, and this model has 0 layers"),
        ("align", ["train.max_length=161"], "train.max_length: 161 tokens are more than the 160 positions this model has; lower it"),
        ("align", ["objective.max_gap=-1"], "objective.max_gap: -1 is below 0; null never cuts a span"),
        ("align", ["objective.aligner.alpha=3"], "objective.aligner.alpha: 3.0 is not in [0, 1]; SimAlign has 0.9"),
        ("pretrain", [], "objective: AnnotationProjection reads tagged_parallel, and xlt pretrain reads text or parallel"),
        ("zero-shot-eval", [], "objective: AnnotationProjection writes training data; use it with xlt align"),
    ],
)  # fmt: skip
def test_what_cannot_be_linked(shell, tmp_path, tagged, encoder, stage, changes, sentence):
    command = [*DATA, f"model.init_from={encoder}", "objective=annotation_projection", *changes]
    if "dataset=conll_files" in changes:
        (tmp_path / "tagged/en").mkdir()
        (tmp_path / "tagged/en/train.conll").write_text("a\tO\n")
        command = [c for c in command if not c.startswith("+") and c != DATA[0]]
    answer = shell(stage, *command)
    assert answer.code == 2 and any(line.removeprefix("xlt: ").startswith(sentence) for line in answer.err), answer.err
    assert not (tmp_path / "runs/main/align/metrics.json").exists()


def test_words_and_tags_that_do_not_fit(shell, tmp_path, encoder):
    write_lines(tmp_path / "tagged/en-de/train.jsonl", [{"source": ["a"], "source_tags": ["O", "O"], "target": "b"}])
    command = [DATA[0], DATA[1], f"model.init_from={encoder}", "objective=annotation_projection"]
    answer = shell("align", *command)
    assert (answer.code, answer.err) == (2, ["xlt: tagged/en-de/train.jsonl line 1: 1 source but 2 source_tags; give each token one tag"])  # fmt: skip
    write_lines(tmp_path / "tagged/en-de/train.jsonl", [{"source": ["a"], "source_tags": ["PER"], "target": "b"}])
    answer = shell("align", *command, "run.overwrite=true")
    assert answer.code == 2 and "line 1: tags[0] of 'a' is 'PER', and IOB2 knows O, B-NAME and I-NAME" in answer.err[0]


def test_two_pairs_with_one_target_are_refused(shell, tmp_path, tagged, encoder):
    (tagged / "fr-de").mkdir()
    (tagged / "fr-de/train.jsonl").write_text((tagged / "en-de/train.jsonl").read_text())
    answer = shell("align", *DATA, f"model.init_from={encoder}", "objective=annotation_projection")
    assert answer.code == 2 and "en-de and fr-de would both write tags for de" in answer.err[0]


def test_aligners_are_no_parts_of_a_mixture(shell, tmp_path):
    answer = shell("align", "dataset=demo", "objective=tlm_self_training", "objective@objective.parts.links.objective=word_alignment")  # fmt: skip
    assert answer.code == 2 and "links words with a model as it is and trains nothing" in " ".join(answer.err)


def test_the_dozen_of_the_fixture_is_read(shell, tmp_path, encoder):
    """Words that the tokenizer does not know have one vector, so most links are wrong; what is looked at is that gold with possible links is scored."""
    aligned.write(tmp_path / "dozen")
    answer = shell("align", "dataset=aligned_files", "dataset.root=dozen", f"model.init_from={encoder}", "objective=word_alignment", "objective.method=match")  # fmt: skip
    assert answer.code == 0, answer.err
    found = metrics_of(tmp_path)["results"]["aligned_files"]
    assert 0 < found["aer"]["en-de"] < 1 and found["precision"]["en-de"] != found["recall"]["en-de"]
