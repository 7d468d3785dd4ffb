"""The crosshair's place as text: to the clipboard and back; and the menu of a place on a slice."""

from __future__ import annotations

from PySide6.QtCore import QObject, QPoint
from PySide6.QtWidgets import QApplication, QMenu

from noder.errors import NoderError
from noder_viewer.following import Following
from noder_viewer.go_to import GoTo
from noder_viewer.main_window import MainWindow
from noder_viewer.plane import Point
from noder_viewer.presenter import Presenter
from noder_viewer.session import Session


class CursorPlaces(QObject):
    """One controller's coordinates."""

    def __init__(
        self, window: MainWindow, session: Session, presenter: Presenter, following: Following, parent: QObject
    ) -> None:
        super().__init__(parent)
        self._window, self._session, self._presenter, self._following = window, session, presenter, following
        self._dialog: GoTo | None = None
        self.menu = QMenu(window)

    def copy(self) -> None:
        """Put the crosshair's place into the clipboard."""
        self._copy(self._session.cursor_mm)

    def ask(self) -> None:
        """Ask where to go."""
        from noder_viewer.coordinates import copied
        from noder_viewer.scene import active_grid

        grid = active_grid(self._session)
        if grid is None:
            return
        if self._dialog is None:
            self._dialog = GoTo(self._window)
            self._dialog.text_given.connect(self._go)
        self._dialog.set_text(copied(grid, self._session.cursor_mm).splitlines()[0])
        self._dialog.show()
        self._dialog.raise_()
        self._dialog.activateWindow()

    @property
    def dialog(self) -> GoTo | None:
        """What asks, once it has been opened."""
        return self._dialog

    def show_menu(self, axis: int, x_mm: float, y_mm: float, place: QPoint) -> None:
        """What can be done with a place on a slice, at a point of the screen."""
        from noder_viewer.scene import to_mm

        scene = self._presenter.scenes.get(axis)
        if scene is None:
            return
        mm = to_mm(scene, x_mm, y_mm)
        self.menu.clear()
        self.menu.addAction("Copy coordinates", lambda: self._copy(mm))
        self.menu.addAction("Go to coordinates…", self.ask)
        self.menu.addSeparator()
        self.menu.addAction("Put the crosshair here", lambda: self._set_cursor(mm))
        follow = self.menu.addAction("Follow this point through time", lambda: self._following.follow(axis, x_mm, y_mm))
        follow.setEnabled(self._session.trajectory is not None)
        self.menu.popup(place)

    def _copy(self, mm: Point) -> None:
        from noder_viewer.coordinates import copied
        from noder_viewer.scene import active_grid

        grid = active_grid(self._session)
        if grid is not None:
            text = copied(grid, mm)
            QApplication.clipboard().setText(text)
            self._session.status = f"Copied: {', '.join(text.splitlines())}"

    def _go(self, text: str) -> None:
        from noder_viewer.coordinates import parsed
        from noder_viewer.scene import active_grid

        grid = active_grid(self._session)
        if grid is None or self._dialog is None:
            return
        try:
            self._set_cursor(parsed(text, grid))
        except NoderError as error:
            self._dialog.set_message(str(error))
        else:
            self._dialog.accept()

    def _set_cursor(self, mm: Point) -> None:
        self._session.cursor_mm = mm
