"""xlt align with an objective that maps word vectors: load, solve, write, score; pair by pair, or all languages into the space of a hub."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from xlt import files, languages, signals
from xlt.alignment.cooccurrences import learn_vectors
from xlt.alignment.vectors import StaticVectors, read_vec, write_vec
from xlt.errors import ConfigError, NotConverged
from xlt.objectives.word_mapping import Pairs, Solution
from xlt.run import RunDirectory, peak_memory
from xlt.stages.quarantine import set_aside
from xlt.stages.setup import choose_languages
from xlt.stages.words import words
from xlt.training.progress import Screen


@dataclass(frozen=True)
class Job:
    """One mapping: source onto target. dictionary: the data set's name of the pair, of which `turned` says that it begins with the target; None: it has none."""

    source: str
    target: str
    dictionary: str | None
    turned: bool

    @property
    def name(self) -> str:
        """The pair, source first."""
        return f"{self.source}-{self.target}"


def run(cfg) -> float:
    """Solve a mapping for each job and score it on the dictionary's test split; returns the mean of the objective's metric.

    NotConverged, when everything is written, if a search without a dictionary found nothing.
    """
    objective, screen, started = cfg.objective, Screen(), time.monotonic()
    directory = RunDirectory.open(cfg.run.dir, cfg.stage, cfg.resolved, cfg.run.overwrite)
    jobs = jobs_of(cfg)
    directory.record({"data": lineage(cfg, jobs)})
    device = torch.device(cfg.hardware.device.value)
    spaces: dict[str, StaticVectors] = {}
    figures: dict[str, dict[str, float]] = {}
    counts, facts, mapped, trained = {}, {}, {}, {}
    with screen.counting("aligning", len(jobs), 0):
        for done, job in enumerate(jobs, 1):
            for code in (job.source, job.target):
                if code not in spaces:
                    spaces[code] = vectors_of(cfg, code, device)
            train, dropped = to_learn_from(cfg, job)
            trained[job.source] = {word for word, _ in train}
            if dropped:
                screen.say(
                    f"{job.name}  {dropped} pairs of the dictionary are not learned from: their words are tested"
                )
            solution = objective.solve(
                spaces[job.source], spaces[job.target], train, cfg.seed, telling(screen, job, done - 1, len(jobs))
            )
            write(directory, objective, job, solution)
            facts[job.name] = solution.facts | ({"pairs_tested": dropped} if dropped else {})
            if job.dictionary is not None:
                gold = dictionary(cfg, replace(job, turned=False), test_split(cfg, job))
                sides = solution.source, solution.target
                scores = objective.score(*(sides[::-1] if job.turned else sides), gold)
                add(figures, counts, job.dictionary, scores, gold)
            if objective.hub is not None:
                mapped[job.source], mapped[job.target] = solution.source, solution.target
            screen.advance(done, note(objective, job, figures, solution))
            if objective.hub is None:
                spaces = {
                    code: table
                    for code, table in spaces.items()
                    if any(code in (j.source, j.target) for j in jobs[done:])
                }
    if objective.hub is not None:
        through_hub(cfg, jobs, mapped, trained, figures, counts)
        files.write_folder(directory.path / "space", lambda folder: write_space(folder, mapped))
    return finish(cfg, directory, screen, jobs, figures, counts, facts, started)


def jobs_of(cfg) -> list[Job]:
    """What is mapped onto what. ConfigError if a hub is asked for that is not in every pair, or no pair is known."""
    objective, dataset, asked, hub = cfg.objective, cfg.dataset, cfg.languages.train, cfg.objective.hub
    split = "train" if getattr(objective, "needs_dictionary", True) else "test"
    if "dictionary" in dataset.views():
        names = choose_languages(_with_hub(asked, hub), dataset, "dictionary", split, "languages.train")
        pairs = [(*languages.pair(name), name) for name in names]
    elif asked and split == "test":
        pairs = [(*languages.pair(name), None) for name in asked]
    else:
        raise ConfigError(
            f"dataset: {dataset.name} has no dictionaries; choose a dataset with a dictionary view, or, with an objective that needs none, name pairs in "
            "languages.train"
        )
    if hub is None:
        return [Job(source, target, name, False) for source, target, name in pairs]
    if without := [f"{a}-{b}" for a, b, _ in pairs if hub not in (a, b)]:
        raise ConfigError(
            f"objective.hub: {without[0]} does not have {hub}, into whose space all languages are mapped; name only pairs with {hub} in languages.train"
        )
    if not moves_only_the_source(objective):
        raise ConfigError(
            "objective.hub: the pipeline moves the target too, and a hub must stay where it is; set objective.reweight_target=0.0 and, if objective.whiten is "
            "true, objective.dewhiten_target=target"
        )
    return [Job(b, a, name, True) if a == hub else Job(a, b, name, False) for a, b, name in pairs]


