#!/usr/bin/env bash
# Entities of DBpedia in Chinese and Japanese linked to English: by structure (MTransE, AlignE and BootEA, GCN-Align), by names, and by both; 30 % seeds.
# XLT_DATA: the folder with the data sets' folders. RUNS: folder of the runs. A stage that is finished is not run again. XLT: the command, if it is not on the PATH.
# ENCODER: a model that reads names, such as runs/quick_transfer/align or sentence-transformers/LaBSE; without one, names are compared letter by letter.
set -euo pipefail
: "${XLT_DATA:?the folder that holds dbp15k}"
RUNS=${RUNS:-runs} XLT=${XLT:-xlt} PAIRS=${PAIRS:-zh-en,ja-en} ENCODER=${ENCODER:-}

link() {  # link NAME [OVERRIDES ...]
  local name=$1; shift
  echo "== $name"
  $XLT align dataset=dbp15k dataset.root="$XLT_DATA/dbp15k" "languages.train=[$PAIRS]" run.root="$RUNS" run.name="entities/$name" "$@"
}

link mtranse objective=mtranse
link aligne objective=bootea objective.bootstrap_threshold=null
link bootea objective=bootea
link gcn_align objective=gcn_align
link names objective=entity_names
link fusion objective=entity_fusion
if [ -n "$ENCODER" ]; then
  link names_encoded objective=entity_names model.init_from="$ENCODER"
  link fusion_encoded objective=entity_fusion model.init_from="$ENCODER"
fi
