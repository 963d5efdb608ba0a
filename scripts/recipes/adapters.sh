#!/usr/bin/env bash
# Few parameters: a small encoder, then on SIB-200 all weights, LoRA, AdaLoRA, prefixes and bottlenecks; then MAD-X against all weights on SIB-200 and UNER.
# XLT_DATA: the folder that holds ntrex, tico19, mono, sib200 and uner. RUNS: folder of the runs. A stage that is finished is not run again. XLT: the command, if it is
# not on the PATH. BASE, MLM, EPOCHS: updates of the encoder and of a language adapter, and epochs of a task; METHODS: names of conf/adapter. The README's table is of these defaults.
set -euo pipefail
: "${XLT_DATA:?the folder that holds ntrex, tico19, mono, sib200 and uner}"
RUNS=${RUNS:-runs} XLT=${XLT:-xlt} BASE=${BASE:-200} MLM=${MLM:-60} EPOCHS=${EPOCHS:-6} METHODS=${METHODS:-lora adalora prefix_tuning houlsby}

stage() { echo "== $*"; $XLT "$@" run.root="$RUNS"; }
task() {  # task DATASET NAME BASE RATE [OVERRIDES ...]: English labels, then the languages of MADX or all
  local dataset=$1 name=$2 base=$3 rate=$4; shift 4
  local targets=languages.target=null
  [ "${name#madx}" = "$name" ] || targets=languages.target=$MADX_TARGETS
  local data="dataset=$dataset dataset.root=$XLT_DATA/$dataset run.name=adapters/$name"
  local objective=sequence_classification; [ "$dataset" = uner ] && objective="token_classification objective.repair=true"
  # shellcheck disable=SC2086
  stage finetune $data objective=$objective model.init_from="$base" train.epochs="$EPOCHS" train.learning_rate="$rate" train.eval_every=50 train.candidates=0 "$@"
  # shellcheck disable=SC2086
  stage zero-shot-eval $data model.init_from="$RUNS/adapters/$name/finetune" $targets
}

# embeddings as quick_transfer's, with fewer words and narrower, so that masked LM on them takes minutes
stage tokenize experiment=quick_transfer run.name=adapters/words tokenizer.vocab_size=16000
stage align experiment=quick_transfer run.name=adapters/words model.width=128
# two layers on the embeddings, by masked LM and translation ranking
stage pretrain dataset=mono dataset.root="$XLT_DATA/mono" run.name=adapters/base objective=mlm_contrastive \
  dataset@objective.parts.cross.dataset=ntrex_tico19 objective.parts.cross.dataset.root="$XLT_DATA" objective.parts.cross.batch_size=32 \
  objective.parts.cross.objective.pool=mean model=tiny model.layers=2 model.attention_heads=4 model.init_from="$RUNS/adapters/words/align" \
  train.steps="$BASE" train.batch_tokens=2048 train.max_length=64 train.learning_rate=1e-3 train.eval_every=0 train.save_every=100 train.log_every=10 train.eval_rows=20

B=$RUNS/adapters/base/pretrain
# (a) one rate for all weights and one for all adapters; neither was tuned
task sib200 full "$B" 3e-4 objective.pool=mean
for method in $METHODS; do
  more=(); [ $method = adalora ] && more=(adapter.every=10 adapter.final=0.3)
  task sib200 $method "$B" 3e-4 objective.pool=mean adapter=$method adapter.learning_rate=3e-3 "${more[@]}"
done

# (b) languages that SIB-200, UNER and the raw text have
MADX_TARGETS=[pt,zh]
stage pretrain dataset=mono dataset.root="$XLT_DATA/mono" run.name=adapters/languages model=pretrained model.init_from="$B" adapter=madx_language languages.train=[en,pt,zh] \
  train.steps="$MLM" train.batch_tokens=2048 train.max_length=64 adapter.learning_rate=1e-3 train.eval_every=0 train.save_every=0 train.eval_rows=20
L=$RUNS/adapters/languages/pretrain
task sib200 madx-sib200 "$L" 3e-4 objective.pool=mean adapter=madx_task adapter.learning_rate=3e-3
task sib200 madx-sib200-full "$B" 3e-4 objective.pool=mean
EPOCHS=2
task uner madx-uner "$L" 3e-4 adapter=madx_task adapter.learning_rate=3e-3
task uner madx-uner-full "$B" 3e-4

$XLT report "$RUNS/adapters" --out "$RUNS/adapters/report"