def _with_hub(asked: list[str] | None, hub: str | None) -> list[str] | None:
    """Languages that are named by themselves stand for their pairs with the hub."""
    if asked is None or hub is None or any("-" in code for code in asked):
        return asked
    return [*asked, *({hub} - set(asked))]


def moves_only_the_source(objective) -> bool:
    """Whether the target's map can be turned away."""
    steps = getattr(objective, "steps", None)
    if steps is None or isinstance(steps, int):
        return True
    return steps.reweight_target == 0 and (not steps.whiten or steps.dewhiten_target == "target")


def lineage(cfg, jobs: list[Job]) -> dict:
    """What identifies the dictionaries and the vectors."""
    found = {
        job.dictionary: [
            cfg.dataset.fingerprint("dictionary", job.dictionary, split)
            for split in cfg.dataset.splits("dictionary", job.dictionary)
        ]
        for job in jobs
        if job.dictionary is not None
    }
    if cfg.objective.vectors is not None:
        for code in sorted({code for job in jobs for code in (job.source, job.target)}):
            path = Path(cfg.objective.vectors.format(lang=code))
            if path.is_file():  # else reading it says so
                found[f"vectors/{code}"] = files.sha256(path)
    return found


def vectors_of(cfg, language: str, device: torch.device) -> StaticVectors:
    """The word vectors of a language: the user's file, else learned from the text of the data set."""
    objective = cfg.objective
    if objective.vectors is not None:
        table = read_vec(objective.vectors.format(lang=language), objective.max_vocab)
    elif "text" not in cfg.dataset.views() or language not in cfg.dataset.languages("text"):
        raise ConfigError(
            f"objective.vectors: null, and {cfg.dataset.name} has no text in {language} to learn vectors from; give .vec files, for example 'objective.vectors=\"/data/wiki.{{lang}}.vec\"'"
        )
    else:
        sentences = (words(row["text"]) for row in cfg.dataset.rows("text", language, "train"))
        table = learn_vectors(sentences, objective.width, min(objective.max_vocab, 10_000), objective.window)
    return table if device.type == "cpu" else StaticVectors(table.words, table.vectors.to(device))


def dictionary(cfg, job: Job, split: str) -> Pairs:
    """(source, target) words of a job."""
    pairs = [(row["word"], row["translation"]) for row in cfg.dataset.rows("dictionary", job.dictionary, split)]
    return [(b, a) for a, b in pairs] if job.turned else pairs


def to_learn_from(cfg, job: Job) -> tuple[Pairs, int]:
    """(pairs of the training dictionary, how many more it has whose word is among those tested). All, where they are all there is to test on."""
    if not getattr(cfg.objective, "needs_dictionary", True):
        return [], 0
    pairs = dictionary(cfg, job, "train")
    if test_split(cfg, job) == "train":
        return pairs, 0
    own = 1 if job.turned else 0
    tested = {pair[own].lower() for pair in dictionary(cfg, job, "test")}
    kept = [pair for pair in pairs if pair[own].lower() not in tested]
    return kept, len(pairs) - len(kept)


def test_split(cfg, job: Job) -> str:
    """Of the dictionary on which a job is scored."""
    return "test" if "test" in cfg.dataset.splits("dictionary", job.dictionary) else "train"


def telling(screen: Screen, job: Job, done: int, total: int) -> Callable[[str], None]:
    """Says how a long search goes, and stops it when a signal asked for it."""
    signals.stop_if_requested(f"after {done} of {total} pairs; run the same command again")

    def tell(line: str) -> None:
        signals.stop_if_requested(f"after {done} of {total} pairs; run the same command again")
        screen.say(f"{job.name}  {line}")

    return tell


