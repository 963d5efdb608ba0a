"""Figures of a layer on spaces whose geometry is known."""

import numpy as np
import pytest

from tests.toy import Toy
from xlt.alignment.geometry import linear_cka
from xlt.data.translations import Part, read_translations
from xlt.errors import ConfigError
from xlt.evaluation.inspection import Inspection, by_pair, measure
from xlt.models.pooling import Pool


def spec(**changes):
    standard = dict(split="test", rows=None, learn=0.5, pool=Pool.mean, layer=None, map_sentences=20, map_lines=True)
    return Inspection(**standard | changes)


@pytest.fixture(scope="module")
def data():
    rows = {code: [{"source": f"en {i}", "target": f"{code} {i}"} for i in range(240)] for code in ("de", "sw")}
    return read_translations(
        Toy({("parallel", f"en-{code}", "test"): r for code, r in rows.items()}), ["en-de", "en-sw"], "test", None, 0.5
    )


def vectors(data, offsets, noise):
    """A sentence is its meaning, the language's offset, and noise."""
    meaning = np.random.default_rng(1).normal(size=(240, 16))
    rng = np.random.default_rng(2)
    return {
        code: (
            meaning[[int(t.split()[1]) for t in texts]] + offsets[code] + noise * rng.normal(size=(len(texts), 16))
        ).astype(np.float32)
        for code, texts in data.texts.items()
    }


def test_a_language_s_mean_hides_translations_and_gives_the_language_away(data):
    far = 30 * np.random.default_rng(3).normal(size=(3, 16))
    layer = measure(vectors(data, dict(zip(data.texts, far, strict=True)), 0.05), data)
    for pair in ("en-de", "en-sw"):
        before, after = layer["pairs"][pair], layer["centred"]["pairs"][pair]
        assert before["cka"] > 0.99 and before["cka_debiased"] > 0.99 and "cka" not in after
        assert before["probe"] == 1.0 and after["probe"] < 0.6
        assert after["accuracy"] == 1.0 and after["cosine"] > 0.98 and abs(after["cosine_others"]) < 0.1
        assert before["cosine_others"] == pytest.approx(before["cosine"], abs=0.1)
        assert after["isotropy"] > before["isotropy"]
    assert layer["probe"] == {"accuracy": 1.0, "converged": True} and layer["centred"]["probe"]["accuracy"] < 0.45
    assert (
        layer["languages"]["de"]["cosine_others"]
        > 0.9
        > 0.1
        > abs(layer["centred"]["languages"]["de"]["cosine_others"])
    )


def test_figures_are_of_the_scored_part_and_means_of_another(data):
    spaces = vectors(data, dict.fromkeys(data.texts, 0.0), 0.5)
    spaces["en"][data.parts["en"] != Part.scored] += 100
    layer = measure(spaces, data)
    x, y = (spaces[code][at] for code, at in zip(("en", "de"), data.of("en-de", Part.scored), strict=True))
    import torch

    assert layer["pairs"]["en-de"]["cka"] == pytest.approx(linear_cka(torch.from_numpy(x), torch.from_numpy(y)))
    assert layer["pairs"]["en-de"]["accuracy"] > 0.9
    assert layer["centred"]["pairs"]["en-de"]["cosine"] < 0.1, "the mean was that of the other part"
    found = by_pair(layer)
    assert set(found["accuracy"]) == set(found["accuracy_centred"]) == {"en-de", "en-sw"} and "cka_centred" not in found


@pytest.mark.parametrize("changes, sentence", [
    ({"rows": 3}, "inspection.rows: 3 are too few"), ({"learn": 1.0}, "inspection.learn: 1.0 is not between 0 and 1"),
    ({"layer": -1}, "inspection.layer: -1 is below 0"), ({"map_sentences": -1}, "inspection.map_sentences: -1 is below 0"),
])  # fmt: skip
def test_what_cannot_be_inspected_is_said(changes, sentence):
    with pytest.raises(ConfigError, match=sentence):
        spec(**changes)
