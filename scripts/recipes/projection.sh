#!/usr/bin/env bash
# Names and parts of speech of English sentences carried to their translations by word alignment, scored against gold tags, and a tagger learned from them.
# XLT_DATA: the folder with the data sets' folders. RUNS: folder of the runs. A stage that is finished is not run again. XLT: the command, if it is not on the PATH.
set -euo pipefail
: "${XLT_DATA:?the folder that holds ntrex, tico19, ud_pud and uner_pud}"
RUNS=${RUNS:-runs} XLT=${XLT:-xlt} PYTHON=${PYTHON:-python3}
HERE=$(dirname "$0")

# one id a sentence in all languages; the published Chinese file has ids of its own
[ -d "$RUNS/uner_pud" ] || "$PYTHON" "$HERE/uner_pud_ids.py" "$XLT_DATA/uner_pud" "$RUNS/uner_pud"

project() {  # project NAME MODEL DATASET ROOT [OVERRIDES ...]
  local name=$1 model=$2 dataset=$3 root=$4; shift 4
  echo "== $name"
  $XLT align objective=annotation_projection dataset="$dataset" dataset.root="$root" model.init_from="$RUNS/$model" \
    run.root="$RUNS" run.name="projection/$name" "$@"
}

$XLT tokenize experiment=quick_transfer run.root="$RUNS"
$XLT align experiment=quick_transfer run.root="$RUNS"

# which links are best: embeddings need no layers to align words
for method in argmax itermax match; do
  project "ner-$method" quick_transfer/align uner_pud "$RUNS/uner_pud" objective.aligner.method=$method
done
# the probabilities of awesome-align are for states as long as mBERT's; here they want a cosine and a low temperature
project ner-softmax quick_transfer/align uner_pud "$RUNS/uner_pud" objective.aligner.method=softmax
project ner-softmax-cosine quick_transfer/align uner_pud "$RUNS/uner_pud" objective.aligner.method=softmax \
  objective.aligner.similarity=cosine objective.aligner.temperature=0.01 objective.aligner.softmax_threshold=0.2

# self-training on the text that is to be aligned; no tag and no link is read
$XLT align objective=self_training_alignment objective.aligner.method=itermax objective.aligner.temperature=0.05 \
  dataset=ud_pud dataset.root="$XLT_DATA/ud_pud" 'dataset.split_names={train:test}' 'languages.train=[en-de,en-pt,en-ru,en-zh]' \
  model.init_from="$RUNS/quick_transfer/align" run.root="$RUNS" run.name=projection/tuned \
  train.steps=200 train.batch_size=32 train.learning_rate=1e-4 train.eval_every=0
project ner-tuned projection/tuned/align uner_pud "$RUNS/uner_pud" objective.aligner.method=itermax

project pos quick_transfer/align ud_pud "$XLT_DATA/ud_pud" objective.project=pos objective.aligner.method=itermax

# a German tagger from English tags: 80 % of the sentences to learn from, 10 % to choose by, 10 % to score against German gold tags
project split quick_transfer/align uner_pud "$RUNS/uner_pud" 'languages.train=[en-de]' objective.aligner.method=itermax \
  'dataset.split_names={train:"test[:80%]",dev:"test[80%:90%]",test:"test[90%:]"}'
$XLT finetune dataset=conll_files dataset.root="$RUNS/projection/split/align/projected" languages.source=[de] objective=token_classification \
  'dataset.label_names=[B-LOC,B-ORG,B-PER,I-LOC,I-ORG,I-PER,O]' model=tiny model.layers=1 model.width=300 model.attention_heads=4 \
  model.init_from="$RUNS/quick_transfer/align" train.epochs=20 train.learning_rate=1e-3 train.eval_every=50 \
  run.root="$RUNS" run.name=projection/tagger
$XLT zero-shot-eval dataset=uner_pud dataset.root="$RUNS/uner_pud" 'dataset.split_names={train:null,dev:null,test:"test[90%:]"}' \
  languages.target=[de] model.init_from="$RUNS/projection/tagger/finetune" run.root="$RUNS" run.name=projection/tagger
