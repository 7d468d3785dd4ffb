"""Keeps what is open in the user's state folder, and offers it again where a program ended without saying goodbye.

Each running program has a folder of its own, locked for as long as it lives: what no one locks was left by a crash.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import platformdirs
from PySide6.QtCore import QLockFile, QObject, QTimer

from noder_viewer.jobs import PROJECT
from noder_viewer.loader import Latest
from noder_viewer.project_jobs import AUTOSAVE, WriteProject, Written
from noder_viewer.project_parts import DRAWN

if TYPE_CHECKING:
    from noder_viewer.controller import Controller

TAKE_BACK = "take the autosave back"
"""Key of the banner's button."""
FILE, LOCK = f"session{PROJECT}", "lock"
KEPT_DAYS = 30
_MINUTE_MS = 60_000


class Left(QObject):
    """A folder that a crash has left. Its lock is held: no other program offers it as well."""

    def __init__(self, folder: Path, lock: QLockFile, parent: QObject) -> None:
        super().__init__(parent)
        self.folder, self.lock = folder, lock

    @property
    def file(self) -> Path:
        """The project in it."""
        return self.folder / FILE

    def remove(self) -> None:
        """Delete it: its content is safe elsewhere, or not wanted."""
        self.lock.unlock()
        shutil.rmtree(self.folder, ignore_errors=True)


