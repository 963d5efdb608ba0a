"""Language identification with a fastText model that the user gives (lid.176, GlotLID, OpenLID, NLLB's): keep what it calls as its file does."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from xlt import languages
from xlt.errors import ConfigError

LABEL = "__label__"


@dataclass(frozen=True, kw_only=True)
class LanguageId:
    """The model's first guess is the row's language, with a probability of `min_score` (CCNet: Wenzek et al. 2020, section 3.2).

    Labels and languages are compared by what `xlt.languages` knows them as, so en, eng and eng_Latn agree. A language that none of the
    model's labels means is not judged. model null: nothing is judged.
    """

    model: str | None  # path of a .bin or .ftz
    min_score: float
    also: dict[str, list[str]]  # language: other languages whose label counts as its own

    name: ClassVar[str] = "language_id"
    changes: ClassVar[bool] = False

    def __post_init__(self):
        problems = []
        if not 0 <= self.min_score <= 1:
            problems.append(
                f"cleaning.filters: LanguageId.min_score: {self.min_score} is not in [0, 1]; give a probability"
            )
        for code in [c for key, more in self.also.items() for c in (key, *more)]:
            if not languages.known(code):
                problems.append(f"cleaning.filters: LanguageId.also: {code!r} is not a known language code; correct it")
        if self.model is not None and not Path(self.model).is_file():
            problems.append(
                f"cleaning.language_model: {self.model} is not a file; give the .bin or .ftz of a fastText model for language identification"
            )
        if problems:
            raise ConfigError(problems)

    @property
    def off(self) -> bool:
        """Whether no model is given."""
        return self.model is None

    def judges(self, language: str) -> bool:
        """Whether the model has a label for it."""
        return bool(self._accepted(language) & set(_labels(self.model).values()))

    def apply(self, text: str, language: str) -> str | None:
        """The text if the model agrees. ConfigError if the model or the package cannot be loaded."""
        if self.off or not self.judges(language):
            return text
        guess, score = _guess(_load(self.model), text)
        agrees = _labels(self.model).get(guess) in self._accepted(language)
        return text if agrees and score >= self.min_score else None

    def _accepted(self, language: str) -> set[str]:
        if not languages.known(language):
            return set()
        code = languages.canonical(language)
        more = [other for key, listed in self.also.items() if languages.canonical(key) == code for other in listed]
        return {code, *map(languages.canonical, more)}


def _guess(model: Any, text: str) -> tuple[str, float]:
    """Label and probability. The package's own `predict` breaks with numpy 2 in its older releases; what it calls does not."""
    line = " ".join(text.split()).encode("utf-8", "replace").decode()
    found = model.f.predict(line + "\n", 1, 0.0, "strict")
    return (found[0][1], found[0][0]) if found else ("", 0.0)


@cache
def _labels(path: str) -> dict[str, str]:
    """label -> our code, or the label itself where we know none."""
    labels = _load(path).get_labels()
    if not all(label.startswith(LABEL) for label in labels):
        raise ConfigError(f"cleaning.language_model: {path} holds word vectors; give a model that identifies languages")
    bare = {label: label.removeprefix(LABEL) for label in labels}
    return {label: languages.canonical(code) if languages.known(code) else code for label, code in bare.items()}


@cache
def _load(path: str) -> Any:
    try:
        import fasttext
    except ImportError:
        raise ConfigError(
            "cleaning.language_model: language identification needs the package fasttext; `pip install 'xlt[cleaning]'`, or set it to null"
        ) from None
    try:
        return fasttext.load_model(path)
    except ValueError as error:
        raise ConfigError(
            f"cleaning.language_model: {path} is no fastText model ({error}); give a .bin or .ftz"
        ) from None
