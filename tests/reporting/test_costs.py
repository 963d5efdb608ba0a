"""The table of what learned: each scored run beside the fine-tuning that it came from."""

import json

from xlt.reporting.costs import cost_table
from xlt.reporting.tables import find


def tuned(folder, adapter, parameters, speed):
    trained = {"adapter": adapter, "parameters": parameters, "share": parameters / 1000, "memory": {"gradients_and_moments": 12 * parameters, "saved": 0, "how": "computed"}}  # fmt: skip
    write(
        folder,
        {
            "stage": "finetune",
            "run": folder.parent.name,
            "seed": 1,
            "trained": trained,
            "results": {},
            "efficiency": {"tokens_per_second": speed},
        },
    )


def scored(folder, parent, target):
    metric = {"source": ["en"], "source_mean": 0.9, "target_mean": target, "gap": 0.9 - target}
    write(folder, {"stage": "zero-shot-eval", "run": folder.parent.name, "seed": 1, "results": {"sib200": {"accuracy": {"en": 0.9, "de": target}}},
                   "transfer": {"sib200": {"accuracy": metric}}, "metric": "accuracy", "lineage": {"parent": {"init_from": str(parent)}}})  # fmt: skip


def write(folder, metrics):
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text(json.dumps(metrics))


def test_each_line_has_score_share_memory_and_speed(tmp_path):
    for name, adapter, parameters, target in (("full", "none", 1000, 0.5), ("lora", "lora", 20, 0.625)):
        tuned(tmp_path / name / "finetune", adapter, parameters, 100 + parameters)
        scored(tmp_path / name / "zero-shot-eval", tmp_path / name / "finetune", target)
    table = cost_table(find([tmp_path]), "sib200", "accuracy")
    assert table.head == ["run", "adapter", "source", "target", "parameters", "share", "MB", "tokens/s"]
    assert table.lines == [
        ["full", "none", "90.0", "50.0", "1,000", "100.00%", "0.0", "1,100"],
        ["lora", "lora", "90.0", "62.5", "20", "2.00%", "0.0", "120"],
    ]


def test_without_an_adapter_there_is_none(tmp_path):
    tuned(tmp_path / "full" / "finetune", "none", 1000, 100)
    scored(tmp_path / "full" / "zero-shot-eval", tmp_path / "full" / "finetune", 0.5)
    assert cost_table(find([tmp_path]), "sib200", "accuracy") is None
