"""Entry point of `python3 -m <<pkg>>`."""

import sys

from .cli import main

sys.exit(main())
