"""Hydra: composing a stage's config, and running one job or a sweep of them. What it raises becomes sentences in `xlt.config.messages`."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import hydra
import yaml
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from xlt import limited_yaml, processes
from xlt.config import messages, paths, schema
from xlt.config.build import build_stage, trust
from xlt.errors import ConfigError, Interrupted
from xlt.run import Finished, RunDirectory
from xlt.training import launch

REFUSALS = (HydraException, OmegaConfBaseException, yaml.YAMLError, UnicodeDecodeError)


class JobFailed(Exception):
    """A job of a sweep failed in another process, where its error was printed; carries its exit code here."""


def run(
    stage: str,
    argv: list[str],
    plugins: list[str],
    function: Callable,
    report: Callable[[BaseException], int],
    launches: bool = True,
) -> int:
    """Compose the config of `stage` and call function(StageRun) once, or once per job of a sweep; returns the exit code.

    A job that fails does not take the others of its sweep with it; a signal does. launches: a config may ask for several processes, which are started then.
    """
    _register()
    argv = [_whole(argument) for argument in argv]
    os.environ["HYDRA_FULL_ERROR"] = "1"  # exceptions reach us instead of Hydra's own report
    home, swept = os.getpid(), _swept(argv)
    codes: list[int] = []
    jobs: list[str] = []
    failure: list[Exception] = []

    def job(cfg: DictConfig):
        sweep = HydraConfig.get().mode == RunMode.MULTIRUN
        if failure:  # an earlier job was stopped by a signal
            return None
        try:
            if sweep:
                jobs.append(_name_job(cfg, HydraConfig.get(), swept))
                codes.append(0)
            if cfg.stage != stage:
                raise ConfigError(f"stage: {cfg.stage} is not what was called; run xlt {cfg.stage} instead")
            if "languages=joint" in HydraConfig.get().overrides.task and cfg.languages.source is not None:
                raise ConfigError(
                    f"languages.source: {list(cfg.languages.source)} stands over languages=joint, which learns from every language; add languages.source=null where an experiment names its source, or leave out languages=joint"
                )
            built = build_stage(cfg)
            if sweep and launches and launch.APART and not processes.launched():
                RunDirectory.refuse_finished(built.run.dir, built.stage, built.resolved, built.run.overwrite)
                return launch.apart([stage, *_job(argv, cfg), *_plugged(plugins)])
            if launches and launch.needed(built.hardware):
                return launch.start(built.hardware, [stage, *(_job(argv, cfg) if sweep else argv), *_plugged(plugins)])
            launch.join(built.hardware)
            value = function(built)
            launch.leave_result(value)
            processes.leave()
            return value
        except Finished as finished:
            print(finished)
        except Exception as error:
            if not sweep or (isinstance(error, Interrupted) and os.getpid() == home):
                failure.append(error)  # raised below: through Hydra it would print a line of its own first
            elif os.getpid() == home:
                codes[-1] = report(error)
            else:  # a launcher's worker: only what is raised there is seen here
                raise JobFailed(report(error)) from None
        return None

    limited_yaml.refuse_overrides(_overrides(argv))
    for path in (
        path for folder in [*paths.user_dirs(argv), *_replaced(argv)] for path in sorted(folder.rglob("*.yaml"))
    ):
        limited_yaml.refuse_code(path)
    if wrong := messages.no_choices(_overrides(argv)):
        raise ConfigError(wrong)
    refused, before = None, sys.argv
    sys.argv = [f"xlt {stage}", *argv]
    try:
        for module in plugins:
            trust(module)
        hydra.main(version_base="1.3", config_path=str(paths.conf_dir()), config_name=stage)(job)()
    except JobFailed as failed:
        return failed.args[0]
    except REFUSALS as error:
        refused = error
    finally:
        sys.argv = before
    if refused is not None:
        raise ConfigError(problems(refused, stage, _overrides(argv), paths.user_dirs(argv))) from refused
    if failure:
        raise failure[0]
    if failed := [f"{name} (exit code {code})" for name, code in zip(jobs, codes, strict=True) if code]:
        print(
            f"{len(jobs) - len(failed)} of {len(jobs)} jobs are finished; not {', '.join(failed)}. Run the same command again: what is finished stays as it is"
        )
    return next((code for code in codes if code), 0)


def problems(error: Exception, stage: str, overrides: list[str], folders: list[Path]) -> list[str]:
    """A sentence for `error`, and for whatever else is wrong: Hydra stops at the first, so what is to blame is left out and the rest composed."""
    refused, left_out, cfg = [error], set(), None
    while cfg is None and (path := messages.culprit(refused[-1])) not in left_out | {None}:
        left_out.add(path)
        overrides = [o for o in overrides if not f"{messages.key_of(o)}.".startswith(f"{path}.") and not _is_sweep(o)]
        try:
            cfg = compose(stage, overrides, folders)
        except REFUSALS as more:
            refused.append(more)
    added = {messages.key_of(o) for o in overrides if o.startswith("+")}
    known = [] if cfg is None else [k for k in _paths(OmegaConf.to_container(cfg)) if k not in added]
    found = [messages.sentence(e, stage, folders, known) for e in refused]
    try:
        if cfg is not None:
            build_stage(cfg)
    except ConfigError as more:
        # of a choice that was left out, the default stands in its place: what is said of that would mislead
        found += [p for p in more.problems if p.split(":")[0].split(".")[0] not in left_out]
    return list(dict.fromkeys(found))


def compose(stage: str, overrides: list[str], folders: list[Path]) -> DictConfig:
    """The config of a stage, not yet built."""
    _register()
    search = [f"hydra.searchpath=[{','.join(f'file://{f.resolve()}' for f in folders)}]"] if folders else []
    with hydra.initialize_config_dir(str(paths.conf_dir()), version_base="1.3"):
        return hydra.compose(stage, [*map(_whole, overrides), *search])


def keys(stage: str, overrides: list[str], folders: list[Path]) -> list[str]:
    """Every key path of a stage's composed config."""
    return _paths(OmegaConf.to_container(compose(stage, overrides, folders)))


