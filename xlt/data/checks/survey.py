"""All of a data set read once, and everything that is wrong with it: faulty rows, and what shows only between rows, languages and splits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from xlt import languages, signals
from xlt.data.checks import shift
from xlt.data.checks.tally import CONFLICTS, Tally
from xlt.data.cleaning import scripts
from xlt.data.faults import SHOWN, Collected, OnError
from xlt.data.leakage import LeakageGuard, Learned
from xlt.errors import ConfigError, DataError
from xlt.types import Dataset

SCRIPT_LEAST, SCRIPT_USUAL = (
    0.1,
    0.5,
)  # share of letters in the language's script: below the first it is another language's text
COMMON_LABELS = 0.5  # share of the smaller of two sets of labels, below which they are two namings
ALSO_WRITTEN_IN = {  # beside the usual script, after CLDR's supplemental languageData
    "sr": ("Latn",), "bs": ("Cyrl",), "uz": ("Cyrl", "Arab"), "kk": ("Latn", "Arab"), "az": ("Cyrl", "Arab"), "mn": ("Mong",), "pa": ("Arab",),
    "ku": ("Arab", "Latn"), "ks": ("Deva",), "sd": ("Deva",), "tg": ("Arab", "Latn"), "ms": ("Arab",), "ha": ("Arab",), "tt": ("Latn",), "ky": ("Arab", "Latn"),
    "tk": ("Cyrl", "Arab"), "ug": ("Cyrl",), "za": ("Hani",), "yue": ("Hans",), "ber": ("Latn", "Arab"), "kab": ("Tfng",), "man": ("Nkoo",), "ff": ("Adlm",),
}  # fmt: skip
PRIOR_SHIFT = 0.3  # total variation between the label shares of two languages, from which on it is said


@dataclass
class Survey:
    """What was found. wrong: sentences about what has to be repaired; warnings: about what may be meant. splits: {(language, split): counts}."""

    dataset: str
    view: str
    wrong: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    splits: dict[tuple[str, str], dict] = field(default_factory=dict)
    records: list[dict] = field(default_factory=list)  # of the first faulty rows

    def plain(self) -> dict:
        """As JSON holds it."""
        by: dict[str, dict] = {}
        for (language, split), counts in self.splits.items():
            by.setdefault(language, {})[split] = counts
        return {
            "dataset": self.dataset,
            "view": self.view,
            "wrong": self.wrong,
            "warnings": self.warnings,
            "splits": by,
            "first": self.records,
        }


def survey(dataset: Dataset, view: str, codes: list[str], guard: LeakageGuard | None) -> Survey:
    """Look at all splits of these languages. guard: how leaks between splits are looked for; None: not at all."""
    result, tallies = Survey(dataset.name, view), {}
    for code in codes:
        expected = _letters(code, result)
        for split in dataset.splits(view, code):
            signals.stop_if_requested("while checking data; run the same command again")
            found = Collected()
            tallies[code, split] = tally = Tally(found, expected, getattr(dataset, "_numbered", False))
            _read(dataset, view, code, split, found, tally)
            _judge(result, code, split, found, tally)
    _between_languages(result, tallies)
    if guard is not None:
        _leaks(result, dataset, view, codes, guard)
    return result


def _letters(code: str, result: Survey):
    """Pattern of the language's letters; None for pairs and for codes that nobody knows."""
    if languages.known(code):
        return scripts.letters_of((languages.script(code), *ALSO_WRITTEN_IN.get(languages.canonical(code), ())))
    try:
        languages.pair(code)
    except ConfigError:
        try:
            languages.canonical(code)
        except ConfigError as error:
            result.warnings.append(f"language {error}")
    return None


def _read(dataset: Dataset, view: str, code: str, split: str, found: Collected, each: Callable) -> None:
    if hasattr(dataset, "inspect"):
        dataset.inspect(view, code, split, found, each)
        return
    try:
        for number, row in enumerate(dataset.rows(view, code, split), 1):
            found.rows += 1
            each(f"dataset {dataset.name}, language {code}, split {split}, row {number}", row)
    except DataError as error:
        found.ended = error


def _judge(result: Survey, code: str, split: str, found: Collected, tally: Tally) -> None:
    place = f"{code}, {split}"
    result.splits[code, split] = {
        "rows": found.rows,
        "faulty": found.total,
        "kinds": dict(found.counts.most_common()),
        "notes": {name: n for name, n in sorted(tally.notes.items()) if n},
        "labels": len(tally.labels),
        "script": None if tally.share is None else round(tally.share, 4),
    }
    result.wrong += found.sentences(advice=False)
    result.records += [fault.record() for fault in found.first]
    if not found.rows and not found.total and found.ended is None:
        result.wrong.append(f"{place}: no rows; fill the file, or leave the language out")
    if split == "train" and len(tally.labels) == 1 and found.rows > 1:
        result.wrong.append(
            f"{place}: all {found.rows:,} rows have the label {next(iter(tally.labels))!r}, so nothing can be learned; add rows of another"
        )
    if tally.share is not None and tally.share < SCRIPT_USUAL:
        said = f"{place}: {tally.share:.0%} of the letters are {languages.script(code)}, in which {languages.info(code).name} is written; is it another language's text?"
        (result.wrong if tally.share < SCRIPT_LEAST else result.warnings).append(said)
    if tally.notes["not NFC"] and tally.notes["NFC only"]:
        result.warnings.append(
            f"{place}: {tally.notes['not NFC']:,} rows are not in NFC and {tally.notes['NFC only']:,} are, so equal words differ; bring all to one form"
        )
    if tally.notes["I- without B-"]:
        result.warnings.append(
            f"{place}: {tally.notes['I- without B-']:,} rows have an I- tag that nothing begins, which IOB2 does not know; correct them, or set objective.repair=true"
        )
    if tally.conflicts:
        more = f" (and {tally.notes[CONFLICTS] - 1:,} more)" if tally.notes[CONFLICTS] > 1 else ""
        result.warnings.append(f"{tally.conflicts[0]}{more}")
    if len(tally.sides) and (off := shift.shifts_of(tally.sides_RSF[:, 0], tally.sides_RSF[:, 1])):
        begin, by = off[0]
        result.wrong.append(
            f"{place}: from about row {begin + 1} on the target fits {abs(by)} row{'s' * (abs(by) > 1)} {'later' if by > 0 else 'earlier'}; a line is missing or too many on one side"
        )


