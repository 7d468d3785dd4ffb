"""What stands in the place of the pictures while nothing is open."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from noder_viewer.settings import recent_label

_SHOWN = 5


class Welcome(QFrame):
    """A place to drop scans on, the ways to open some, and what was open last."""

    files_requested = Signal()
    folder_requested = Signal()
    sample_requested = Signal()
    recent_requested = Signal(list)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("welcome")
        title = QLabel("Drop scans here")
        title.setStyleSheet("font-size: 26px; font-weight: 600;")
        text = QLabel(
            "Two or more NIfTI files of one subject, one 4D file, a folder, a saved fit, a registration or a project"
        )
        text.setProperty("muted", True)
        text.setWordWrap(True)  # else the whole window is as wide
        text.setAlignment(Qt.AlignmentFlag.AlignCenter)
        buttons = QHBoxLayout()
        for words, signal in (
            ("Open scans…", self.files_requested),
            ("Open folder…", self.folder_requested),
            ("Open the sample", self.sample_requested),
        ):
            button = QPushButton(words)
            button.clicked.connect(signal)
            buttons.addWidget(button)
        self._recent = QVBoxLayout()
        self._recent.setSpacing(2)
        column = QVBoxLayout()
        column.setSpacing(14)
        column.addWidget(title, 0, Qt.AlignmentFlag.AlignHCenter)
        column.addWidget(text)
        column.addLayout(buttons)
        column.addLayout(self._recent)
        outer = QVBoxLayout(self)
        outer.addStretch(2)
        row = QHBoxLayout()
        row.addStretch(1)
        row.addLayout(column)
        row.addStretch(1)
        outer.addLayout(row)
        outer.addStretch(3)

    def set_recent(self, groups: list[list[Path]]) -> None:
        """List what was open last."""
        while (item := self._recent.takeAt(0)) is not None:
            if (old := item.widget()) is not None:
                old.deleteLater()
        for group in groups[:_SHOWN]:
            button = QPushButton(recent_label(group))
            button.setFlat(True)
            button.setProperty("link", True)
            button.setCursor(Qt.CursorShape.PointingHandCursor)
            button.setToolTip("\n".join(map(str, group[:20])))
            button.setProperty("paths", [str(path) for path in group])
            button.clicked.connect(self._on_recent)
            self._recent.addWidget(button, 0, Qt.AlignmentFlag.AlignHCenter)

    def _on_recent(self) -> None:
        button = self.sender()
        if isinstance(button, QPushButton):
            self.recent_requested.emit([Path(path) for path in button.property("paths")])
