"""What training, saving and scoring ask of an adapter, whatever its method. What most of them do not need is nothing here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from xlt.errors import ConfigError


class Adapter(Protocol):
    """An adapter on a `TransferModel`. Classes of it derive from this Protocol, for the parts that do nothing.

    kind: its config (`xlt.models.adapters.kinds`). base: {"path", "weights", "relative"} of the model under it (see `folder`), which it does not hold.
    below: the adapters of languages that it is stacked on. trained: names of the parameters that learn. languages: codes of those it has one for.
    whole: checkpoints have to hold all weights.
    """

    kind: Any
    base: dict
    below: Adapter | None = None
    trained: frozenset[str] = frozenset()
    languages: tuple[str, ...] = ()
    whole: bool = False

    def parameters_of(self, name: str) -> bool:
        """Whether the parameter of this name is the adapter's own."""
        ...

    def begin(self, steps: int) -> None:
        """Before the first of `steps` updates, or when a run goes on; weights and buffers are in place."""

    def before_update(self) -> None:
        """With the gradients of an update complete, before they are clipped."""

    def after_update(self, step: int) -> None:
        """After the optimizer's `step`-th update, with the gradients still there."""

    def facts(self) -> dict[str, Any]:
        """For the log."""
        return {}

    def speak(self, languages: Sequence[str]) -> None:
        """Read rows of these languages next. ConfigError where there is no adapter for them."""
        if self.below is not None:
            self.below.speak(languages)

    def reread(self, languages: Sequence[str]) -> None:
        """The weights were put in from elsewhere, as they were while it learned from these languages; needed where `speak` writes weights."""

    def write(self, folder: Path) -> None:
        """Its weights, into an existing folder."""

    def read(self, folder: Path) -> None:
        """The weights that `write` wrote."""

    @property
    def merges(self) -> bool:
        """Whether `merge` is possible."""
        return False

    def merge(self) -> None:
        """Put it into the model's weights, which are a plain model afterwards."""
        raise ConfigError(f"adapter.merge: {self.kind.name} cannot be merged into weights; set it to false")
