"""xlt: the cross-lingual transfer toolkit. The command line is `xlt.cli`; the rooms are listed in the README."""
