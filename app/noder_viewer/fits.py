"""What is asked of the list of fits: show, rename, move, save, remove, a new one with another weight."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QFileDialog, QMessageBox

from noder_viewer import fit_rows
from noder_viewer.exporting import unused
from noder_viewer.fit_rows import Asked, FitRow
from noder_viewer.fit_words import main_score, status_words, tip
from noder_viewer.fits_list import FitLine
from noder_viewer.left_out_dialog import LeftOutDialog
from noder_viewer.variant_dialog import VariantDialog

if TYPE_CHECKING:
    from noder_viewer.controller import Controller
    from noder_viewer.session import Session

Button = QMessageBox.StandardButton


class Fits(QObject):
    """Lives in the GUI thread; ties the list in the fit panel to the session and to `Fitting`."""

    def __init__(self, controller: Controller) -> None:
        super().__init__(controller)
        self._controller, self._session, self._fitting = controller, controller.session, controller.fitting
        self.list = controller.window.fit_panel.fits
        self.box: QMessageBox | None = None
        self.variant: VariantDialog | None = None
        self.left_out: LeftOutDialog | None = None
        self._removing = 0
        self._connect()
        self.refresh()

    def refresh(self) -> None:
        """Show the list as it is now."""
        session = self._session
        self.list.set_lines(lines(session))
        self.list.set_available(fits=session.series is not None and session.pair is None)

    def show(self, key: int) -> None:
        """Show a fit, or the table of a leave-one-out."""
        row = fit_rows.found(self._session.fits, key)
        if row is not None and row.left_out is not None:
            self.show_left_out(row)
        else:
            self._fitting.show(key)

    def show_left_out(self, row: FitRow) -> None:
        """Open the table and the plot of a leave-one-out."""
        if row.left_out is None:
            return
        if self.left_out is None:
            self.left_out = LeftOutDialog(self._controller.settings, self._controller.window)
            self.left_out.written.connect(self._on_table_written)
        self.left_out.set_found(row.key, row.name, row.left_out, row.asked.series.unit)
        self.left_out.show()
        self.left_out.raise_()

    def remove(self, key: int) -> None:
        """Take a row from the list; asks first where something would be lost."""
        row = fit_rows.found(self._session.fits, key)
        if row is None or row.is_active:
            return
        if not row.is_unsaved:
            self._remove(key)
            return
        self._removing = key
        if self.box is None:
            self.box = QMessageBox(self._controller.window)
            self.box.setWindowTitle("Remove a fit")
            self.box.setIcon(QMessageBox.Icon.Question)
            self.box.setStandardButtons(Button.Discard | Button.Cancel)
            self.box.setDefaultButton(Button.Cancel)
            self.box.button(Button.Discard).setText("Remove")
            self.box.finished.connect(self._on_answer)
        self.box.setText(f"{row.name} has not been saved. Remove it all the same?")
        self.box.open()

    def save(self, key: int) -> bool:
        """Ask where to save a row; False: nowhere."""
        row = fit_rows.found(self._session.fits, key)
        if row is None or row.result is None:
            return False
        start = str(unused(self._controller.settings.folder("save") / row.file_name))
        name, _ = QFileDialog.getSaveFileName(self._controller.window, f"Save {row.name} as a folder", start)
        if name:
            self._controller.exporting.save_fit(Path(name), row.result)
        return bool(name)

    def ask_variant(self) -> None:
        """Ask for the weight of a new fit beside the one that runs or is shown."""
        session = self._session
        if session.series is None or session.pair is not None or not self._controller.window.fit_panel.is_ready:
            return
        asked, name = self._pattern()
        if self.variant is None:
            self.variant = VariantDialog(self._controller.window)
            self.variant.queue_requested.connect(self._on_variant)
        self.variant.set_pattern(asked, name)
        self.variant.show()
        self.variant.raise_()

    def shut_down(self) -> None:
        """Close what is open."""
        for dialog in (self.variant, self.left_out, self.box):
            if dialog is not None:
                dialog.close()

    def _pattern(self) -> tuple[Asked, str]:
        """What a new fit is like: the one that runs, else the one that is shown, else what the panel says."""
        session, panel = self._session, self._controller.window.fit_panel
        rows = [fit_rows.active(session.fits), fit_rows.found(session.fits, session.shown_fit)]
        row = next((row for row in rows if row is not None and row.asked.leave_one_out is None), None)
        if row is not None:
            return row.asked, row.name
        asked = Asked.of(session, panel.choice())
        return asked, fit_rows.name_of(asked)

    def _connect(self) -> None:
        wishes, session = self.list, self._session
        wishes.show_requested.connect(self.show)
        wishes.rename_requested.connect(self._rename)
        wishes.remove_requested.connect(self.remove)
        wishes.move_requested.connect(self._move)
        wishes.save_requested.connect(self.save)
        wishes.cancel_requested.connect(self._cancel)
        wishes.again_requested.connect(self._again)
        wishes.variant_requested.connect(self.ask_variant)
        self._fitting.left_out.connect(self.show)
        for name in ("fits", "shown_fit", "progress", "series", "pair"):
            session.events[name].connect(self.refresh)

    def _rename(self, key: int, name: str) -> None:
        row = fit_rows.found(self._session.fits, key)
        others = tuple(row for row in self._session.fits if row.key != key)
        if row is not None:
            name = fit_rows.unused_name(others, name or row.name)
            self._session.fits = fit_rows.updated(self._session.fits, key, name=name)

    def _move(self, key: int, step: int) -> None:
        self._session.fits = fit_rows.moved(self._session.fits, key, step)

    def _cancel(self, key: int) -> None:
        row = fit_rows.found(self._session.fits, key)
        if row is not None and row.is_active:
            self._fitting.stop()
        else:
            self._session.fits = fit_rows.updated(self._session.fits, key, status="cancelled")

    def _again(self, key: int) -> None:
        self._session.fits = fit_rows.updated(self._session.fits, key, status="waiting", error="")
        self._fitting.go_on()

    def _remove(self, key: int) -> None:
        session = self._session
        session.fits = fit_rows.without(session.fits, key)
        if session.shown_fit != key:
            return
        other = next((row for row in reversed(session.fits) if row.result is not None), None)
        if other is not None:
            self._fitting.show(other.key)
        else:
            session.result, session.saved_in, session.shown_fit = None, None, 0

    def _on_answer(self, button: int) -> None:
        if button == Button.Discard.value:
            self._remove(self._removing)

    def _on_variant(self, asked: object, name: str) -> None:
        if isinstance(asked, Asked):
            self._fitting.queue(dataclasses.replace(asked, leave_one_out=None), name)

    def _on_table_written(self, key: int, path: object) -> None:
        self._session.fits = fit_rows.updated(self._session.fits, key, saved_in=path)
        self._session.status = f"Saved {path}"


def lines(session: Session) -> tuple[FitLine, ...]:
    """The lines of the list."""
    return tuple(_line(row, session) for row in session.fits)


def _line(row: FitRow, session: Session) -> FitLine:
    words = status_words(row, session.progress if row.is_active else None)
    shown = row.key == session.shown_fit
    return FitLine(row.key, row.name, words, main_score(row), tip(row), shown, row.status == "failed", _can(row))


def _can(row: FitRow) -> frozenset[str]:
    can = {
        "move": row.status == "waiting",
        "cancel": row.status == "waiting" or row.is_active,
        "save": row.result is not None,
        "again": row.status in ("failed", "cancelled"),
    }
    return frozenset(name for name, holds in can.items() if holds)
