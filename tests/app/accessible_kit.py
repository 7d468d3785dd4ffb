"""Walks a window for what a keyboard or a screen reader cannot use."""

from __future__ import annotations

from collections.abc import Iterator

from PySide6.QtCore import Qt
from PySide6.QtGui import QAccessible
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractScrollArea,
    QAbstractSlider,
    QAbstractSpinBox,
    QComboBox,
    QHeaderView,
    QLineEdit,
    QScrollBar,
    QTabBar,
    QTextEdit,
    QWidget,
)

from noder_viewer.slice_mouse import SliceMouse
from noder_viewer.timeline import Timeline

INTERACTIVE = (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QAbstractSpinBox,
    QComboBox,
    QLineEdit,
    QTabBar,
    QTextEdit,
    SliceMouse,
    Timeline,
)


def controls(window: QWidget) -> Iterator[QWidget]:
    """Every widget that takes input by itself, hidden ones too; not the parts that such a widget is made of."""
    for widget in window.findChildren(QWidget):
        if isinstance(widget, INTERACTIVE) and not _is_part(widget):
            yield widget


def faults(window: QWidget) -> list[str]:
    """A sentence for each control that has no name or that Tab does not reach."""
    found = []
    for widget in controls(window):
        if not name_of(widget):
            found.append(f"no name: {path_of(widget)}")
        if not widget.focusPolicy() & Qt.FocusPolicy.TabFocus:
            found.append(f"not by Tab: {path_of(widget)} {name_of(widget)!r}")
    return found


def name_of(widget: QWidget) -> str:
    """What a screen reader says: the accessible name, the text of a button, or that of the label beside it."""
    interface = QAccessible.queryAccessibleInterface(widget)
    return interface.text(QAccessible.Text.Name).strip() if interface is not None else ""


def path_of(widget: QWidget) -> str:
    """Where the widget is, for the reader of a failed test."""
    names = []
    here: QWidget | None = widget
    while here is not None:
        names.append(type(here).__name__)
        here = here.parentWidget()
    tip = widget.toolTip().splitlines()
    return " < ".join(names[:4]) + (f" ({tip[0]})" if tip else "")


def _is_part(widget: QWidget) -> bool:
    """Part of another control, of Qt's own furniture, or of napari's canvas."""
    if isinstance(widget, QScrollBar | QHeaderView) or widget.objectName().startswith("qt_"):
        return True
    parent = widget.parentWidget()
    while parent is not None and not parent.isWindow():
        if isinstance(parent, QComboBox | QAbstractSpinBox | QLineEdit | QTabBar | QAbstractItemView):
            return True
        if type(parent).__module__.startswith("napari"):
            return True
        parent = parent.parentWidget()
    while parent is not None:
        if isinstance(parent, QComboBox):  # its list is a window of its own
            return True
        parent = parent.parentWidget()
    made_by_area = isinstance(widget.parentWidget(), QAbstractScrollArea) and not isinstance(widget, SliceMouse)
    return made_by_area and isinstance(widget, QAbstractButton)
