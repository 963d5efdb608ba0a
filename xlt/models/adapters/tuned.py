"""LoRA, AdaLoRA and IA3: peft's layers in place of some linear maps of the model, and peft's file format.

peft's layers stand in the model's own modules, so whatever calls these sees the adapter; `xlt.models.fused` calls them too.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import nn

from xlt.errors import ConfigError
from xlt.models.adapters.kinds import IA3, AdaLoRA, LoRA
from xlt.models.adapters.protocol import Adapter

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
NAME = "default"  # peft's own for the only adapter
_PREFIX = "base_model.model."  # of peft's names in a file

_BERT = {
    "lora": ["query", "value"],  # Hu et al. 2022, section 4.2
    "adalora": ["query", "key", "value", "intermediate.dense", "output.dense"],  # Zhang et al. 2023, section 4
    # a pattern, for the output of attention, which is not meant, is called like that of the feed-forward layer
    "ia3": r".*\.layer\.\d+\.(attention\.self\.(key|value)|output\.dense)",
    "feedforward": r".*\.layer\.\d+\.output\.dense",
}
_GATED = {
    "lora": ["q_proj", "v_proj"],
    "adalora": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
    "ia3": ["k_proj", "v_proj", "down_proj"],
    "feedforward": ["down_proj"],
}
_BART = {
    "lora": ["q_proj", "v_proj"],
    "adalora": ["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"],
    "ia3": ["k_proj", "v_proj", "fc2"],
    "feedforward": ["fc2"],
}
_T5 = {
    "lora": ["q", "v"],
    "adalora": ["q", "k", "v", "o", "wi", "wi_0", "wi_1", "wo"],
    "ia3": ["k", "v", "wo"],
    "feedforward": ["wo"],
}
TARGETS = {  # model_type -> the maps of each method; of others peft's own table is asked
    **dict.fromkeys(("bert", "roberta", "xlm-roberta", "camembert", "electra"), _BERT),
    **dict.fromkeys(("llama", "mistral", "qwen2", "gemma"), _GATED),
    **dict.fromkeys(("bart", "mbart"), _BART),
    **dict.fromkeys(("t5", "mt5"), _T5),
    "modernbert": {
        "lora": ["Wqkv"],
        "adalora": ["Wqkv", "attn.Wo", "mlp.Wi", "mlp.Wo"],
        "ia3": ["Wqkv", "mlp.Wo"],
        "feedforward": ["mlp.Wo"],
    },
    "gpt2": {
        "lora": ["c_attn"],
        "adalora": ["c_attn", "c_proj", "c_fc"],
        "ia3": ["c_attn", "mlp.c_proj"],
        "feedforward": ["mlp.c_proj"],
    },
}


class Tuned(Adapter):
    """peft's adapter of one of these kinds on model.backbone, which is changed in place."""

    def __init__(self, kind: LoRA | AdaLoRA | IA3, model: nn.Module):
        from peft.mapping import PEFT_TYPE_TO_TUNER_MAPPING

        self.kind, self.backbone = kind, model.backbone
        self.config = _config(kind, model.backbone)
        self.config.task_type = None if model.backbone.base_model is not model.backbone else "FEATURE_EXTRACTION"
        try:
            self.tuner = PEFT_TYPE_TO_TUNER_MAPPING[self.config.peft_type](model.backbone, self.config, NAME)
        except ValueError as error:  # no map is called so, or the architecture is not in peft's table
            raise ConfigError(
                f"adapter.target_modules: {kind.name} finds no linear map to adapt in {type(model.backbone).__name__} ({str(error).splitlines()[0][:120]}); name "
                "the last parts of its maps' names, such as [query,value], or take a model with layers"
            ) from error
        self.allocation = Allocation(self.tuner) if isinstance(kind, AdaLoRA) else None
        if self.allocation is not None:
            model.learned = self.allocation

    def parameters_of(self, name: str) -> bool:
        return name.startswith("backbone.") and ("lora_" in name or "ia3_l" in name) and NAME in name.split(".")

    def begin(self, steps: int) -> None:
        if self.allocation is not None:
            self.allocation.begin(self.kind, steps)

    def before_update(self) -> None:
        if self.allocation is not None:
            self.allocation.keep_orthogonal(self.kind.orthogonality)

    def after_update(self, step: int) -> None:
        if self.allocation is not None:
            self.allocation.update(step)

    def facts(self) -> dict:
        return {} if self.allocation is None else {"ranks": self.allocation.ranks()}

    def write(self, folder: Path) -> None:
        """As peft writes it: `PeftModel.from_pretrained(base, folder)` loads it."""
        from safetensors.torch import save_file

        named = {n: p for n, p in self.backbone.named_parameters() if self.parameters_of(f"backbone.{n}")}
        save_file({_theirs(n): p.detach().contiguous() for n, p in named.items()}, folder / WEIGHTS)
        write_config(self.config, self.base, folder)

    def read(self, folder: Path) -> None:
        """Of a model with another head, too, for only names in the body differ."""
        own = {n: p for n, p in self.backbone.named_parameters() if self.parameters_of(f"backbone.{n}")}
        put_weights(own, read_weights(folder, self.backbone), folder)

    @property
    def merges(self) -> bool:
        return True

    def merge(self) -> None:
        self.tuner.merge_and_unload()


