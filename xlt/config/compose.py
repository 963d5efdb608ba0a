"""Hydra: composing a stage's config, running one job or a sweep of them, and turning its exceptions into sentences."""

from __future__ import annotations

import difflib
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from xlt.config import paths, schema
from xlt.config.build import build_stage, trust
from xlt.errors import ConfigError, Interrupted, XltError
from xlt.run import Finished


def run(
    stage: str, argv: list[str], plugins: list[str], function: Callable, report: Callable[[BaseException], int]
) -> int:
    """Compose the config of `stage` and call function(StageRun) once, or once per job of a sweep; returns the exit code.

    A job that fails does not take the others of its sweep with it; a signal does.
    """
    _register()
    os.environ["HYDRA_FULL_ERROR"] = "1"  # exceptions reach us instead of Hydra's own report
    codes: list[int] = []
    failure: list[Exception] = []

    def job(cfg: DictConfig):
        sweep = HydraConfig.get().mode == RunMode.MULTIRUN
        try:
            if sweep:
                _name_job(cfg, list(HydraConfig.get().overrides.task))
            return function(build_stage(cfg))
        except Finished as finished:
            print(finished)
        except Exception as error:
            if sweep and isinstance(error, Interrupted):
                raise
            if sweep:
                codes.append(report(error))
            else:
                failure.append(error)  # raised below: through Hydra it would print a line of its own first
        return None

    before = sys.argv
    sys.argv = [f"xlt {stage}", *argv]
    try:
        for module in plugins:
            trust(module)
        hydra.main(version_base="1.3", config_path=str(paths.conf_dir()), config_name=stage)(job)()
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(sentence(error, stage)) from error
    finally:
        sys.argv = before
    if failure:
        raise failure[0]
    return next((code for code in codes if code), 0)


def keys(stage: str, overrides: list[str], folders: list[Path]) -> list[str]:
    """Every key path of a stage's composed config, for completion."""
    from hydra import compose, initialize_config_dir

    _register()
    search = [f"hydra.searchpath=[{','.join(f'file://{f.resolve()}' for f in folders)}]"] if folders else []
    try:
        with initialize_config_dir(str(paths.conf_dir()), version_base="1.3"):
            cfg = compose(stage, [*overrides, *search])
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(str(error)) from error
    return [f"{path}=" for path in _paths(OmegaConf.to_container(cfg))]


def _register() -> None:
    ConfigStore.instance().store(name="_schema", node=schema.StageConfig)


def _name_job(cfg: DictConfig, overrides: list[str]) -> None:
    """A job of a sweep gets a run directory of its own, named by what it overrides, unless the sweep names it."""
    swept = [o for o in overrides if _is_swept(o)]
    if not swept or any(o.startswith(("run.name=", "run.dir=", "run.root=")) for o in swept):
        return
    suffix = ",".join(re.sub(r"[^\w=.,+-]", "_", o) for o in swept)
    with open_dict(cfg):
        cfg.run.name = f"{cfg.run.name}/{suffix}"


def _is_swept(override: str) -> bool:
    """Whether the sweep's own command line gave this key several values (the job sees one of them)."""
    key = override.split("=", 1)[0]
    given = [a.split("=", 1)[1] for a in sys.argv[1:] if a.split("=", 1)[0] == key]
    return bool(given) and given[-1] != override.split("=", 1)[1]


def _paths(node, prefix: str = "") -> list[str]:
    if isinstance(node, dict):
        return [p for key, value in node.items() for p in _paths(value, f"{prefix}.{key}" if prefix else str(key))]
    return [prefix]


def sentence(error: Exception, stage: str) -> str:
    """One sentence for an exception of Hydra or OmegaConf: path, what is wrong, remedy."""
    chain, seen = [], error
    while seen is not None:
        chain.append(str(seen))
        seen = seen.__cause__ or seen.__context__
    text = "\n".join(chain)
    if match := re.search(r"Could not override '([^']+)'", text):
        return _unknown_key(match[1], stage)
    if match := re.search(r"Could not find '([^']+)/([^'/]+)'", text):
        group, name = match.groups()
        options = list(paths.choices(group, paths.user_dirs(sys.argv)))
        near = difflib.get_close_matches(name, options, 1)
        return f"{group}: there is no {name}; {f'did you mean {near[0]}? ' if near else ''}there are {', '.join(options) or 'none'}"
    if match := re.search(r"Error parsing override '([^']+)'", text):
        return f"{match[1]}: this is not an override that Hydra can read; write key=value, and quote values that hold = , : or blanks: 'key=\"a,b\"'"
    if match := re.search(r"Ambiguous value for argument '([^'=]+)=", text):
        return f"{match[1]}: several values need a sweep; add --multirun, or quote the value"
    if match := re.search(r"full_key: (\S+)", text):
        reason = next(
            (
                line
                for c in chain
                for line in c.splitlines()
                if re.search(r"could not be|Invalid value|not in|is not|Incompatible|Unsupported", line)
            ),
            chain[0].splitlines()[0],
        )
        if "not in '" in reason:
            return _unknown_key(match[1], stage)
        return f"{match[1]}: {reason[0].lower()}{reason[1:]}"
    if match := re.search(r"You must specify '([^']+)'|Could not override '([^']+)'", text):
        return f"{match[1] or match[2]}: choose one; see xlt ls {match[1] or match[2]}"
    return " ".join(chain[0].split())


def _unknown_key(path: str, stage: str) -> str:
    try:
        known = [k.rstrip("=") for k in keys(stage, [], [])]
    except XltError:
        known = []
    names = sorted({".".join(k.split(".")[: path.count(".") + 1]) for k in known})
    near = difflib.get_close_matches(path, names, 1)
    parent = path.rpartition(".")[0]
    inside = [k.rpartition(".")[2] for k in names if k.rpartition(".")[0] == parent]
    hint = (
        f"did you mean {near[0]}?"
        if near
        else f"{parent or 'a config'} has {', '.join(inside)}"
        if inside
        else f"see xlt {stage} --cfg job"
    )
    return f"{path}: there is no such key; {hint}"


__all__ = ["keys", "run", "sentence"]
