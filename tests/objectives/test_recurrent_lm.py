"""Causal LM with recurrent models of one and of two directions, and language embeddings in every objective."""

import numpy as np
import pytest
import torch

from tests.objectives.test_language_models import OBJECTIVES, SIZE, WORDS, rows
from tests.stages.test_training import equal, figures, sentence, weights
from tests.toy import Toy, stage_config, word_tokenizer
from xlt.models.build import TransferModel
from xlt.models.capabilities import require_head
from xlt.objectives.causal_lm import CausalLM
from xlt.stages import pretrain
from xlt.tokenization.load import Pretrained as PretrainedTokenizer
from xlt.vocabulary import Vocabulary

recurrent = pytest.importorskip("xlt.models.recurrent")
CLM = CausalLM(predict_end=True)


def tiny(direction):
    torch.manual_seed(0)
    shape = dict(vocab_size=SIZE, direction=direction, hidden_size=16, embedding_size=12, pad_token_id=1)
    model = recurrent.RecurrentForCausalLM(recurrent.RecurrentConfig(**shape)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return model


@pytest.mark.parametrize("direction", ["forward", "both"])
def test_the_loss_is_that_of_the_model_with_labels(direction):
    vocabulary, model = Vocabulary.of(word_tokenizer(WORDS)), tiny(direction)
    require_head(model, "causal-lm")
    batch = CLM.collate(rows(CLM, 12), vocabulary, 34)
    alone = [
        ids[ids != 1].unsqueeze(0) for ids in batch["input_ids"]
    ]  # padded, its backward half would predict from padding
    with torch.no_grad():
        theirs = sum(model(ids, labels=ids).loss * (ids.shape[1] - 1) for ids in alone) / batch.count
    wrapped = TransferModel(model, {}, {})
    assert CLM.loss(wrapped, batch).item() / batch.count == pytest.approx(float(theirs), abs=1e-5)
    outputs = {name: value.numpy() for name, value in CLM.predict(wrapped, batch).items()}
    assert CLM.score(outputs, None)["loss"] == pytest.approx(float(theirs), abs=1e-5)
    total, sums_B2 = CLM.loss_by_row(wrapped, batch)
    torch.testing.assert_close(sums_B2.sum(0), torch.stack([total.detach(), torch.tensor(float(batch.count))]))


def test_a_row_alone_has_the_same_loss_from_the_end_too():
    vocabulary, model = Vocabulary.of(word_tokenizer(WORDS)), TransferModel(tiny("both"), {}, {})
    drawn = rows(CLM, 9)
    with torch.no_grad():
        whole = CLM.loss_by_row(model, CLM.collate(drawn, vocabulary, 34))[1]
        alone = [CLM.loss_by_row(model, CLM.collate(drawn.slice(i, i + 1), vocabulary, 34))[1] for i in range(9)]
    torch.testing.assert_close(torch.cat(alone), whole, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("name", ["masked_lm", "translation_lm", "causal_lm", "denoising"])
def test_language_embeddings_take_part_and_runs_repeat(tmp_path, name):
    from xlt.models.inputs import MultilingualInput
    from xlt.models.shapes import FromScratch

    objective = OBJECTIVES[name]
    word_tokenizer(WORDS).save_pretrained(tmp_path / "tokenizer")
    texts = [[{"text": sentence(i, base)} for i in range(20)] for base in range(2)]
    pairs = [{"source": sentence(i, 0), "target": sentence(i, 3)} for i in range(20)]
    data = Toy(
        {("text", code, "train"): t for code, t in zip(("de", "en"), texts, strict=True)}
        | {("parallel", "en-de", "train"): pairs}
    )
    shape = dict(
        architecture={"masked-lm": "xlm-roberta", "causal-lm": "gpt2", "seq2seq-lm": "mbart"}[objective.head],
        layers=1, width=16, attention_heads=2, feed_forward=32, max_positions=40, dropout=0.1, attention_dropout=0.1, init_from=None,
    )  # fmt: skip
    node = MultilingualInput(backbone=FromScratch(**shape), languages=True, segments=True)
    for run in ("first", "second"):
        tokenizer = PretrainedTokenizer(path=str(tmp_path / "tokenizer"))
        pretrain.run(stage_config(tmp_path, "pretrain", data, objective, node, tokenizer, name=run))
    assert equal(weights(tmp_path, "first"), weights(tmp_path, "second"))
    assert figures(tmp_path, "first") == figures(tmp_path, "second")
    from safetensors.torch import load_file

    table = load_file(tmp_path / "first" / "pretrain" / "model" / "inputs.safetensors")["language.weight"]
    assert table.shape == (2, 16) and np.abs(table.numpy()).max() > 0
    config = stage_config(
        tmp_path, "pretrain", data, objective, node, tokenizer, name="start", steps=1, warmup=0, learning_rate=1e-12
    )
    pretrain.run(config)
    start = load_file(tmp_path / "start" / "pretrain" / "model" / "inputs.safetensors")["language.weight"]
    assert (start - table).abs().max(1).values.min() > 1e-4, "a language's embedding was not trained"
