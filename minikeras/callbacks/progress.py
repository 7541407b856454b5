"""Show how far a loop is: a bar on a terminal, nothing where no one would see it move."""

import sys
from typing import Any

_INTERVAL = 0.1  # seconds between two redraws; the eye follows no more than that


def is_interactive() -> bool:
    """Tell whether the output is redrawn in place: a terminal, or a notebook."""
    return sys.stdout.isatty() or "ipykernel" in sys.modules


def progress_bar(**options: Any) -> Any:
    """Return a tqdm bar on the standard output, None where it would not be seen or is missing."""
    if not is_interactive():
        return None
    try:
        import tqdm
    except ImportError:
        return None
    # tqdm's watcher is a thread that outlives the bar, and threads do not survive a fork.
    tqdm.tqdm.monitor_interval = 0
    return tqdm.tqdm(file=sys.stdout, dynamic_ncols=True, leave=True, **options)
