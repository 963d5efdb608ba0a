"""Training few parameters: adapters on a model that stays as it is. What they are (kinds), how they are put on (attach), and how they are kept (folder)."""
