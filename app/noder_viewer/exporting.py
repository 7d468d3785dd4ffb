"""Writes what the user asks for in the background: exports, saved fits, pictures."""

from __future__ import annotations

import itertools
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, cast

from PySide6.QtCore import QBuffer, QByteArray, QIODevice, QObject, Signal
from PySide6.QtWidgets import QWidget

from noder_viewer.export_dialog import ExportDialog, ExportRequest
from noder_viewer.fit_rows import saved, updated
from noder_viewer.jobs import Export, Save
from noder_viewer.list_jobs import SaveAll
from noder_viewer.loader import Latest
from noder_viewer.main_window import MainWindow
from noder_viewer.session import Session
from noder_viewer.settings import Settings

if TYPE_CHECKING:
    from noder.export import ExportProgress
    from noder.fit import FitResult


class Exporting(QObject):
    """Owns the export dialog. Emits `exported(list of paths)`, `saved(folder)` or `failed(sentence)`."""

    exported = Signal(list)
    saved = Signal(object)
    failed = Signal(str)

    def __init__(self, window: MainWindow, session: Session, settings: Settings, parent: QObject) -> None:
        super().__init__(parent)
        self._window, self._session, self._settings = window, session, settings
        self.dialog: ExportDialog | None = None
        self._exports, self._saves = Latest(self), Latest(self)
        self._exports.reported.connect(self._on_progress)
        self._exports.done.connect(self._on_exported)
        self._exports.failed.connect(self._on_export_failed)
        self._saves.reported.connect(self._on_one_saved)
        self._saves.done.connect(self._on_saved)
        self._saves.failed.connect(self._on_save_failed)
        self._saving = session.result

    def show_dialog(self) -> ExportDialog:
        """Open the dialog for what is there now."""
        if self.dialog is None:
            from noder.export import EXPORTERS

            self.dialog = ExportDialog({name: each.label for name, each in EXPORTERS.items()}, self._window)
            self.dialog.export_requested.connect(self.export)
            self.dialog.cancel_requested.connect(self.cancel)
        session, result = self._session, self._session.result
        if not self._exports.busy:
            if not self.dialog.isVisible():
                self.dialog.set_folder(unused(self._settings.folder("export") / "noder-export"))
            times = () if result is None else tuple(result.trajectory.times)
            all_times = () if result is None else _times_in_use(result)
            unit = "" if session.series is None else session.series.unit
            has_report = result is not None and result.report is not None
            self.dialog.set_fit(times, unit, session.time, session.carry, has_report=has_report, all_times=all_times)
            self.dialog.set_finished("" if times else "There is no fit yet: only the picture can be written.")
        self.dialog.show()
        self.dialog.raise_()
        return self.dialog

    def export(self, request: ExportRequest) -> None:
        """Write what `request` says, in the background; one export at a time."""
        if self._exports.busy:
            return
        picture = grab_png(self._window) if request.picture else None
        self._settings.set_folder("export", request.folder.parent)
        if self.dialog is not None:
            self.dialog.set_progress(None, "Writing…")
        pair = None if self._session.pair is None else self._session.pair.pair
        job = Export(self._session.result, request.names, request.times, request.folder, request.carry, picture, pair)
        self._exports.submit(job)

    def cancel(self) -> None:
        """Stop the export; nothing half-written stays."""
        self._exports.cancel()
        if self.dialog is not None:
            self.dialog.set_finished("Cancelled; nothing was written.")

    def save_fit(self, folder: Path, result: FitResult | None = None) -> None:
        """Save a fit, None: the one that is shown, as `folder`."""
        result = result or self._session.result
        if result is None or self._saves.busy:
            return
        self._saving = result
        self._session.status = f"Saving {folder.name}…"
        self._settings.set_folder("save", folder.parent)
        self._saves.submit(Save(result, folder))

    def save_all(self, folder: Path) -> None:
        """Save every fit of the list that was not saved, in a folder of its own under `folder`."""
        rows, taken = [], list[Path]()
        for row in self._session.fits:
            if row.is_unsaved:  # "a/b" and "a-b" are two names, and would be one folder
                taken.append(unused(folder / row.file_name, taken))
                rows.append((row, taken[-1]))
        if not rows or self._saves.busy:
            return
        self._saving = None
        self._session.status = f"Saving {len(rows)} fits…"
        self._settings.set_folder("save", folder)
        self._saves.submit(SaveAll(tuple(rows), folder))

    def shut_down(self) -> None:
        """Stop writing; a fit that is being saved is waited for."""
        self._exports.shut_down()
        self._saves.shut_down(wait_ms=10_000)
        if self.dialog is not None:
            self.dialog.close()

    def _on_progress(self, value: object) -> None:
        progress: ExportProgress = value  # type: ignore[assignment]
        if self.dialog is not None:
            words = f"Writing {progress.done} of {progress.total}: {progress.exporter.replace('_', ' ')}"
            self.dialog.set_progress(progress.done / max(1, progress.total), words)

    def _on_exported(self, value: object) -> None:
        paths = [path for path in value if isinstance(path, Path)] if isinstance(value, list) else []
        words = f"{len(paths)} files written to {paths[0].parent}" if paths else "Nothing was written"
        self._session.status = words
        if self.dialog is not None:
            self.dialog.set_finished(words)
        self.exported.emit(paths)

    def _on_export_failed(self, error: object) -> None:
        self._session.status = "The export failed"
        if self.dialog is not None:
            self.dialog.set_finished(str(error), failed=True)
        self.failed.emit(str(error))

    def _on_saved(self, folder: object) -> None:
        if isinstance(folder, Path) and self._saving is not None:
            self._session.fits = saved(self._session.fits, self._saving, folder)
            if self._session.result is self._saving:
                self._session.saved_in = folder
        self._session.status = f"Saved in {folder}"
        self.saved.emit(folder)

    def _on_one_saved(self, value: object) -> None:
        """One of several."""
        key, path = cast("tuple[int, Path]", value)
        self._session.fits = updated(self._session.fits, key, saved_in=path)
        if key == self._session.shown_fit:
            self._session.saved_in = path

    def _on_save_failed(self, error: object) -> None:
        self._session.status = "The fit was not saved"
        self._window.banner.set_message(str(error))
        self.failed.emit(str(error))


def unused(path: Path, taken: Collection[Path] = ()) -> Path:
    """`path`, or the first of path-2, path-3, ... where there is nothing yet and which is not `taken`.

    A file keeps its ending; what follows the point of a number, as in a folder "weight 0.5", is none.
    """
    ending = path.suffix if path.suffix[1:2].isalpha() else ""
    stem = path.name.removesuffix(ending)
    numbered = (path.with_name(f"{stem}-{k}{ending}") for k in itertools.count(2))
    return next(each for each in itertools.chain([path], numbered) if each not in taken and not each.exists())


def _times_in_use(result: FitResult) -> tuple[float, ...]:
    """Of all scans but the excluded ones: held-out scans are there to be compared with."""
    return tuple(t for k, t in enumerate(result.series.times) if k not in result.config.exclude)


def grab_png(widget: QWidget) -> bytes:
    """The widget as it looks, as PNG; OpenGL canvases in it come along where the platform draws them."""
    data = QByteArray()
    buffer = QBuffer(data)
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    widget.grab().save(buffer, "PNG")
    return bytes(data.data())
