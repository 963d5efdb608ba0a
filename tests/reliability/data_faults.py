"""Trials of the promises about dirty data, D01 to D23: each builds a corpus from a seed and says whether all of its faults were found, where they
are, and nothing else. Plain functions, for pytest (few seeds) and for the harness (many).
"""

from __future__ import annotations

import csv
import io
import json
import unicodedata
from dataclasses import replace
from pathlib import Path
from random import Random

import yaml

from tests.reliability import corpus
from xlt import cli, languages
from xlt.config.compose import compose
from xlt.data.checks.shift import shifts
from xlt.data.checks.survey import survey
from xlt.data.faults import Collected, OnError
from xlt.data.leakage import Action, LeakageGuard
from xlt.errors import BadRow, DataError
from xlt.objectives.tagging import checked

GUARD = LeakageGuard(action=Action.report, ngram=5, bands=14, rows=8, threshold=0.8)


def told(data, view: str, language: str, split: str) -> str:
    """What refuses the rows; "" if nothing does."""
    try:
        list(data.rows(view, language, split))
    except DataError as error:
        return str(error)
    return ""


def kept(promise_of, clean: list[dict], path: Path, planted: list[int], view: str, split: str = "train") -> bool:
    """The promise for a faulty row: refused, with the place of the first twenty and the count; set aside, and counted, on request."""
    data, language = promise_of, path.parent.name
    sentence, found = told(data, view, language, split), data.inspect(view, language, split, Collected(keep=None))
    lenient = replace(data, on_error=OnError.quarantine)
    return (
        all(f"{path} line {number}" in sentence for number in planted[:20])
        and (len(planted) == 1 or f"{len(planted):,} faulty rows" in sentence)
        and [fault.record()["line"] for fault in found.first] == planted
        and found.total == len(planted)
        and found.rows == len(clean)
        and list(lenient.rows(view, language, split)) == clean
        and data.fingerprint(view, language, split) != lenient.fingerprint(view, language, split)
    )


def planted(seed: int, folder: Path, bad, **changes) -> bool:
    """A clean labelled corpus with the lines that `bad(draw)` makes somewhere in it."""
    draw = Random(seed)
    data = corpus.dataset(corpus.labelled(folder, draw), **changes)
    clean = list(data.rows("classification", "en", "train"))
    lines = corpus.plant(folder / "en/train.jsonl", draw, bad(draw))
    return kept(corpus.dataset(folder, **changes), clean, folder / "en/train.jsonl", lines, "classification")


def checked_data(folder: Path, preset: str = "classification_files", guard=None, **changes):
    """What `xlt check data` finds."""
    data = corpus.dataset(folder, preset, **changes)
    view = data.views()[0]
    return survey(data, view, data.languages(view), guard)


def invalid_utf8(seed: int, folder: Path) -> bool:
    """D01: line and byte of each of 1 to 30 broken lines."""
    bad = [b"\xff", b"\xc3(", b"\xed\xa0\x80", b"caf\xe9", b"\xf8\x88\x80\x80\x80"]
    draw = Random(seed)
    prefix = b'{"text": "' + b"x" * draw.randint(0, 20)
    ok = planted(
        seed, folder, lambda d: [prefix + d.choice(bad) + b'", "label": "bad"}' for _ in range(d.randint(1, 30))]
    )
    found = corpus.dataset(folder).inspect("classification", "en", "train")
    return ok and all(
        fault.column == len(prefix) + 1 + (fault.row[len(prefix) :].startswith("caf") * 3) for fault in found.first
    )


def line_ends(seed: int, folder: Path) -> bool:
    """D02: LF and CRLF end a line, a lone CR does not; blank lines are no rows, and are the only lines that are none."""
    draw = Random(seed)
    lines = [
        draw.choice(["", " "]) if draw.random() < 0.2 else corpus.sentence(draw, "en") + draw.choice(["", "\rmore"])
        for _ in range(50)
    ]
    raw = b"".join(line.encode() + draw.choice([b"\n", b"\r\n"]) for line in lines)
    (folder / "en").mkdir(parents=True)
    (folder / "en/train.txt").write_bytes(raw)
    data = corpus.dataset(folder, "text_files", pattern="{root}/{lang}/{split}.txt")
    found = survey(data, "text", ["en"], None).splits["en", "train"]
    want = [line for line in lines if line.strip()]
    return [row["text"] for row in data.rows("text", "en", "train")] == want and found["notes"].get(
        "line breaks inside", 0
    ) == sum("\r" in line for line in want)


