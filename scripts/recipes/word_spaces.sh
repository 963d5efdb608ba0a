#!/usr/bin/env bash
# Word vectors of six languages from small corpora, mapped into the space of English: from 4,500 words, from words spelled alike, from 25 words, from none; then two tests.
# XLT_DATA: the folder with the data sets' folders. RUNS: folder of the runs. A stage that is finished is not run again. XLT: the command, if it is not on the PATH.
# The searches that do not converge (on corpora as small as these, most) exit with 3, say so, and are part of the result.
set -euo pipefail
: "${XLT_DATA:?the folder that holds mono, ntrex, tico19, bible_nt, bli and swadesh}"
RUNS=${RUNS:-runs} XLT=${XLT:-xlt} LANGUAGES=${LANGUAGES:-en,de,es,fi,fr,ru}

$XLT pretrain objective=ppmi dataset=word_texts dataset.root="$XLT_DATA" "languages.train=[$LANGUAGES]" run.root="$RUNS" run.name=word_spaces

map() {  # map NAME TESTS [OVERRIDES ...]: tests: bli (its test words), bli_swadesh (Swadesh lists)
  local name=$1 tests=$2; shift 2
  for test in $tests; do
    local root=$XLT_DATA; [ $test = bli ] && root=$XLT_DATA/bli
    echo "== $name, $test"
    $XLT align dataset=$test dataset.root="$root" "languages.train=[$LANGUAGES]" objective.hub=en run.root="$RUNS" run.name="word_spaces/$name/$test" \
      "objective.vectors='$RUNS/word_spaces/pretrain/vectors/{lang}.vec'" "$@" || [ $? = 3 ]
  done
}

SEARCH="objective=self_learning objective.whiten=false objective.reweight_source=0.0 objective.reweight_target=0.0 objective.dewhiten_source=null
  objective.dewhiten_target=null objective.cutoff=2000 objective.stale=5"
map procrustes "bli bli_swadesh" objective=procrustes 'objective.normalisation=[unit,center,unit]'
map rcsls "bli bli_swadesh" objective=rcsls
# shellcheck disable=SC2086
map identical bli $SEARCH objective.start=identical
# shellcheck disable=SC2086
map seeds25 bli $SEARCH objective.start=dictionary objective.seeds=25
# shellcheck disable=SC2086
map unsupervised bli $SEARCH objective.start=similarity
