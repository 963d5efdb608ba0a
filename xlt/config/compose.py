"""Hydra: composing a stage's config, and running one job or a sweep of them. What it raises becomes sentences in `xlt.config.messages`."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import hydra
import yaml
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from xlt import limited_yaml, processes, signals
from xlt.config import messages, paths, schema, sweeps
from xlt.config.build import build_stage, resolved, trust
from xlt.errors import ConfigError, Interrupted
from xlt.run import Finished, RunDirectory
from xlt.training import launch

REFUSALS = (HydraException, OmegaConfBaseException, yaml.YAMLError, UnicodeDecodeError)


class JobFailed(Exception):
    """A job of a sweep failed on another machine, where its error was printed; carries its exit code here."""


def run(
    stage: str,
    argv: list[str],
    plugins: list[str],
    function: Callable,
    report: Callable[[BaseException], int],
    launches: bool = True,
) -> int:
    """Compose the config of `stage` and call function(StageRun) once, or once per job of a sweep; returns the exit code.

    A job that fails does not take the others of its sweep with it; a signal does. launches: a config may ask for several processes, which are started then, and
    each job of a sweep has a process of its own.
    """
    _register()
    argv = [_whole(argument) for argument in argv]
    os.environ["HYDRA_FULL_ERROR"] = "1"  # exceptions reach us instead of Hydra's own report
    swept, flags, board = _swept(argv), argv[len(_overrides(argv)) :], sweeps.Board()
    failure: list[Exception] = []

    def work(cfg: DictConfig, command: list[str]):
        if cfg.stage != stage:
            raise ConfigError(f"stage: {cfg.stage} is not what was called; run xlt {cfg.stage} instead")
        if "languages=joint" in HydraConfig.get().overrides.task and cfg.languages.source is not None:
            raise ConfigError(
                f"languages.source: {list(cfg.languages.source)} stands over languages=joint, which learns from every language; add languages.source=null where an experiment names its source, or leave out languages=joint"
            )
        command = [stage, *command, *_plugged(plugins)]
        if _in_sweep() and launches and launch.APART and not processes.launched():
            return _apart(cfg, command, board)
        built = build_stage(cfg)
        if launches and launch.needed(built.hardware):
            value = launch.start(built.hardware, command)
        else:
            launch.join(built.hardware)
            value = function(built)
        launch.leave_result(value)
        processes.leave()
        return value

    def single(cfg: DictConfig):
        try:
            return work(cfg, argv)
        except Finished as finished:
            print(finished)
        except Exception as error:
            failure.append(error)  # raised below: through Hydra it would print a line of its own first
        return None

    def one_of_many(cfg: DictConfig):
        if os.getpid() == board.home:
            board.open()
        else:  # of a launcher
            signals.install()
        if failure or board.stopped():
            return None
        name, code, value = sweeps.name_job(cfg, HydraConfig.get(), swept), 0, None
        try:
            value = work(cfg, sweeps.command_of(flags, cfg))
        except Finished as finished:
            print(finished, flush=True)
            value = launch.result_of(cfg.run.dir)
        except Interrupted as error:
            if board.abandoned():  # nobody waits for this process, but joblib would keep it for minutes
                os._exit(error.exit_code)
            if os.getpid() == board.home:
                failure.append(error)
                return None
            code = report(error)
        except Exception as error:
            code = report(error)
        if not board.note(HydraConfig.get().job.num, name, code) and code:
            raise JobFailed(code)
        return value

    def job(cfg: DictConfig):
        return one_of_many(cfg) if _in_sweep() else single(cfg)

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
        if {"-m", "--multirun"} & set(flags):
            board.open()
        for module in plugins:
            trust(module)
        hydra.main(version_base="1.3", config_path=str(paths.conf_dir()), config_name=stage)(job)()
    except JobFailed as failed:
        return failed.args[0]
    except REFUSALS as error:
        refused = error
    except Exception as error:
        stopped = failure or (board.place is not None and signals.requested())
        if not (stopped or any(code for _, code in board.noted())):
            raise
        if not stopped:  # such as one that asks for the best of jobs of which none gave a value
            print(f"xlt: the sweeper gave up after jobs had failed ({type(error).__name__}: {error})", file=sys.stderr)
    finally:
        sys.argv = before
        swept_over, jobs = board.place is not None, board.noted()
        board.close()
    if refused is not None:
        raise ConfigError(problems(refused, stage, _overrides(argv), paths.user_dirs(argv))) from refused
    if failure:
        raise failure[0]
    if swept_over:
        signals.stop_if_requested(launch.IN_SWEEP)
    if told := sweeps.summary(jobs):
        print(told)
    return next((code for _, code in jobs if code), 0)


def _in_sweep() -> bool:
    return HydraConfig.get().mode == RunMode.MULTIRUN


def _apart(cfg: DictConfig, command: list[str], board: sweeps.Board) -> float | None:
    """A job in a process of its own, unless what it would make is there. What is wrong with its config is told there, where it is built: this process stays light."""
    with suppress(OmegaConfBaseException):
        RunDirectory.refuse_finished(cfg.run.dir, cfg.stage, resolved(cfg), cfg.run.overwrite)
    return launch.apart(command, cfg.run.dir, board.stopped)


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


def _plugged(plugins: list[str]) -> list[str]:
    return [word for module in plugins for word in ("--plugin", module)]
