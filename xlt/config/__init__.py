"""Configs: schema, composition by Hydra, typed building. With the command line the only room that knows Hydra and OmegaConf."""
