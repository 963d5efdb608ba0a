#!/usr/bin/env bash
# Few parameters: two layers on quick_transfer's embeddings; on SIB-200 all weights, LoRA, AdaLoRA, prefixes and bottlenecks; then, on an encoder pretrained by masked LM, MAD-X against all weights on SIB-200 and UNER.
# XLT_DATA: the folder that holds ntrex, tico19, mono, sib200 and uner. RUNS: folder of the runs. A stage that is finished is not run again. XLT: the command, if it is
# not on the PATH. ALIGN, MASKED, MLM: updates of part a's encoder, of part b's, of language adapters; EPOCHS, UNER_EPOCHS: of a task; METHODS: names of conf/adapter; PARTS: a, b or ab; TARGETS: languages of part a.
set -euo pipefail
: "${XLT_DATA:?the folder that holds ntrex, tico19, mono, sib200 and uner}"
RUNS=${RUNS:-runs} XLT=${XLT:-xlt} ALIGN=${ALIGN:-300} MLM=${MLM:-300} EPOCHS=${EPOCHS:-8} UNER_EPOCHS=${UNER_EPOCHS:-1} METHODS=${METHODS:-lora adalora prefix_tuning houlsby}
PARTS=${PARTS:-ab} MASKED=${MASKED:-3000} LANGUAGES=${LANGUAGES:-[de,en,pt,ru,zh]} TARGETS=${TARGETS:-null}

stage() { echo "== $*"; $XLT "$@" run.root="$RUNS"; }
task() {  # task DATASET NAME BASE TARGETS [OVERRIDES ...]: English labels, then the languages of TARGETS; one rate for all weights and one for all adapters, neither was tuned
  local dataset=$1 name=$2 base=$3 targets=$4; shift 4
  local data=(dataset="$dataset" dataset.root="$XLT_DATA/$dataset" run.name="adapters/$name")
  local objective=(objective=sequence_classification objective.pool=mean)
  local epochs=$EPOCHS
  [ "$dataset" = uner ] && objective=(objective=token_classification objective.repair=true) && epochs=$UNER_EPOCHS  # it has eighteen times as many sentences
  stage finetune "${data[@]}" "${objective[@]}" model.init_from="$base" train.epochs="$epochs" train.learning_rate=1e-3 train.eval_every=50 train.candidates=0 "$@"
  stage zero-shot-eval "${data[@]}" model.init_from="$RUNS/adapters/$name/finetune" languages.target="$targets"
}

if [[ $PARTS == *a* ]]; then
  [ -f "$RUNS/quick_transfer/tokenize/metrics.json" ] || stage tokenize experiment=quick_transfer
  [ -f "$RUNS/quick_transfer/align/metrics.json" ] || stage align experiment=quick_transfer
  stage align dataset=ntrex_tico19 dataset.root="$XLT_DATA" run.name=adapters/encoder model=tiny model.layers=2 model.width=300 model.attention_heads=4 objective.pool=mean \
    model.init_from="$RUNS/quick_transfer/align" 'train.freeze=["backbone.embeddings.*"]' train.steps="$ALIGN" train.batch_size=32 train.max_length=64 \
    train.learning_rate=5e-4 train.eval_every=0 train.save_every=100 train.eval_rows=1
  B=$RUNS/adapters/encoder/align
  task sib200 full "$B" "$TARGETS"
  for method in $METHODS; do
    more=(); [ "$method" = adalora ] && more=(adapter.every=10 adapter.final=0.3)
    task sib200 "$method" "$B" "$TARGETS" adapter="$method" adapter.learning_rate=3e-3 "${more[@]}"
  done
fi

if [[ $PARTS == *b* ]]; then  # in languages that SIB-200, UNER and the raw text have; an encoder pretrained by masked LM, whose head the language adapters go on with
  masked=(dataset=mono dataset.root="$XLT_DATA/mono" train.max_length=64 train.eval_every=0 train.eval_rows=100)
  stage tokenize dataset=mono dataset.root="$XLT_DATA/mono" tokenizer=unigram tokenizer.vocab_size=8000 tokenizer.sample=100000 languages.train="$LANGUAGES" run.name=adapters/masked
  stage pretrain "${masked[@]}" model=tiny model.layers=2 model.width=256 model.attention_heads=4 model.feed_forward=1024 languages.train="$LANGUAGES" run.name=adapters/masked \
    train.steps="$MASKED" train.batch_tokens=4096 train.learning_rate=1e-3 train.save_every=500
  M=$RUNS/adapters/masked/pretrain
  stage pretrain "${masked[@]}" model=pretrained model.init_from="$M" adapter=madx_language adapter.learning_rate=1e-3 languages.train=[en,pt,zh] run.name=adapters/languages \
    train.steps="$MLM" train.batch_tokens=4096 train.save_every=100
  for dataset in sib200 uner; do
    task $dataset "madx-$dataset" "$RUNS/adapters/languages/pretrain" [pt,zh] adapter=madx_task adapter.learning_rate=3e-3
    task $dataset "madx-$dataset-full" "$M" [pt,zh]
  done
fi

$XLT report "$RUNS/adapters" --out "$RUNS/adapters/report"