def breaks_inside(seed: int, folder: Path) -> bool:
    """D03: characters that str.splitlines splits on, in either side of a pair, move nothing."""
    draw = Random(seed)
    sides = {
        c: [
            f"{corpus.sentence(draw, c)}{draw.choice(chr(0x2028) + chr(0x2029) + chr(0x85) + chr(11) + chr(12) + chr(28))}{i}"
            for i in range(30)
        ]
        for c in ("en", "ru")
    }
    for code, texts in sides.items():
        corpus.write(folder / f"train.en-ru.{code}", texts)
    data = corpus.dataset(folder, "moses_files", pattern="{root}/{split}.{lang}.{side}")
    rows = list(data.rows("parallel", "en-ru", "train"))
    return [row["source"] for row in rows] == sides["en"] and [row["target"] for row in rows] == sides["ru"]


def controls(seed: int, folder: Path) -> bool:
    """D04: NUL is refused; other control characters are counted, and stay."""
    draw = Random(seed)
    ok = planted(seed, folder / "nul", lambda d: [b'{"text": "a\0b", "label": "bad"}'] * d.randint(1, 3))
    rows = [
        {
            "text": f"{corpus.sentence(draw, 'en')}{draw.choice(['', chr(7), chr(0x9B)])}",
            "label": draw.choice(corpus.LABELS),
        }
        for _ in range(40)
    ]
    corpus.write(folder / "bell/en/train.jsonl", [json.dumps(row) for row in rows])
    found = checked_data(folder / "bell")
    many = sum(not row["text"][-1].isascii() or row["text"][-1] == "\x07" for row in rows)
    same = [row["text"] for row in corpus.dataset(folder / "bell").rows("classification", "en", "train")] == [
        row["text"] for row in rows
    ]
    return ok and same and found.splits["en", "train"]["notes"].get("control characters", 0) == many


def long_line(seed: int, folder: Path) -> bool:
    """D05: lines of more than 100,000 characters, up to 10 MB, are refused by number; the next line is read."""
    return planted(
        seed, folder, lambda d: [b'{"text": "' + b"a" * d.choice([100_001, 10_000_000]) + b'", "label": "bad"}']
    )


def columns(seed: int, folder: Path) -> bool:
    """D06: ragged lines of a table, and a header without the column."""
    draw = Random(seed)
    corpus.write(folder / "en/train.tsv", ["text\tlabel", *(f"{corpus.sentence(draw, 'en')}\tbad" for _ in range(30))])
    corpus.write(folder / "no/train.tsv", ["text\ttopic", "a\tb"])
    changes = {"pattern": "{root}/{lang}/{split}.tsv"}
    clean = list(corpus.dataset(folder, **changes).rows("classification", "en", "train"))
    lines = corpus.plant(
        folder / "en/train.tsv", draw, [draw.choice([b"only one", b"a\tb\tc", b""]) for _ in range(draw.randint(1, 25))]
    )
    data = corpus.dataset(folder, **changes)
    return kept(data, clean, folder / "en/train.tsv", lines, "classification") and "no column label" in told(
        data, "classification", "no", "train"
    )


def quotes(seed: int, folder: Path) -> bool:
    """D07: quotation marks in a TSV swallow no line."""
    draw = Random(seed)
    texts = [
        draw.choice(['"', '""', "", '" "', "'"]) + corpus.sentence(draw, "en") + draw.choice(["", '"'])
        for _ in range(40)
    ]
    corpus.write(folder / "en/train.tsv", ["text\tlabel", *(f"{text}\tbad" for text in texts)])
    data = corpus.dataset(folder, pattern="{root}/{lang}/{split}.tsv")
    return [row["text"] for row in data.rows("classification", "en", "train")] == texts