def _paths(node, prefix: str = "") -> list[str]:
    if isinstance(node, dict):
        return [p for key, value in node.items() for p in _paths(value, f"{prefix}.{key}" if prefix else str(key))]
    return [prefix]


def _register() -> None:
    ConfigStore.instance().store(name="_schema", node=schema.StageConfig)


def _overrides(argv: list[str]) -> list[str]:
    """The overrides of a command line whose flags come last."""
    end = next((i for i, a in enumerate(argv) if a.startswith("-")), len(argv))
    return argv[:end]


def _whole(override: str) -> str:
    """KEY=0:1,100000:0.1 is one value, points over the updates as XLM writes them, though Hydra reads two between which to sweep."""
    key, _, value = override.partition("=")
    points = r"\d+:[\d.]+(e-?\d+)?"
    return f'{key}="{value}"' if re.fullmatch(f"{points}(,{points})+", value) else override


def _is_sweep(override: str) -> bool:
    try:
        return OverridesParser.create().parse_override(override).is_sweep_override()
    except HydraException:
        return False


def _replaced(argv: list[str]) -> list[Path]:
    """The folder that Hydra's own --config-path names, to stand in the place of ours."""
    named = [value for flag, value in pairwise(argv) if flag in ("--config-path", "-cp")]
    named += [flag.split("=", 1)[1] for flag in argv if flag.startswith(("--config-path=", "-cp="))]
    return [Path(name) for name in named if Path(name).is_dir()]


def _swept(argv: list[str]) -> set[str]:
    """The keys that are given several values."""
    return {messages.key_of(o) for o in _overrides(argv) if _is_sweep(o)}


def _job(argv: list[str], cfg: DictConfig) -> list[str]:
    """The command line of one job of a sweep."""
    flags = [a for a in argv[len(_overrides(argv)) :] if a not in ("-m", "--multirun")]
    return [
        *HydraConfig.get().overrides.task,
        f"run.name={_quoted(cfg.run.name)}",
        f"run.dir={_quoted(cfg.run.dir)}",
        *flags,
    ]


def _quoted(value: str) -> str:
    """As Hydra reads it back."""
    return value if re.fullmatch(r"[\w./+-]+", value) else "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _plugged(plugins: list[str]) -> list[str]:
    return [word for module in plugins for word in ("--plugin", module)]


def _name_job(cfg: DictConfig, job: DictConfig, swept: set[str]) -> str:
    """A job of a sweep gets a run directory of its own, named by what it overrides, unless the sweep itself names it. Returns what to call the job."""
    # Hydra's record of a sweep lies in the way of run directories, and config.yaml and manifest.json of each job say more
    (Path(job.sweep.dir) / "multirun.yaml").unlink(missing_ok=True)
    swept = swept | set(job.sweeper.get("params") or {})
    own = [o for o in job.overrides.task if messages.key_of(o) in swept]
    name = f"job {job.job.num + 1}: {' '.join(own)}"
    print(name, flush=True)
    if not own or swept & {"run.name", "run.dir"}:
        return name
    # of characters that Hydra reads without quotes, so that model.init_from=runs/NAME/seed-1/finetune can be typed
    suffix = "_".join(re.sub(r"[^\w.+-]+", "-", o) for o in own)
    named = "${run.name}" in OmegaConf.to_container(cfg.run)["dir"]
    with open_dict(cfg):
        cfg.run["name" if named else "dir"] += f"/{suffix}"
    return name
