#!/usr/bin/env bash
# Two small encoders looked at layer by layer, before and after alignment, and translations mined from shuffled NTREX among other sentences; both on sentences the encoders never saw.
# XLT_DATA: the folder with the data sets' folders. RUNS: folder of the runs. STEPS: updates of pretraining. A stage that is finished is not run again. XLT: the command. PYTHON: its Python.
set -euo pipefail
: "${XLT_DATA:?the folder that holds mono, ntrex, tico19 and tatoeba}"
RUNS=${RUNS:-runs} XLT=${XLT:-xlt} PYTHON=${PYTHON:-python3} STEPS=${STEPS:-400}
NTREX="dataset=ntrex dataset.root=$XLT_DATA/ntrex"

# embeddings solved from NTREX's and TICO-19's training rows alone
$XLT tokenize experiment=quick_transfer run.root="$RUNS"
TOKENIZER=$RUNS/quick_transfer/tokenize
$XLT align experiment=quick_transfer run.root="$RUNS" run.name=solved tokenizer.path="$TOKENIZER" \
  'dataset.parts.ntrex.split_names={train:train,dev:dev,test:test}' 'dataset.parts.tico19.split_names={train:train,dev:dev,test:null}'
# a masked language model, before and after translation ranking of both of its layers
$XLT pretrain experiment=world_tiny run.root="$RUNS" tokenizer.path="$TOKENIZER" train.steps="$STEPS"
$XLT align experiment=world_tiny run.root="$RUNS" model.layers=1 train.steps=300 train.batch_size=128 train.learning_rate=1e-3

# shellcheck disable=SC2086
inspect() { $XLT inspect $NTREX run.root="$RUNS" run.name="$1" model.init_from="$RUNS/$2"; }
inspect solved solved/align
inspect before world_tiny/pretrain
inspect after world_tiny/align
$XLT report "$RUNS/before/inspect" "$RUNS/after/inspect" --out "$RUNS/before_and_after"

# dev and test of NTREX in three languages, each with 5,000 sentences of mono, in an order of its own
TEXT=$RUNS/text
$PYTHON - "$XLT_DATA" "$TEXT" <<'PYTHON'
import gzip, itertools, json, pathlib, random, sys

data, text = map(pathlib.Path, sys.argv[1:])
text.mkdir(parents=True, exist_ok=True)
for code in ("en", "de", "fr"):
    lines = [json.loads(row)["text"] for split in ("dev", "test") for row in gzip.open(data / "ntrex" / code / f"{split}.jsonl.gz", "rt", encoding="utf-8")]
    with gzip.open(next((data / "mono" / code).glob("train.txt*")), "rt", encoding="utf-8") as rows:
        lines += [row.rstrip("\n") for row in itertools.islice(rows, 5000)]
    random.Random(code).shuffle(lines)
    (text / f"{code}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
PYTHON
mine() {  # mine NAME [OVERRIDES ...]
  local name=$1; shift
  $XLT mine dataset=mono_files dataset.root="$TEXT" 'languages.train=[en-de,en-fr]' model.init_from="$RUNS/solved/align" \
    dataset@gold=ntrex gold.root="$XLT_DATA/ntrex" gold.split_names.train=null run.root="$RUNS" run.name="$name" "$@"
}
mine all mining.threshold=null
mine centred mining.threshold=null mining.remove_means=true
mine optimal mining.threshold=null mining.matching=hungarian
mine kept
# what was kept is parallel data
$XLT align experiment=quick_transfer run.root="$RUNS" run.name=mined tokenizer.path="$TOKENIZER" dataset=parallel_files dataset.root="$RUNS/kept/mine/mined"
