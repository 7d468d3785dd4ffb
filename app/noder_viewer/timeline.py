"""Time to true scale: a tick at each scan, a cursor at any real time, play, a strip of small frames below."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

import numpy as np
from PySide6.QtCore import QEvent, QPointF, QRectF, QSignalBlocker, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QColor, QIcon, QKeyEvent, QPainter, QPixmap, QPolygonF, QWheelEvent
from PySide6.QtWidgets import QDoubleSpinBox, QHBoxLayout, QLabel, QToolButton, QVBoxLayout, QWidget

from noder_viewer import theme
from noder_viewer.beyond import beyond_words
from noder_viewer.elided import ElidedLabel
from noder_viewer.frames import Thumbnail
from noder_viewer.pictures import Picture
from noder_viewer.playing import Cycle, Mode, axis_span
from noder_viewer.residual_strip import ResidualStrip
from noder_viewer.residuals import Residual
from noder_viewer.restyle import set_property
from noder_viewer.ticks import nice_step
from noder_viewer.time_axis import ScanMark, TimeAxis
from noder_viewer.time_bar import TimeBar
from noder_viewer.time_box import TimeBox
from noder_viewer.time_jobs import Band

STEPS = 40
"""Arrow-key steps from the first to the last scan, about."""
LONGEST_SPANS = 10.0
"""Of the seen scans a period may have: farther out the engine predicts nothing (`noder.methods.curve`)."""
FRAME_MS = 33
LEGEND = (
    (("reference",), "◆ reference"),
    (("seen",), "● seen"),
    (("held out",), "○ held out"),
    (("excluded",), "✕ excluded"),
)


class Timeline(QWidget):
    """Chooses a time. The clock of "play" runs in here and only requests times; whoever listens sets them."""

    time_requested = Signal(float)
    playing_requested = Signal(bool)
    speed_requested = Signal(float)
    period_requested = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._times: list[float] = []
        self._marks: list[ScanMark] = []
        self._time = 0.0
        self._started = (0.0, 0.0)
        self._clock = QTimer(self, interval=FRAME_MS)
        self._clock.setTimerType(Qt.TimerType.PreciseTimer)
        self._clock.timeout.connect(self._tick)
        self._period: float | None = None
        self._mode: Mode = "loop"
        self._unit = ""
        self._band: Band | None = None
        self._axis, self._strip, self._bar = TimeAxis(self), ResidualStrip(self), TimeBar(self)
        self._axis.time_requested.connect(self.time_requested)
        self._strip.time_requested.connect(self.time_requested)
        self._bar.period_requested.connect(self.period_requested)
        self._bar.mode_requested.connect(self.set_mode)
        self._bar.metric_requested.connect(self._strip.set_metric)
        self._play = self._play_button()
        self._box = TimeBox(self)
        self._speed = QDoubleSpinBox(self, decimals=1, minimum=0.5, maximum=120, value=4, singleStep=0.5)
        self._outside = ElidedLabel("", self)
        self._lay_out()
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName("Timeline")
        self.set_scans([], [], [], "")

    # --- in

    def set_scans(self, times: Sequence[float], names: Sequence[str], roles: Sequence[str], unit: str) -> None:
        """The scans; `roles` are "reference", "seen", "held out" or "excluded"."""
        marks = [ScanMark(*row) for row in zip(map(float, times), names, roles, strict=True)]
        self._marks, self._times, self._unit = marks, sorted(mark.time for mark in marks), unit
        self.setEnabled(bool(marks))
        self._axis.set_scans(marks, unit)
        self._say_roles()
        if not marks:
            self.set_playing(False)
            return
        self._box.setSuffix(f" {unit}" if unit and unit != "index" else "")
        self._bar.set_unit(unit)
        seen = [mark.time for mark in marks if mark.role in ("reference", "seen")] or self._times
        self.set_fit_span(min(seen), max(seen))
        self._set_whole_range()

    def set_range(self, low: float, high: float) -> None:
        """The times that can be seen and chosen."""
        self._axis.set_range(low, high)
        self._place_strip()
        with QSignalBlocker(self._box):
            self._box.set_axis(self._times, low, high, self._step)
            self._box.setValue(self._time)

    def set_fit_span(self, first: float, last: float) -> None:
        """The times between which the fit has seen scans; beyond them it is extrapolated."""
        self._axis.set_fit_span(first, last)
        self._bar.set_longest(LONGEST_SPANS * (last - first))
        self._place_strip()
        self._say_roles()
        self._say_outside()

    def set_time(self, t: float) -> None:
        """Put the cursor."""
        self._time = float(t)
        self._axis.set_time(self._time)
        self._strip.set_time(self._time)
        with QSignalBlocker(self._box):
            self._box.setValue(self._time)
        self._say_outside()

    def set_thumbnails(self, thumbnails: Sequence[Thumbnail | tuple[float, Picture]]) -> None:
        """The frames of the strip; a plain (time, array) has square pixels and is not flipped."""
        self._axis.set_thumbnails([_thumbnail(item) for item in thumbnails])

    def set_levels(self, low: float, high: float) -> None:
        """Grey levels of the frames of the strip."""
        self._axis.set_levels(low, high)

    def set_period(self, period: float | None) -> None:
        """Time as a loop of this length from the first scan on; None: it is none."""
        self._period = period
        self._bar.set_period(period)
        if self._times:
            self._set_whole_range()
        self._started = (time.monotonic(), self._time)

    def set_suggested_period(self, length: float, source: str) -> None:
        """What the period is, as far as a file tells it."""
        self._bar.set_suggestion(length, source)

    def set_period_words(self, text: str, *, warning: bool = False) -> None:
        """How nearly a fit closes the loop."""
        self._bar.set_words(text, warning=warning)

    def set_mode(self, mode: Mode) -> None:
        """How it plays where time is no loop."""
        self._mode = mode
        self._started = (time.monotonic(), self._time)

    def set_residuals(self, residuals: Sequence[Residual], note: str = "") -> None:
        """The bars under the axis; `note` says what they are where they are not those of a finished fit."""
        self._strip.set_residuals(residuals, note)

    def set_band(self, band: Band | None) -> None:
        """How far fits from several seeds differ along the axis; None for a fit from one."""
        self._band = band
        self._axis.set_band(band)
        self._say_roles()
        self._say_outside()

    def set_playing(self, playing: bool) -> None:
        """Start or stop the clock."""
        playing = playing and len(self._times) > 1
        if playing and not self.is_playing:
            cycle = self._cycle
            self._started = (time.monotonic(), self._time if cycle.holds(self._time) else cycle.first)
            self._clock.start()
        elif not playing:
            self._clock.stop()
        self._show_playing(playing)

    @property
    def speed(self) -> float:
        """Seconds for one cycle while playing."""
        return self._speed.value()

    def set_speed(self, seconds: float) -> None:
        """Seconds that one cycle takes: to the last scan, there and back, or a period."""
        with QSignalBlocker(self._speed):
            self._speed.setValue(seconds)
        self._started = (time.monotonic(), self._time)

    # --- for menus and keys

    @property
    def range(self) -> tuple[float, float]:
        """The times at both ends of the axis."""
        return self._axis.range

    def toggle_periodic(self) -> None:
        """Ask for time to be a loop, or none."""
        self._bar.toggle_periodic()

    def toggle_mode(self) -> None:
        """Play the other way."""
        self._bar.toggle_mode()

    def next_metric(self) -> None:
        """Let the bars measure the next thing."""
        self._bar.next_metric()

    @property
    def is_playing(self) -> bool:
        """Whether the clock runs."""
        return self._clock.isActive()

    def toggle_playing(self) -> None:
        """Ask for play or pause."""
        self.playing_requested.emit(not self.is_playing)

    def step(self, direction: int) -> None:
        """Ask for the next round time in a direction (+1 or -1)."""
        if not self._times:
            return
        place = self._time / self._step
        wanted = math.floor(place + 1e-6) + 1 if direction > 0 else math.ceil(place - 1e-6) - 1
        self._request(self._cycle.wrapped(wanted * self._step, self._time))

    def step_scan(self, direction: int) -> None:
        """Ask for the time of the next scan in a direction (+1 or -1)."""
        further = [t for t in self._times if (t - self._time) * direction > 1e-9 * max(self._span, 1.0)]
        if further:
            self._request(min(further) if direction > 0 else max(further))
        elif self._period is not None:
            (self.go_first if direction > 0 else self.go_last)()

    def go_first(self) -> None:
        """Ask for the time of the first scan."""
        if self._times:
            self._request(self._times[0])

    def go_last(self) -> None:
        """Ask for the time of the last scan."""
        if self._times:
            self._request(self._times[-1])

    def keyPressEvent(self, event: QKeyEvent) -> None:
        ctrl = bool(event.modifiers() & Qt.KeyboardModifier.ControlModifier)
        move = self.step_scan if ctrl else self.step
        actions = {
            Qt.Key.Key_Left: lambda: move(-1),
            Qt.Key.Key_Right: lambda: move(+1),
            Qt.Key.Key_Home: self.go_first,
            Qt.Key.Key_End: self.go_last,
            Qt.Key.Key_Space: self.toggle_playing,
        }
        action = actions.get(Qt.Key(event.key()))
        if action is None:
            super().keyPressEvent(event)
        else:
            action()

    def wheelEvent(self, event: QWheelEvent) -> None:
        turned = event.angleDelta().y() or event.angleDelta().x()
        if turned:
            self.step(1 if turned > 0 else -1)
        event.accept()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self._show_playing(self.is_playing)

    # --- inside

    @property
    def _span(self) -> float:
        return self._times[-1] - self._times[0] if self._times else 0.0

    @property
    def _step(self) -> float:
        return nice_step(self._span / STEPS) if self._span > 0 else 1.0

    @property
    def _cycle(self) -> Cycle:
        first = self._times[0] if self._times else 0.0
        length = self._span if self._period is None else self._period
        return Cycle(first, length or 1.0, self._period is not None, self._mode)

    def _set_whole_range(self) -> None:
        first, period = self._times[0], self._period
        self._axis.set_period_end(None if period is None else first + period)
        self.set_range(*axis_span(first, self._times[-1], period))

    def _place_strip(self) -> None:
        self._strip.set_axis(self._axis.range, self._axis.fit_span, self._unit)

    def _request(self, t: float) -> None:
        low, high = self._axis.range
        self.time_requested.emit(float(np.clip(t, low, high)))

    def _typed(self, t: float) -> None:
        self._request(self._box.exact(t))

    def _tick(self) -> None:
        """The time that the wall clock says: a slow listener makes fewer frames, not a slower beat."""
        began, start = self._started
        self.time_requested.emit(self._cycle.at((time.monotonic() - began) / self._speed.value(), start))

    def _speed_changed(self, seconds: float) -> None:
        self._started = (time.monotonic(), self._time)
        self.speed_requested.emit(seconds)

    def _show_playing(self, playing: bool) -> None:
        self._play.setIcon(_icon(playing))
        self._play.setToolTip("Pause (Space)" if playing else "Play (Space)")

    def _say_roles(self) -> None:
        shown = [text for roles, text in LEGEND if any(mark.role in roles for mark in self._marks)]
        if self._band is not None:
            most = self._band.most_within(*self._axis.fit_span)
            shown.append(f"▰ SD of {self._band.seeds} seeds, {most:.2g} mm at most within the scans")
        self._axis.set_legend("    ".join(shown))

    def _say_outside(self) -> None:
        first, last = self._axis.fit_span
        far = beyond_words(self._time, first, last, self._unit) if self._times else ""
        told = [f"{far}: extrapolated"] if far else []
        if self._band is not None:
            told.append(f"seeds differ by {self._band.at(self._time):.2g} mm")
        self._outside.setText("; ".join(told))
        set_property(self._outside, "warning", bool(far))
        set_property(self._outside, "muted", not far)

    def _play_button(self) -> QToolButton:
        button = QToolButton(self, autoRaise=True)
        button.setAccessibleName("Play")
        button.setIconSize(QSize(18, 18))
        button.setFocusPolicy(Qt.FocusPolicy.TabFocus)  # a click leaves the keys to the axis
        button.clicked.connect(self.toggle_playing)
        return button

    def _lay_out(self) -> None:
        self._box.valueChanged.connect(self._typed)
        self._speed.setSuffix(" s a cycle")
        self._speed.setToolTip("Seconds for one cycle while playing: to the last scan, there and back, or a period")
        self._speed.setAccessibleName("Seconds a cycle")
        self._speed.valueChanged.connect(self._speed_changed)
        row = QHBoxLayout()
        for widget in (self._play, QLabel("t =", self), self._box, self._speed):
            row.addWidget(widget)
        row.addWidget(self._outside, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 4, 6, 4)
        layout.setSpacing(2)
        layout.addLayout(row)
        layout.addWidget(self._bar)
        layout.addWidget(self._axis, 1)
        layout.addWidget(self._strip)


def _thumbnail(item: Thumbnail | tuple[float, Picture]) -> Thumbnail:
    return item if isinstance(item, Thumbnail) else Thumbnail(item[0], item[1], (1.0, 1.0), flip_x=False)


def _icon(playing: bool) -> QIcon:
    """Two bars or a triangle in the colour of text: a style's own are black, unseen on a dark ground."""
    pixmap = QPixmap(64, 64)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(theme.TEXT))
    if playing:
        painter.drawRect(QRectF(14, 10, 12, 44))
        painter.drawRect(QRectF(38, 10, 12, 44))
    else:
        painter.drawPolygon(QPolygonF([QPointF(16, 8), QPointF(56, 32), QPointF(16, 56)]))
    painter.end()
    return QIcon(pixmap)
