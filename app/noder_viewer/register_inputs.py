"""What a registration takes: the two images, and what is known of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import (
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from noder_viewer.file_rows import IMAGES, TABLES, TRANSFORMS, FileRow, ImageRow, captioned, local_paths
from noder_viewer.pair_jobs import SIDES, RegisterChoice, Source

if TYPE_CHECKING:
    from noder.image import Image

INITIALS = {
    "none": "As the headers say",
    "centre": "Centres of mass",
    "rigid": "Rigid",
    "affine": "Affine",
    "file": "Transform file…",
}
_TRANSFORM_TIP = "A linear transform of ITK, ANTs or Slicer that maps points of the fixed image to the moving one"


class RegisterInputs(QWidget):
    """Rows of files, and how the moving image is laid on the fixed one at first."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAcceptDrops(True)
        self.fixed, self.moving = ImageRow("Fixed image"), ImageRow("Moving image")
        self.swap = QPushButton("⇅ Swap")
        self.swap.setToolTip("The fixed image becomes the moving one, with masks, labels and landmarks")
        self.swap.clicked.connect(self._on_swap)
        self.masks = tuple(
            FileRow(f"Mask of the {side} image", "The images are compared inside; without one it is estimated", IMAGES)
            for side in SIDES
        )
        self.labels = tuple(
            FileRow(
                f"Labels of the {side} image", "Scores the overlap (Dice); the registration does not use it", IMAGES
            )
            for side in SIDES
        )
        self.landmarks = FileRow(
            "Landmarks", "CSV: fixed x, y, z and moving x, y, z in mm, a row each; scores the distance (TRE)", TABLES
        )
        self.space = QComboBox()
        self.space.addItems(["LPS", "RAS"])
        self.space.setToolTip("Axes of the landmarks' numbers: LPS (ITK, elastix, ANTs) or RAS (NIfTI, Slicer)")
        self.space.activated.connect(self._on_changed)
        self.initial = QComboBox()
        for name, text in INITIALS.items():
            self.initial.addItem(text, name)
        self.initial.setToolTip("How the moving image is laid on the fixed one before the registration")
        self.initial.activated.connect(self._on_initial)
        self.transform = FileRow("Transform file", _TRANSFORM_TIP, TRANSFORMS)
        self.hint = QLabel()
        self.hint.setWordWrap(True)
        self.hint.setProperty("muted", True)
        self._swapped = False
        self._lay_out()
        for row in (self.fixed, self.moving, *self.masks, *self.labels, self.landmarks, self.transform):
            row.changed.connect(self._on_changed)
        self.landmarks.changed.connect(self._on_landmarks)
        self._show()

    def set_scans(self, scans: list[tuple[str, Image]]) -> None:
        """The scans of the open series, by their labels."""
        self.fixed.set_scans(scans)
        self.moving.set_scans(scans)
        self._show()

    def set_folder(self, folder: Path) -> None:
        """Where file dialogs begin."""
        for row in (self.fixed, self.moving, *self.masks, *self.labels, self.landmarks, self.transform):
            row.folder = folder

    def set_volumes(self, counts: dict[Path, int]) -> None:
        """How many volumes files hold: where it is more than one, its row asks which."""
        for row in (self.fixed, self.moving):
            row.set_volumes(counts)
        self._on_changed()

    def uncounted(self) -> tuple[Path, ...]:
        """The files of the images whose number of volumes is not known yet."""
        return tuple(dict.fromkeys(row.uncounted for row in (self.fixed, self.moving) if row.uncounted is not None))

    def set_initial(self, name: str) -> None:
        """Choose how to begin, a key of `INITIALS`."""
        self.initial.setCurrentIndex(self.initial.findData(name))
        self._show()

    def set_choice(self, choice: RegisterChoice) -> None:
        """Put a choice into the rows."""
        rows = (self.fixed, self.moving, *self.masks, *self.labels, self.landmarks)
        if choice.fixed.path is not None:
            self.set_folder(choice.fixed.path.parent)
        self.fixed.set_source(choice.fixed)
        self.moving.set_source(choice.moving)
        for row, path in zip(rows[2:], (*choice.masks, *choice.labels, choice.landmarks), strict=True):
            row.set_path(path)
        self.space.setCurrentText(choice.space)
        self._swapped = choice.swapped
        begin = choice.initial
        self.transform.set_path(begin if isinstance(begin, Path) else None)
        self.set_initial("file" if isinstance(begin, Path) else begin)
        self._on_changed()

    @property
    def is_complete(self) -> bool:
        """Whether both images are chosen, and the transform file where one is wanted."""
        wants_file = self.initial.currentData() == "file"
        both = self.fixed.source is not None and self.moving.source is not None
        return both and not (wants_file and self.transform.path is None)

    def choice(self) -> RegisterChoice:
        """What stands in the rows; the rest as it is by default."""
        begin = self.initial.currentData()
        return RegisterChoice(
            fixed=self.fixed.source or Source(),
            moving=self.moving.source or Source(),
            masks=(self.masks[0].path, self.masks[1].path),
            labels=(self.labels[0].path, self.labels[1].path),
            landmarks=self.landmarks.path,
            space=self.space.currentText(),
            swapped=self._swapped,
            initial=(self.transform.path or "none") if begin == "file" else str(begin),
        )

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if len(local_paths(event.mimeData())) == 2:
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        """Two files at once: the first is fixed, the second moving; Swap turns them round."""
        paths = local_paths(event.mimeData())
        if len(paths) == 2:
            event.acceptProposedAction()
            self.fixed.set_path(paths[0])
            self.moving.set_path(paths[1])
            self._on_changed()

    def _lay_out(self) -> None:
        images = _form()
        images.addRow(captioned("Fixed", self.fixed), self.fixed)
        images.addRow(captioned("Moving", self.moving), self.moving)
        self.more = QToolButton()
        self.more.setCheckable(True)
        self.more.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.more.setAutoRaise(True)
        self.more.setToolTip("What is known of the images beside their voxels; all of it may be left out")
        self.more.toggled.connect(self._show)
        between = QHBoxLayout()
        between.addWidget(self.more)
        between.addStretch(1)
        between.addWidget(self.swap)
        self.known = QWidget()
        known = _form(self.known)
        for words, rows in (("mask", self.masks), ("labels", self.labels)):
            for side, row in zip(SIDES, rows, strict=True):
                known.addRow(captioned(f"{side.capitalize()} {words}", row), row)
        known.addRow(captioned("Landmarks", self.landmarks), self.landmarks)
        known.addRow(captioned("given in", self.space), self.space)
        begin = self._begin = _form()
        begin.addRow(captioned("Begin with", self.initial), self.initial)
        begin.addRow(captioned("Transform", self.transform), self.transform)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(images)
        layout.addLayout(between)
        layout.addWidget(self.known)
        layout.addLayout(begin)
        layout.addWidget(self.hint)

    def _on_swap(self) -> None:
        fixed, moving = self.fixed.source, self.moving.source
        self.fixed.set_source(moving)
        self.moving.set_source(fixed)
        for first, second in (self.masks, self.labels):
            paths = first.path, second.path
            first.set_path(paths[1])
            second.set_path(paths[0])
        self._swapped = self.landmarks.path is not None and not self._swapped
        if self.initial.currentData() == "file":  # its direction is the old one
            self.transform.set_path(None)
        self._on_changed()

    def _on_landmarks(self) -> None:
        self._swapped = False
        self._show()

    def _on_initial(self) -> None:
        self._on_changed()
        if self.initial.currentData() == "file" and self.transform.path is None:
            self.transform.browse()

    def _on_changed(self) -> None:
        self._show()
        self.changed.emit()

    def _show(self) -> None:
        shown = self.more.isChecked()
        self.known.setVisible(shown)
        self.more.setArrowType(Qt.ArrowType.DownArrow if shown else Qt.ArrowType.RightArrow)
        n = sum(row.path is not None for row in (*self.masks, *self.labels, self.landmarks))
        self.more.setText("Masks, labels, landmarks" + (f" ({n})" if n else ""))
        self._begin.setRowVisible(self.transform, self.initial.currentData() == "file")
        self.hint.setText(self._words())
        self.hint.setVisible(bool(self.hint.text()))

    def _words(self) -> str:
        words = []
        if self.fixed.source is None or self.moving.source is None:
            words.append("Drop two images, or choose scans of the series. The moving one is pulled onto the fixed one.")
        elif self.initial.currentData() == "file" and self.transform.path is None:
            words.append("Choose the transform file: it maps points of the fixed image to the moving one.")
        if self._swapped:
            words.append(f"The columns of {self.landmarks.name.text()} are read the other way round: moving, fixed.")
        aligned = [row.title.lower() for row in (self.fixed, self.moving) if _is_aligned(row.source)]
        if aligned:
            words.append(
                f"The {' and the '.join(aligned)} was aligned in its series; here it begins where it is stored."
            )
        return " ".join(words)


def _is_aligned(source: Source | None) -> bool:
    return source is not None and source.scan is not None and source.scan.alignment is not None


def _form(parent: QWidget | None = None) -> QFormLayout:
    form = QFormLayout() if parent is None else QFormLayout(parent)
    form.setContentsMargins(0, 0, 0, 0)
    form.setVerticalSpacing(4)
    form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    return form
