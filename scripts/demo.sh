#!/usr/bin/env bash
# The main job on the data that xlt ships: the whole chain, and the same fine-tuning from random weights beside it.
set -euo pipefail
xlt tokenize experiment=demo
xlt pretrain experiment=demo
xlt align experiment=demo
xlt finetune experiment=demo
xlt zero-shot-eval experiment=demo
xlt finetune experiment=demo run.name=random model.init_from=null tokenizer.path=runs/demo/tokenize
xlt zero-shot-eval experiment=demo run.name=random model.init_from=runs/random/finetune
xlt report runs/demo/zero-shot-eval runs/random/zero-shot-eval --out runs/demo/report