def nothing_words(seed: int, folder: Path) -> bool:
    """D08: words that tables are fond of reading as nothing, true or a number stay words."""
    given = [
        "NA",
        "N/A",
        "null",
        "NULL",
        "nan",
        "NaN",
        "None",
        "none",
        "n/a",
        "NIL",
        "no",
        "No",
        "yes",
        "true",
        "False",
        "inf",
        "-inf",
        "1e5",
        "007",
        "#N/A",
    ]
    Random(seed).shuffle(given)
    for suffix, delimiter in (("tsv", "\t"), ("csv", ",")):
        out = io.StringIO()
        csv.writer(out, delimiter=delimiter, lineterminator="\n").writerows(
            [["text", "label"], *([word, word] for word in given)]
        )
        corpus.write(folder / suffix / f"en/train.{suffix}", out.getvalue().split("\n")[:-1])
    corpus.write(folder / "jsonl/en/train.jsonl", [json.dumps({"text": word, "label": word}) for word in given])
    return all(
        [
            (row["text"], row["label"])
            for row in corpus.dataset(folder / s, pattern="{root}/{lang}/{split}." + s).rows(
                "classification", "en", "train"
            )
        ]
        == [(word, word) for word in given]
        for s in ("tsv", "csv", "jsonl")
    )


def unknown_labels(seed: int, folder: Path) -> bool:
    """D09: labels missing, unknown, or of another type; an unknown one with its count."""
    bad = [
        b'{"text": "a"}',
        b'{"text": "a", "label": null}',
        b'{"text": "a", "label": "gut"}',
        b'{"text": "a", "label": 1.5}',
        b'{"text": "a", "label": true}',
        b'{"text": "a", "label": ""}',
    ]
    ok = planted(
        seed,
        folder,
        lambda d: [*d.sample(bad, d.randint(1, 6)), b'{"text": "b", "label": "gut"}'],
        label_names=[*corpus.LABELS],
    )
    found = corpus.dataset(folder, label_names=[*corpus.LABELS]).inspect("classification", "en", "train")
    ok &= planted(seed, folder / "open", lambda d: [bad[i] for i in d.sample([0, 1, 3, 4, 5], d.randint(1, 5))])
    return ok and found.counts["label 'gut'"] == (folder / "en/train.jsonl").read_bytes().count(b'"gut"')


def permuted_labels(seed: int, folder: Path) -> bool:
    """D10: numbers of labels that differ between languages; none is found where they agree."""
    draw = Random(seed)
    corpus.labelled(folder, draw, labels=("0", "1", "2"), sizes=(60, 20, 20))
    clean = checked_data(folder, align_on="id", columns={"id": "id", "text": "text", "label": "label"})
    order = draw.choice([(0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)])
    path = folder / "ru/train.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]
    corpus.write(path, [json.dumps(row | {"label": str(order[int(row["label"])])}) for row in rows])
    found = checked_data(folder, align_on="id", columns={"id": "id", "text": "text", "label": "label"})
    corpus.write(path, [json.dumps(row | {"label": corpus.LABELS[int(row["label"])]}) for row in rows])
    named = checked_data(folder)  # numbers here, names there
    return (
        not clean.wrong
        and len(found.wrong) == 1
        and "numbering of labels differs" in found.wrong[0]
        and any(
            each.startswith(("ru, train: the labels are not", "en, train: the labels are not")) for each in named.wrong
        )
    )


def bio(seed: int, folder: Path) -> bool:
    """D11: I- tags that nothing begins are counted by language; strict refuses them, repair begins a span."""
    draw, many = Random(seed), {}
    for code in ("en", "ru"):
        many[code], rows = 0, []
        for _ in range(30):
            broken = draw.random() < 0.3
            many[code] += broken
            tags = (
                draw.choice([["O", "I-PER", "O"], ["B-PER", "I-LOC", "O"], ["I-LOC", "O", "O"]])
                if broken
                else draw.choice([["O", "B-PER", "I-PER"], ["O", "O", "O"]])
            )
            rows.append({"tokens": corpus.words(draw, code, 3), "tags": tags})
            try:
                checked(rows[-1]["tokens"], tags, repair=False)
                refused = False
            except BadRow:
                refused = True
            repaired = checked(rows[-1]["tokens"], tags, repair=True)
            if refused != broken or checked(rows[-1]["tokens"], repaired, repair=False) != repaired:
                return False
        corpus.write(folder / code / "train.jsonl", [json.dumps(row) for row in rows])
    found = checked_data(folder, "tagging_files")
    return all(found.splits[code, "train"]["notes"].get("I- without B-", 0) == n for code, n in many.items())


