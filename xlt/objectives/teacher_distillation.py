"""A sentence and its translation both move to where a frozen teacher puts the sentence (Reimers and Gurevych 2020, section 2): a good space of one language becomes one of many.

The teacher reads the source side, in its own tokens; the student reads both.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch

from xlt.alignment.similarity import squared_distances
from xlt.errors import ConfigError
from xlt.models.pooling import Pool, pool
from xlt.models.teachers import load_teacher, teacher_tokenizer
from xlt.objectives import sentence_pairs
from xlt.objectives.losses import one_a_row
from xlt.types import Batch, Rows
from xlt.vocabulary import Vocabulary, model_inputs


@dataclass(frozen=True, kw_only=True)
class TeacherDistillation:
    """(|M(s) - S(s)|^2 + |M(s) - S(t)|^2) / D, M the teacher and S the student. teacher: a run directory, a folder in transformers format, or a hub name.

    pool, layer: of the student; teacher_pool, teacher_layer: of the teacher, whose states must be as wide.
    """

    teacher: str | None
    teacher_pool: Pool
    teacher_layer: int | None
    pool: Pool
    layer: int | None

    view: ClassVar[str] = "parallel"
    head: ClassVar[str] = "encoder"
    separable: ClassVar[bool] = True
    metric: ClassVar[str] = "accuracy"
    higher_is_better: ClassVar[dict[str, bool]] = sentence_pairs.RETRIEVAL

    def __post_init__(self):
        sentence_pairs.check_layer(self.layer)
        if self.teacher_layer is not None and self.teacher_layer < 0:
            raise ConfigError(f"objective.teacher_layer: {self.teacher_layer} is below 0; null is the last layer")

    texts, modules, row_length = sentence_pairs.texts, sentence_pairs.modules, sentence_pairs.row_length
    loss, predict = sentence_pairs.loss, sentence_pairs.predict
    score, statistics = sentence_pairs.score, sentence_pairs.statistics

    @cached_property
    def _tokenizer(self) -> tuple[Any, str]:
        if self.teacher is None:
            raise ConfigError(
                "objective.teacher: null, and there is nobody to learn from; give the run directory, folder or hub name of an encoder, for example "
                "objective.teacher=sentence-transformers/all-MiniLM-L6-v2"
            )
        return teacher_tokenizer(self.teacher)

    @cached_property
    def _vocabulary(self) -> Vocabulary:
        return Vocabulary.of(self._tokenizer[0])

    @property
    def annotation(self) -> str:
        """Which tokens are noted."""
        return f"teacher {self._tokenizer[1]}"

    def annotate(self, row: dict, encodings: tuple) -> dict[str, np.ndarray]:
        """The source in the teacher's tokens."""
        return {"teacher": np.array(self._tokenizer[0](row["source"], add_special_tokens=False)["input_ids"], np.int64)}

    def prepare(self, model) -> None:
        """The teacher stands beside the model; it is not saved with it. ConfigError if it is not as wide, or has not that layer."""
        teacher = load_teacher(self.teacher, self)
        if teacher.width != model.width:
            raise ConfigError(
                f"objective.teacher: {self.teacher} has states of {teacher.width} numbers and the model of {model.width}, which cannot be compared; take a "
                f"model of that width, such as model.width={teacher.width}"
            )
        layers = teacher.backbone.config.num_hidden_layers
        if self.teacher_layer is not None and self.teacher_layer > layers:
            raise ConfigError(
                f"objective.teacher_layer: {self.teacher_layer}, and the teacher has {layers}; null is the last"
            )
        model.learn_from(teacher)

    def collate(self, rows: Rows, vocabulary: Vocabulary, max_length: int) -> Batch:
        """Beside the pairs the teacher's side of each; a text longer than the teacher reads is cut."""
        batch = sentence_pairs.collate(self, rows, vocabulary, max_length)
        longest = min(max_length, self._tokenizer[0].model_max_length)
        joined = [self._vocabulary.join((ids,), longest) for ids in rows.notes["teacher"]]
        inputs = model_inputs(*self._vocabulary.pad_rows(joined))
        return replace(batch, tensors={**batch.tensors, **{f"teacher_{name}": v for name, v in inputs.items()}})

    def loss_by_row(self, model, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        inputs, teacher = sentence_pairs.one_side(batch, "teacher"), model.teacher.model
        with torch.no_grad():
            states_PLD = teacher.hidden(inputs, self.teacher_layer)
            goal_PD = pool(states_PLD, inputs["attention_mask"], self.teacher_pool).float()
        students = (sentence_pairs.vectors(self, model, batch, side) for side in sentence_pairs.SIDES)
        return one_a_row(sum(squared_distances(x_PD, goal_PD) for x_PD in students))
