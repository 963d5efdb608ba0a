"""Cleaning as a user meets it: from the command line to the table, cleaning.json and metrics.json, and what is refused."""

import json

import pytest
import yaml

from tests import corpus
from xlt.config import paths

SMALL = ["model=tiny", "hardware=debug", "train.steps=2", "train.window=1", "train.batch_size=4", "train.batch_tokens=null", "train.max_length=24", "train.eval_every=0"]  # fmt: skip


@pytest.fixture
def place(tmp_path):
    """English with a line of its dev file, a repeated one, an invisible character and a fragment; German with an English line."""
    folder = corpus.write_text(tmp_path / "text", {"en": 40, "de": 30})
    dev = (folder / "en" / "dev.txt").read_text().split("\n")[0]
    for code, lines in (
        ("en", [dev.upper(), " ".join(corpus.sentence("en", 0)), "bab\u200eo bado dado fado", "bado"]),
        ("de", [" ".join(corpus.sentence("en", 1))]),
    ):
        with open(folder / code / "train.txt", "a") as file:
            file.write("\n".join(lines) + "\n")
    corpus.write_tokenizer(tmp_path / "tokenizer")
    return tmp_path


def command(stage, place, *more):
    own = (
        [f"tokenizer.path={place}/tokenizer", *SMALL]
        if stage == "pretrain"
        else ["tokenizer.vocab_size=320", "hardware=debug"]
    )
    return [stage, "dataset=text_files", f"dataset.root={place}/text", "languages.train=[en,de]", *own, *more]


