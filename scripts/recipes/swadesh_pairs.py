"""The words that two languages have for the same concept of a Swadesh list, as a dictionary: python swadesh_pairs.py FOLDER en yo."""

import gzip
import json
import sys
from pathlib import Path


def words(folder: Path, language: str) -> dict[str, list[str]]:
    """{concept: single words}."""
    [path] = (folder / language).glob("all.jsonl*")
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else open(path, encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return {row["id"]: [word for word in row["words"] if len(word.split()) == 1] for row in rows}


if __name__ == "__main__":
    ours, theirs = (words(Path(sys.argv[1]), language) for language in sys.argv[2:4])
    for concept, sources in ours.items():
        for source in sources:
            for target in theirs.get(concept, []):
                print(f"{source}\t{target}")
