#!/usr/bin/env bash
# Every task shape from one small encoder: zero-shot in all languages of a data set, then learned jointly in all that have labels, a 5 x 5 matrix and a few-shot curve, one table.
# XLT_DATA: the folder with the data sets' folders. RUNS: folder of the runs. A stage that is finished is not run again. XLT: the command, if it is not on the PATH.
set -euo pipefail
: "${XLT_DATA:?the folder that holds ntrex, tico19, sib200, nli, uner, ud_ewt, ud_pud, xquad, xcopa, xsid and tatoeba}"
RUNS=${RUNS:-runs} XLT=${XLT:-xlt}

stage() {  # stage COMMAND TASK NAME [OVERRIDES ...]: of a task, under another name
  local command=$1 task=$2 name=$3; shift 3
  echo "== $name: $command"
  $XLT "$command" experiment="suite/$task" run.root="$RUNS" run.name="suite/$name" "$@"
}
joint() {  # joint TASK [OVERRIDES OF FINETUNE ...]: labels of every language
  local task=$1; shift
  stage finetune "$task" "$task-joint" languages=joint "$@"
  stage zero-shot-eval "$task" "$task-joint"
}

$XLT tokenize experiment=quick_transfer run.root="$RUNS"
$XLT align experiment=quick_transfer run.root="$RUNS"
stage zero-shot-eval tatoeba tatoeba
for task in sib200 nli uner pos xquad xcopa xsid; do
  stage finetune "$task" "$task"
  stage zero-shot-eval "$task" "$task"
done

# as many updates as English alone took, or a few more where there is far more to learn from
joint sib200 train.epochs=null train.steps=800
joint nli train.epochs=null train.steps=1500
joint uner train.epochs=null train.steps=800
joint pos dataset=ud_pud dataset.root="$XLT_DATA/ud_pud" 'dataset.split_names={train:"test[:40%]",dev:"test[40%:50%]"}' train.epochs=null train.steps=400
joint xquad train.epochs=null train.steps=600
joint xcopa languages.source=null
joint xsid 'dataset.split_names={train:"train|dev[:80%]",dev:"dev[80%:]"}' train.epochs=null train.steps=1200

FEW="model.init_from=$RUNS/suite/sib200/finetune train.epochs=30 train.eval_every=0"
for k in 1 5 10; do  # of 5 buckets that share no row; the rarest topic has 65 rows
  # shellcheck disable=SC2086
  stage finetune sib200 "sib200-few-$k" few_shot.k=$k $FEW
  stage zero-shot-eval sib200 "sib200-few-$k"
done
stage matrix sib200 sib200-matrix

$XLT report "$RUNS/suite" --out "$RUNS/suite/report"
