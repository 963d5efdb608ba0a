#!/usr/bin/env bash
# The pretraining objectives compared at equal tokens: each -> English topics -> zero-shot SIB-200, and Tatoeba sentence retrieval before fine-tuning.
# XLT_DATA: the folder that holds mono, tatoeba, ntrex and sib200. RUNS: folder of the runs. STEPS: updates of 4096 tokens (128: half a million tokens).
# SEED; JOBS: variants at a time. A stage that is finished is not run again. XLT: the command, if it is not on the PATH.
set -euo pipefail
: "${XLT_DATA:?the folder that holds mono, tatoeba, ntrex and sib200}"
RUNS=${RUNS:-runs/ablation} STEPS=${STEPS:-128} SEED=${SEED:-1} JOBS=${JOBS:-1} XLT=${XLT:-xlt}

# One update is 4096 tokens in all. mlm_tlm alternates; mlm_tlm_contrastive sums its three parts, so that they share the 4096.
PAIRS="dataset@objective.parts.tlm.dataset=tatoeba_ntrex objective.parts.tlm.dataset.root=$XLT_DATA"
CROSS="dataset@objective.parts.cross.dataset=tatoeba_ntrex objective.parts.cross.dataset.root=$XLT_DATA"
SHARES="objective.parts.mlm.batch_tokens=1024 objective.parts.tlm.batch_tokens=1024 objective.parts.cross.batch_size=null objective.parts.cross.batch_tokens=2048"
declare -A VARIANTS=(
  [mlm]="objective=masked_lm"
  [mlm_alpha_1_unbalanced]="objective=masked_lm train.alpha=1.0"
  [mlm_alpha_0_balanced]="objective=masked_lm train.alpha=0.0"
  [clm]="objective=causal_lm model=gpt2_tiny"
  [lstm_clm]="objective=causal_lm model=lstm_tiny"
  [mlm_tlm]="objective=mlm_tlm $PAIRS"
  [mlm_tlm_contrastive]="objective=mlm_tlm_contrastive $PAIRS $CROSS $SHARES"
)
ORDER=(mlm mlm_alpha_1_unbalanced mlm_alpha_0_balanced clm lstm_clm mlm_tlm mlm_tlm_contrastive)

stage() {  # stage FOLDER COMMAND ...: unless it is finished
  local folder=$1; shift
  [ -f "$RUNS/$folder/metrics.json" ] || $XLT "$@" run.root="$RUNS" run.overwrite=true seed="$SEED" >"$RUNS/${folder//\//.}.log" 2>&1 || { cat "$RUNS/${folder//\//.}.log" >&2; return 1; }
}
variant() {  # the words of a variant are overrides, split at blanks
  local name=$1
  # shellcheck disable=SC2086
  stage "$name/pretrain" pretrain experiment=ablation run.name="$name" train.steps="$STEPS" tokenizer.path="$RUNS/tokenizer/tokenize" ${VARIANTS[$name]}
  transfer "$name"
  stage "$name/retrieval" zero-shot-eval objective=contrastive dataset=tatoeba dataset.root="$XLT_DATA/tatoeba" run.name="$name" run.dir="$RUNS/$name/retrieval" model.init_from="$RUNS/$name/pretrain"
}
transfer() {  # transfer NAME [OVERRIDES OF FINETUNE ...]
  local name=$1; shift
  stage "$name/finetune" finetune experiment=ablation run.name="$name" "$@"
  stage "$name/zero-shot-eval" zero-shot-eval experiment=ablation run.name="$name"
}

mkdir -p "$RUNS"
[ -d "$RUNS/tokenizer/tokenize" ] || $XLT tokenize experiment=ablation run.name=tokenizer run.root="$RUNS"
transfer no_pretraining model=tiny model.init_from=null tokenizer.path="$RUNS/tokenizer/tokenize" &
for name in "${ORDER[@]}"; do
  while [ "$(jobs -rp | wc -l)" -ge "$JOBS" ]; do wait -n; done
  variant "$name" &
done
while [ -n "$(jobs -rp)" ]; do wait -n; done

$XLT report "$RUNS"/no_pretraining/zero-shot-eval $(printf "$RUNS/%s/zero-shot-eval " "${ORDER[@]}") --out "$RUNS/sib200"
$XLT report $(printf "$RUNS/%s/retrieval " "${ORDER[@]}") --out "$RUNS/tatoeba"
