"""What loading a checkpoint tells the user: nothing of weights that are not needed, one line of those that begin at random values."""

from __future__ import annotations

import pytest
from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM

from xlt.models.build import _pretrained

SHAPE = dict(vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)


@pytest.mark.parametrize(
    ("saved", "loaded", "lines"), [(AutoModelForMaskedLM, AutoModel, 0), (AutoModel, AutoModelForMaskedLM, 1)]
)
def test_only_what_matters_is_said(tmp_path, capfd, saved, loaded, lines):
    config = AutoConfig.for_model("xlm-roberta", max_position_embeddings=12, **SHAPE)
    options = {"add_pooling_layer": False} if saved is AutoModel else {}
    saved.from_config(config, **options).save_pretrained(tmp_path)
    capfd.readouterr()
    options = {"add_pooling_layer": False} if loaded is AutoModel else {}
    _pretrained(loaded, str(tmp_path), options, "runs/a", "MaskedLM")
    out, err = capfd.readouterr()
    assert not out and len(err.split("\n")) - 1 == lines
    if lines:
        assert (
            err.startswith("xlt: model.init_from: ")
            and "weights are not in runs/a and begin at random values (first: lm_head" in err
        )
