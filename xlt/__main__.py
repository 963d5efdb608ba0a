"""python -m xlt is the command xlt."""

import sys

from xlt.cli import main

sys.exit(main())
