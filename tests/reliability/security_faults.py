"""Trials of the promises about hostile input: each plants something and says whether it was refused, or lost its sting. Plain functions, as in
`tests.reliability.data_faults`.
"""

from __future__ import annotations

import csv
import io
import json
import os
import pickle
from contextlib import redirect_stderr, redirect_stdout
from html.parser import HTMLParser
from pathlib import Path
from random import Random
from unittest import mock

import yaml
from markdown_it import MarkdownIt

from tests.reliability import corpus
from xlt import cli, limited_yaml, safety
from xlt.config.build import build_node
from xlt.errors import ConfigError
from xlt.models.shapes import load_config, locate
from xlt.reporting.tables import Line, csv_table, to_markdown
from xlt.tokenization.load import load

TARGETS = [
    "os.system", "subprocess.run", "subprocess.Popen", "builtins.eval", "builtins.exec", "builtins.open", "builtins.__import__", "pathlib.Path.write_text",
    "pathlib.Path", "shutil.copyfile", "shutil.rmtree", "importlib.import_module", "runpy.run_path", "pickle.loads", "torch.load", "torch.hub.load",
    "torch.nn.modules.module.torch.load", "numpy.load", "pandas.read_pickle", "joblib.load", "yaml.unsafe_load", "hydra.utils.instantiate", "socket.socket",
    "xlt.run.subprocess.run", "xlt.run.os.system", "xlt.run.shutil.rmtree", "xlt.files.write_text", "xlt.config.build.importlib", "xltevil.Thing", "xlt..os.system",
    "xlt.config.build.trust", "xlt.cli.main",
]  # fmt: skip


class Payload:
    """Unpickled, it writes a file."""

    def __init__(self, canary: Path):
        self.canary = str(canary)

    def __reduce__(self):
        return (exec, (f"open({self.canary!r}, 'w').close()",))


def refused(call) -> str:
    """The sentence of ConfigError; "" without one."""
    try:
        call()
    except ConfigError as error:
        return str(error)
    return ""


def shell(*argv: str) -> tuple[int, str]:
    """Exit code, and all that was printed."""
    out = io.StringIO()
    with redirect_stdout(out), redirect_stderr(out):
        code = cli.main(list(argv))
    return code, out.getvalue()


def pickles(seed: int, folder: Path) -> bool:
    """A model's folder whose weights are a pickle, by each of the usual names: refused, and nothing of it runs."""
    folder.mkdir(parents=True)
    ok = True
    for i, name in enumerate(
        ["pytorch_model.bin", "model.pt", "model.pth", "weights.pkl", "model.pickle", "last.ckpt"]
    ):
        place, canary = folder / str(i), folder / f"canary{i}"
        place.mkdir()
        (place / "config.json").write_text(json.dumps({"model_type": "bert", "vocab_size": 100}))
        (place / name).write_bytes(pickle.dumps(Payload(canary)))
        ok &= "pickle" in refused(lambda place=place: locate(str(place))) and not canary.exists()
    return ok


def targets(seed: int, folder: Path) -> bool:
    """Targets outside xlt, and those that only look as if they were inside: refused in any place of a config."""
    draw = Random(seed)
    for target in TARGETS:
        node = {"_target_": target, "command": "true"}
        inside = yaml.safe_load((corpus.paths.conf_dir() / "dataset/classification_files.yaml").read_text())
        inside["columns"] = {**inside["columns"], "text": {"x": [node]}} if draw.random() < 0.5 else node
        if "_target_" not in refused(lambda node=node: build_node(node, "objective")) or not refused(
            lambda inside=inside: build_node(inside, "dataset")
        ):
            return False
    return True


def commands(seed: int, folder: Path) -> bool:
    """Targets on the command line, in a user's experiment, and in what Hydra itself would build: exit code 2, and nothing runs."""
    canary = folder / "canary"
    for group in ("experiment", "dataset"):
        (folder / "conf" / group).mkdir(parents=True)
    evil = f"{{_target_: pathlib.Path.touch, self: {{_target_: pathlib.Path, _args_: ['{canary}']}}}}"
    (folder / "conf/dataset/evil.yaml").write_text("_target_: os.system\ncommand: touch canary\n")
    bodies = {
        "callbacks": f"hydra: {{callbacks: {{a: {evil}}}}}",
        "launcher": "hydra: {launcher: {_target_: os.system}}",
        "logging": "hydra: {job_logging: {handlers: {a: {(): os.system}}}}",
        "objective": "objective: {_target_: os.system}",
        "tag": "a: !!python/object/apply:os.system [true]",
    }
    (folder / "other").mkdir()
    (folder / "other/finetune.yaml").write_text(f"stage: finetune\nhydra: {{callbacks: {{a: {evil}}}}}\n")
    ok = shell("check", "finetune", "--config-path", str(folder / "other"))[0] == 2
    ok &= shell("check", "finetune", f"hydra.searchpath=[file://{folder / 'other'}]")[0] == 2 and not canary.exists()
    for name, body in bodies.items():
        file = folder / "conf/experiment" / f"{name}.yaml"
        file.write_text(f"# @package _global_\n{body}\n")
        code, said = shell("check", "finetune", "--config-dir", str(folder / "conf"), f"experiment={name}")
        ok &= code == 2 and "Traceback" not in said and not canary.exists()
        file.unlink()
    asked = [
        ["--config-dir", str(folder / "conf"), "dataset=evil"],
        ["dataset._target_=os.system"],
        [f"+hydra.callbacks.a={evil}"],
        ["hydra.launcher._target_=os.system", "-m", "seed=1,2"],
        ["+objective.x={_target_: os.system}"],
    ]
    return ok and all(shell("check", "finetune", *argv)[0] == 2 for argv in asked) and not canary.exists()


