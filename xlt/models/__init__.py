"""Models: transformers' own, from scratch or pretrained, with the heads that an objective adds."""
