"""xlt check: what can be known of a run before it starts, without loading a weight: languages, tokenizer, shape and size of the model."""

from __future__ import annotations

from pathlib import Path

from xlt.errors import ConfigError
from xlt.models.shapes import Pretrained, inner, load_config, locate
from xlt.stages.mine import pairs_of
from xlt.stages.parts import asked, blamed, configs
from xlt.stages.setup import choose_languages, tokenizer_of
from xlt.tokenization.load import looks_local
from xlt.training.progress import Screen
from xlt.types import aligns_entities, learns_words, links

ASKED = {
    "tokenize": ("train", "train"),
    "pretrain": ("train", "train"),
    "align": ("train", "train"),
    "finetune": ("source", "train"),
    "inspect": ("target", "test"),
    "zero-shot-eval": ("target", "test"),
    "matrix": ("source", "train"),
}  # stage -> whose languages it reads, of which split
VIEWS = {"tokenize": "text", "mine": "text", "inspect": "parallel"}  # of stages without objective


def run(cfg) -> None:
    """Print what would be used. ConfigError for what is wrong; what an earlier stage has yet to make is said, and is no error."""
    screen = Screen()
    for name, part in configs(cfg).items():
        with blamed(name):
            check_data(cfg, name, part, screen)
    if cfg.stage == "tokenize" or hasattr(cfg.objective, "solve") or aligns_entities(cfg.objective):
        return
    if learns_words(cfg.objective):
        cfg.objective.require()
        return
    start = cfg.model.init_from
    if start is None and (
        cfg.stage in ("zero-shot-eval", "inspect", "mine")
        or links(cfg.objective)
        or isinstance(inner(cfg.model), Pretrained)
    ):
        raise ConfigError(
            "model.init_from: no checkpoint is named; give a run directory, folder or hub name"
            + (
                " of a fine-tuned model"
                if cfg.stage == "zero-shot-eval"
                else " of an encoder"
                if links(cfg.objective)
                else ", or choose a shape such as model=tiny"
            )
        )
    if start is not None and not Path(start).exists():
        where = "does not exist here (yet)" if looks_local(start) else "would come from the hub"
        screen.say(f"model.init_from: {start} {where}; not checked")
        return
    if start is not None:
        locate(start)
    try:
        tokenizer = tokenizer_of(cfg)
    except ConfigError as missing:
        screen.say(f"{missing}; the model's size is not known before that")
        return
    import torch
    from transformers import AutoModel

    config, _ = load_config(cfg.model, len(tokenizer), tokenizer.pad_token_id, {})
    with torch.device("meta"):
        parameters = sum(p.numel() for p in AutoModel.from_config(config).parameters())
    screen.say(
        f"model {config.model_type}: {config.num_hidden_layers} layers x {config.hidden_size}, {parameters / 1e6:.1f} M parameters, {len(tokenizer):,} tokens"
    )


def check_data(cfg, name: str, part, screen: Screen) -> None:
    """The rows of one part of the run (the only one: ""). ConfigError if its data set has none in a language that is asked for."""
    view = getattr(part.objective, "view", VIEWS.get(cfg.stage, "classification"))
    dataset, place = part.dataset, f"{name}: " if name else ""
    if view not in dataset.views():
        raise ConfigError(
            f"dataset: {dataset.name} has no {view} view, which this objective reads (it has {', '.join(dataset.views())})"
        )
    if getattr(dataset, "root", "") is None and getattr(dataset, "hub", None) is not None:
        screen.say(f"{place}dataset {dataset.name}: dataset.root is null, so it would come from the hub; not checked")
        return
    if cfg.stage == "mine":
        screen.say(f"{place}dataset {dataset.name}: text in {', '.join(pairs_of(cfg.languages.train, dataset))}")
        return
    key, split = ASKED[cfg.stage]
    if cfg.stage == "inspect":
        split = cfg.inspection.split
    elif cfg.stage == "align" and (links(part.objective) or aligns_entities(part.objective)):
        split = None
    languages, key = asked(cfg, name, getattr(cfg.languages, key), f"languages.{key}")
    found = choose_languages(languages, dataset, view, split, key)
    screen.say(f"{place}dataset {dataset.name}: {view}, {split or 'all splits'} in {', '.join(found)}")
