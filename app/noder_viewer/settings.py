"""What the window remembers between two runs: recent files, geometry, the last folders, and the user's preferences."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import platformdirs
from PySide6.QtCore import QByteArray, QSettings

from noder_viewer.preferences import Preferences

MAX_RECENT = 10


class Settings:
    """Remembered values in one ini file. `path` None: the user's own settings folder."""

    def __init__(self, path: Path | None = None) -> None:
        file = path or Path(platformdirs.user_config_dir("noder-viewer", appauthor=False)) / "window.ini"
        self._store = QSettings(str(file), QSettings.Format.IniFormat)

    def recent(self) -> list[list[Path]]:
        """What was opened, newest first, each the paths of one opening; vanished files are left out."""
        try:
            entries = json.loads(str(self._store.value("recent", "[]")))
        except json.JSONDecodeError:
            return []
        groups = [[Path(path) for path in entry] for entry in entries if isinstance(entry, list) and entry]
        return [group for group in groups if all(path.exists() for path in group)]

    def add_recent(self, paths: list[Path]) -> None:
        """Put `paths` (opened together) first."""
        entry = [path.absolute() for path in paths]
        kept = [entry, *(other for other in self.recent() if other != entry)][:MAX_RECENT]
        self._store.setValue("recent", json.dumps([[str(path) for path in group] for group in kept]))

    def clear_recent(self) -> None:
        """Forget what was opened."""
        self._store.remove("recent")

    def folder(self, purpose: str) -> Path:
        """The folder last used for `purpose` ("open", "export", "save"); the home folder at first.

        For exports the one that the user prefers, where there is one.
        """
        preferred = Path(self.preferences().export_folder)
        if purpose == "export" and preferred.name and preferred.is_dir():
            return preferred
        folder = Path(str(self._store.value(f"folder/{purpose}", "")))
        return folder if folder.name and folder.is_dir() else Path.home()

    def set_folder(self, purpose: str, folder: Path) -> None:
        """Remember the folder used for `purpose`."""
        self._store.setValue(f"folder/{purpose}", str(folder.absolute()))

    def look(self, name: str) -> str:
        """A remembered choice of how the window looks ("layout", "theme"); "" at first."""
        return str(self._store.value(f"look/{name}", ""))

    def set_look(self, name: str, text: str) -> None:
        """Remember it."""
        self._store.setValue(f"look/{name}", text)

    def preferences(self) -> Preferences:
        """What the settings dialog was told; a value that this version does not know is its default."""
        found = {}
        for field in dataclasses.fields(Preferences):
            text = self._store.value(f"preferences/{field.name}")
            if text is not None and (value := _parsed(str(text), field)) is not None:
                found[field.name] = value
        return Preferences(**found)

    def set_preferences(self, preferences: Preferences) -> None:
        """Remember them, and write everything to disk."""
        for name, value in dataclasses.asdict(preferences).items():
            self._store.setValue(f"preferences/{name}", str(value))
        self._store.sync()

    def layout(self) -> tuple[QByteArray, QByteArray] | None:
        """Geometry and dock state of the window, or None at first."""
        geometry, state = self._store.value("geometry"), self._store.value("state")
        if isinstance(geometry, QByteArray) and isinstance(state, QByteArray):
            return geometry, state
        return None

    def set_layout(self, geometry: QByteArray, state: QByteArray) -> None:
        """Remember geometry and dock state, and write everything to disk."""
        self._store.setValue("geometry", geometry)
        self._store.setValue("state", state)
        self._store.sync()


def _parsed(text: str, field: dataclasses.Field[Any]) -> Any:
    """The value that a field's text stands for, None where it cannot be meant."""
    limits = field.metadata.get("range")
    if isinstance(field.default, str):
        return text if limits is None or text in limits else None
    try:
        value = int(text)
    except ValueError:
        return None
    return value if limits is None or limits[0] <= value <= limits[1] else None


def recent_label(paths: list[Path]) -> str:
    """How one entry of the recent files reads in the menu."""
    first = paths[0]
    where = first.parent.name
    if len(paths) == 1:
        return f"{first.name}  —  {where}" if where else first.name
    return f"{first.name} and {len(paths) - 1} more  —  {where}"
