"""The wheel is the product: it holds every config and table, and works far from the checkout.

`XLT_FULL_INSTALL=1` adds the real thing: an empty environment into which pip downloads every dependency by constraints.txt (minutes, and a network).
"""

import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from tests import corpus

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """(wheel, sdist); the wheel is made from the sdist, as PyPI's users who build would make it."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return wheel, sdist


def shipped() -> set[str]:
    """What must be inside, by its name in the wheel."""
    tracked = subprocess.run(["git", "ls-files", "xlt", "conf"], cwd=ROOT, capture_output=True, text=True)
    if tracked.returncode:  # no git here: all that lies there
        names = [str(p.relative_to(ROOT)) for top in ("xlt", "conf") for p in (ROOT / top).rglob("*") if p.is_file()]
        names = [name for name in names if "__pycache__" not in name]
    else:
        names = [name for name in tracked.stdout.splitlines() if (ROOT / name).is_file()]
    return {f"xlt/{name}" if name.startswith("conf/") else name for name in names}


def test_everything_is_inside(built):
    wheel, sdist = built
    inside = set(zipfile.ZipFile(wheel).namelist())
    expected = shipped()
    assert {"xlt/conf/pretrain.yaml", "xlt/conf/model/tiny.yaml", "xlt/languages.tsv", "xlt/cli.py"} <= expected
    assert expected - inside == set()
    assert not any(name.startswith(("tests/", "scripts/", "conf/")) for name in inside)
    metadata = next(name for name in inside if name.endswith("/METADATA"))
    assert "Requires-Dist: torch" in zipfile.ZipFile(wheel).read(metadata).decode()
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"conf/pretrain.yaml", "xlt/languages.tsv", "tests/corpus.py", "Makefile", "README.md"} <= names


def works(python: Path, place: Path) -> None:
    """The command of an environment, from a directory that has nothing to do with the checkout."""
    corpus.write_text(place / "text", {"en": 30, "de": 20})
    corpus.write_tokenizer(place / "tokenizer")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "XLT_"))}
    environment |= {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "XLT_CACHE": str(place / "cache")}

    def xlt(*argv: str) -> str:
        command = [str(python.parent / "xlt"), *argv]
        done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, (argv, done.stdout, done.stderr)
        return done.stdout

    origin = [str(python), "-c", "import xlt; print(xlt.__file__)"]
    found = subprocess.run(origin, cwd=place, env=environment, capture_output=True, text=True, check=True).stdout
    assert not Path(found.strip()).is_relative_to(ROOT), "the checkout hides the installed package"
    assert "pretrain" in xlt("--help")
    assert "tiny" in xlt("ls", "model")
    assert "_target_: xlt.objectives.masked_lm.MaskedLM" in xlt("pretrain", "dataset=text_files", "--cfg", "job")
    data = ["dataset=text_files", "dataset.root=text", "tokenizer.path=tokenizer", "train.max_length=24"]
    xlt("pretrain", *data, "train.steps=3", "train.batch_size=4", "train.batch_tokens=null", "hardware=debug")
    assert (place / "runs" / "main" / "pretrain" / "metrics.json").is_file()
    assert (place / "runs" / "main" / "pretrain" / "model" / "model.safetensors").is_file()


def environment_in(folder: Path) -> Path:
    venv.create(folder, with_pip=True)
    return folder / "bin" / "python"


def test_installed_it_works_elsewhere(built, tmp_path):
    """Dependencies are those of this environment, so nothing is downloaded."""
    python = environment_in(tmp_path / "env")
    (tmp_path / "env").joinpath("lib", f"python{sysconfig.get_python_version()}", "site-packages", "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")  # fmt: skip
    install = [str(python), "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--force-reinstall"]
    subprocess.run([*install, str(built[0])], check=True)
    (tmp_path / "work").mkdir()
    works(python, tmp_path / "work")


@pytest.mark.timeout(3600)
@pytest.mark.skipif("XLT_FULL_INSTALL" not in os.environ, reason="set XLT_FULL_INSTALL=1: downloads every dependency")
def test_installed_with_its_dependencies_it_works(built, tmp_path):
    python = environment_in(tmp_path / "env")
    install = [str(python), "-m", "pip", "install", "--quiet", "-c", str(ROOT / "constraints.txt")]
    subprocess.run([*install, str(built[0])], check=True)
    (tmp_path / "work").mkdir()
    works(python, tmp_path / "work")
