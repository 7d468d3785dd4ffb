"""Where shipped files lie: in a frozen program, in an installed package, or in the repository."""

import sys
from pathlib import Path

from noder.errors import NoderError


def find_resource(package: Path, name: str) -> Path:
    """Path of a shipped file, such as "icons/noder-viewer.png", of the package in the folder `package`.

    Raises NoderError where the installation lacks it.
    """
    for folder in _folders(package):
        if (folder / name).exists():
            return folder / name
    raise NoderError(f"This installation of noder-viewer lacks its file resources/{name}. Install it again.")


def _folders(package: Path) -> list[Path]:
    # An editable install copies no resources into the package (hatchling's force-include is for wheels), so
    # the last place is the repository: <root>/core/noder or <root>/app/noder_viewer -> <root>/resources.
    folders = [package / "resources", package.parents[1] / "resources"]
    frozen = getattr(sys, "_MEIPASS", None)
    return [Path(frozen) / package.name / "resources", *folders] if frozen else folders
