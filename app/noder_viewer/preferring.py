"""Lets the user's preferences take effect, and asks for them in the settings dialog."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject

from noder_viewer.cores import limit_cores
from noder_viewer.preferences import LAST, Preferences
from noder_viewer.settings_dialog import SettingsDialog

if TYPE_CHECKING:
    from noder_viewer.controller import Controller


class Preferring(QObject):
    """Owns the settings dialog."""

    def __init__(self, controller: Controller) -> None:
        super().__init__(controller)
        self._controller = controller
        self.dialog: SettingsDialog | None = None
        preferences = controller.settings.preferences()
        controller.session.radiological = preferences.convention == "radiological"
        limit_cores(preferences.threads)
        controller.engine_ready.connect(self._choose_device)

    def show_dialog(self) -> SettingsDialog:
        """Ask; nothing stops meanwhile."""
        preferences = self._controller.settings.preferences()
        if self.dialog is None:
            self.dialog = SettingsDialog(preferences, self._controller.window)
            self.dialog.preferences_requested.connect(self._on_preferences)
        self.dialog.set_preferences(preferences)
        self.dialog.open()
        return self.dialog

    def open_last(self) -> None:
        """At the start: what was open last, for those who want it."""
        recent = self._controller.settings.recent()
        if self._controller.settings.preferences().reopen == LAST and recent:
            self._controller.open(recent[0])

    def _on_preferences(self, preferences: object) -> None:
        if not isinstance(preferences, Preferences):
            return
        controller, before = self._controller, self._controller.settings.preferences()
        controller.settings.set_preferences(preferences)
        controller.autosave.set_interval(preferences.autosave_minutes)
        limit_cores(preferences.threads)
        controller.share_cores()
        if preferences.convention != before.convention:
            controller.session.radiological = preferences.convention == "radiological"
        if preferences.device != before.device:
            self._choose_device()

    def _choose_device(self) -> None:
        device = self._controller.settings.preferences().device
        self._controller.window.fit_panel.set_device(device)
        self._controller.window.register_panel.set_device(device)
