"""A dozen English-German sentence pairs with word links, written for these tests: tokens between blanks, `-` sure and `p` possible (Pharaoh, from 0)."""

from __future__ import annotations

from pathlib import Path

PAIRS = [
    ("The dog sleeps .", "Der Hund schläft .", "0-0 1-1 2-2 3-3"),
    ("I have seen the red house .", "Ich habe das rote Haus gesehen .", "0-0 1-1 2-5 3-2 4-3 5-4 6-6"),
    ("She reads a book .", "Sie liest ein Buch .", "0-0 1-1 2-2 3-3 4-4"),
    ("Tomorrow we will travel to Berlin .", "Morgen reisen wir nach Berlin .", "0-0 1-2 2p1 3-1 4-3 5-4 6-5"),
    ("He does not drink coffee .", "Er trinkt keinen Kaffee .", "0-0 1p1 2-2 3-1 4-3 5-4"),
    ("The children are playing in the garden .", "Die Kinder spielen im Garten .", "0-0 1-1 2p2 3-2 4-3 5p3 6-4 7-5"),
    ("My sister lives in a small town .", "Meine Schwester wohnt in einer Kleinstadt .", "0-0 1-1 2-2 3-3 4-4 5p5 6-5 7-6"),
    ("Because it rained , we stayed at home .", "Weil es regnete , blieben wir zu Hause .", "0-0 1-1 2-2 3-3 4-5 5-4 6-6 7-7 8-8"),
    ("The old bridge was built in 1850 .", "Die alte Brücke wurde 1850 gebaut .", "0-0 1-1 2-2 3-3 4-5 5p4 6-4 7-6"),
    ("Can you help me ?", "Kannst du mir helfen ?", "0-0 1-1 2-3 3-2 4-4"),
    ("Anna gave her brother the key .", "Anna gab ihrem Bruder den Schlüssel .", "0-0 1-1 2-2 3-3 4-4 5-5 6-6"),
    ("There is no water on the moon .", "Auf dem Mond gibt es kein Wasser .", "0p4 1p3 2-5 3-6 4-0 5-1 6-2 7-7"),
]  # fmt: skip


def write(folder: Path) -> Path:
    """<folder>/en-de/test.tsv with the columns of dataset=aligned_files."""
    place = folder / "en-de" / "test.tsv"
    place.parent.mkdir(parents=True, exist_ok=True)
    lines = ["source\ttarget\talignment", *("\t".join(pair) for pair in PAIRS)]
    place.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def concepts() -> dict[str, int]:
    """{word: number}: the words of both languages that a sure link joins have the same."""
    number: dict[str, int] = {}
    for source, target, alignment in PAIRS:
        words = source.lower().split(), target.lower().split()
        for word in (*words[0], *words[1]):
            number.setdefault(word, len(number))
        for i, j in (map(int, link.split("-")) for link in alignment.split() if "-" in link):
            a, b = number[words[0][i]], number[words[1][j]]
            number = {word: a if n == b else n for word, n in number.items()}
    return number