def tags(seed: int, folder: Path) -> bool:
    """D12: not one tag for each token."""
    draw = Random(seed)
    rows = [{"tokens": (w := corpus.words(draw, "en", draw.randint(1, 6))), "tags": ["O"] * len(w)} for _ in range(30)]
    corpus.write(folder / "en/train.jsonl", [json.dumps(row) for row in rows])
    data = corpus.dataset(folder, "tagging_files")
    clean = list(data.rows("tagging", "en", "train"))
    bad = [
        json.dumps({"tokens": ["a", "b"], "tags": ["O"] * draw.choice([0, 1, 3])}).encode()
        for _ in range(draw.randint(1, 22))
    ]
    lines = corpus.plant(folder / "en/train.jsonl", draw, bad)
    return kept(corpus.dataset(folder, "tagging_files"), clean, folder / "en/train.jsonl", lines, "tagging")


def shifted_pairs(seed: int, folder: Path) -> bool:
    """D13: 1,000 pairs of which a line is missing on one side, from the start or on the way; no alarm where none is."""
    draw = Random(seed)
    pattern = {"pattern": "{root}/{split}.{lang}.{side}"}
    clean = checked_data(corpus.parallel(folder / "clean", draw, 1000), "moses_files", **pattern)
    at = draw.choice([0, draw.randint(100, 700)])
    off = checked_data(corpus.parallel(folder / "off", draw, 1000, shift=1, at=at), "moses_files", **pattern)
    path = corpus.parallel(folder / "short", draw, 60) / "train.en-ru.ru"
    path.write_bytes(path.read_bytes().rsplit(b"\n", 2)[0] + b"\n")
    short = told(corpus.dataset(folder / "short", "moses_files", **pattern), "parallel", "en-ru", "train")
    return (
        not clean.wrong
        and any("the target fits 1 row later" in each for each in off.wrong)
        and "ends after line 59" in short
    )


def ids_twice(seed: int, folder: Path) -> bool:
    """D14: an id that stands twice, with both places; the same text with another label, with both."""
    draw = Random(seed)
    path = corpus.labelled(folder, draw, languages=("en",)) / "en/train.jsonl"
    if checked_data(folder, columns={"id": "id", "text": "text", "label": "label"}).wrong:
        return False
    line = draw.randrange(1, 41)
    row = json.loads(path.read_bytes().split(b"\n")[line - 1])
    other = next(label for label in corpus.LABELS if label != row["label"])
    path.write_bytes(path.read_bytes() + json.dumps(row | {"label": other}).encode() + b"\n")
    found = checked_data(folder, columns={"id": "id", "text": "text", "label": "label"})
    both = [f"{path} line 41", f"{path} line {line}"]
    return all(p in found.wrong[0] for p in both) and all(p in found.warnings[0] for p in both)


def leaks(seed: int, folder: Path) -> bool:
    """D15: test rows that stand in training data, as they are, in other case and width, or with one word of twenty changed."""
    draw = Random(seed)
    corpus.labelled(folder, draw, languages=("en",))
    train = [json.loads(line) for line in (folder / "en/train.jsonl").read_bytes().split(b"\n")[:-1]]
    clean = checked_data(folder, guard=GUARD).splits["en", "test"]["leaked"]
    same = [draw.choice(train)["text"] for _ in range(3)]
    long = " ".join(corpus.words(draw, "en", 40))
    near = long.split()
    near[draw.randrange(40)] = "zz"
    rows = [same[0], same[1].upper() + "!", f"  {same[2]}", " ".join(near)]
    with (folder / "en/train.jsonl").open("a") as file:
        file.write(json.dumps({"text": long, "label": "bad"}) + "\n")
    with (folder / "en/test.jsonl").open("a") as file:
        file.writelines(json.dumps({"text": text, "label": "bad"}) + "\n" for text in rows)
    return clean == {} and checked_data(folder, guard=GUARD).splits["en", "test"]["leaked"] == {"text": 4}


def parallel_leaks(seed: int, folder: Path) -> bool:
    """D16: a test row whose translation is learned from: by its id, all of them."""
    draw = Random(seed)
    corpus.labelled(folder, draw, languages=("en", "ru"))
    settings = {"align_on": "id", "columns": {"id": "id", "text": "text", "label": "label"}}
    clean = checked_data(folder, guard=GUARD, **settings).splits["ru", "test"]["leaked"]
    many = draw.randint(1, 9)
    with (folder / "ru/test.jsonl").open("a") as file:
        for number in draw.sample(range(40), many):
            file.write(json.dumps({"id": number, "text": corpus.sentence(draw, "ru"), "label": "bad"}) + "\n")
    (folder / "ru/train.jsonl").unlink()
    return (
        clean == {} and checked_data(folder, guard=GUARD, **settings).splits["ru", "test"]["leaked"].get("id") == many
    )


