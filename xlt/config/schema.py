"""The closed groups: every key, its type and its unit. Values live in conf/*.yaml, rules in `check` of `xlt.config.rules`.

Imports neither torch nor transformers: `xlt <stage> --cfg job` answers at once. The open groups (dataset, cleaning, tokenizer, model, objective) are `Any` here;
`xlt.config.build` types them by their `_target_`.
"""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from omegaconf import MISSING


class NonFiniteUpdate(str, Enum):
    """What becomes of an update whose loss or gradient is NaN or infinite."""

    stop = "stop"
    skip = "skip"


class Schedule(str, Enum):
    """Shape of the learning rate after its linear warm-up."""

    linear = "linear"
    cosine = "cosine"
    constant = "constant"
    inverse_sqrt = "inverse_sqrt"


class Sampling(str, Enum):
    """Who is drawn (see `xlt.data.sampling`)."""

    alpha = "alpha"  # p^alpha
    unimax = "unimax"  # evenly, but no language more than epoch_cap times
    weights = "weights"  # as given


class Precision(str, Enum):
    """Arithmetic of the forward and backward pass; the weights stay fp32."""

    fp32 = "fp32"
    bf16 = "bf16"


class Device(str, Enum):
    """`auto` takes the accelerator that is there, else the CPU."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


@dataclass
class Run:
    """Where the run lies, and what happens to what lies there already."""

    name: str = MISSING  # runs/<name>/<stage>
    root: str = MISSING  # folder of all runs, relative to the shell's working directory
    dir: str = MISSING  # the run directory itself; by default <root>/<name>/<stage>
    overwrite: bool = MISSING  # true: a run that lies there, finished or interrupted, is removed first
    cache: str | None = MISSING  # encoded corpora; null: $XLT_CACHE, else ~/.cache/xlt


@dataclass
class Languages:
    """Who takes part. null means: all that the data set has (for source: joint fine-tuning; for target: all but the source)."""

    train: list[str] | None = MISSING  # tokenize, pretrain, align: languages, or pairs such as en-de
    source: list[str] | None = MISSING  # finetune: labelled languages; their dev sets choose the checkpoint
    target: list[str] | None = MISSING  # zero-shot-eval: languages to score beside the source


@dataclass
class Train:
    """What is computed: all of it changes the result."""

    steps: int = MISSING  # updates
    epochs: float | None = MISSING  # if set, steps = ceil(epochs * rows / batch_size)
    batch_size: int = MISSING  # rows per update, over all processes and micro-batches
    batch_tokens: int | None = MISSING  # if set, batches hold about so many tokens instead of batch_size rows
    window: int = MISSING  # updates whose rows are sorted by length together; 1: each is a random draw
    max_length: int = MISSING  # tokens per row with specials; longer rows are cut
    sampling: Sampling = MISSING  # who is drawn
    alpha: int | float | str = MISSING  # with p^alpha; a number, or points over the updates: 0:0.3,50000:0.7
    epoch_cap: float = MISSING  # unimax: how often a language's text is seen at most
    replay: float | None = (
        MISSING  # going on from a checkpoint: share of the rows that are of its own languages; null: as they come
    )
    weights: Any = MISSING  # weights: {CODE: WEIGHT}; Any, for no key can be added to a typed one
    shuffle_rows: int = MISSING  # where dataset.streaming is true: rows of a language that are shuffled together
    learning_rate: float = MISSING
    schedule: Schedule = MISSING
    warmup: float = MISSING  # updates if >= 1, else share of the steps
    weight_decay: float = MISSING
    beta1: float = MISSING
    beta2: float = MISSING
    epsilon: float = MISSING
    max_grad_norm: float = MISSING
    nonfinite: NonFiniteUpdate = MISSING  # what becomes of an update whose loss or gradient is not finite
    freeze: list[str] = MISSING  # patterns such as backbone.embeddings.*: what is called so does not learn
    freeze_layers: int | None = MISSING  # the embeddings and so many layers do not learn; null: all learn
    reset_layers: int = MISSING  # so many top layers begin at fresh random values
    unfreeze_every: float = MISSING  # gradual unfreezing from the top, a layer every so many updates if >= 1, else share of the steps; 0: all at once
    layer_decay: float = MISSING  # of the learning rate, from each layer to the one below; 1: one rate
    rates: Any = MISSING  # {PATTERN: FACTOR} of the learning rate of what is called so; Any, for no key can be added to a typed one
    eval_every: int = MISSING  # updates between two validations; 0: only at the end
    save_every: int = MISSING  # updates between two checkpoints; 0: only at the end
    log_every: int = MISSING  # updates between two lines of metrics.jsonl
    keep: int = MISSING  # checkpoints kept, the chosen one beside
    candidates: int | None = (
        MISSING  # validations whose weights stay for xlt zero-shot-eval to select among: the last ones; null: all
    )
    eval_rows: int | None = MISSING  # rows per language in a validation; null: all


@dataclass
class Hardware:
    """How fast it is computed: none of it may change the result beyond rounding."""

    device: Device = MISSING
    precision: Precision = MISSING
    threads: int | None = MISSING  # null: as many as torch takes
    micro_batch_size: int | None = MISSING  # rows per forward pass; null: the whole batch
    group_tokens: int | None = (
        MISSING  # where it saves so many padded tokens, an update's rows are computed by length; null: at once
    )
    workers: int = MISSING  # threads that prepare batches ahead; 0: none
    eval_tokens: int = MISSING  # tokens per forward pass in evaluation
    fused: bool = (
        MISSING  # training in the fast paths of `xlt.models.fused`: same loss and gradients, other draws of dropout
    )
    processes: int = MISSING  # on each node; they share the rows of each update
    sharded: bool = (
        MISSING  # weights, gradients and moments spread over the processes (FSDP2), where one has no room for them
    )
    nodes: int = MISSING  # machines; the same command is given on each
    rendezvous: str | None = MISSING  # with several nodes: HOST:PORT of one of them, where they meet
    job: str = MISSING  # with several nodes: a name that they share and no other run has
    restarts: int = MISSING  # how often all processes begin again, from the last checkpoint, when one dies
    timeout: float = MISSING  # seconds after which a process that does not answer ends the run


@dataclass
class Tracking:
    """Mirrors of metrics.jsonl, which is always written. Names of accelerate's trackers."""

    trackers: list[str] = MISSING  # of: tensorboard wandb
    project: str = MISSING