def _between_languages(result: Survey, tallies: dict[tuple[str, str], Tally]) -> None:
    for split in dict.fromkeys(split for _, split in tallies):
        having = {code: t for (code, other), t in tallies.items() if other == split and t.labels}
        if len(having) < 2:
            continue
        first = max(having, key=lambda code: sum(having[code].labels.values()))
        for code, tally in having.items():
            if code != first:
                _compare_labels(result, split, (first, having[first]), (code, tally))


def _compare_labels(result: Survey, split: str, one: tuple[str, Tally], other: tuple[str, Tally]) -> None:
    (a, left), (b, right) = one, other
    place = f"{b}, {split}"
    only_left, only_right = sorted(left.labels.keys() - right.labels), sorted(right.labels.keys() - left.labels)
    if only_right and only_left:
        said = f"{place}: the labels are not those of {a}: only here {', '.join(only_right[:8])}; only there {', '.join(only_left[:8])}; give both languages the same names"
        common = len(left.labels.keys() & right.labels) / min(len(left.labels), len(right.labels))
        if common < COMMON_LABELS:
            result.wrong.append(said)
            return
        if not right.tagged:  # of tags a small file has not all
            result.warnings.append(said)
    shared = [(left.label_of[key], label) for key, label in right.label_of.items() if key in left.label_of]
    if len(shared) >= 10:
        pairs = Counter(shared)
        differing = sum(n for (x, y), n in pairs.items() if x != y)
        moved = _permutation(pairs)
        if moved:
            result.wrong.append(
                f"{place}: the same ids have other labels than in {a} ({', '.join(f'{x} is {y} here' for x, y in moved)}); the numbering of labels differs between the files"
            )
        elif differing:
            result.warnings.append(f"{place}: {differing:,} of {len(shared):,} ids have another label than in {a}")
    elif all(str(name).lstrip("-").isdigit() for name in left.labels):
        total_left, total_right = sum(left.labels.values()), sum(right.labels.values())
        distance = (
            sum(abs(left.labels[n] / total_left - right.labels[n] / total_right) for n in {*left.labels, *right.labels})
            / 2
        )
        if distance > PRIOR_SHIFT:
            result.warnings.append(
                f"{place}: labels are numbers, and their shares differ from those of {a} by {distance:.0%}; do both files number them alike?"
            )


def _permutation(pairs: Counter) -> list[tuple[str, str]]:
    """What each label has become, where most rows of the same id moved alike; [] where labels stayed what they are."""
    best = {x: max((y for (z, y) in pairs if z == x), key=lambda y, x=x: pairs[x, y]) for x in {x for x, _ in pairs}}
    moved = sorted((x, y) for x, y in best.items() if x != y)
    explained = sum(pairs[x, y] for x, y in best.items())
    return moved if moved and explained >= 0.8 * pairs.total() else []


def _leaks(result: Survey, dataset: Dataset, view: str, codes: list[str], guard: LeakageGuard) -> None:
    try:
        learning = [code for code in codes if "train" in dataset.splits(view, code)]
        held = [(code, split) for code in codes for split in ("dev", "test") if split in dataset.splits(view, code)]
        if not (learning and held):
            return
        if hasattr(dataset, "on_error"):  # of faulty rows it is said already
            dataset = replace(dataset, on_error=OnError.quarantine)
        search = guard.search([Learned(dataset, view, learning)])
        for code, split in held:
            leaks = search.find(dataset, view, code, split)
            counts = result.splits[code, split]
            counts["leaked"] = {by: len(rows) for by, rows in leaks.items() if rows}
            if either := sorted({*leaks["id"], *leaks["text"]}):
                where = (
                    dataset.locate(view, code, split, either[0])
                    if hasattr(dataset, "locate")
                    else f"row {either[0] + 1}"
                )
                how = " and ".join(f"{len(rows):,} by {by}" for by, rows in leaks.items() if rows)
                result.warnings.append(
                    f"{code}, {split}: {len(either):,} of {counts['rows']:,} rows stand in training data, too ({how}; the first is {where}); leave them out, or score with leakage=drop"
                )
    except DataError as error:
        result.warnings.append(f"leaks were not looked for, since rows cannot be read: {str(error).splitlines()[0]}")


def shown(wrong: list[str]) -> list[str]:
    """The first sentences, and how many more there are."""
    more = len(wrong) - SHOWN
    return wrong[:SHOWN] + ([f"... and {more} more (--json tells all)"] if more > 0 else [])
