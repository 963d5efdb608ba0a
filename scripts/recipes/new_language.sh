#!/usr/bin/env bash
# A language that a small model has never seen: pieces added, begun in four ways or not at all, trained further with and without replay, what is forgotten; then the old model trimmed to five languages. Needs gensim (xlt[static-embeddings]) for focus.
# XLT_DATA: the folder with ntrex and swadesh. RUNS: folder of the runs. A stage that is finished is not run again. XLT: the command, if it is not on the PATH.
set -euo pipefail
: "${XLT_DATA:?the folder that holds ntrex and swadesh}"
RUNS=${RUNS:-runs} XLT=${XLT:-xlt} NEW=${NEW:-yo} STEPS=${STEPS:-400} MORE=${MORE:-100} PIECES=${PIECES:-1000}
OLD=${OLD:-de,en,es,fr,id,pt,ru,rw,sw,tr}
N=$RUNS/new_language
DATA=(dataset=ntrex dataset.root="$XLT_DATA/ntrex" 'dataset.split_names.train="train+test"')
RATE=(objective=causal_lm train.batch_tokens=2048 train.learning_rate=3e-3 train.max_length=96 train.eval_every=0)

run() { local name=$1 stage=$2; shift 2; echo "== $name: $stage"; $XLT "$stage" run.root="$RUNS" run.name="new_language/$name" "$@"; }

run old tokenize "${DATA[@]}" languages.train="[$OLD]" tokenizer.vocab_size=8000
run old pretrain "${DATA[@]}" "${RATE[@]}" model=gpt2_tiny languages.train="[$OLD]" train.steps="$STEPS"

# word vectors of English and the new language in one space, for init=wechsel
run words pretrain "${DATA[@]}" objective=ppmi objective.width=50 languages.train="[en,$NEW]"
mkdir -p "$N/dictionary/en-$NEW"
python "$(dirname "$0")/swadesh_pairs.py" "$XLT_DATA/swadesh" en "$NEW" > "$N/dictionary/en-$NEW/train.tsv"
run words align dataset=dictionary_files dataset.root="$N/dictionary" objective=procrustes languages.train="[en-$NEW]" \
  "objective.vectors='$N/words/pretrain/vectors/{lang}.vec'"

for init in random mean focus wechsel; do
  more=(); [ "$init" = wechsel ] && more=(mode.vectors="$N/words/align" mode.source=en)
  run "$init" tokenize mode=extend "${DATA[@]}" model.init_from="$N/old/pretrain" languages.train="[$NEW]" mode.pieces="$PIECES" mode.init="$init" "${more[@]}"
  run "$init" pretrain "${DATA[@]}" "${RATE[@]}" model=pretrained model.init_from="$N/$init/extend" languages.train="[$NEW,$OLD]" train.replay=0.5 train.steps="$MORE"
done
run none pretrain "${DATA[@]}" "${RATE[@]}" model=pretrained model.init_from="$N/old/pretrain" languages.train="[$NEW,$OLD]" train.replay=0.5 train.steps="$MORE"
run no_replay pretrain "${DATA[@]}" "${RATE[@]}" model=pretrained model.init_from="$N/focus/extend" languages.train="[$NEW]" train.steps="$MORE"
run report tokenize mode=report "${DATA[@]}" mode.split=dev "mode.tokenizers=[$N/old/pretrain,$N/focus/extend]"

run five tokenize mode=trim "${DATA[@]}" model.init_from="$N/old/pretrain" languages.train="[de,en,es,fr,pt]"
run five pretrain "${DATA[@]}" "${RATE[@]}" model=pretrained model.init_from="$N/five/trim" languages.train="[de,en,es,fr,pt]" train.steps=1 train.learning_rate=1e-12
python "$(dirname "$0")/new_language_table.py" "$N" "$NEW"
