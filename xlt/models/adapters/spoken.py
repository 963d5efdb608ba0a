"""Which of the adapters of languages reads a batch."""

from __future__ import annotations

from collections.abc import Sequence

from xlt import languages as registry
from xlt.errors import ConfigError


def code_of(language: str) -> str:
    """xlt's own code of a language, whatever a data set calls it; what it does not know stays as it is."""
    return registry.canonical(language) if registry.known(language) else language


def spoken_by(adapter, languages: Sequence[str]) -> str:
    """The one language of a batch, by the name that its adapter has. ConfigError for several, and for one without adapter.

    An adapter of a single language that is not told any reads all.
    """
    codes = {code_of(language) for language in languages}
    if not codes and len(adapter.languages) == 1:
        return adapter.languages[0]
    if len(codes) != 1:
        raise ConfigError(
            f"adapter: {adapter.kind.name} reads one language at a time, and a batch holds {', '.join(sorted(codes)) or 'none that is named'}; learn from one "
            "language (languages.source=[en]), or take an adapter that is not of languages, such as pfeiffer on another base"
        )
    (code,) = codes
    require(adapter, [code])
    return code


def require(adapter, languages: Sequence[str]) -> None:
    """ConfigError for a language that has no adapter, where languages have adapters."""
    if not adapter.languages:
        return
    missing = [language for language in languages if code_of(language) not in adapter.languages]
    if missing:
        raise ConfigError(
            f"languages: there is no adapter of {', '.join(missing)}, only of {', '.join(adapter.languages)}; train one with xlt pretrain and that language in "
            "languages.train, or leave it out (languages.target=[...])"
        )
