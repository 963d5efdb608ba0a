"""A small model on disk, adapters as conf/ has them, and a few updates of it: what all tests of adapters begin with."""

from __future__ import annotations

import torch
import transformers
import yaml

from tests.toy import masked_lm, word_tokenizer
from xlt import files
from xlt.config import paths
from xlt.config.build import build_node
from xlt.models.adapters import folder as adapter_folder
from xlt.models.adapters.attach import attach
from xlt.models.build import Pretrained, build, save
from xlt.models.pooling import Pool
from xlt.objectives.sequence_classification import SequenceClassification

WORDS = [f"w{i}" for i in range(40)]
SIZE = len(WORDS) + 5
LABELS = ["a", "b", "c"]
TASK = SequenceClassification(pair=False, pool=Pool.mean, hidden=True, dropout=0.0)
MLM = masked_lm()
_BERT = dict(
    hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, max_position_embeddings=60
)
SHAPES = {
    "xlm-roberta": _BERT,
    "bert": _BERT,
    "modernbert": dict(_BERT, cls_token_id=0, sep_token_id=2),
    "gpt2": dict(n_embd=16, n_layer=2, n_head=2, n_positions=60),
    "llama": dict(_BERT, num_key_value_heads=1),
    "mbart": dict(d_model=16, encoder_layers=2, decoder_layers=2, encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, max_position_embeddings=60),
    "mt5": dict(d_model=16, d_kv=8, num_layers=2, num_heads=2, d_ff=32),
}  # fmt: skip
SMALL = {
    "adalora": {"first_rank": 4, "rank": 2, "every": 2, "final": 0.3},
    "lora": {"rank": 2},
    "prefix_tuning": {"length": 3},
    "prompt_tuning": {"length": 3},
    "houlsby": {"reduction": 4},
    "pfeiffer": {"reduction": 4},
    "lt_sft": {"share": 0.02},
}
METHODS = sorted({*SMALL, "ia3"})  # all that are of no language


def kind(name: str, **changes):
    """The adapter of that preset, small."""
    node: dict = {}
    own = yaml.safe_load((paths.conf_dir() / "adapter" / f"{name}.yaml").read_text(encoding="utf-8"))
    for parent in own.pop("defaults", []):
        if parent != "_self_":
            node |= yaml.safe_load((paths.conf_dir() / "adapter" / f"{parent}.yaml").read_text(encoding="utf-8"))
    return build_node({**node, **own, **SMALL.get(name, {}), **changes}, "adapter")


def base(folder, architecture: str = "xlm-roberta", dropout: float = 0.0):
    """A folder as a run's, with a model of random weights large enough that no mistake hides."""
    torch.manual_seed(0)
    ids = dict(vocab_size=SIZE, pad_token_id=1, bos_token_id=0, eos_token_id=2, decoder_start_token_id=2)
    drops = (
        dict(hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout)
        if architecture in ("bert", "xlm-roberta")
        else {}
    )
    config = transformers.AutoConfig.for_model(architecture, **ids, **SHAPES[architecture], **drops)
    auto = {"gpt2": "CausalLM", "llama": "CausalLM", "mbart": "Seq2SeqLM", "mt5": "Seq2SeqLM"}.get(
        architecture, "MaskedLM"
    )
    model = getattr(transformers, f"AutoModelFor{auto}").from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)

    def fill(place):
        model.save_pretrained(place)
        word_tokenizer(WORDS).save_pretrained(place)

    files.write_folder(folder / "model", fill)
    return folder


def loaded(folder, objective=TASK, seed=1, load_heads=False):
    """The model in a folder, for an objective."""
    labels = LABELS if objective is TASK else None
    tokenizer = word_tokenizer(WORDS)
    return build(Pretrained(init_from=str(folder)), objective.head, objective, labels, tokenizer, seed, load_heads)


def adapted(folder, method, objective=TASK, languages=(), seed=3, **changes):
    """The model in a folder with an adapter of that method; a sparse one's mask is of weights that moved at random."""
    model = loaded(folder, objective)
    adapter = attach(kind(method, **changes), model, adapter_folder.reference(str(folder)), seed, languages)
    if method.startswith("lt_sft"):
        generator = torch.Generator().manual_seed(7)
        before = {n: p.detach().clone() for n, p in adapter.weights.items()}
        moved = {n: p + torch.randn(p.shape, generator=generator) for n, p in before.items()}
        adapter.learn(moved, before)
    return model


def batch(rows=4):
    generator = torch.Generator().manual_seed(5)
    ids_BL = torch.randint(5, SIZE, (rows, 9), generator=generator)
    ids_BL[1, 6:], ids_BL[rows - 1, 2:] = 1, 1
    return {"input_ids": ids_BL, "attention_mask": (ids_BL != 1).long()}


def loss_of(model, inputs=None):
    """A loss that all states and the heads have a part in."""
    inputs = inputs or batch()
    hidden_BLD = model.hidden(inputs)
    mixed_BL1 = inputs["attention_mask"].unsqueeze(-1)
    pooled_BD = (hidden_BLD * mixed_BL1).sum(1) / mixed_BL1.sum(1)
    total = (hidden_BLD * mixed_BL1).pow(2).sum() / 50 + pooled_BD[:, 0].sum()
    for head in model.heads.values():
        total = total + head(pooled_BD).pow(2).sum()
    return total


def learn(model, steps=4, rate=0.05):
    """Some updates, as the loop makes them."""
    adapter = model.adapter
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=rate, weight_decay=0.1)
    model.train()
    adapter.begin(steps)
    for step in range(1, steps + 1):
        loss_of(model).backward()
        adapter.before_update()
        optimizer.step()
        adapter.after_update(step)
        optimizer.zero_grad(set_to_none=True)
    return model.eval()


def kept(model, folder):
    """The model as a run leaves it."""
    files.write_folder(folder / "model", lambda place: save(model, word_tokenizer(WORDS), place))
    return folder
