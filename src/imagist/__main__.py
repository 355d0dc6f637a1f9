"""Let `python -m imagist` be the command line."""

import sys

from imagist.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
