"""Dark, light or as the system: what the user chose, remembered, and put on at once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from PySide6.QtCore import QObject
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QApplication

from noder_viewer import theme
from noder_viewer.main_window import MainWindow
from noder_viewer.presenter import Presenter
from noder_viewer.settings import Settings

FIRST = "dark"


def chosen_theme(settings: Settings) -> str:
    """A key of `theme.THEMES`: what the user chose last, or the first of all."""
    chosen = settings.look("theme")
    return chosen if chosen in theme.THEMES else FIRST


class Theming(QObject):
    """Puts a theme on, a key of `theme.THEMES`; under "system" it follows the desktop."""

    def __init__(self, window: MainWindow, settings: Settings, presenter: Presenter, parent: QObject) -> None:
        super().__init__(parent)
        self._window, self._settings, self._presenter = window, settings, presenter
        QGuiApplication.styleHints().colorSchemeChanged.connect(self._on_system)
        self._put_on()

    @property
    def theme(self) -> str:
        """What was chosen."""
        return chosen_theme(self._settings)

    def handlers(self) -> dict[str, Callable[[], object]]:
        """Actions of the View menu."""
        return {f"theme_{name}": partial(self.choose, name) for name in theme.THEMES}

    def choose(self, name: str) -> None:
        """Put a theme on, and remember it."""
        self._settings.set_look("theme", name)
        self._put_on()

    def _put_on(self) -> None:
        for name in theme.THEMES:
            self._window.set_checked(f"theme_{name}", name == self.theme)
        colours, app = theme.palette_of(self.theme), QApplication.instance()
        if colours is not theme.palette() and isinstance(app, QApplication):
            theme.apply(app, colours)
            self._presenter.mark("series", "report")  # what was made with colours in it

    def _on_system(self) -> None:
        self._put_on()
