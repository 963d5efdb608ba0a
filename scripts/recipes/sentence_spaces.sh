#!/usr/bin/env bash
# One pretrained encoder, aligned in several ways on the same sentences of 14 languages with English; retrieval on Tatoeba in these and in languages no way has seen
# aligned; translations mined from shuffled NTREX; the space before and after. Some half an hour of two processor cores.
# XLT_DATA: the folder with the data sets' folders. RUNS: folder of the runs. STEPS: updates of pretraining; ALIGN: of each alignment. A stage that is finished is not
# run again. XLT: the command. PYTHON: its Python.
set -euo pipefail
: "${XLT_DATA:?the folder that holds mono, ntrex, tico19 and tatoeba}"
RUNS=${RUNS:-runs/spaces} XLT=${XLT:-xlt} PYTHON=${PYTHON:-python3} STEPS=${STEPS:-200} ALIGN=${ALIGN:-1000}
SEEN=${SEEN:-ar,de,es,fa,fi,fr,hi,id,ja,ko,ru,tr,vi,zh}
OTHERS=${OTHERS:-bg,cs,et,eu,hu,it,kab,nl,pl,pt,tt,ug,uk,ur}  # text, but no pairs
PAIRS="[en-${SEEN//,/,en-}]" ALL="[en-${SEEN//,/,en-},en-${OTHERS//,/,en-}]"

$XLT tokenize experiment=quick_transfer run.root="$RUNS" tokenizer.vocab_size=16000
TOKENIZER="tokenizer.path=$RUNS/quick_transfer/tokenize"
$XLT pretrain experiment=world_tiny run.root="$RUNS" "$TOKENIZER" train.steps="$STEPS"

align() {  # align NAME [OVERRIDES ...]: from the pretrained embeddings
  local name=$1; shift
  $XLT align experiment=world_tiny run.root="$RUNS" run.name="$name" "$TOKENIZER" model.init_from="$RUNS/world_tiny/pretrain" "languages.train=$PAIRS" \
    train.steps="$ALIGN" train.eval_every=0 "$@"
}
score() {  # score NAME MODEL [OVERRIDES ...]
  local name=$1 model=$2; shift 2
  $XLT zero-shot-eval dataset=tatoeba dataset.root="$XLT_DATA/tatoeba" objective=sentence_retrieval scores=plain "languages.target=$ALL" run.root="$RUNS" run.name="$name" \
    model.init_from="$model" "$@"
}

# closed forms, of the embeddings as they are: a mean for every language that has text, a rotation for those with pairs
align means objective=language_means objective.rows=1000 dataset=mono dataset.root="$XLT_DATA/mono" languages.train=null
align rotated objective=contextual_procrustes
# trained: negatives of the batch, and hard ones; a queue; a teacher, which was solved from the same pairs
align contrastive objective=contrastive
align hard objective=contrastive objective.hard_negatives=2 objective.negatives_by=csls
align momentum objective=momentum_contrast objective.queue=4096 objective.momentum=0.9
# NTREX's dev and test stay unseen: translations are mined from them below
$XLT align experiment=quick_transfer run.root="$RUNS" run.name=teacher "$TOKENIZER" "languages.train=$PAIRS" model.width=256 \
  'dataset.parts.ntrex.split_names={train:train,dev:dev,test:test}'
align taught objective=teacher_distillation objective.teacher="$RUNS/teacher/align"

# the embeddings as they were pretrained: a space in which nothing is turned
score before "$RUNS/world_tiny/pretrain" objective.layer=0
score means "$RUNS/means/align"
score rotated "$RUNS/rotated/align" "languages.target=$PAIRS"
for name in contrastive hard momentum taught; do score "$name" "$RUNS/$name/align"; done

# shellcheck disable=SC2086
inspect() { $XLT inspect dataset=ntrex dataset.root="$XLT_DATA/ntrex" run.root="$RUNS" run.name="$1" model.init_from="$RUNS/$2" "languages.target=$PAIRS" "${@:3}"; }
inspect before world_tiny/pretrain inspection.layer=0
inspect contrastive contrastive/align

# dev and test of NTREX in an order of its own for each language
$PYTHON - "$XLT_DATA" "$RUNS/text" <<'PYTHON'
import gzip, json, pathlib, random, sys

data, text = map(pathlib.Path, sys.argv[1:])
text.mkdir(parents=True, exist_ok=True)
for code in ("en", "de", "fr"):
    lines = [json.loads(row)["text"] for split in ("dev", "test") for row in gzip.open(data / "ntrex" / code / f"{split}.jsonl.gz", "rt", encoding="utf-8")]
    random.Random(code).shuffle(lines)
    (text / f"{code}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
PYTHON
for name in contrastive taught; do
  $XLT mine dataset=mono_files dataset.root="$RUNS/text" 'languages.train=[en-de,en-fr]' model.init_from="$RUNS/$name/align" mining.threshold=null \
    dataset@gold=ntrex gold.root="$XLT_DATA/ntrex" gold.split_names.train=null run.root="$RUNS" run.name="$name"
done

# the table: retrieval in languages that were aligned, and in the others
$PYTHON - "$RUNS" "$SEEN" <<'PYTHON'
import json, pathlib, sys

runs, seen = pathlib.Path(sys.argv[1]), {f"en-{code}" for code in sys.argv[2].split(",")}
print("| | aligned languages | others |\n|---|---:|---:|")
for name in ("before", "means", "rotated", "contrastive", "hard", "momentum", "taught"):
    by = json.loads((runs / name / "zero-shot-eval" / "metrics.json").read_text())["results"]["tatoeba"]["accuracy"]
    groups = [[v for pair, v in by.items() if (pair in seen) is here] for here in (True, False)]
    print(f"| {name} | " + " | ".join(f"{100 * sum(g) / len(g):.1f}" if g else "" for g in groups) + " |")
PYTHON