def offsets(seed: int, folder: Path) -> bool:
    """D17: answers are where they are said to be, in scripts with marks that nobody sees; one character off is refused; marks are counted."""
    draw, rows, marked = Random(seed), [], 0
    for i in range(20):
        code = draw.choice(["ar", "he", "hi"])
        mark = draw.choice(["", "\u200c", "\u200f", "\ufe0f", "\u200b"])
        before, answer = corpus.sentence(draw, code, 2, 5) + mark, " ".join(corpus.words(draw, code, 2)) + mark
        marked += mark in ("\u200c", "\u200b") and mark != ""
        context = f"{before} {answer} {corpus.sentence(draw, code, 2, 5)}"
        rows.append(
            {
                "id": str(i),
                "question": "?",
                "context": context,
                "answers": {"text": [answer], "answer_start": [len(before) + 1]},
            }
        )
    corpus.write(folder / "ar/test.jsonl", [json.dumps(row) for row in rows])
    data = corpus.dataset(folder, "qa_files", pattern="{root}/{lang}/{split}.jsonl", format="auto")
    read = list(data.rows("qa", "ar", "test"))
    same = all(
        r["context"][s : s + len(t)] == t
        for r in read
        for t, s in zip(r["answers"]["text"], r["answers"]["answer_start"], strict=True)
    )
    notes = survey(data, "qa", ["ar"], None).splits["ar", "test"]["notes"]
    off = rows[0] | {
        "id": "x",
        "answers": {"text": rows[0]["answers"]["text"], "answer_start": [rows[0]["answers"]["answer_start"][0] + 1]},
    }
    lines = corpus.plant(folder / "ar/test.jsonl", draw, [json.dumps(off).encode()])
    data = corpus.dataset(folder, "qa_files", pattern="{root}/{lang}/{split}.jsonl", format="auto")
    return (
        same
        and notes.get("zero-width characters", 0) == marked
        and kept(data, read, folder / "ar/test.jsonl", lines, "qa", "test")
    )


def normal_forms(seed: int, folder: Path) -> bool:
    """D18: NFC and NFD side by side are told with their counts; a label in the other form is not taken for the declared one."""
    draw = Random(seed)
    forms = [draw.choice(["NFC", "NFD"]) for _ in range(20)] + ["NFC", "NFD"]
    rows = [{"text": unicodedata.normalize(form, f"Käse für Zoë {i}"), "label": "süß"} for i, form in enumerate(forms)]
    rows[0]["label"] = "bad"
    corpus.write(folder / "de/train.jsonl", [json.dumps(row) for row in rows])
    found = checked_data(folder)
    told_mix = any(
        f"{forms.count('NFD')} rows are not in NFC and {forms.count('NFC')} are" in each for each in found.warnings
    )
    corpus.write(folder / "de/train.jsonl", [json.dumps({"text": "a", "label": unicodedata.normalize("NFD", "süß")})])
    return told_mix and "is not one of" in told(
        corpus.dataset(folder, label_names=["süß", "bad"]), "classification", "de", "train"
    )


def codes(seed: int, folder: Path) -> bool:
    """D19: 40 codes, `no` and `nan` among them, come back from YAML, command line, CSV and JSON as they were; a typo is refused with the code meant."""
    known = sorted({alias for language in languages._table().values() for alias in (language.code, *language.aliases)})
    given = [
        "no",
        "nan",
        "zh_TW",
        "pt_BR",
        "cmn",
        *Random(seed).sample([c for c in known if c.replace("_", "").isalnum()], 35),
    ]
    by_yaml = yaml.safe_load(yaml.safe_dump(given))
    by_line = list(compose("zero-shot-eval", [f"languages.target=[{','.join(given)}]"], []).languages.target)
    out = io.StringIO()
    csv.writer(out).writerow(given)
    by_csv = next(csv.reader(io.StringIO(out.getvalue())))
    ok = all(read == given for read in (by_yaml, by_line, by_csv, json.loads(json.dumps(given))))
    folder.mkdir(parents=True, exist_ok=True)
    for code in given:
        corpus.write(folder / code / "test.tsv", ["text\tlabel", f"{code}\tbad"])
    data = corpus.dataset(folder, pattern="{root}/{lang}/{split}.tsv")
    found = data.languages("classification")
    return ok and found == sorted({*given}) and all(map(languages.known, given)) and not languages.known("englsh")