def yaml_bombs(seed: int, folder: Path) -> bool:
    """Aliases that would grow to gigabytes, deep nesting, tags and large files, in a user's config and in a run's: refused before they are read."""
    folder.mkdir(parents=True)
    bombs = {
        "aliases": "a0: &a0 [x, x]\n"
        + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)),
        "deep": "a: " + "[" * 100 + "]" * 100,
        "large": "a: " + "x" * (limited_yaml.MOST_BYTES + 1),
        "tag": "a: !!python/object/apply:os.system ['true']",
        "own tag": "a: !evil x",
    }
    for text in bombs.values():
        (folder / "bomb.yaml").write_text(text)
        if not refused(lambda: limited_yaml.load(folder / "bomb.yaml")):
            return False
        (folder / "conf/dataset").mkdir(parents=True, exist_ok=True)
        (folder / "conf/dataset/mine.yaml").write_text(text)
        if shell("check", "finetune", "--config-dir", str(folder / "conf"), "dataset=mine")[0] != 2:
            return False
    shipped = sorted(corpus.paths.conf_dir().rglob("*.yaml"))
    return len(shipped) > 100 and all(limited_yaml.check(path) for path in shipped)


def oversized(seed: int, folder: Path) -> bool:
    """A tokenizer.json of 65 MB, and a model's config with sizes that no memory holds, or that would run code."""
    folder.mkdir(parents=True)
    with open(folder / "tokenizer.json", "wb") as file:
        file.truncate(65 << 20)
    ok = "65 MB" in refused(lambda: load(str(folder)))
    for extra in (
        {"vocab_size": 10**9},
        {"max_position_embeddings": 10**12},
        {"num_labels": 10**9},
        {"_attn_implementation_internal": "x/y"},
    ):
        (folder / "config.json").write_text(json.dumps({"model_type": "bert"} | extra))
        ok &= next(iter(extra)) in refused(lambda: locate(str(folder)))
    (folder / "config.json").write_bytes(b" " * (17 << 20))
    return ok and "bytes" in refused(lambda: locate(str(folder))) and callable(load_config)


def secrets(seed: int, folder: Path) -> bool:
    """20 secrets in the environment, on the command line and in a config: none in the run directory, nor on the screen."""
    draw = Random(seed)

    def made(prefix: str = "", size: int = 32) -> str:
        return prefix + "".join(draw.choices("abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789", k=size))

    names = [
        "HF_TOKEN",
        "WANDB_API_KEY",
        "AWS_SECRET_ACCESS_KEY",
        "MY_PASSWORD",
        "DB_PASSWD",
        "X_AUTHORIZATION",
        "SLACK_TOKEN",
        "OPENAI_API_KEY",
        "AZURE_CLIENT_SECRET",
        "REDIS_PASSWORD",
    ]
    environment = {name: made() for name in names}
    shaped = [
        made("hf_"),
        made("sk-"),
        made("ghp_", 36),
        made("github_pat_", 40),
        made("glpat-", 20),
        "AKIA" + made(size=16).upper(),
        made("AIza", 35),
        made("xoxb-", 24),
    ]
    user, word = made(size=12), made(size=16)
    planted = [*environment.values(), *shaped, word, made("eyJ", 20) + "." + made(size=30) + "." + made(size=20)]
    url = f"https://{user}:{word}@host/x"
    data = corpus.labelled(folder / "data", draw, languages=("en",))
    (folder / "conf/experiment").mkdir(parents=True)
    (folder / "conf/experiment/mine.yaml").write_text(
        f"# @package _global_\ntracking: {{project: 'a {planted[-1]} {shaped[0]} {shaped[1]}'}}\n"
    )
    argv = [
        "tokenize",
        "--config-dir",
        str(folder / "conf"),
        "experiment=mine",
        "dataset=classification_files",
        f"dataset.root={data}",
        f"run.root={folder / 'runs'}",
        f"run.cache={folder / 'cache'}",
    ]
    argv += [
        "tokenizer.vocab_size=300",
        "languages.train=[en]",
        f"dataset.hub='{url} {' '.join(shaped[2:])}'",
        f"dataset.hub_config='{' '.join(environment.values())}'",
        "dataset.name=dirty",
    ]
    with mock.patch.dict(os.environ, environment), mock.patch("sys.argv", ["xlt", *argv]):
        code, said = shell(*argv)
        wrong, again = shell(*argv, f"languages.target=[{shaped[0]}]", "run.overwrite=true")
        trace = io.StringIO()
        with redirect_stderr(trace):
            cli.report(RuntimeError(f"{planted[0]} {shaped[0]} password={word}"))
        again += trace.getvalue()
    written = b"".join(path.read_bytes() for path in sorted((folder / "runs").rglob("*")) if path.is_file())
    hits = [secret for secret in planted if secret.encode() in written or secret in said + again]
    kept = b"classification_files" in written or b"dataset" in written
    return code == 0 and wrong == 2 and len(planted) == 20 and not hits and kept and safety.REDACTED.encode() in written


