#!/usr/bin/env python
"""Django's command line in a checkout; ``factloop manage`` is the same anywhere."""

import sys

from config.management import execute

if __name__ == "__main__":
    execute(sys.argv)
