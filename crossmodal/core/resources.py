"""Where the files beside the Python packages are: Flows, pods, the web page and data sets.

In a checkout they are folders of the repository's root. A wheel holds them in the package `crossmodal_search`.
"""

from __future__ import annotations

import os
from pathlib import Path

from crossmodal.core.errors import StateError

_ROOT = Path(__file__).resolve().parents[2]
_INSTALLED = _ROOT / "crossmodal_search"
DISTRIBUTION = "crossmodal-search"


def is_installed() -> bool:
    """Whether the program runs from an installed wheel."""
    return _INSTALLED.is_dir()


def resource_folder(name: str) -> Path:
    """The folder `flows`, `pods`, `web` or `data` of the program; it may be read-only."""
    return (_INSTALLED if is_installed() else _ROOT) / name


def data_folder(name: str) -> Path:
    """The folder of a data set by its name.

    The toy data come with the program. Others are in `data/` of a checkout, or in the user's data folder.
    """
    own = resource_folder("data")
    if name == "toy-data" or not is_installed():
        return own / name
    return user_folder() / "data" / name


def user_folder() -> Path:
    """The folder of the user's data sets and collections.

    Raises:
        StateError: The user has no home folder.
    """
    from platformdirs import user_data_path

    try:
        return user_data_path(DISTRIBUTION, appauthor=False)
    except RuntimeError as error:
        raise StateError("this user has no home folder: set HOME or XDG_DATA_HOME") from error


def cache_folder() -> Path:
    """The folder of files that can be made again, in the user's cache folder; it may be missing or read-only."""
    from platformdirs import user_cache_path

    try:
        return user_cache_path(DISTRIBUTION, appauthor=False)
    except RuntimeError:  # a user without a home folder; this path can be neither read nor made
        return Path(os.devnull) / DISTRIBUTION