class Allocation(nn.Module):
    """The state of AdaLoRA's rank allocator as buffers, so that checkpoints hold it: smoothed importance and uncertainty of each number (Zhang et al.
    2023, equations 9 and 10), and which singular values are kept. peft's allocator does the work."""

    def __init__(self, tuner):
        super().__init__()
        object.__setattr__(self, "tuner", tuner)  # its model's parameters are not this module's
        self.names = [n for n, _ in tuner.model.named_parameters() if "lora_" in n and NAME in n.split(".")]
        parameters = self._parameters_by_name()
        for i, name in enumerate(self.names):
            for what in ("importance", "uncertainty"):
                self.register_buffer(f"{what}_{i}", torch.zeros_like(parameters[name]))
            if "lora_E" in name:
                self.register_buffer(f"kept_{i}", torch.ones(len(parameters[name]), dtype=torch.bool))

    def begin(self, kind: AdaLoRA, steps: int) -> None:
        """Tell peft how many updates there are, and where the allocator was when the run stopped."""
        config, allocator = self.tuner.peft_config[NAME], self.tuner.rankallocator
        config.total_step, config.deltaT = steps, kind.every
        config.tinit, config.tfinal = round(kind.warmup * steps), round(kind.final * steps)
        # peft judges importance before the last allocation only: without a judgement all ranks would be dropped
        if steps - config.tfinal < max(2, config.tinit + 1):
            raise ConfigError(
                f"adapter.warmup: of {steps} updates none is left to deal out ranks; raise train.steps or lower adapter.final"
            )
        for i, name in enumerate(self.names):
            allocator.exp_avg_ipt[name] = getattr(self, f"importance_{i}").clone()
            allocator.exp_avg_unc[name] = getattr(self, f"uncertainty_{i}").clone()
            allocator.ipt[name] = torch.zeros_like(allocator.exp_avg_ipt[name])
        config.rank_pattern = {name: kept.tolist() for name, kept in self._kept()}

    def update(self, step: int) -> None:
        """Importance of this update, and the budget of ranks dealt out anew where that is due."""
        for p in self._parameters_by_name().values():
            if p.grad is None:  # the decoder's, where only the encoder is read
                p.grad = torch.zeros_like(p)
        self.tuner.update_and_allocate(step)
        config, allocator = self.tuner.peft_config[NAME], self.tuner.rankallocator
        for i, name in enumerate(self.names):
            if name in allocator.exp_avg_ipt:  # peft forgets them when ranks are final
                getattr(self, f"importance_{i}").copy_(allocator.exp_avg_ipt[name])
                getattr(self, f"uncertainty_{i}").copy_(allocator.exp_avg_unc[name])
        for name, kept in self._kept():
            kept.copy_(torch.as_tensor(config.rank_pattern[name]).view(-1))

    def keep_orthogonal(self, weight: float) -> None:
        """Add the gradient of weight times the mean over P and Q of ||P'P - I|| (section 3.1; peft's own form). Once an update, whatever the micro-batches."""
        if not weight:
            return
        pairs = [(n, p) for n, p in self._parameters_by_name().items() if "lora_E" not in n]
        squares = [p @ p.T if "lora_A" in n else p.T @ p for n, p in pairs]
        penalty = weight * sum(torch.norm(s - torch.eye(len(s), device=s.device)) for s in squares) / len(pairs)
        for (_, p), gradient in zip(pairs, torch.autograd.grad(penalty, [p for _, p in pairs]), strict=True):
            p.grad = gradient if p.grad is None else p.grad + gradient

    def ranks(self) -> dict[str, int]:
        """{map: its rank}."""
        return {name.split(".lora_E")[0]: int(kept.sum()) for name, kept in self._kept()}

    def _parameters_by_name(self) -> dict[str, nn.Parameter]:
        named = dict(self.tuner.model.named_parameters())
        return {name: named[name] for name in self.names}

    def _kept(self) -> list[tuple[str, torch.Tensor]]:
        return [(name, getattr(self, f"kept_{i}")) for i, name in enumerate(self.names) if "lora_E" in name]


