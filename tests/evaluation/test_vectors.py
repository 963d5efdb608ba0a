"""Sentences read in batches get the vectors that each gets when it is read alone by plain transformers."""

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from tests.shipped import shipped
from tests.stages.test_training import encoder, tokenizer  # noqa: F401 (a fixture)
from xlt.errors import NonFinite
from xlt.evaluation.vectors import Reader
from xlt.models.build import build, save
from xlt.models.pooling import Pool
from xlt.vocabulary import Vocabulary

TEXTS = [" ".join(f"w{(3 * i + j) % 40}" for j in range(1 + (5 * i) % 17)) for i in range(23)]


@pytest.mark.parametrize("pool", [Pool.mean, Pool.first])
def test_each_layer_is_that_of_plain_transformers(tmp_path, tokenizer, pool):  # noqa: F811
    words = AutoTokenizer.from_pretrained(tokenizer.path)
    model = build(encoder(0.0), "encoder", shipped("contrastive"), None, words, 1)
    save(model, words, tmp_path)
    told = []
    reader = Reader(model, Vocabulary.of(words), pool, (0, 1, 2), 12, 64, torch.device("cpu"))
    vectors_KND = reader.read(TEXTS, "en", told.append)
    assert sum(told) == len(TEXTS) and len(told) > 3
    plain = AutoModel.from_pretrained(tmp_path).eval()
    for n, text in enumerate(TEXTS):
        with torch.no_grad():
            states = plain(
                **words(text, truncation=True, max_length=12, return_tensors="pt"), output_hidden_states=True
            ).hidden_states
        for layer, hidden_1LD in enumerate(states):
            wanted = hidden_1LD[0].mean(0) if pool is Pool.mean else hidden_1LD[0, 0]
            assert vectors_KND[layer, n] == pytest.approx(wanted.numpy(), abs=1e-5)
    last = Reader(model, Vocabulary.of(words), pool, (2,), 12, 64, torch.device("cpu")).read(TEXTS, "en")
    assert last[0] == pytest.approx(vectors_KND[2], abs=1e-6)
    with torch.no_grad():
        next(model.parameters()).fill_(np.nan)
    with pytest.raises(NonFinite, match="en: the model's states are NaN or infinite"):
        reader.read(TEXTS, "en")
