"""Undo and redo: watches what the user changes in tables, layers, settings and the Register tab, and puts it back.

At each turn of the event loop the state is compared with the one before. What comes with another series, pair or fit
is the program's doing and no step.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QObject, Qt, QTimer
from PySide6.QtGui import QKeyEvent, QKeySequence
from PySide6.QtWidgets import QApplication, QDoubleSpinBox, QLineEdit, QSpinBox, QWidget

from noder_viewer.history import History, Step, Values
from noder_viewer.step_names import step_name

if TYPE_CHECKING:
    from noder.fit import FitResult
    from noder.series import ImageSeries
    from noder_viewer.controller import Controller
    from noder_viewer.fit_rows import Rows
    from noder_viewer.pair_jobs import RegisterChoice
    from noder_viewer.shown_pair import ShownPair

_FIELDS = (
    "hold_out", "exclude", "mask", "show", "carry", "pulled", "square_mm", "overlays", "window", "radiological",
    "period", "region_look", "look", "layers", "order", "bars",
)  # fmt: skip
_OF_THE_FIT = {"data", "fit", "register", "hold_out", "exclude", "mask"}
_FORMS = ("fit", "register")
"""What is None while a text in it does not parse."""
"""What does not change while something runs."""


@dataclass(eq=False)
class Data:
    """A series with its fits, which other times drop; put back together."""

    series: ImageSeries | None = None
    result: FitResult | None = None
    saved_in: Path | None = None
    fits: Rows = ()
    shown_fit: int = 0


class Undoing(QObject):
    """Keeps a history for the series and one for the pair, and tells the session the names of the next steps."""

    def __init__(self, controller: Controller) -> None:
        super().__init__(controller)
        self._controller, self._session, self._window = controller, controller.session, controller.window
        self._histories = {False: History(), True: History()}
        self._pair: ShownPair | None = None
        self._was_fitting = False
        self._now: Values = {"data": Data()}
        self._turn = QTimer(self)
        self._turn.setSingleShot(True)
        self._turn.setInterval(0)
        self._turn.timeout.connect(self.look)
        for name in (*_FIELDS, "series", "result", "saved_in", "fits", "pair", "activity"):
            self._session.events[name].connect(self._mark)
        controller.window.fit_panel.choice_changed.connect(self._mark)
        controller.window.register_panel.choice_changed.connect(self._on_register)
        self._register_changed = True
        controller.engine_ready.connect(self._on_ready)
        for opened in (controller.opening.opened, controller.projects.taken):
            opened.connect(self._on_opened)
        QApplication.instance().focusChanged.connect(self._on_focus)  # type: ignore[union-attr]
        self._now = self._taken()

    @property
    def history(self) -> History:
        """Of what is on screen: the series or the pair."""
        return self._histories[self._session.pair is not None]

    def undo(self) -> None:
        """Take the last step back."""
        self.look()
        if self._session.undoable:
            self._put(self.history.undo(self._now.__getitem__))

    def redo(self) -> None:
        """Do again what was undone last."""
        self.look()
        if self._session.redoable:
            self._put(self.history.redo(self._now.__getitem__))

    def look(self) -> None:
        """Record what has changed since the last look."""
        self._turn.stop()
        before, self._now = self._now, self._taken()
        known = self._pair
        self._pair = self._session.pair
        if self._pair is not known:
            if known is None or self._pair is None or self._pair.pair is not known.pair:
                self._histories[True].clear()
        elif _is_of_the_user(before["data"], self._now["data"]):
            names = before.keys() if self._session.series is not None else {"register"}
            self._record({name: value for name, value in before.items() if name in names})
        self._was_fitting = self._session.is_fitting
        self._tell()

    def unrecorded(self, change: Callable[[], None]) -> None:
        """Let a change happen that is no step of the user's."""
        self.look()
        change()
        self._now = self._taken()

    def shut_down(self) -> None:
        """Look no more."""
        self._turn.stop()
        QApplication.instance().focusChanged.disconnect(self._on_focus)  # type: ignore[union-attr]

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """A number box whose value is taken over has nothing of its own to undo: the key is the menu's."""
        if event.type() == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent):
            keys = QKeySequence.StandardKey.Undo, QKeySequence.StandardKey.Redo
            if any(event.matches(key) for key in keys) and _is_settled(watched):
                event.ignore()
                return True
        return super().eventFilter(watched, event)

    def _record(self, before: Values) -> None:
        unknown = {name for name in _FORMS if before.get(name) is None or self._now[name] is None}
        kept = {name: value for name, value in before.items() if name not in unknown}
        if self._session.is_fitting or self._was_fitting:
            kept.pop("carry", None)  # the fit's own choice while it runs
        after = {name: self._now[name] for name in kept}
        held = QApplication.mouseButtons() != Qt.MouseButton.NoButton
        self.history.record(step_name(kept, after), kept, after, time.monotonic(), held=held)

    def _put(self, values: Values) -> None:
        session, panel, register = self._session, self._window.fit_panel, self._window.register_panel
        for name in _FIELDS:
            if name in values:
                setattr(session, name, values[name])
        if (choice := values.get("fit")) is not None:
            panel.set_config(choice)
            panel.set_device(choice.device)
        if (asked := values.get("register")) is not None:
            register.set_choice(asked)
            register.set_device(asked.device)
        if (data := values.get("data")) is not None:
            session.result, session.saved_in = data.result, data.saved_in
            session.fits, session.shown_fit = data.fits, data.shown_fit
            session.series = data.series
            if session.times and not session.times[0] <= session.time <= session.times[-1]:
                session.time = session.times[0]
        self._now = self._taken()
        self._tell()

    def _taken(self) -> Values:
        session = self._session
        data: Data = self._now["data"]
        same = session.series is data.series and session.result is data.result
        if not same or session.saved_in != data.saved_in:
            data = Data(session.series, session.result, session.saved_in)
        data.fits, data.shown_fit = session.fits, session.shown_fit  # rows come and go without a step
        fields = {name: getattr(session, name) for name in _FIELDS}
        return {"data": data, "fit": self._controller.projects.fit_choice(), "register": self._register(), **fields}

    def _register(self) -> RegisterChoice | None:
        """What stands in the Register tab; as it was where only the program has filled in something."""
        known: RegisterChoice | None = self._now.get("register")
        if not self._register_changed:
            return known
        try:
            choice = self._window.register_panel.choice()
        except ValueError:
            return None
        self._register_changed = False
        return known if known is not None and known.is_like(choice) else choice

    def _tell(self) -> None:
        session = self._session
        session.undoable, session.redoable = (
            self._name(step) for step in (self.history.undoable, self.history.redoable)
        )

    def _name(self, step: Step | None) -> str:
        """ "" where there is none, or none that may be taken now."""
        if step is None or (self._session.activity and _OF_THE_FIT & step.before.keys()):
            return ""
        return step.name

    def _mark(self, *_: object) -> None:
        if not self._turn.isActive():
            self._turn.start()

    def _on_register(self) -> None:
        self._register_changed = True
        self._mark()

    def _on_ready(self) -> None:
        """The engine has filled in the settings of the Register tab: no step."""
        self._register_changed = True
        self._now["register"] = self._register()

    def _on_opened(self) -> None:
        self._controller.register_view.refresh()  # a scan of another series is no choice any more
        self._register_changed = True
        for history in self._histories.values():
            history.clear()
        self._now = self._taken()
        self._tell()

    def _on_focus(self, old: QWidget | None, new: QWidget | None) -> None:
        for widget, watch in ((old, QObject.removeEventFilter), (new, QObject.installEventFilter)):
            if isinstance(widget, QSpinBox | QDoubleSpinBox):  # its line edit has no focus of its own
                watch(widget, self)


def _is_of_the_user(before: Data, now: Data) -> bool:
    """Whether nothing but times or the choice of scans has changed, and no fit has come or been saved."""
    if before is now:
        return True
    if before.series is None or now.series is None or before.series is now.series or now.result is not None:
        return False
    earlier, later = ({id(scan.image) for scan in data.series.scans} for data in (before, now) if data.series)
    return earlier <= later or later <= earlier


def _is_settled(box: QObject | None) -> bool:
    """Whether what stands in a number box is its value."""
    if not isinstance(box, QSpinBox | QDoubleSpinBox):
        return False
    line: QLineEdit | None = box.lineEdit()
    shown = f"{box.prefix()}{box.textFromValue(box.value())}{box.suffix()}"  # type: ignore[arg-type]
    return line is not None and line.text() in (shown, box.specialValueText())
