"""Whole dialogs, unfolded to what is learned from them: after all that was said comes the response. It reads no file itself.

Two speakers take turns. The second one is whose persona is known and whose turns are the responses, as in PersonaChat (Zhang et al. 2018, section 3).
"""

import hashlib
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from xlt.data.rows import View
from xlt.errors import DataError

UNFOLDING = "dialogs 1"  # changes with the rows that are made of the same dialogs


@dataclass(frozen=True, kw_only=True)
class Dialogs:
    """conversations: a data set whose rows are whole dialogs. silence: a turn that says this says nothing, as where the second speaker begins; null: none does."""

    name: str
    root: str | None  # for the interpolations in YAML; not read here
    conversations: Any
    silence: str | None

    def views(self) -> tuple[str, ...]:
        """One."""
        return (View.dialog.value,)

    def labels(self) -> None:
        """There are none."""
        return None

    def languages(self, view: str) -> list[str]:
        """Those of the dialogs."""
        if view != View.dialog:
            raise DataError(
                f"dataset {self.name}: no view {view}; it has {View.dialog.value}: choose another objective or dataset"
            )
        return self.conversations.languages(View.conversation.value)

    def splits(self, view: str, language: str) -> list[str]:
        """Those of the dialogs."""
        self.languages(view)
        return self.conversations.splits(View.conversation.value, language)

    def rows(self, view: str, language: str, split: str) -> Iterator[dict]:
        """A row for each turn of the second speaker, in the file's order."""
        self.splits(view, language)
        rows = itertools.chain.from_iterable(self._unfolded(language, split))
        first = next(rows, None)
        if first is None:
            raise DataError(
                f"dataset {self.name}, language {language}, split {split}: no dialog has a turn that answers another; check "
                "dataset.conversations.columns.turns"
            )
        return itertools.chain([first], rows)

    def locate(self, view: str, language: str, split: str, number: int) -> str:
        """Where the dialog of the row of that number (from 0) stands."""
        for dialog, rows in enumerate(self._unfolded(language, split)):
            if number < len(rows):
                return self.conversations.locate(View.conversation.value, language, split, dialog)
            number -= len(rows)
        raise IndexError(number)

    def fingerprint(self, view: str, language: str, split: str) -> str:
        """Of the dialogs and how they are unfolded."""
        digest = self.conversations.fingerprint(View.conversation.value, language, split)
        return hashlib.sha256(json.dumps([digest, UNFOLDING, self.silence]).encode()).hexdigest()

    def _unfolded(self, language: str, split: str) -> Iterator[list[dict]]:
        """The rows of each dialog."""
        for number, dialog in enumerate(self.conversations.rows(View.conversation.value, language, split), 1):
            yield list(responses(dialog, dialog.get("id", number), self.silence))


def responses(dialog: dict, name: str | int, silence: str | None) -> Iterator[dict]:
    """The second speaker's turns, each with all that was said before. An opening makes no row where there is no persona: it answers nothing."""
    persona = {"persona": dialog["persona"]} if "persona" in dialog else {}
    said: list[str] = []
    for place, turn in enumerate(dialog["turns"]):
        if turn == silence:
            continue
        if place % 2 and (said or dialog.get("persona")):
            yield {"id": f"{name}-{place // 2}", "doc": name, **persona, "history": list(said), "response": turn}
        said.append(turn)
