"""Recurrent language models in transformers' format: LSTM or GRU, left to right, or a pair of directions that never see each other (ELMo).

The pair is that of Peters et al. 2018, section 3.1: two stacks over one embedding table, one reading to the right, one to the left; a token's
state is both halves side by side. So the first half at t knows nothing after t and the second nothing before it, and both can be trained as
language models. Importing this module registers the classes with transformers' Auto classes. It imports nothing of xlt: `save_pretrained`
puts this file beside the weights, so that `AutoModel.from_pretrained(DIR, trust_remote_code=True)` loads them where xlt is not installed.

Shapes: B rows, L tokens, E width of the embeddings, D width of a state, H width of one direction (D, or half of it), V vocabulary.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers import initialization as init
from transformers.modeling_outputs import BaseModelOutput, MaskedLMOutput, ModelOutput

CELLS = {"lstm": nn.LSTM, "gru": nn.GRU}
DIRECTIONS = {"forward": 1, "both": 2}
_CLASSES = {
    "AutoConfig": "RecurrentConfig",
    "AutoModel": "RecurrentModel",
    "AutoModelForCausalLM": "RecurrentForCausalLM",
    "AutoModelForMaskedLM": "RecurrentForMaskedLM",
}


class RecurrentConfig(PreTrainedConfig):
    """Shape of a recurrent model. cell: lstm or gru; direction: forward, or both. hidden_size: of a state, both halves where there are two.

    initializer_range: standard deviation of the embeddings, near that of U(-0.1, 0.1), which Merity et al. 2018 (section 5) draw them from.
    """

    model_type = "xlt-recurrent"

    vocab_size: int = 32000
    cell: str = "lstm"
    direction: str = "forward"
    num_hidden_layers: int = 2
    hidden_size: int = 256
    embedding_size: int = 256
    hidden_dropout_prob: float = 0.1
    initializer_range: float = 0.05
    pad_token_id: int | None = None
    bos_token_id: int | None = None
    eos_token_id: int | list[int] | None = None
    tie_word_embeddings: bool = True

    def __post_init__(self, **kwargs):
        super().__post_init__(**kwargs)
        if self.cell not in CELLS or self.direction not in DIRECTIONS:
            raise ValueError(
                f"cell {self.cell!r} is none of {[*CELLS]}, or direction {self.direction!r} of {[*DIRECTIONS]}"
            )
        if self.hidden_size % DIRECTIONS[self.direction]:
            raise ValueError(f"hidden_size {self.hidden_size} is odd and cannot be shared by two directions")
        # save_pretrained names only the class that it saves; the body alone can be loaded too
        self.auto_map = {auto: f"recurrent.{name}" for auto, name in _CLASSES.items()}

    @property
    def direction_size(self) -> int:
        """H: width of one direction's states."""
        return self.hidden_size // DIRECTIONS[self.direction]


class RecurrentPreTrainedModel(PreTrainedModel):
    """How weights begin, and under which name the body stands in a model with a head."""

    config_class = RecurrentConfig
    base_model_prefix = "recurrent"

    @torch.no_grad()
    def _init_weights(self, module):
        """torch's own U(-1/sqrt(H), 1/sqrt(H)) for the cells; an LSTM forgets nothing at first (bias 1, Jozefowicz et al. 2015)."""
        if not isinstance(module, nn.LSTM | nn.GRU):
            return super()._init_weights(module)
        bound = module.hidden_size**-0.5
        for name, parameter in module.named_parameters():
            if getattr(parameter, "_is_hf_initialized", False):
                continue  # read from a checkpoint
            init.uniform_(parameter, -bound, bound)
            if isinstance(module, nn.LSTM) and name.startswith("bias"):  # gates: input, forget, cell, output
                parameter[module.hidden_size : 2 * module.hidden_size] = float(name.startswith("bias_ih"))


