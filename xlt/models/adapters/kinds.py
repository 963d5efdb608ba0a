"""What a config can ask for as an adapter: one class a method, with its numbers. Imports neither torch nor peft.

learning_rate: in place of train.learning_rate, which is meant for all weights; null: that one. merge: the model that is saved is a plain one, with the
adapter in its weights, and the adapter lies beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from xlt.errors import ConfigError


def _share(kind, *names: str) -> None:
    for name in names:
        if not 0 <= getattr(kind, name) < 1:
            raise ConfigError(f"adapter.{name}: {getattr(kind, name)} is not in [0, 1)")


def _positive(kind, *names: str) -> None:
    for name in (*names, "learning_rate"):
        value = getattr(kind, name)
        if value is not None and value <= 0:
            raise ConfigError(f"adapter.{name}: {value} is not above 0; give a larger one")


@dataclass(frozen=True, kw_only=True)
class NoAdapter:
    """All weights learn."""

    name: ClassVar[str] = "none"


@dataclass(frozen=True, kw_only=True)
class LoRA:
    """W + (alpha / rank) B A on some linear maps (Hu et al. 2022, section 4.1). target_modules: names of the maps; null: those of the paper."""

    name: ClassVar[str] = "lora"
    rank: int
    alpha: float
    dropout: float
    target_modules: list[str] | None
    learning_rate: float | None
    merge: bool

    def __post_init__(self):
        _positive(self, "rank", "alpha")
        _share(self, "dropout")


@dataclass(frozen=True, kw_only=True)
class AdaLoRA:
    """W + P diag(e) Q, whose ranks are dealt out among the maps while it learns (Zhang et al. 2023).

    first_rank, rank: of each map at first, and on average at the end. The budget stays for `warmup` of the updates, shrinks by a cubic law every `every`
    updates, and stays again for the last `final` of them (section 3.3). beta1, beta2: smoothing of the importance (section 3.2).
    orthogonality: weight of ||P'P - I|| + ||QQ' - I||, as peft has it (their mean over the matrices).
    """

    name: ClassVar[str] = "adalora"
    first_rank: int
    rank: int
    alpha: float
    dropout: float
    warmup: float
    final: float
    every: int
    beta1: float
    beta2: float
    orthogonality: float
    target_modules: list[str] | None
    learning_rate: float | None
    merge: bool

    def __post_init__(self):
        _positive(self, "first_rank", "rank", "alpha", "every", "beta1", "beta2")
        _share(self, "dropout", "warmup", "final", "beta1", "beta2")
        if self.rank > self.first_rank:
            raise ConfigError(
                f"adapter.rank: {self.rank} is above adapter.first_rank {self.first_rank}, from which ranks only shrink; lower it"
            )
        if self.warmup + self.final >= 1:
            raise ConfigError(
                f"adapter.warmup: with adapter.final it is {self.warmup + self.final} of the updates, which leaves none to deal out ranks; lower one"
            )


@dataclass(frozen=True, kw_only=True)
class IA3:
    """Keys, values and the inner states of the feed-forward layers, each multiplied by a learned vector (Liu et al. 2022, section 3.3)."""

    name: ClassVar[str] = "ia3"
    target_modules: list[str] | None
    feedforward_modules: list[str] | None
    learning_rate: float | None
    merge: bool

    def __post_init__(self):
        _positive(self)
        if (self.target_modules is None) != (self.feedforward_modules is None):
            raise ConfigError("adapter.feedforward_modules: give it with adapter.target_modules, or leave both null")


@dataclass(frozen=True, kw_only=True)
class PrefixTuning:
    """Keys and values of `length` tokens that are not there, in every layer (Li and Liang 2021; for encoders Liu et al. 2022, P-Tuning v2)."""

    name: ClassVar[str] = "prefix_tuning"
    length: int
    learning_rate: float | None

    def __post_init__(self):
        _positive(self, "length")


@dataclass(frozen=True, kw_only=True)
class PromptTuning:
    """Embeddings of `length` tokens before the text, which begin as those of random words (Lester et al. 2021)."""

    name: ClassVar[str] = "prompt_tuning"
    length: int
    learning_rate: float | None

    def __post_init__(self):
        _positive(self, "length")


@dataclass(frozen=True, kw_only=True)
class Houlsby:
    """Two bottlenecks a layer, after attention and after the feed-forward layer, before their residual connections; the layer norms learn too
    (Houlsby et al. 2019, section 2.1). reduction: the width divided by the bottleneck's; std: of the weights at first."""

    name: ClassVar[str] = "houlsby"
    reduction: int
    std: float
    layer_norms: bool
    learning_rate: float | None

    def __post_init__(self):
        _positive(self, "reduction", "std")


@dataclass(frozen=True, kw_only=True)
class Pfeiffer:
    """One bottleneck a layer, after the feed-forward layer (Pfeiffer et al. 2021, section 3.2; the task adapter of MAD-X, Pfeiffer et al. 2020, section 4.3).

    On a model with language adapters it is stacked on the adapter of its source language, which stays as it is.
    """

    name: ClassVar[str] = "pfeiffer"
    reduction: int
    std: float
    learning_rate: float | None

    def __post_init__(self):
        _positive(self, "reduction", "std")


@dataclass(frozen=True, kw_only=True)
class LanguageAdapter:
    """MAD-X's (Pfeiffer et al. 2020, sections 4.1 and 4.2): a bottleneck a layer, and an invertible map after the embeddings whose inverse stands before
    the output words. One for each language of the run, each learned by itself. null invertible_reduction: no invertible map."""

    name: ClassVar[str] = "madx_language"
    per_language: ClassVar[bool] = True
    reduction: int
    invertible_reduction: int | None
    std: float
    learning_rate: float | None

    def __post_init__(self):
        _positive(self, "reduction", "std", "invertible_reduction")


@dataclass(frozen=True, kw_only=True)
class SparseFineTuning:
    """Some of the model's own weights learn: those that a full fine-tuning moves most (LT-SFT, Ansell et al. 2022, section 3.1).

    count: how many; null: `share` of all. full: updates (or epochs) of the full fine-tuning as a share of train's, which are those of the sparse one.
    l1: weight of the mean absolute difference from the start. per_language: one for each language of the run, each learned by itself (its
    composition with a task's: section 3.2).
    """

    name: ClassVar[str] = "lt_sft"
    count: int | None
    share: float
    full: float
    l1: float
    per_language: bool
    learning_rate: float | None
    merge: bool

    def __post_init__(self):
        _positive(self, "count", "full")
        if not 0 < self.share <= 1:
            raise ConfigError(f"adapter.share: {self.share} is not in (0, 1]")
        if self.l1 < 0:
            raise ConfigError(f"adapter.l1: {self.l1} is below 0; give 0 or more")
        if self.merge and self.per_language:
            raise ConfigError("adapter.merge: languages cannot be merged into one model; set it to false")


KINDS = {
    cls.name: cls
    for cls in (LoRA, AdaLoRA, IA3, PrefixTuning, PromptTuning, Houlsby, Pfeiffer, LanguageAdapter, SparseFineTuning)
}
