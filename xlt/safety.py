"""What may be shown and saved of text that came from elsewhere: no secrets, nothing that spoofs a line, no formula in a table.

Imports the standard library only.
"""

from __future__ import annotations

import os
import re

REDACTED = "[redacted]"
_NAME = r"(?:api[_-]?key|access[_-]?key(?:[_-]id)?|private[_-]?key|secret|secret[_-]?key|passwd|password|passphrase|token|authorization|auth|credentials?|cookie)"
_SECRET_NAME = re.compile(rf"(?:^|[^a-z0-9]){_NAME}$", re.IGNORECASE)
_ASSIGNED = re.compile(rf"((?:^|[^A-Za-z0-9]){_NAME}[\"']?\s*[=:]\s*[\"']?)([^\s\"',}}&]{{6,}})", re.IGNORECASE)
_SHAPES = re.compile(
    r"hf_[A-Za-z0-9]{16,}|sk-[A-Za-z0-9_-]{16,}|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|glpat-[A-Za-z0-9_-]{16,}"
    r"|AKIA[0-9A-Z]{16}|AIza[0-9A-Za-z_-]{30,}|xox[abprs]-[A-Za-z0-9-]{10,}|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{4,}"
    r"|(?<=Bearer )[\w.~+/=-]{8,}|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)|-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END|$)"
)
_SPOOFS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_SPECIAL = re.compile(r"<[^>]*>|\[[A-Z]+\]|.{0,5}")  # a tokenizer's mask_token is none
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def redact(value):
    """`value`, of plain containers and strings, without what looks like a key, password or token: by its shape, by the name it is given, or
    because a variable of the environment with such a name has it."""
    known = [v for name, v in os.environ.items() if len(v) >= 8 and _SECRET_NAME.search(name)]
    return _redact(value, sorted(known, key=len, reverse=True))


def _redact(value, known: list[str]):
    if isinstance(value, str):
        for secret in known:
            value = value.replace(secret, REDACTED)
        return _ASSIGNED.sub(lambda found: found[1] + REDACTED, _SHAPES.sub(REDACTED, value))
    if isinstance(value, dict):
        return {
            _redact(key, known): REDACTED
            if isinstance(inner, str)
            and isinstance(key, str)
            and _SECRET_NAME.search(key)
            and not _SPECIAL.fullmatch(inner)
            else _redact(inner, known)
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return type(value)(_redact(inner, known) for inner in value)
    return value


def visible(text: str) -> str:
    """`text` with controls that no reader sees (bidi, escape sequences) written as \\uXXXX; line feeds and tabs stay."""
    return _SPOOFS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def spoofs(text: str) -> bool:
    """Whether there is any."""
    return _SPOOFS.search(text) is not None


def csv_text(text: str) -> str:
    """A cell of text that no spreadsheet takes for a formula (CWE-1236): a leading ' where it begins like one."""
    text = text if text.startswith(_FORMULA) else visible(text)
    return f"'{visible(text)}" if text.startswith(_FORMULA) else text


def markdown_text(text: str) -> str:
    """A cell of a Markdown table that is no markup: one line, no further cell, no HTML element."""
    text = visible(text.replace("\n", " "))
    return re.sub(r"<(?=[A-Za-z/!?])", "&lt;", re.sub(r"(?<!\\)\|", r"\\|", text))
