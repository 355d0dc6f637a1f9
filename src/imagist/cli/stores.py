"""Opening the store, for commands that need nothing else of the world."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from imagist.cli.closing import UNTIL_THE_END
from imagist.cli.environment import store_folder
from imagist.store.store import Store


def open_store(values: argparse.Namespace) -> Store:
    """The store that the flags or the environment name; closed when the command has ended."""
    folder = Path(values.cache) if values.cache else store_folder(os.environ)
    return UNTIL_THE_END.enter_context(Store.open(folder))