def read(place, stage, name):
    return json.loads((place / "runs" / "main" / stage / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize("stage", ["tokenize", "pretrain"])
def test_a_cleaned_run(shell, place, stage):
    answer = shell(*command(stage, place, "cleaning=standard"))
    assert answer.code == 0, answer.err
    found = read(place, stage, "cleaning.json")
    en, de = found["languages"]["en"], found["languages"]["de"]
    assert (en["rows"], de["rows"]) == (44, 31)
    assert en["removed"]["held_out"] == en["removed"]["length"] == 1 and en["removed"]["exact_duplicates"] >= 1
    assert de["removed"]["exact_duplicates"] >= 1 and en["changed"]["characters"] == 1
    metrics = read(place, stage, "metrics.json")
    assert metrics["cleaning"]["languages"]["en"] == {k: v for k, v in en.items() if k != "examples"}
    rows = {line["language"]: line["rows"] for line in metrics["sampling"]}
    assert rows == {"en": en["kept"], "de": de["kept"]}, "what is drawn from is what was kept"
    assert "rows removed by each filter" in answer.out
    line = next(line.split() for line in answer.out.split("\n") if line.split()[:2] == ["en", "44"])
    assert line[-3] == str(en["kept"])


def test_parts_that_read_text_are_cleaned(shell, place):
    """The text of the run for one part, that of a data set of its own for another; pairs are left as they are."""
    corpus.write_parallel(place / "parallel")
    other = corpus.write_text(place / "other", {"en": 12, "de": 12})
    with open(other / "de" / "train.txt", "a") as file:
        file.write("bado\n")
    parts = [
        "objective=mlm_contrastive",
        "dataset@objective.parts.cross.dataset=parallel_files",
        f"objective.parts.cross.dataset.root={place}/parallel",
        "+part@objective.parts.more=as_run",
        "+objective@objective.parts.more.objective=coral",
        "dataset@objective.parts.more.dataset=text_files",
        f"objective.parts.more.dataset.root={other}",
    ]
    answer = shell(*command("pretrain", place, "cleaning=standard", *parts))
    assert answer.code == 0, answer.err
    found = {part: read(place, "pretrain", f"cleaning.{part}.json")["languages"] for part in ("mlm", "more")}
    assert (found["mlm"]["en"]["rows"], found["more"]["de"]["rows"]) == (44, 13)
    metrics = read(place, "pretrain", "metrics.json")
    assert set(metrics["cleaning"]) == {"mlm", "more"}
    rows = {(line["part"], line["language"]): line["rows"] for line in metrics["sampling"]}
    for part, languages in found.items():
        assert metrics["cleaning"][part]["languages"].keys() == languages.keys()
        assert {code: rows[part, code] for code in languages} == {k: v["kept"] for k, v in languages.items()}
    assert not (place / "runs" / "main" / "pretrain" / "cleaning.cross.json").exists()


def test_without_cleaning_nothing_is_said_or_written(shell, place):
    answer = shell(*command("tokenize", place))
    assert answer.code == 0 and "cleaning" not in answer.out
    assert "cleaning" not in read(place, "tokenize", "metrics.json")
    assert not (place / "runs" / "main" / "tokenize" / "cleaning.json").exists()


def test_the_guard_removes_held_out_lines_only(shell, place):
    more = [
        "+dataset@cleaning.heldout.mine=text_files",
        f"cleaning.heldout.mine.root={place}/mine",
        "cleaning.heldout.mine.name=mine",
    ]
    (place / "mine" / "de").mkdir(parents=True)
    (place / "mine" / "de" / "test.txt").write_text(" ".join(corpus.sentence("de", 3)) + "\n")
    assert shell(*command("tokenize", place, "cleaning=guard", *more)).code == 0
    found = read(place, "tokenize", "cleaning.json")["languages"]
    assert found["en"]["removed"] == {"held_out": 1} and found["de"]["removed"]["held_out"] >= 1


def test_a_language_of_which_nothing_is_left(shell, place):
    answer = shell(
        *command(
            "pretrain",
            place,
            "cleaning=standard",
            "cleaning.filters.2.min_words=100",
            "cleaning.filters.2.enough_letters=1000",
        )
    )
    path = "runs/main/pretrain/cleaning.json"
    assert answer.code == 2 and answer.err == [
        f"xlt: cleaning: nothing in en is left, length alone removed 44 of 44 rows (examples in {path}); loosen it in cleaning.filters, or leave en out"
    ]
    assert (place / path).exists()
    assert shell(*command("pretrain", place, "cleaning=standard")).code == 0, "and the run may be asked anew"


WRONG = {
    ("pretrain", "cleaning.filters.0.form=nfd"): "cleaning.filters[0].form: 'nfd' is not one of its values; did you mean nfc?",
    ("pretrain", "cleaning.filters.4.max_share=3"): "cleaning.filters: Symbols.max_share: 3.0 is not in [0, 1]; give a share",
    ("pretrain", "cleaning.language_model=no.ftz"): "cleaning.language_model: no.ftz is not a file; give the .bin or .ftz of a fastText model",
    ("pretrain", "objective=contrastive"): "cleaning: Contrastive reads parallel, and only plain text is cleaned; choose cleaning=none",
    ("finetune", ""): "cleaning: xlt finetune takes no cleaning",
    ("pretrain", "cleaning=standrad"): "cleaning: there is no standrad; did you mean standard?",
}  # fmt: skip


@pytest.mark.parametrize(("stage", "wrong"), WRONG)
def test_what_is_refused(shell, stage, wrong):
    choice = [] if wrong.startswith("cleaning=") else ["cleaning=standard"]
    answer = shell(stage, *choice, *([wrong] if wrong else []))
    assert answer.code == 2
    assert [line for line in answer.err if line.startswith(f"xlt: {WRONG[stage, wrong]}")], answer.err


def test_the_numbers_of_the_standard_pipeline():
    """Those that its comments cite from the literature, so that a changed one is seen, and the order."""
    node = yaml.safe_load((paths.conf_dir() / "cleaning" / "standard.yaml").read_text(encoding="utf-8"))
    numbers = [
        (f["_target_"].rsplit(".", 1)[1], {k: v for k, v in f.items() if type(v) in (int, float)})
        for f in node["filters"]
    ]
    assert numbers == [
        ("Normalise", {}),
        ("Characters", {}),
        ("Length", {"min_words": 3, "enough_letters": 15, "letters_per_word": 2}),
        ("RepeatedLines", {"max_share": 0.3, "max_character_share": 0.2}),
        ("Symbols", {"max_share": 0.4}),
        ("ScriptAgreement", {"min_share": 0.5}),
        ("LanguageId", {"min_score": 0.5}),
        ("HeldOut", {"min_line": 50}),
        ("ExactDuplicates", {}),
        ("NearDuplicates", {"ngram": 5, "bands": 14, "rows": 8, "threshold": 0.8}),
    ]
