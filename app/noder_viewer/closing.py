"""Asks before a fit, strokes of the brush or changes of a project that were not saved go with the window."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject
from PySide6.QtGui import QCloseEvent
from PySide6.QtWidgets import QMessageBox

if TYPE_CHECKING:
    from noder_viewer.controller import Controller

_QUESTION = "The fit has not been saved. Save it before the window closes?"
_QUESTION_PAIR = "The registration has not been exported. Export it before the window closes?"
_QUESTION_STROKES = "The labels that were drawn have not been saved. Save them before the window closes?"
_QUESTION_ALL = "What was fitted and the labels that were drawn have not been saved. Save both as a project first?"
Button = QMessageBox.StandardButton


class Closing(QObject):
    """Answers the window's wish to close. `asks` False: what is not saved may go, as in a demo that quits."""

    def __init__(self, controller: Controller) -> None:
        super().__init__(controller)
        self._controller = controller
        self._close_when_saved = False
        self.asks = True
        self.box: QMessageBox | None = None
        exporting, registering = controller.exporting, controller.registering
        projects, measuring = controller.projects, controller.measuring
        for saved in (exporting.saved, registering.saved, projects.saved, measuring.saved):
            saved.connect(self._on_saved)
        for not_saved in (exporting.failed, registering.not_saved, projects.failed, measuring.failed):
            not_saved.connect(self._on_not_saved)

    def answer(self, event: QCloseEvent) -> None:
        """Keep the window open and ask, where closing would lose something."""
        controller = self._controller
        loses = self._loses_a_fit or self._loses_strokes or controller.projects.changed
        if not self.asks or controller.is_down or not loses:
            return
        event.ignore()
        self._ask()

    @property
    def _loses_a_fit(self) -> bool:
        return self._controller.session.is_unsaved or self._controller.registering.hides_unsaved

    @property
    def _loses_strokes(self) -> bool:
        """Be they on screen or behind the pair."""
        session = self._controller.session
        drawn = session.regions, None if session.kept is None else session.kept["regions"]
        return any(regions is not None and regions.changed for regions in drawn)

    @property
    def _saves_project(self) -> bool:
        """Whether all that would be lost belongs to a project that has changed."""
        return self._controller.session.project is not None and self._controller.projects.changed

    def _ask(self) -> None:
        if self.box is None:
            self.box = QMessageBox(self._controller.window)
            self.box.setWindowTitle("Close noder-viewer")
            self.box.setIcon(QMessageBox.Icon.Question)
            self.box.setStandardButtons(Button.Save | Button.Discard | Button.Cancel)
            self.box.setDefaultButton(Button.Save)
            self.box.finished.connect(self._on_answer)
        self.box.setText(self._question())
        self.box.open()  # unlike exec, stops nothing
        self.box.raise_()

    def _question(self) -> str:
        session = self._controller.session
        if session.project is not None and self._saves_project:
            return f"{session.project.name} has changed. Save it before the window closes?"
        if self._loses_strokes:
            return _QUESTION_ALL if self._loses_a_fit else _QUESTION_STROKES
        if not session.is_unsaved:
            other = "of the series" if session.pair is not None else "of the pair"
            return f"What was found {other} that was open before has not been saved. Save it before the window closes?"
        unsaved = [row.name for row in session.fits if row.is_unsaved]
        if len(unsaved) > 1:
            return f"{len(unsaved)} fits have not been saved: {', '.join(unsaved)}. Save them before the window closes?"
        return _QUESTION if session.pair is None else _QUESTION_PAIR

    def _on_answer(self, button: int) -> None:
        if button == Button.Discard.value:
            self._controller.shut_down()
            self._controller.window.close()
        elif button == Button.Save.value:
            self._close_when_saved = self._save()

    def _save(self) -> bool:
        """Save what would be lost, or ask where to; False: nowhere."""
        controller = self._controller
        if self._saves_project:
            return controller.projects.save()
        if self._loses_strokes and self._loses_a_fit:
            return controller.projects.save_as()
        if self._loses_strokes and controller.session.pair is not None:
            controller.registering.go_back()
        if self._loses_strokes:
            return controller.region_commands.save_labels()
        if not controller.session.is_unsaved:
            controller.registering.go_back()
        return controller.commands.save_fits()

    def _on_saved(self) -> None:
        if self._close_when_saved:
            self._close_when_saved = False
            self._controller.window.close()

    def _on_not_saved(self) -> None:
        self._close_when_saved = False
