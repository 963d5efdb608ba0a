"""Fixtures for every room."""

import gc
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import settings

from xlt import cli, signals
from xlt.config import build
from xlt.training import launch

settings.register_profile("xlt", deadline=None)  # a machine may be busy, and the first example pays for imports
settings.load_profile("xlt")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets that stands beside the checkout on some machines; tests that read it are skipped elsewhere."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real data sets are not beside this checkout")
    return folder


@pytest.fixture(scope="session")
def forks():
    """run([stage, ...], file): the exit code of a command in a child of a process that has imported everything (see `tests.faults`)."""
    from tests.faults import Forks

    with Forks() as process:
        yield process


@pytest.fixture
def shell(monkeypatch, capsys, tmp_path):
    """shell("finetune", "seed=2") -> code, out, err lines of that command, run in this process in an empty folder with a cache of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("XLT_CONF", raising=False)
    monkeypatch.setenv("XLT_CACHE", str(tmp_path / ".cache"))
    monkeypatch.setattr(signals, "install", lambda: None)
    monkeypatch.setattr(launch, "APART", False)
    monkeypatch.setattr(build, "_trusted", {"xlt"})  # --plugin trusts for as long as the process lives

    def run(*argv):
        capsys.readouterr()
        gc.freeze()
        code = cli.main(list(argv))
        out, err = capsys.readouterr()
        gc.collect()  # a command lets go of its lock when its process ends; here, when its traceback is forgotten
        gc.unfreeze()
        return SimpleNamespace(code=code, out=out, err=err.split("\n")[:-1])

    return run
