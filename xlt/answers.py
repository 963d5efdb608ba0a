"""Exact match and F1 of answers that are strings, by the rules of the official scorers. Which string a model predicts is not known here.

Two rules say which words an answer holds. SQuAD's (Rajpurkar et al. 2016, evaluate-v1.1.py) knows English only, and XTREME scores every language by it. MLQA's
(Lewis et al. 2020, mlqa_evaluation_v1.py) knows the articles of each language and all of Unicode's punctuation, and takes each Chinese character for a word: under
SQuAD's rule a Chinese answer is one word, right as a whole or not at all. Here MLQA's rule is continued to the other languages that write no blanks between words.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from xlt import languages

Words = Callable[[str], list[str]]  # an answer, as a rule reads it

_ASCII = str.maketrans("", "", string.punctuation)
_ARTICLES = {
    "en": re.compile(r"\b(a|an|the)\b"),
    "es": re.compile(r"\b(un|una|unos|unas|el|la|los|las)\b"),
    "vi": re.compile(r"\b(của|là|cái|chiếc|những)\b"),
    "de": re.compile(r"\b(ein|eine|einen|einem|eines|einer|der|die|das|den|dem|des)\b"),
    "ar": re.compile("ال"),  # wherever it stands, for MLQA's pattern has no bound
}
_HAN = "\u4e00-\u9fa5"  # MLQA's range
_UNSPACED = {  # characters that are words by themselves; the first line is MLQA's, the others are ours
    **dict.fromkeys(("zh", "yue", "wuu", "gan", "lzh"), _HAN),
    "ja": "\u3005-\u3007\u3041-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uff66-\uff9f",
    "th": "\u0e00-\u0e7f",
    "lo": "\u0e80-\u0eff",
    "km": "\u1780-\u17ff",
    "my": "\u1000-\u109f\uaa60-\uaa7f",
    **dict.fromkeys(("bo", "dz"), "\u0f00-\u0fff"),
}


def squad_words(text: str) -> list[str]:
    """In small letters, without ASCII punctuation and English articles, between blanks."""
    return _ARTICLES["en"].sub(" ", text.lower().translate(_ASCII)).split()


def mlqa_words(language: str) -> Words:
    """The rule of a language: in small letters, without punctuation and its articles; characters of scripts without blanks one by one.

    MLQA's own script stops at languages other than its seven; here they lose no article.
    """
    code = languages.canonical(language) if languages.known(language) else language
    articles = _ARTICLES.get(code)
    alone = re.compile(f"([{_UNSPACED[code]}])") if code in _UNSPACED else None

    def words(text: str) -> list[str]:
        text = "".join(c for c in text.lower() if not _is_punctuation(c))
        text = articles.sub(" ", text) if articles else text
        return (alone.sub(r" \1 ", text) if alone else text).split()

    return words


def exact_and_f1(prediction: str, answers: Sequence[str], words: Words, unanswerable: bool) -> tuple[float, float]:
    """(exact match, F1 over words), the best over the answers.

    unanswerable: by evaluate-v2.0.py (Rajpurkar et al. 2018), where no answer is "", and nothing agrees with nothing alone. Else by
    evaluate-v1.1.py, where two answers that hold no word match exactly, and their F1 is 0.
    """
    said, truths = words(prediction), [words(answer) for answer in answers]
    if unanswerable:
        truths = [truth for truth in truths if truth] or [[]]
    return float(said in truths), max(_f1(said, truth, unanswerable) for truth in truths)


def scores(
    predictions: Sequence[str], answers: Sequence[Sequence[str]], words: Words, unanswerable: bool = False
) -> np.ndarray:
    """float64 (R, 2): exact match and F1 of each row, between 0 and 1."""
    pairs = zip(predictions, answers, strict=True)
    return np.array([exact_and_f1(said, known, words, unanswerable) for said, known in pairs]).reshape(-1, 2)


def best_threshold(odds: np.ndarray, answered: np.ndarray, silent: np.ndarray) -> float:
    """The threshold above which `odds` (R,) of having no answer mean none, so that most is scored; as evaluate-v2.0.py's best_f1_thresh.

    answered, silent: what each row scores (R,) with its answer, and with none.
    """
    order = np.argsort(odds, kind="stable")
    totals = silent.sum() + np.concatenate([[0.0], np.cumsum((answered - silent)[order])])
    # rows of equal odds are answered together
    ends = np.flatnonzero(np.diff(odds[order], append=np.inf)) + 1
    best = max([0, *ends.tolist()], key=lambda rows: (round(totals[rows], 9), -rows))
    return float(odds[order[best - 1]]) if best else float(odds.min() - 1)


def _f1(said: list[str], truth: list[str], unanswerable: bool) -> float:
    if unanswerable and not (said and truth):
        return float(said == truth)
    shared = (Counter(said) & Counter(truth)).total()
    return 2 * shared / (len(said) + len(truth)) if shared else 0.0


def _is_punctuation(character: str) -> bool:
    return character in string.punctuation or unicodedata.category(character).startswith("P")