class Autosave(QObject):
    """Writes every few minutes and after each fit where something has changed; removes it all on a clean exit."""

    def __init__(self, controller: Controller, root: Path | None = None) -> None:
        super().__init__(controller)
        self._controller = controller
        self._root = root or Path(platformdirs.user_state_dir("noder-viewer", appauthor=False)) / AUTOSAVE
        self.folder = self._root / f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._lock: QLockFile | None = None
        self._last: Written | None = None
        self._key: object = None
        self._left: Left | None = None
        self._taken: Left | None = None
        self._offer_later = False
        self._writer = Latest(self)
        self._writer.done.connect(self._on_written)
        self._writer.failed.connect(self._on_failed)
        self._timer = QTimer(self)
        self._timer.timeout.connect(self.save)
        controller.fitting.fitted.connect(self.save)
        controller.registering.registered.connect(self.save)
        controller.projects.taken.connect(self._on_taken)
        controller.opening.opened.connect(self._on_opened)
        self.set_interval(controller.settings.preferences().autosave_minutes)

    @property
    def busy(self) -> bool:
        """Whether something is being written."""
        return self._writer.busy

    def set_interval(self, minutes: int) -> None:
        """How often to look whether something has changed; 0: nothing is kept at all."""
        self._timer.setInterval(minutes * _MINUTE_MS)
        if minutes:
            self._timer.start()
        else:
            self._timer.stop()

    def save(self) -> None:
        """Keep what is open, if there is something and it is not what was kept last."""
        controller, session = self._controller, self._controller.session
        is_off = not self._timer.isActive() or controller.is_down
        if is_off or session.series is None or session.activity == "opening" or self._writer.busy:
            return
        key = controller.projects.key(), session.time, session.cursor_mm
        if key == self._key or not self._has_folder():
            return
        self._key = key
        self._writer.submit(WriteProject(self._draft(), self.folder / FILE, self.folder))

    def offer(self) -> None:
        """Say that a crash has left something, newest first; what is old goes."""
        self._left = self._left or self._find()
        if self._left is None:
            return
        banner = self._controller.window.banner
        self._offer_later = self._controller.session.activity == "opening"
        is_free = banner.isHidden() or banner.button.isHidden()
        if not self._offer_later and is_free:
            notes = f"{banner.text}  " if banner.text else ""
            banner.set_message(notes + _words(self._left.file), "info", remedy=(TAKE_BACK, "Open it again"))

    def answer(self, key: str) -> None:
        """The banner's button was pressed."""
        if key == TAKE_BACK and self._left is not None:
            self._controller.opening.open([self._left.file])

    def shut_down(self) -> None:
        """A clean exit: nothing of this program's is left; what another has left and nobody took stays."""
        self._timer.stop()
        self._writer.shut_down()
        if self._taken is not None:
            self._taken.remove()
        if self._left is not None:
            self._left.lock.unlock()
        if self._lock is not None:
            self._lock.unlock()
            shutil.rmtree(self.folder, ignore_errors=True)

    def _draft(self) -> Any:
        """What is open; results that were kept before are not written once more."""
        session, draft, last = self._controller.session, self._controller.projects.draft(), self._last
        about = {"project": None if session.project is None else str(session.project)}
        draft = dataclasses.replace(draft, unknown={**draft.unknown, AUTOSAVE: about})
        if last is None:
            return draft
        kept = dict(zip((id(row.result) for row in last.draft.fits), last.fits_in, strict=True))
        rows = (dataclasses.replace(row, saved_in=row.saved_in or kept.get(id(row.result))) for row in draft.rows)
        draft = dataclasses.replace(draft, rows=tuple(rows))
        regions, before = draft.regions, last.regions
        if regions is not None and regions.file is None and before is not None and before.labels is regions.labels:
            draft = dataclasses.replace(draft, regions=dataclasses.replace(regions, saved_in=before.saved_in))
        if draft.pair_in is None and draft.pair is last.draft.pair:
            draft = dataclasses.replace(draft, pair_in=last.pair_in)
        return draft

    def _has_folder(self) -> bool:
        """Make it with the first save, and lock it; without a lock nothing is kept."""
        if self._lock is not None:
            return True
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            self._on_failed(f"{self.folder} cannot be made ({error.strerror})")
            return False
        lock = _lock_of(self.folder)
        if lock.tryLock(0):
            self._lock = lock
        return self._lock is not None

    def _find(self) -> Left | None:
        found = sorted(self._root.glob(f"*/{FILE}"), key=lambda path: path.stat().st_mtime, reverse=True)
        for file in found:
            lock = _lock_of(file.parent)
            if file.parent == self.folder or not lock.tryLock(0):
                continue
            left = Left(file.parent, lock, self)
            if time.time() - file.stat().st_mtime < KEPT_DAYS * 86_400:
                return left
            left.remove()
        return None

    def _on_taken(self, opened: object) -> None:
        """What was left is open: it is deleted once this program has kept it, or on a clean exit."""
        left = self._left
        if left is not None and getattr(opened, "path", None) == left.file:
            self._taken, self._left = left, None
            self.save()

    def _on_opened(self) -> None:
        if self._offer_later:
            self._offer_later = False
            QTimer.singleShot(0, self.offer)

    def _on_written(self, value: object) -> None:
        if not isinstance(value, Written) or self._controller.is_down:
            return  # what was written last is told when the folder has gone already
        self._last = value
        if self._taken is not None:
            self._taken.remove()
            self._taken = None
        drawn = None if value.regions is None else value.regions.file
        for path in self.folder.iterdir():
            if path.is_dir() and path not in (*value.fits_in, value.pair_in):
                shutil.rmtree(path, ignore_errors=True)
            elif path.match(f"{DRAWN}*") and path != drawn:
                path.unlink(missing_ok=True)

    def _on_failed(self, error: object) -> None:
        self._key = None
        self._controller.session.status = f"Autosave: {error}"


def _lock_of(folder: Path) -> QLockFile:
    lock = QLockFile(str(folder / LOCK))
    lock.setStaleLockTime(0)  # a lock is old when its program is gone, not after some time
    return lock


def _words(file: Path) -> str:
    """What the file holds, read without the engine, which may not be there yet."""
    when = time.strftime("%d %b, %H:%M", time.localtime(file.stat().st_mtime))
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        names, results = [row["name"] for row in document["scans"]], len(document["results"])
        kept = (document.get(AUTOSAVE) or {}).get("project")
        what = Path(kept).name if kept else f"{names[0]} and {len(names) - 1} more" if names else "a pair of images"
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return f"noder-viewer ended unexpectedly; something was kept on {when}."
    fits = {0: "", 1: " with its result"}.get(results, f" with {results} results")
    return f"noder-viewer ended unexpectedly. {what}{fits} was kept ({when})."
