"""The rooms of the house: imports point down only, and what may be imported where. Read from the source, so nothing needs to be installed."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1] / "xlt"
FILES = sorted(ROOT.rglob("*.py"))
LEVEL = {
    "errors": 0,
    **dict.fromkeys(
        (
            "metrics",
            "answers",
            "languages",
            "types",
            "noise",
            "schedules",
            "signals",
            "surface",
            "vocabulary",
            "files",
            "processes",
            "safety",
            "limited_yaml",
            "room",
        ),
        1,
    ),
    **dict.fromkeys(("objectives", "alignment", "models", "data", "tokenization", "reporting"), 2),
    **dict.fromkeys(("run", "training", "evaluation"), 3),
    **dict.fromkeys(("config", "stages"), 4),
    **dict.fromkeys(("complete", "cli", "__main__"), 5),
}
SIDEWAYS = {  # between rooms of one level
    ("types", "vocabulary"),
    ("processes", "signals"),
    ("room", "processes"),
    ("vocabulary", "surface"),
    ("vocabulary", "languages"),
    ("surface", "languages"),
    ("answers", "languages"),
    ("objectives", "models"),  # pooling
    ("objectives", "alignment"),
    ("models", "tokenization"),  # a checkpoint holds both
    ("run", "training"),
    ("stages", "config"),
    ("cli", "complete"),
    ("__main__", "cli"),
}
HEAVY = {"torch", "transformers", "hydra", "omegaconf", "numpy", "datasets", "accelerate", "rich", "yaml"}


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(node: ast.AST) -> list[str]:
    """Modules that an import statement names; of `from xlt.data import plan`, xlt.data and xlt.data.plan."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, "relative imports hide which room is meant"
        return [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return []


def imports(path: Path) -> set[str]:
    """All imports of a file, those inside functions too."""
    return {module for node in ast.walk(tree_of(path)) for module in imported(node)}


def imports_at_start(path: Path) -> set[str]:
    return {module for node in tree_of(path).body for module in imported(node)}


def test_the_source_was_found():
    assert len(FILES) > 50
    assert {room_of(name_of(p)) for p in FILES} - {""} == set(LEVEL), "a room is missing in LEVEL, or gone from xlt/"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_point_down(path):
    room = room_of(name_of(path))
    for module in imports(path):
        other = room_of(module) if module.startswith("xlt.") else ""
        if room and other and other != room and (room, other) not in SIDEWAYS:
            assert LEVEL[other] < LEVEL[room], f"{name_of(path)} imports {module}, which is not below it"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_only_the_config_room_knows_hydra(path):
    if room_of(name_of(path)) not in ("config", "cli"):
        assert not {m.split(".")[0] for m in imports(path)} & {"hydra", "omegaconf"}


@pytest.mark.parametrize("room", ["objectives", "models"])
def test_objectives_and_models_see_no_source_and_no_stage(room):
    files = [p for p in FILES if room_of(name_of(p)) == room]
    assert len(files) > 2
    for path in files:
        seen = {m for m in imports(path) if m.startswith(("xlt.stages", "xlt.data.sources", "xlt.training", "xlt.run"))}
        assert not seen, f"{name_of(path)} imports {seen}"


@pytest.mark.parametrize("start", ["xlt.cli", "xlt.complete", "xlt.config.paths", "xlt.errors"])
def test_help_loads_nothing_heavy(start):
    files = {name_of(p): p for p in FILES}
    reached, waiting = set(), [start]
    while waiting:
        module = waiting.pop()
        if module in files and module not in reached:
            reached.add(module)
            found = imports_at_start(files[module])
            assert not {m.split(".")[0] for m in found} & HEAVY, f"{module}, imported by {start}, is slow to load"
            waiting += found
    assert start in reached


def test_no_room_for_odds_and_ends():
    assert not [p for p in FILES if p.stem in ("utils", "util", "helpers", "misc", "common")]


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_no_value_has_a_second_default_in_python(path):
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get":
            assert ast.unparse(node.func.value).split(".")[0] != "cfg", f"{path.name} line {node.lineno}: cfg.get("


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_data_are_never_cut_by_splitlines(path):
    """It also cuts at U+2028, U+0085 and others that occur inside sentences; see xlt/data/lines.py. Texts of xlt itself may be cut so."""
    ours = {"languages.py": "the registry", "messages.py": "exceptions", "tracking.py": "metrics.jsonl"}
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Attribute) and node.attr == "splitlines" and path.name not in ours:
            assert "error" in ast.unparse(node.value), f"{path.name} line {node.lineno}: splitlines"