class RecurrentModel(RecurrentPreTrainedModel):
    """Embeddings and one or two stacks of cells. Dropout acts on the embeddings and on each layer's output, never from one time to the next
    (Zaremba et al. 2014, section 3.1)."""

    def __init__(self, config: RecurrentConfig):
        super().__init__(config)
        self.embeddings = nn.Embedding(config.vocab_size, config.embedding_size)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.directions = nn.ModuleList(_stack(config) for _ in range(DIRECTIONS[config.direction]))
        self.post_init()

    def get_input_embeddings(self):
        return self.embeddings

    def set_input_embeddings(self, value):
        self.embeddings = value

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ):
        """States of the last layer BLD; with output_hidden_states also the embeddings BLE and every layer's states.

        attention_mask: BL, 0 where a token is not there, wherever that is: such a token changes no state and has the state 0.
        """
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("give either input_ids or inputs_embeds")
        x_BLE = self.dropout(self.embeddings(input_ids) if inputs_embeds is None else inputs_embeds)
        halves = [
            self._read(stack, x_BLE, attention_mask, leftwards=bool(i)) for i, stack in enumerate(self.directions)
        ]
        layers = [torch.cat(states, -1) for states in zip(*halves, strict=True)]
        if not (self.config.return_dict if return_dict is None else return_dict):
            return (layers[-1], (x_BLE, *layers)) if output_hidden_states else (layers[-1],)
        return BaseModelOutput(
            last_hidden_state=layers[-1], hidden_states=(x_BLE, *layers) if output_hidden_states else None
        )

    def _read(self, stack, x_BLE, mask_BL, leftwards: bool) -> list[torch.Tensor]:
        """States BLH of each layer of one direction."""
        order_BL = _reading_order(mask_BL, leftwards)
        if order_BL is None:
            x_BLE = x_BLE.flip(1) if leftwards else x_BLE
        else:
            x_BLE, back_BL = _arrange(x_BLE, order_BL), order_BL.argsort(1)
        layers = []
        for cells in stack:
            x_BLE = self.dropout(cells(x_BLE)[0])
            layers.append(x_BLE)
        if order_BL is None:
            return [y.flip(1) for y in layers] if leftwards else layers
        there_BL1 = (mask_BL != 0).unsqueeze(-1)
        return [_arrange(y, back_BL) * there_BL1 for y in layers]

    def halves(self, hidden_BLD: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """(states BLH that read to the right, states BLH that read to the left), the second only where there are two directions."""
        return hidden_BLD.split(self.config.direction_size, dim=-1)


class RecurrentLMHead(nn.Module):
    """From states to logits: the embedding table once more, after a projection where their widths differ (Inan et al. 2017; Press and Wolf 2017)."""

    def __init__(self, config: RecurrentConfig, width: int):
        super().__init__()
        # one name for each width, so that a checkpoint of the other head gives the body and the table, and its projection is not mistaken
        self.projection = f"from_{width}"
        if width != config.embedding_size:
            self.add_module(self.projection, nn.Linear(width, config.embedding_size, bias=False))
        self.decoder = nn.Linear(config.embedding_size, config.vocab_size)

    def forward(self, states):
        """Logits (..., V) of states (..., width)."""
        project = getattr(self, self.projection, None)
        return self.decoder(states if project is None else project(states))


class _WithHead(RecurrentPreTrainedModel):
    """What both language models share: the body, and a head tied to its embeddings."""

    _tied_weights_keys = {"lm_head.decoder.weight": "recurrent.embeddings.weight"}  # noqa: RUF012 (transformers wants a dict)

    def __init__(self, config: RecurrentConfig, width: int):
        super().__init__(config)
        self.recurrent = RecurrentModel(config)
        self.lm_head = RecurrentLMHead(config, width)
        self.post_init()

    def get_output_embeddings(self):
        return self.lm_head.decoder

    def set_output_embeddings(self, value):
        self.lm_head.decoder = value


@dataclass
class DirectionalLMOutput(ModelOutput):
    """logits_BLV of the next token; backward_logits_BLV of the one before, where there are two directions. loss: the mean of the directions'."""

    loss: torch.Tensor | None = None
    logits: torch.Tensor | None = None
    backward_logits: torch.Tensor | None = None
    hidden_states: tuple[torch.Tensor, ...] | None = None


class RecurrentForCausalLM(_WithHead):
    """A language model; of two directions, each is one, and they share embeddings and head (Peters et al. 2018, section 3.1, equation 1).

    `lm_head` takes the states of ONE direction (H): `model.recurrent.halves(hidden)` tells them apart.
    """

    def __init__(self, config: RecurrentConfig):
        super().__init__(config, config.direction_size)

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        output_hidden_states: bool | None = None,
    ) -> DirectionalLMOutput:
        """labels: BL, the tokens themselves, -100 where none is to be predicted; they are shifted here, as in transformers."""
        body = self.recurrent(input_ids, attention_mask, inputs_embeds, output_hidden_states, return_dict=True)
        logits = [self.lm_head(half) for half in self.recurrent.halves(body.last_hidden_state)]
        loss = None
        if labels is not None:
            pairs = [(logits[0][:, :-1], labels[:, 1:]), *((each[:, 1:], labels[:, :-1]) for each in logits[1:])]
            loss = sum(F.cross_entropy(a.flatten(0, 1), b.flatten()) for a, b in pairs) / len(pairs)
        return DirectionalLMOutput(loss, *logits, *([None] * (2 - len(logits))), body.hidden_states)