def wrong_script(seed: int, folder: Path) -> bool:
    """D20: the file of a language holds text in another script; no alarm where it does not."""
    draw = Random(seed)
    code, other = draw.sample(sorted(corpus.ALPHABETS), 2)
    corpus.labelled(folder, draw, languages=tuple(corpus.ALPHABETS))
    clean = checked_data(folder)
    (folder / code / "test.jsonl").write_bytes((folder / other / "test.jsonl").read_bytes())
    found = checked_data(folder)
    return not clean.wrong and not clean.warnings and [each.split(":")[0] for each in found.wrong] == [f"{code}, test"]


def only_the_source(seed: int, folder: Path) -> bool:
    """D21: fine-tuning on one language reads no file of another: they may be anything, and the run ends as it would have. Control: asked for, it is refused."""
    draw = Random(seed)
    corpus.labelled(folder / "data", draw, languages=("en", "ru", "el"))
    for code in ("ru", "el"):
        for split in draw.sample(["train", "dev", "test"], draw.randint(1, 3)):
            (folder / "data" / code / f"{split}.jsonl").write_bytes(b"\xff\xff\n")
    (folder / "data/ru/train.jsonl").write_bytes(b"\xff\n")
    given = [
        "dataset=classification_files",
        f"dataset.root={folder / 'data'}",
        "dataset.name=dirty",
        "hardware=debug",
        f"run.root={folder / 'runs'}",
        f"run.cache={folder / 'cache'}",
    ]
    small = [
        "model=tiny",
        "model.width=16",
        "model.feed_forward=32",
        "train.max_length=16",
        "train.steps=2",
        "train.epochs=null",
    ]
    codes = [
        cli.main(["tokenize", *given, "languages.train=[en]", "tokenizer.vocab_size=300"]),
        cli.main(["finetune", *given, *small, "languages.source=[en]"]),
        cli.main(["finetune", *given, *small, "languages.source=[en,ru]", "run.overwrite=true"]),
    ]
    return codes == [0, 0, 2]


def empty_splits(seed: int, folder: Path) -> bool:
    """D22: a split without a row, and training data of one class."""
    draw = Random(seed)
    corpus.labelled(folder, draw)
    split = draw.choice(["train", "dev", "test"])
    (folder / "ru" / f"{split}.jsonl").write_bytes(b"")
    refused = "no rows" in told(corpus.dataset(folder), "classification", "ru", split)
    empty = checked_data(folder).wrong
    corpus.labelled(folder / "one", draw, labels=("bad",))
    one = checked_data(folder / "one").wrong
    return (
        refused
        and len(empty) == 1
        and empty[0].startswith(f"ru, {split}: no rows")
        and all("nothing can be learned" in each for each in one)
        and len(one) == 2
    )


def broken_json(seed: int, folder: Path) -> bool:
    """D23: lines cut off, NaN, and half a surrogate pair."""
    bad = [
        b'{"text": "a", "label": "b',
        b'{"text": NaN, "label": "bad"}',
        b'{"text": "\\ud800", "label": "bad"}',
        b"[]",
        b"nothing",
    ]
    return planted(seed, folder, lambda d: [d.choice(bad) for _ in range(d.randint(1, 25))])


def shift_by_texts(seed: int, folder: Path) -> bool:
    """D13, control: the detector itself, without files, on pairs whose sides have nothing to do with each other."""
    draw = Random(seed)
    sides = [[corpus.sentence(draw, code, 1, 30) for _ in range(1000)] for code in ("en", "ru")]
    return shifts(*sides) == []


TRIALS = {
    "D01": invalid_utf8, "D02": line_ends, "D03": breaks_inside, "D04": controls, "D05": long_line, "D06": columns, "D07": quotes, "D08": nothing_words,
    "D09": unknown_labels, "D10": permuted_labels, "D11": bio, "D12": tags, "D13": shifted_pairs, "D13-unrelated": shift_by_texts, "D14": ids_twice,
    "D15": leaks, "D16": parallel_leaks, "D17": offsets, "D18": normal_forms, "D19": codes, "D20": wrong_script, "D21": only_the_source, "D22": empty_splits, "D23": broken_json,
}  # fmt: skip