@dataclass
class Scores:
    """What is told of scores beside the scores."""

    draws: int = MISSING  # resamples of the test rows, of which intervals are made; 0: none
    seed: int = MISSING  # of the draws
    level: float = MISSING  # of the intervals
    share_bounds: list[float] = MISSING  # between which languages are averaged by their share of the pretraining data


@dataclass
class StageConfig:
    """What every stage's config holds."""

    stage: str = MISSING  # the word on the command line; the primary config names it
    seed: int = MISSING
    run: Run = field(default_factory=Run)
    languages: Languages = field(default_factory=Languages)
    train: Train = field(default_factory=Train)
    hardware: Hardware = field(default_factory=Hardware)
    tracking: Tracking = field(default_factory=Tracking)
    scores: Scores | None = None  # zero-shot-eval
    dataset: Any = MISSING
    cleaning: Any = None  # stages that read text: tokenize, pretrain
    tokenizer: Any = MISSING
    model: Any = MISSING
    objective: Any = MISSING
    mode: Any = None  # tokenize: what it does
    inspection: Any = None  # inspect
    mining: Any = None  # mine
    gold: Any = None  # mine: the data set of true pairs, where they are known
    export: str | None = None  # zero-shot-eval: predictions in that layout, too (see `xlt.evaluation.exports`)
    adapter: Any = None  # pretrain, align, finetune: what learns in place of all weights
    few_shot: Any = None  # finetune; in zero-shot-eval it names the runs of a sweep
    translations: Any = None  # finetune, zero-shot-eval: the data set that holds them
    selection: str | None = None  # zero-shot-eval, matrix: source-dev, oracle, average, or all of them
    adversarial: Any = None  # pretrain, align, finetune: who plays against the model for the language
    perturbation: Any = None  # pretrain, align, finetune: how embeddings are perturbed against the loss
    leakage: Any = None  # zero-shot-eval, matrix
