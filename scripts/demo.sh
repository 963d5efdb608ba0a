#!/usr/bin/env bash
# The main job on the data that xlt ships: the whole chain, the same fine-tuning from random weights beside it, and labels sent through translations.
set -euo pipefail
xlt tokenize experiment=demo
xlt pretrain experiment=demo
xlt align experiment=demo
xlt finetune experiment=demo
xlt zero-shot-eval experiment=demo
xlt finetune experiment=demo run.name=random model.init_from=null tokenizer.path=runs/demo/tokenize
xlt zero-shot-eval experiment=demo run.name=random model.init_from=runs/random/finetune
xlt align experiment=demo run.name=projected objective=label_projection model.init_from=runs/demo/finetune train.steps=300
xlt zero-shot-eval experiment=demo run.name=projected model.init_from=runs/projected/align
xlt report runs/random/zero-shot-eval runs/demo/zero-shot-eval runs/projected/zero-shot-eval --out runs/demo/report
