"""What a movie shall show, how long and how large: the movie dialog. `Filming` does the work."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QSignalBlocker, Signal
from PySide6.QtGui import QCloseEvent
from PySide6.QtWidgets import (
    QComboBox,
    QDialog,
    QDoubleSpinBox,
    QFormLayout,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from noder_viewer.movie_plan import LARGEST, MAX_FRAMES, SIZES, SMALLEST, MovieRequest, estimate_words, frame_times
from noder_viewer.picture_look import VOLUME, WINDOW
from noder_viewer.picture_options import FileRow, LookBoxes, ViewBox, named
from noder_viewer.session import SHOWS

AS_SHOWN, FREE = "As shown now", "Another size"
COURSES = ("Once through", "There and back")
_FILTERS = "H.264 movie (*.mp4);;Animated GIF (*.gif)"


class MovieDialog(QDialog):
    """Does not block the window. Emits `movie_requested(MovieRequest)`; is told of the progress."""

    movie_requested = Signal(object)
    cancel_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Export movie")
        self._running, self._unit = False, ""
        self.view, self.show_box, self.look = ViewBox(), QComboBox(), LookBoxes()
        self.first, self.last = self._number("From time"), self._number("To time")
        self.course = _combo("Course", COURSES)
        self.frames = named(QSpinBox(minimum=1, maximum=MAX_FRAMES, value=48), "Frames")
        self.fps = named(QDoubleSpinBox(minimum=1, maximum=60, decimals=1, value=12), "Frames a second")
        self.seconds = named(QDoubleSpinBox(minimum=0.1, maximum=600, decimals=2), "Seconds")
        self.preset = _combo("Size", (*SIZES, FREE))
        self.preset.setCurrentText("1280 × 720")
        self.width_px = named(QSpinBox(minimum=SMALLEST, maximum=LARGEST, singleStep=2, value=1280), "Width")
        self.height_px = named(QSpinBox(minimum=SMALLEST, maximum=LARGEST, singleStep=2, value=720), "Height")
        self.file = FileRow("Export movie")
        self.file.set_filters(_FILTERS)
        self.estimate, self.message = QLabel(), QLabel()
        self.bar = QProgressBar(textVisible=False)
        self.export, self.close_button = QPushButton("Export"), QPushButton("Close")
        self._lay_out()
        self._connect()
        self._on_frames()

    def set_series(self, times: tuple[float, float], unit: str, *, has_map: bool, has_volume: bool) -> None:
        """What can be shown now: first and last time of the scans, whether there is a map and a 3D canvas."""
        span = times[1] - times[0]
        for box, value in ((self.first, times[0]), (self.last, times[1])):
            box.setRange(times[0] - span, times[1] + span)
            box.setSuffix("" if unit in ("", "index") else f" {unit}")
            box.setSingleStep(span / 20 or 1.0)
            box.setValue(value)
        chosen = self.show_box.currentText()
        self.show_box.clear()
        self.show_box.addItem(AS_SHOWN, None)
        for show in SHOWS if has_map else SHOWS[:1]:
            self.show_box.addItem(show[0].upper() + show[1:], show)
        self.show_box.setCurrentIndex(max(0, self.show_box.findText(chosen)))
        self.view.set_possible(VOLUME, has_volume, "Open the 3D view first")

    def set_window_size(self, width: int, height: int) -> None:
        """The pixels of the window, of which a movie of it is made."""
        self._window_size = width + width % 2, height + height % 2

    def set_progress(self, fraction: float | None, text: str) -> None:
        """While it runs; None = unknown."""
        self._set_running(True)
        self.bar.setRange(0, 0 if fraction is None else 1000)
        self.bar.setValue(0 if fraction is None else round(1000 * fraction))
        self._say(text, error=False)

    def set_finished(self, text: str, *, failed: bool = False) -> None:
        """After it: what was written, or the sentence that says why not."""
        self._set_running(False)
        self._say(text, error=failed)

    def times(self) -> tuple[float, ...]:
        """A time for each frame, as played."""
        there_and_back = self.course.currentText() == COURSES[1]
        return frame_times(self.first.value(), self.last.value(), self.frames.value(), there_and_back=there_and_back)

    def size_px(self) -> tuple[int, int]:
        """Width and height of the movie in pixels."""
        return self.width_px.value(), self.height_px.value()

    def request_movie(self) -> None:
        """What the Export button does."""
        path = self.file.path()
        if path is None:
            self._say("Choose a file to write to.", error=True)
            return
        show = self.show_box.currentData() if self.show_box.isEnabled() else None
        path = path if path.suffix else path.with_suffix(".mp4")
        look, size = self.look.look(), self.size_px()
        request = MovieRequest(path, self.view.chosen(), self.times(), self.fps.value(), size, look, show)
        self.movie_requested.emit(request)

    def closeEvent(self, event: QCloseEvent) -> None:
        if self._running:
            self.cancel_requested.emit()
        super().closeEvent(event)

    def _lay_out(self) -> None:
        self.message.setWordWrap(True)
        self.estimate.setProperty("muted", True)
        self.show_box.setAccessibleName("Picture")
        self.export.setProperty("primary", True)
        self.export.setDefault(True)
        self.close_button.setAutoDefault(False)
        layout = QVBoxLayout(self)
        layout.addWidget(_form("What", ("View", self.view), ("Picture", self.show_box), ("With", self.look)))
        times = _row(self.first, QLabel("to"), self.last)
        layout.addWidget(_form("Times", ("From", times), ("Course", self.course)))
        count = _row(self.frames, QLabel("frames,"), self.fps, QLabel("a second,"), self.seconds)
        self.seconds.setSuffix(" s")
        size = _row(self.preset, self.width_px, QLabel("×"), self.height_px, QLabel("pixels"))
        layout.addWidget(_form("Movie", ("Length", count), ("Size", size), ("File", self.file), ("", self.estimate)))
        for widget in (self.bar, self.message):
            layout.addWidget(widget)
        self.bar.hide()
        layout.addStretch(1)
        buttons = QHBoxLayout()
        buttons.addStretch(1)
        buttons.addWidget(self.close_button)
        buttons.addWidget(self.export)
        layout.addLayout(buttons)

    def _connect(self) -> None:
        self.view.currentIndexChanged.connect(self._on_view)
        self.frames.valueChanged.connect(self._on_frames)
        self.fps.valueChanged.connect(self._on_frames)
        self.course.currentIndexChanged.connect(self._on_frames)
        self.seconds.valueChanged.connect(self._on_seconds)
        self.preset.currentIndexChanged.connect(self._on_preset)
        for box in (self.width_px, self.height_px):
            box.valueChanged.connect(self._on_size)
        self.file.changed.connect(self._say_estimate)
        boxes = self.frames, self.fps, self.seconds, self.width_px, self.height_px, self.first, self.last
        combos = self.view, self.show_box, self.course, self.preset
        edited = (*(box.valueChanged for box in boxes), *(box.currentIndexChanged for box in combos), self.file.changed)
        for signal in edited:
            signal.connect(self._on_change)
        self.export.clicked.connect(self.request_movie)
        self.close_button.clicked.connect(self._on_close)

    def _on_view(self) -> None:
        view = self.view.chosen()
        self.look.set_view(view)
        self.show_box.setEnabled(view not in (VOLUME, WINDOW))
        if view == WINDOW:
            self._set_size(*self._window_size)

    def _on_frames(self) -> None:
        with QSignalBlocker(self.seconds):
            self.seconds.setValue(len(self.times()) / self.fps.value())
        self._say_estimate()

    def _on_seconds(self) -> None:
        wanted = max(1, round(self.seconds.value() * self.fps.value()))
        there_and_back = self.course.currentText() == COURSES[1]
        with QSignalBlocker(self.frames):
            self.frames.setValue(wanted // 2 + 1 if there_and_back else wanted)
        self._say_estimate()

    def _on_preset(self) -> None:
        size = SIZES.get(self.preset.currentText())
        if size is not None:
            self._set_size(*size)

    def _set_size(self, width: int, height: int) -> None:
        self.width_px.setValue(width)
        self.height_px.setValue(height)

    def _on_size(self) -> None:
        known = next((words for words, size in SIZES.items() if size == self.size_px()), FREE)
        with QSignalBlocker(self.preset):
            self.preset.setCurrentText(known)
        self._say_estimate()

    def _say_estimate(self) -> None:
        path = self.file.path()
        suffix = ".mp4" if path is None or not path.suffix else path.suffix.lower()
        words = estimate_words(len(self.times()), self.fps.value(), self.size_px(), suffix)
        self.estimate.setText(f"{words}; takes the place of the file that is there" if _is_there(path) else words)

    def _on_change(self) -> None:
        """What was said of the movie before does not hold for the one that is being set up."""
        if not self._running:
            self._say("", error=False)

    def _set_running(self, running: bool) -> None:
        self._running = running
        self.bar.setVisible(running)
        self.export.setEnabled(not running)
        self.close_button.setText("Cancel" if running else "Close")
        self._say_estimate()

    def _say(self, text: str, *, error: bool) -> None:
        self.message.setText(text)
        self.message.setProperty("error", error)
        self.message.style().polish(self.message)  # a style sheet's selector is not read again by itself

    def _on_close(self) -> None:
        if self._running:
            self.cancel_requested.emit()
        else:
            self.close()

    def _number(self, name: str) -> QDoubleSpinBox:
        return named(QDoubleSpinBox(decimals=3), name)


def _is_there(path: Path | None) -> bool:
    return path is not None and path.is_file()


def _combo(name: str, texts: tuple[str, ...]) -> QComboBox:
    box = named(QComboBox(), name)
    box.addItems(list(texts))
    return box


def _row(*widgets: QWidget) -> QWidget:
    row = QWidget()
    layout = QHBoxLayout(row)
    layout.setContentsMargins(0, 0, 0, 0)
    for widget in widgets:
        layout.addWidget(widget)
    layout.addStretch(1)
    return row


def _form(title: str, *rows: tuple[str, QWidget]) -> QGroupBox:
    group = QGroupBox(title)
    form = QFormLayout(group)
    form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
    for words, widget in rows:
        form.addRow(words, widget)
    return group
