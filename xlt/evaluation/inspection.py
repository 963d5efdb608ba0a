"""What `xlt inspect` measures of a layer: are translations near each other, are the spaces of two languages alike, does the language still show?

Each figure as the vectors are and again after the mean of each language is taken away. Means and probe come from other sentences than the figures, and
the two share no meaning. Knows vectors and which of them are translations; no model, no text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from xlt import languages
from xlt.alignment import geometry
from xlt.alignment.csls import unit
from xlt.alignment.probe import fit_probe, recognised
from xlt.alignment.retrieval import retrieval_accuracy
from xlt.data.translations import Part, Translations
from xlt.errors import ConfigError
from xlt.models.pooling import Pool
from xlt.objectives.plain_text import modules as no_modules

HIGHER_IS_BETTER = {
    "accuracy": True,
    "accuracy_forward": True,
    "accuracy_backward": True,
    "cka": True,
    "cka_debiased": True,
    "cosine": True,
    "cosine_others": False,
    "isotropy": True,
    "probe": False,
}
INVARIANT = ("cka", "cka_debiased")  # which centre both sides themselves: no mean that was taken away changes them
CENTRED = "_centred"  # in a metric's name: after the mean of each language was taken away


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """What is read and drawn. split: of the data set. rows: of each pair, the first so many (null: all). learn: share of the meanings that are not scored:
    they give the means, and half of them train the probe. layer: the one that tables by pair, `results` and the map are of (null: the last).
    map_sentences: of each language in the map; map_lines: from each to its translation.
    """

    split: str
    rows: int | None
    learn: float
    pool: Pool
    layer: int | None
    map_sentences: int
    map_lines: bool

    head: ClassVar[str] = "encoder"
    modules = no_modules

    def __post_init__(self):
        problems = []
        if self.rows is not None and self.rows < 8:
            problems.append(
                f"inspection.rows: {self.rows} are too few to learn from some and score others; give 200 or more, or null for all"
            )
        if not 0 < self.learn < 1:
            problems.append(
                f"inspection.learn: {self.learn} is not between 0 and 1; with 0.5 half of the sentences are scored"
            )
        if self.layer is not None and self.layer < 0:
            problems.append(f"inspection.layer: {self.layer} is below 0; 0 is the embeddings, null the last layer")
        if self.map_sentences < 0:
            problems.append(f"inspection.map_sentences: {self.map_sentences} is below 0; with 0 no map is drawn")
        if problems:
            raise ConfigError(problems)


def measure(vectors: dict[str, np.ndarray], data: Translations) -> dict[str, Any]:
    """{pairs: {pair: {metric: value}}, languages: {language: {metric: value}}, probe: {accuracy, converged}, centred: the same} of one layer.

    vectors: {language: vectors_ND of data.texts}. probe of a pair: how often the one of its two languages that a sentence is in is told, 0.5 by chance; of a
    language: how often it is told among all; accuracy: the mean of these, 1 / languages by chance.
    """
    spaces = {code: torch.tensor(v, dtype=torch.float32) for code, v in vectors.items()}
    centred = {
        code: x_ND - x_ND[torch.from_numpy(data.parts[code] != Part.scored)].mean(0) for code, x_ND in spaces.items()
    }
    return {**_figures(spaces, data, invariant=True), "centred": _figures(centred, data, invariant=False)}


def _figures(spaces: dict[str, torch.Tensor], data: Translations, invariant: bool) -> dict[str, Any]:
    scored = {code: _of(x_ND, data.parts[code], Part.scored) for code, x_ND in spaces.items()}
    logits, converged = _probe(spaces, data)
    found: dict[str, Any] = {"pairs": {}, "languages": {}}
    names = list(spaces)
    told = recognised(*logits)
    for number, code in enumerate(names):
        units_ND = unit(scored[code])
        by = {"isotropy": geometry.isotropy(units_ND), "cosine_others": geometry.mean_cosine(units_ND)}
        found["languages"][code] = {**by, "probe": told[number]}
    for pair in data.pairs:
        codes = languages.pair(pair)
        places = data.of(pair, Part.scored)
        x_PD, y_PD = (spaces[code][torch.from_numpy(at)] for code, at in zip(codes, places, strict=True))
        found["pairs"][pair] = _pair_figures(x_PD, y_PD, invariant)
        two = [names.index(code) for code in codes]
        found["pairs"][pair]["probe"] = float(np.mean(list(recognised(*logits, two).values())))
    found["probe"] = {"accuracy": float(np.mean(list(told.values()))), "converged": converged}
    return found


def _pair_figures(x_PD: torch.Tensor, y_PD: torch.Tensor, invariant: bool) -> dict[str, float]:
    cka = {"cka": geometry.linear_cka, "cka_debiased": geometry.debiased_cka} if invariant else {}
    cosine, others = geometry.pair_cosines(x_PD, y_PD)
    return {
        **{name: of(x_PD, y_PD) for name, of in cka.items()},
        **retrieval_accuracy(x_PD, y_PD),
        "cosine": cosine,
        "cosine_others": others,
        "isotropy": geometry.isotropy(unit(torch.cat([x_PD, y_PD]))),  # unit: it depends on length, and cosine does not
    }


def _probe(spaces: dict[str, torch.Tensor], data: Translations) -> tuple[tuple[np.ndarray, np.ndarray], bool]:
    """((logits, language's number) of the scored sentences, whether the fit converged); classes are the languages in their order."""
    parts = []
    for part in (Part.probe, Part.scored):
        rows = [_of(x_ND, data.parts[code], part).numpy() for code, x_ND in spaces.items()]
        classes = np.repeat(np.arange(len(rows)), [len(r) for r in rows])
        parts.append((np.concatenate(rows), classes))
    (train_ND, train_N), (test_MD, test_M) = parts
    probe = fit_probe(train_ND, train_N, test_MD)
    return (probe.logits, test_M), probe.converged


def _of(x_ND: torch.Tensor, parts_N: np.ndarray, part: Part) -> torch.Tensor:
    return x_ND[torch.from_numpy(parts_N == part)]


def by_pair(layer: dict[str, Any]) -> dict[str, dict[str, float]]:
    """{metric: {pair: value}} of one layer; those after centring are METRIC_centred."""
    found: dict[str, dict[str, float]] = {}
    for suffix, figures in (("", layer), (CENTRED, layer["centred"])):
        for pair, by in figures["pairs"].items():
            for metric, value in by.items():
                found.setdefault(metric + suffix, {})[pair] = value
    return found