class RecurrentForMaskedLM(_WithHead):
    """Predicts hidden tokens from both sides: of a pair of directions only."""

    def __init__(self, config: RecurrentConfig):
        if config.direction != "both":
            raise ValueError("a masked language model reads both sides of a token; it needs direction both")
        super().__init__(config, config.hidden_size)

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        output_hidden_states: bool | None = None,
    ) -> MaskedLMOutput:
        """labels: BL, -100 where no token is hidden."""
        body = self.recurrent(input_ids, attention_mask, inputs_embeds, output_hidden_states, return_dict=True)
        logits_BLV = self.lm_head(body.last_hidden_state)
        loss = None if labels is None else F.cross_entropy(logits_BLV.flatten(0, 1), labels.flatten())
        return MaskedLMOutput(loss=loss, logits=logits_BLV, hidden_states=body.hidden_states)


def _stack(config: RecurrentConfig) -> nn.ModuleList:
    """One direction: layers of their own, so that each layer's states can be given out."""
    widths = [config.embedding_size] + [config.direction_size] * config.num_hidden_layers
    return nn.ModuleList(CELLS[config.cell](a, b, batch_first=True) for a, b in pairwise(widths))


def _reading_order(mask_BL: torch.Tensor | None, leftwards: bool) -> torch.Tensor | None:
    """order_BL: which token is read when. Those that are there come first, so no other is read before them. None: all are there."""
    if mask_BL is None:
        return None
    place_L = torch.arange(mask_BL.shape[1], device=mask_BL.device)
    key_L = -place_L if leftwards else place_L
    return torch.where(mask_BL != 0, key_L, key_L + 2 * mask_BL.shape[1]).argsort(1)


def _arrange(x_BLD: torch.Tensor, order_BL: torch.Tensor) -> torch.Tensor:
    return x_BLD.gather(1, order_BL.unsqueeze(-1).expand(-1, -1, x_BLD.shape[-1]))


AutoConfig.register(RecurrentConfig.model_type, RecurrentConfig)
RecurrentConfig.register_for_auto_class()
for _auto, _model in (
    (AutoModel, RecurrentModel),
    (AutoModelForCausalLM, RecurrentForCausalLM),
    (AutoModelForMaskedLM, RecurrentForMaskedLM),
):
    _auto.register(RecurrentConfig, _model)
    _model.register_for_auto_class(_auto.__name__)