def _config(kind: LoRA | AdaLoRA | IA3, backbone):
    import peft

    table = TARGETS.get(backbone.config.model_type, {})
    maps = {"target_modules": kind.target_modules or table.get(kind.name)}
    if backbone.config.model_type == "gpt2":
        maps["fan_in_fan_out"] = True  # its maps are stored the other way round
    if isinstance(kind, IA3):
        return peft.IA3Config(feedforward_modules=kind.feedforward_modules or table.get("feedforward"), **maps)
    maps |= {"lora_alpha": kind.alpha, "lora_dropout": kind.dropout}
    if isinstance(kind, LoRA):
        return peft.LoraConfig(r=kind.rank, **maps)
    return peft.AdaLoraConfig(
        target_r=kind.rank,
        init_r=kind.first_rank,
        beta1=kind.beta1,
        beta2=kind.beta2,
        orth_reg_weight=kind.orthogonality,
        total_step=2**31,  # `begin` knows
        **maps,
    )


def write_config(config, base: dict, folder: Path) -> None:
    """peft's adapter_config.json: its sets sorted, so that equal runs give equal bytes."""
    values = {**config.to_dict(), "base_model_name_or_path": base["path"], "inference_mode": True}
    if "tinit" in values:  # of AdaLoRA's training; what is saved has all ranks, some of them zero
        values |= {"total_step": 2**31, "tinit": 0, "tfinal": 0, "rank_pattern": None}
    plain = {k: sorted(v) if isinstance(v, set) else v for k, v in values.items()}
    (folder / CONFIG).write_text(json.dumps(plain, indent=2, sort_keys=True) + "\n")


def read_weights(folder: Path, backbone) -> dict[str, torch.Tensor]:
    """A file of peft's with names as they are in `backbone`, whether or not that, or the model that was trained, has a head."""
    from safetensors.torch import load_file

    prefix = f"{backbone.base_model_prefix}."
    bare = {n.removeprefix(_PREFIX).removeprefix(prefix): w for n, w in load_file(folder / WEIGHTS).items()}
    return {f"{prefix if backbone.base_model is not backbone else ''}{n}": w for n, w in bare.items()}


def put_weights(own: dict[str, nn.Parameter], weights: dict[str, torch.Tensor], folder: Path) -> None:
    """Copy a file's weights (names without peft's name of the adapter) into parameters. ConfigError where they are of another model."""
    named = {_bare(n): p for n, p in own.items()}
    odd = sorted(named.keys() ^ weights.keys()) or [n for n, p in named.items() if p.shape != weights[n].shape]
    if odd:
        raise ConfigError(
            f"model.init_from: the adapter in {folder} is not of the model under it (first difference: {odd[0]}); give the base that it was trained on"
        )
    with torch.no_grad():
        for name, parameter in named.items():
            parameter.copy_(weights[name])


def _bare(name: str) -> str:
    return ".".join(part for part in name.split(".") if part != NAME)


def _theirs(name: str) -> str:
    return _PREFIX + _bare(name)