def write(directory: RunDirectory, objective, job: Job, solution: Solution) -> None:
    """mappings/<pair>: the mapping, the dictionary that it induces and, unless all go into one space, both mapped tables."""
    from safetensors.torch import save_file

    def fill(folder: Path) -> None:
        maps = {"mapping": solution.maps.source, "target_mapping": solution.maps.target}
        how = {"normalisation": ",".join(objective.normalisation), "rows": "normalised rows map as x @ mapping.T"}
        save_file({name: w_DD.cpu().contiguous() for name, w_DD in maps.items()}, folder / "mapping.safetensors", how)
        lines = [f"{a}\t{b}\t{value:.6f}\n" for a, b, value in objective.induced(solution.source, solution.target)]
        (folder / "dictionary.tsv").write_text("".join(lines), encoding="utf-8")
        if objective.hub is None:
            write_vec(folder / "source.vec", solution.source)
            write_vec(folder / "target.vec", solution.target)

    files.write_folder(directory.path / "mappings" / job.name, fill)


def write_space(folder: Path, mapped: dict[str, StaticVectors]) -> None:
    """A .vec file of each language."""
    for code, table in mapped.items():
        write_vec(folder / f"{code}.vec", table)


def add(figures: dict, counts: dict, name: str, scores: dict[str, float], gold: Pairs) -> None:
    """Scores of a pair, by metric."""
    for metric, value in scores.items():
        figures.setdefault(metric, {})[name] = value
    counts[name] = len({word for word, _ in gold})


def through_hub(
    cfg, jobs: list[Job], mapped: dict[str, StaticVectors], trained: dict[str, set], figures: dict, counts: dict
) -> None:
    """Scores of the pairs of two languages that are both not the hub, on dictionaries composed of their two: words with a translation in common.

    A composed dictionary is noisier than either: the hub's word may mean one thing in one language and another in the other. Words that the first language's
    mapping was fitted to (as translations of other words of the hub) are left out: both they and their translations may have been drawn to the same word.
    """
    known = [job for job in jobs if job.dictionary is not None]
    hub_words = {job.source: _by_hub_word(dictionary(cfg, job, test_split(cfg, job))) for job in known}
    for a, b in [(a, b) for i, a in enumerate(hub_words) for b in [*hub_words][i + 1 :]]:
        shared = [word for word in hub_words[a] if word in hub_words[b]]
        gold = {(x, y) for word in shared for x in hub_words[a][word] for y in hub_words[b][word]}
        gold = sorted(pair for pair in gold if pair[0] not in trained[a])
        if gold:
            add(figures, counts, f"{a}-{b}", cfg.objective.score(mapped[a], mapped[b], gold), gold)


def _by_hub_word(pairs: Pairs) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for word, hub_word in pairs:
        found.setdefault(hub_word, []).append(word)
    return found


def note(objective, job: Job, figures: dict, solution: Solution) -> str:
    """One line on a job that is done."""
    said = [] if solution.converged is None else ["converged" if solution.converged else "NOT CONVERGED"]
    if job.dictionary is not None:
        said += [f"P@1 {figures[f'{how}_precision_at_1'][job.dictionary]:.3f} {how}" for how in objective.retrieval]
    return f"{job.name}  {', '.join(said)}"


def finish(
    cfg, directory: RunDirectory, screen: Screen, jobs, figures: dict, counts: dict, facts: dict, started: float
) -> float:
    """Write metrics.json, show the scores; the mean of the metric, or NotConverged."""
    objective = cfg.objective
    judged = {name: found["converged"] for name, found in facts.items() if "converged" in found}
    directory.finish(
        {
            **set_aside(cfg, directory.path),
            "results": {cfg.dataset.name: figures} if figures else {},
            "n": {cfg.dataset.name: counts} if counts else {},
            "pairs": facts,
            **({"converged": all(judged.values())} if judged else {}),
            "higher_is_better": objective.higher_is_better,
            "efficiency": {"seconds": round(time.monotonic() - started, 1), "peak_memory_bytes": peak_memory()},
        }
    )
    if figures:
        lines = [[pair, str(counts[pair]), *(f"{found[pair]:.3f}" for found in figures.values())] for pair in counts]
        screen.table(f"{cfg.dataset.name}: word translation", ["pair", "n", *figures], lines)
    if failed := [name for name, converged in judged.items() if not converged]:
        raise NotConverged(
            f"{directory.path}: {', '.join(failed)} did not converge: no two attempts translate words alike that they had not seen. All is "
            "written, and is not to be used; give a dictionary (objective.start=dictionary), more text, objective.restarts=10, or another seed"
        )
    screen.say(
        f"{directory.path}: done; mapped vectors in {directory.path / ('space' if objective.hub else 'mappings')}"
    )
    return sum(figures[objective.metric].values()) / len(counts) if figures else 0.0