MARKUP = [
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<svg/onload=alert(1)>", "</table><h1>x</h1>", "<!-- x", "<?php ?>", "<a href=javascript:alert(1)>x</a>", "a|b|c",
    "a\n| new | row |", "<iframe src=//x>", "<style>*{}</style>", "<b>", "<math><mi>", "<details open ontoggle=alert(1)>", "<input autofocus onfocus=alert(1)>", "<body onload=x>",
    "<object data=x>", "<embed src=x>", "<form action=x>", "<base href=//x>", "<link rel=stylesheet href=x>", "<meta http-equiv=refresh>", "<video><source onerror=x>", "<textarea>",
    "<marquee>", "<template>", "<x:y>", "<ScRiPt>x</sCrIpT>", "<script\n>x</script>", "<img/src=x>", "\u202e<b>", "&lt;b&gt;", "\\|<b>", "<details>", "<select>", "<canvas>", "<audio src=x>",
    "<title>x</title>", "<html>", "<plaintext>",
]  # fmt: skip
FORMULAS = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    '=HYPERLINK("x")',
    "=cmd|' /C calc'!A0",
    "-2+3",
    "+cmd",
    "@x",
    "=\u202ex",
]


class Elements(HTMLParser):
    """Names of the elements of a page."""

    def __init__(self):
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.found.append(tag)


def elements(markdown: str) -> list[str]:
    """Of a Markdown page, shown with HTML let through."""
    page = Elements()
    page.feed(MarkdownIt("commonmark", {"html": True}).enable("table").render(markdown))
    return page.found


def reports(seed: int, folder: Path) -> bool:
    """40 payloads in each cell of a report's table add no element to it; no cell of a CSV is a formula."""
    plain = elements(to_markdown([["run", "de"], ["a", "b"]]))
    for payload in MARKUP:
        for at in range(4):
            cells = ["run", "de", "a", "b"]
            cells[at] = payload
            if elements(to_markdown([cells[:2], cells[2:]])) != plain:
                return False
    for payload in FORMULAS:
        cells = next(
            iter([*csv.reader(io.StringIO(csv_table("accuracy", [Line(payload, [1], {payload: [0.5]})])))][1:])
        )
        if any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in cells) or "\u202e" in "".join(cells):
            return False
    return True


def spoofs(seed: int, folder: Path) -> bool:
    """Bidi controls and escape sequences: shown as \\uXXXX, refused in a run's name, as is a name that leaves the folder of runs."""
    codes = [*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x1B, 0x7F, 0x9B, 0x200F]
    shown = all(safety.visible(f"a{chr(code)}b") == f"a\\u{code:04x}b" for code in codes)
    names = [f"run.name='a{chr(code)}b'" for code in codes[:9]] + ["run.name=a/../../b", "run.name=../b", "run.name=/b"]
    answers = [shell("check", "finetune", "dataset=demo", name) for name in names[:: 1 + seed % 3]]
    missing = shell("check", "finetune", "dataset=classification_files", "dataset.root='no\u202ewhere'")
    shown &= missing[0] == 2 and "no\\u202ewhere" in missing[1] and not safety.spoofs(missing[1])
    return shown and all(code == 2 and "run.name" in said and not safety.spoofs(said) for code, said in answers)


TRIALS = {
    "S01": pickles, "S02": targets, "S03": commands, "S04": yaml_bombs, "S05": oversized, "S06": secrets, "S07": reports, "S08": spoofs,
}  # fmt: skip
