"""What to write, for which times and where: the export dialog. The controller does the writing."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtGui import QCloseEvent
from PySide6.QtWidgets import (
    QButtonGroup,
    QCheckBox,
    QComboBox,
    QDialog,
    QFileDialog,
    QGridLayout,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QRadioButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from noder_viewer.session import CARRIES

PICTURE = "picture"
"""The key of the PNG of the view, beside the keys of `noder.export.EXPORTERS`."""
_CHECKED_AT_FIRST = ("predictions", "fields_itk", "jacobians", "metrics_csv", PICTURE)
MAX_TIMES = 1000


@dataclass(frozen=True)
class ExportRequest:
    """What to write: keys of EXPORTERS, times in the fit's unit, the folder; is a picture wanted."""

    names: tuple[str, ...]
    times: tuple[float, ...]
    folder: Path
    carry: str = "neighbours"
    picture: bool = False


class ExportDialog(QDialog):
    """Does not block the window. Emits `export_requested(ExportRequest)`; is told of the progress."""

    export_requested = Signal(object)
    cancel_requested = Signal()

    def __init__(self, labels: dict[str, str], parent: QWidget | None = None) -> None:
        """labels: key of an exporter -> what it writes, in the order of the dialog."""
        super().__init__(parent)
        self.setWindowTitle("Export")
        self.setMinimumWidth(520)
        self._scan_times: tuple[float, ...] = ()
        self._all_times: tuple[float, ...] = ()
        self._has_more = False
        self._time = 0.0
        self._running = False
        self.boxes = {key: QCheckBox(text) for key, text in {**labels, PICTURE: "Picture of the window (PNG)"}.items()}
        self.carry = QComboBox()
        for carry, text in CARRIES.items():
            self.carry.addItem(text, carry)
        self.folder = QLineEdit()
        self.folder.setAccessibleName("Folder")
        self.folder.textChanged.connect(self._say_replaced)
        self.replaced = QLabel()
        self.replaced.setWordWrap(True)
        self.replaced.setProperty("warning", True)
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.message = QLabel()
        self.message.setWordWrap(True)
        self.export = QPushButton("Export")
        self.export.setProperty("primary", True)
        self.export.setDefault(True)
        self.export.clicked.connect(self.request_export)
        self.close_button = QPushButton("Close")
        self.close_button.setAutoDefault(False)
        self.close_button.clicked.connect(self._on_close)
        self._lay_out()

    def set_fit(
        self,
        scan_times: tuple[float, ...],
        unit: str,
        time: float,
        carry: str,
        *,
        has_report: bool,
        all_times: tuple[float, ...] = (),
    ) -> None:
        """What can be chosen: times of the scans that the fit has seen and of all, the time shown; else a picture."""
        self._scan_times, self._all_times, self._time = scan_times, all_times or scan_times, time
        has_more = len(self._all_times) > len(scan_times)
        self.at_all.setVisible(has_more)
        self.at_all.setText(f"The times of all {len(self._all_times)} scans, the held-out ones too")
        if has_more != self._has_more:
            self._has_more = has_more
            if self.at_all.isChecked() or self.at_scans.isChecked():
                (self.at_all if has_more else self.at_scans).setChecked(True)
        self.carry.setCurrentIndex(self.carry.findData(carry))
        self.now.setText(f"The time shown ({time:g} {unit})")
        seen = " that the fit has seen" if has_more else ""
        self.at_scans.setText(f"The times of the {len(scan_times)} scans{seen}")
        self.times_box.setTitle(f"Times ({unit})")
        for key, box in self.boxes.items():
            possible = key == PICTURE or (bool(scan_times) and (key != "metrics_csv" or has_report))
            box.setEnabled(possible)
            box.setChecked(possible and key in _CHECKED_AT_FIRST)
        self.times_box.setEnabled(bool(scan_times))
        if scan_times and not self.custom_times.text():
            self.custom_times.setText(", ".join(f"{t:g}" for t in _evenly(scan_times[0], scan_times[-1], 5)))

    def set_folder(self, folder: Path) -> None:
        """Where to write."""
        self.folder.setText(str(folder))

    def set_progress(self, fraction: float | None, text: str) -> None:
        """While it runs; None = unknown."""
        self._set_running(True)
        self.bar.setRange(0, 0 if fraction is None else 1000)
        self.bar.setValue(0 if fraction is None else round(1000 * fraction))
        self._say(text, error=False)

    def set_finished(self, text: str, *, failed: bool = False) -> None:
        """After it: what was written, or the sentence that says why not."""
        self._set_running(False)
        self._say_replaced()
        self._say(text, error=failed)

    def times(self) -> tuple[float, ...]:
        """The chosen times. Raises ValueError with a sentence for a text that does not parse."""
        if self.at_scans.isChecked():
            return self._scan_times
        if self.at_all.isChecked():
            return self._all_times
        if self.now.isChecked():
            return (self._time,)
        if self.even.isChecked():
            return _evenly(self._scan_times[0], self._scan_times[-1], self.count.value())
        return parse_times(self.custom_times.text())

    def request_export(self) -> None:
        """What the Export button does."""
        names = tuple(key for key, box in self.boxes.items() if box.isChecked() and key != PICTURE)
        picture = self.boxes[PICTURE].isChecked()
        folder = self.folder.text().strip()
        try:
            times = self.times() if names else ()
        except ValueError as error:
            self._say(str(error), error=True)
            return
        if not names and not picture:
            self._say("Nothing is chosen: check one of the boxes.", error=True)
        elif not folder:
            self._say("Choose a folder to write to.", error=True)
        else:
            carry = self.carry.currentData()
            self.export_requested.emit(ExportRequest(names, times, Path(folder).expanduser(), carry, picture))

    def closeEvent(self, event: QCloseEvent) -> None:
        if self._running:
            self.cancel_requested.emit()
        super().closeEvent(event)

    def _lay_out(self) -> None:
        layout = QVBoxLayout(self)
        layout.addWidget(self._make_what())
        layout.addWidget(self._make_times())
        where = QHBoxLayout()
        browse = QPushButton("Choose…")
        browse.setAutoDefault(False)
        browse.clicked.connect(self._on_browse)
        where.addWidget(QLabel("Folder"))
        where.addWidget(self.folder, 1)
        where.addWidget(browse)
        layout.addLayout(where)
        layout.addWidget(self.replaced)
        layout.addWidget(self.bar)
        layout.addWidget(self.message)
        layout.addStretch(1)
        buttons = QHBoxLayout()
        buttons.addStretch(1)
        buttons.addWidget(self.close_button)
        buttons.addWidget(self.export)
        layout.addLayout(buttons)
        self.bar.hide()
        self.replaced.hide()

    def _make_what(self) -> QGroupBox:
        group = QGroupBox("What")
        layout = QVBoxLayout(group)
        for box in self.boxes.values():
            layout.addWidget(box)
        row = QHBoxLayout()
        row.addWidget(QLabel("Volumes predicted from"))
        row.addWidget(self.carry)
        row.addStretch(1)
        layout.addLayout(row)
        return group

    def _make_times(self) -> QGroupBox:
        self.times_box = QGroupBox("Times")
        self.at_all, self.at_scans, self.now = QRadioButton(), QRadioButton(), QRadioButton()
        self.even, self.custom = QRadioButton("Evenly spaced, first to last scan"), QRadioButton("These")
        self.at_scans.setChecked(True)
        self._choices = QButtonGroup(self)
        self.count = QSpinBox()
        self.count.setRange(2, MAX_TIMES)
        self.count.setValue(20)
        self.custom_times = QLineEdit()
        self.custom_times.setAccessibleName("Times of your own")
        self.custom_times.setPlaceholderText("0, 1.5, 3")
        self.custom_times.textEdited.connect(self._on_custom)
        self.count.valueChanged.connect(self._on_count)
        grid = QGridLayout(self.times_box)
        grid.setColumnStretch(1, 1)
        for row, button in enumerate((self.at_all, self.at_scans, self.now, self.even, self.custom)):
            self._choices.addButton(button)
            grid.addWidget(button, row, 0)
        grid.addWidget(self.count, 3, 1)
        grid.addWidget(self.custom_times, 4, 1)
        return self.times_box

    def _set_running(self, running: bool) -> None:
        self._running = running
        self.bar.setVisible(running)
        self.export.setEnabled(not running)
        self.close_button.setText("Cancel" if running else "Close")

    def _say(self, text: str, *, error: bool) -> None:
        self.message.setText(text)
        self.message.setProperty("error", error)
        self.message.style().polish(self.message)  # a style sheet's selector is not read again by itself

    def _say_replaced(self) -> None:
        """An export takes the place of an earlier one in its folder: name what goes before it goes."""
        names = _earlier_files(Path(self.folder.text().strip()).expanduser()) if self.folder.text().strip() else []
        self.replaced.setVisible(bool(names))
        self.export.setText("Replace" if names else "Export")
        some = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
        self.replaced.setText(f"An earlier export is there. Exporting replaces or removes {some}.")
        self.replaced.setToolTip("\n".join(names))

    def _on_close(self) -> None:
        if self._running:
            self.cancel_requested.emit()
        else:
            self.close()

    def _on_custom(self) -> None:
        self.custom.setChecked(True)

    def _on_count(self) -> None:
        self.even.setChecked(True)

    def _on_browse(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Export into", self.folder.text())
        if folder:
            self.folder.setText(folder)


def parse_times(text: str) -> tuple[float, ...]:
    """Numbers between commas, spaces or semicolons. Raises ValueError with a sentence."""
    times: list[float] = []
    for part in filter(None, re.split(r"[,;\s]+", text)):
        try:
            time = float(part)
        except ValueError:
            time = math.nan
        if not math.isfinite(time):
            raise ValueError(f"{part!r} is not a time: write numbers with commas between, such as 0, 1.5, 3.")
        times.append(time)
    if not times:
        raise ValueError("No times are given: write numbers with commas between, such as 0, 1.5, 3.")
    if len(times) > MAX_TIMES:
        raise ValueError(f"{len(times)} times are more than the {MAX_TIMES} that one export writes.")
    return tuple(times)


def _earlier_files(folder: Path) -> list[str]:
    """The files of an earlier export into `folder` that are still there."""
    names = {"predict.json", "view.png"}
    if (folder / "predict.json").is_file():
        from noder.predict_json import files_of_earlier_export

        names |= files_of_earlier_export(folder)
    return sorted(name for name in names if (folder / name).is_file())


def _evenly(first: float, last: float, count: int) -> tuple[float, ...]:
    return tuple(first + (last - first) * k / (count - 1) for k in range(count))
