"""Every file under conf/: the directory listing is the registry, so each file in it has to work."""

from __future__ import annotations

import dataclasses

import hydra
import pytest
from omegaconf import OmegaConf

from xlt.cli import STAGES
from xlt.config import paths, schema
from xlt.config.build import CLOSED, OPEN, _closed, _target, build_node, build_stage
from xlt.config.compose import compose

CONF = paths.conf_dir()
FILES = sorted(p.relative_to(CONF) for p in CONF.rglob("*.yaml"))
RECIPES = [p for p in FILES if p.parts[0] == "experiment"]


def group(*names):
    return [p for p in FILES if p.parts[0] in names and len(p.parts) == 2]


def composed(stage, *overrides):
    named = any(o.startswith(("dataset=", "experiment=")) for o in overrides)
    return compose(stage, [*([] if named else ["dataset=text_files"]), *overrides], [])


def resolved(cfg):
    return OmegaConf.to_container(cfg, resolve=True)


def nodes(node):
    """All nodes with a target in a config, itself included."""
    if isinstance(node, dict):
        if "_target_" in node:
            yield node
        for value in node.values():
            yield from nodes(value)


def test_the_configs_were_found():
    assert len(FILES) > 50
    assert {p.stem for p in FILES if len(p.parts) == 1} == {*STAGES, "_stage"}
    assert {p.parts[0] for p in FILES if len(p.parts) > 1} <= {*paths.GROUPS}, "a group that paths.GROUPS does not list"


@pytest.mark.parametrize("path", FILES, ids=str)
def test_the_first_comment_explains_it(path):
    comment = paths.first_comment(CONF / path)
    assert len(comment) > 15, "xlt ls shows this line"
    assert (CONF / path).read_text(encoding="utf-8").startswith("#")


@pytest.fixture(scope="module")
def presets():
    """{group/name: node} of all of them, each with its own defaults, in one composition: Hydra takes a quarter of a second for each.

    A mode chooses among the groups of its stage, too, so it is composed there.
    """
    modes = {str(p): resolved(composed("tokenize", f"mode={p.stem}").mode) for p in group("mode")}
    chosen = [p for p in group(*OPEN, *CLOSED) if p.parts[0] != "mode"]
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = hydra.compose(None, [f"+{p.parts[0]}@{p.parts[0]}.{p.stem}={p.stem}" for p in chosen])
    return modes | {str(p): resolved(cfg)[p.parts[0]][p.stem] for p in chosen}


@pytest.mark.parametrize("path", group(*OPEN), ids=str)
def test_presets_of_open_groups_hold_each_field_once_and_build(path, presets):
    found = list(nodes(presets[str(path)]))
    assert found
    for inside in found:
        fields = dataclasses.fields(_target(inside["_target_"], path.parts[0]))
        assert set(inside) == {"_target_"} | {f.name for f in fields}
        # both are MISSING where there is no default
        defaults = [f.name for f in fields if f.default is not f.default_factory]
        assert not defaults, "a default in Python is a second source of the value in YAML"
    assert build_node(presets[str(path)], path.parts[0]) is not None


@pytest.mark.parametrize("path", group("part"), ids=str)
def test_presets_of_parts_hold_each_field_once_and_can_be_added(path):
    place = "objective.parts.more"
    chosen = [f"+part@{place}={path.stem}", f"+objective@{place}.objective=coral", f"dataset@{place}.dataset=mono"]
    part = resolved(composed("pretrain", "objective=mlm_contrastive", *chosen).objective)["parts"]["more"]
    fields = dataclasses.fields(_target(part["_target_"], "objective"))
    assert set(part) == {"_target_"} | {f.name for f in fields}
    assert not [f.name for f in fields if f.default is not f.default_factory]
    assert build_node(part, place).dataset.name == "mono"


@pytest.mark.parametrize("path", group(*CLOSED), ids=str)
def test_presets_of_closed_groups_hold_each_key_with_its_type(path, presets):
    name, node = path.parts[0], presets[str(path)]
    assert set(node) == {f.name for f in dataclasses.fields(CLOSED[name])}
    problems = []
    _closed(name, CLOSED[name], node, problems)
    assert not problems


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("hardware", [p.stem for p in group("hardware")])
def test_every_stage_composes_with_every_hardware(stage, hardware):
    cfg = composed(stage, f"hardware={hardware}")
    assert cfg.stage == stage
    assert cfg.run.dir == f"runs/main/{stage}"
    assert set(cfg.hardware) == {field.name for field in dataclasses.fields(schema.Hardware)}
    assert not [key for key in cfg.hardware if OmegaConf.is_missing(cfg.hardware, key)], "the preset gives each a value"


@pytest.mark.parametrize("path", RECIPES, ids=str)
def test_recipes_compose_and_build(path):
    name = "/".join(path.parts[1:-1])
    assert path.stem in STAGES, "experiment/NAME/<stage>.yaml"
    assert (CONF / path).read_text(encoding="utf-8").startswith("# @package _global_\n# ")
    assert build_stage(composed(path.stem, f"experiment={name}/{path.stem}")).stage == path.stem


def test_slurm_takes_its_sizes_from_the_allocation(monkeypatch):
    for name, value in {"GPUS_ON_NODE": "4", "JOB_NUM_NODES": "3", "LAUNCH_NODE_IPADDR": "10.0.0.7", "JOB_ID": "815"}.items():  # fmt: skip
        monkeypatch.setenv(f"SLURM_{name}", value)
    found = build_stage(composed("pretrain", "dataset=demo", "hardware=slurm")).hardware
    assert (found.processes, found.nodes, found.rendezvous, found.job) == (4, 3, "10.0.0.7:29400", "815")
    for name in ("GPUS_ON_NODE", "JOB_NUM_NODES", "LAUNCH_NODE_IPADDR", "JOB_ID"):
        monkeypatch.delenv(f"SLURM_{name}")
    outside = build_stage(composed("pretrain", "dataset=demo", "hardware=slurm")).hardware
    assert (outside.processes, outside.nodes) == (1, 1)
