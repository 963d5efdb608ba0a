#!/usr/bin/env bash
# Language-adversarial fine-tuning on and off: topics (SIB-200, from English) and sentiment (AfriSenti, from Swahili) on the embeddings of quick_transfer,
# with what a language probe still tells of the sentences. Some 15 minutes on two cores with nothing else to do.
# XLT_DATA: the folder with the data sets' folders. RUNS: folder of the runs. SEEDS. A stage that is finished is not run again. XLT: the command. PYTHON: its Python.
set -euo pipefail
: "${XLT_DATA:?the folder that holds ntrex, tico19, sib200 and afrisenti}"
RUNS=${RUNS:-runs/adversarial} SEEDS=${SEEDS:-1,2,3} XLT=${XLT:-xlt} PYTHON=${PYTHON:-python3}

$XLT tokenize experiment=quick_transfer run.root="$RUNS"
$XLT align experiment=quick_transfer run.root="$RUNS"

# only the embeddings could hide a language here, so they learn, slowly: a word's translations do not follow it
TRAIN=(train.epochs=null train.steps=100 train.freeze=[] 'train.rates={backbone.*:0.02}' train.learning_rate=1e-2 train.weight_decay=0.0 train.eval_every=50 train.candidates=0)
declare -A ARMS=(  # off: the discriminator watches, and the model is left alone
  [off]="adversarial=reversal adversarial.weight=0"
  [reversal]="adversarial=reversal"
  [critic]="adversarial=critic"
)
arm() {  # arm DATASET SOURCE TARGETS NAME
  local name=$1/$4
  # shellcheck disable=SC2086
  $XLT finetune experiment=quick_transfer dataset="$1" dataset.root="$XLT_DATA/$1" languages.source="$2" languages.target="$3" \
    "${TRAIN[@]}" ${ARMS[$4]} adversarial.batch_size=32 run.root="$RUNS" run.name="$name" model.init_from="$RUNS/quick_transfer/align" -m seed="$SEEDS"
  $XLT zero-shot-eval experiment=quick_transfer dataset="$1" dataset.root="$XLT_DATA/$1" languages.target="$3" \
    run.root="$RUNS" run.name="$name" model.init_from="$RUNS/$name/seed-\${seed}/finetune" -m seed="$SEEDS"
}
for one in off reversal critic; do
  arm sib200 '[en]' '[de,es,fi,hi,id,rw,sw,tr,zh]' "$one"
  arm afrisenti '[sw]' '[pcm,pt,rw,yo]' "$one"
done

$PYTHON - "$RUNS" <<'PYTHON'
import json, pathlib, statistics, sys

def told(values):
    spread = f" ±{100 * statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{100 * statistics.mean(values):.1f}{spread}"

print("| data | adversary | source | targets | probe before | probe after |\n|---|---|---:|---:|---:|---:|")
for dataset in ("sib200", "afrisenti"):
    for arm in ("off", "reversal", "critic"):
        runs = sorted((pathlib.Path(sys.argv[1]) / dataset / arm).glob("seed-*"))
        probes = [json.loads((run / "finetune" / "metrics.json").read_text())["adversarial"]["probe"] for run in runs]
        means = [json.loads((run / "zero-shot-eval" / "metrics.json").read_text())["transfer"][dataset]["macro_f1"] for run in runs]
        cells = [[m["source_mean"] for m in means], [m["target_mean"] for m in means], *([p[k]["accuracy"] for p in probes] for k in ("before", "after"))]
        print("|", " | ".join([dataset, arm, *map(told, cells)]), "|")
PYTHON
