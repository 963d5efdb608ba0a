"""Universal NER's PUD files with one id a sentence in all languages: uner_pud_ids.py SOURCE TARGET.

The published Chinese file (UNER_Chinese-PUD) numbers its sentences batch-0000-0001 and on, in the order of the PUD treebanks; the other languages'
files have ids of the form n01001-0001 and are sorted by them. In the treebanks the documents of English origin (n01, w01) come before the others
(n02 to n05, w02 to w05). What is written is SOURCE with the Chinese rows renamed and every file in the English order.
"""

import gzip
import json
import sys
from pathlib import Path

source, target = map(Path, sys.argv[1:])


def rows(language: str) -> list[dict]:
    with gzip.open(source / language / "test.jsonl.gz", "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


english = [row["id"] for row in rows("en")]
treebank = sorted(english, key=lambda name: name[1:3] != "01")  # sorted() is stable: n before w in each half
for folder in sorted(p for p in source.iterdir() if p.is_dir()):
    found = rows(folder.name)
    if [row["id"] for row in found] != english:
        if len(found) != len(english):
            sys.exit(f"{folder}: {len(found)} sentences, and English has {len(english)}")
        named = {name: row | {"id": name} for name, row in zip(treebank, found, strict=True)}
        found = [named[name] for name in english]
    place = target / folder.name / "test.jsonl"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in found), encoding="utf-8")
