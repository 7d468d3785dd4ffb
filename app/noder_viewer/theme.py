"""The look of the program, dark or light: palette and style sheet of all widgets, switched while it runs.

`theme.TEXT`, `theme.MUTED` and so on are the colours of the look that is on now: read them when painting, and again in
`changeEvent` (PaletteChange) where something was made of them. Pictures stay on a dark ground in both looks, so what is
written on them takes `palettes.DARK`.
"""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QGuiApplication, QPalette
from PySide6.QtWidgets import QApplication

from noder.resources import find_resource
from noder_viewer.palettes import DARK, LIGHT, Palette
from noder_viewer.resources import PACKAGE

THEMES = {"dark": "Dark", "light": "Light", "system": "As the system"}
"""What can be chosen."""

_now = DARK


def __getattr__(name: str) -> str:
    """A colour of the look that is on: BACKGROUND, PANEL, FIELD, LINE, TEXT, MUTED, ACCENT, WARNING, ERROR, HATCH."""
    colour = getattr(_now, name.lower(), None) if name.isupper() else None
    if not isinstance(colour, str):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return colour


def palette() -> Palette:
    """The colours that are on now."""
    return _now


def palette_of(theme: str) -> Palette:
    """The colours of a theme, a key of `THEMES`; those of a system that does not say are the dark ones."""
    if theme == "system":
        scheme = QGuiApplication.styleHints().colorScheme()
        return LIGHT if scheme == Qt.ColorScheme.Light else DARK
    return LIGHT if theme == "light" else DARK


def apply(app: QApplication, colours: Palette = DARK) -> None:
    """Give `app` a look: Fusion with our palette, then the style sheet; all that is shown follows."""
    set_colours(app, colours)
    app.setStyleSheet(style_sheet())


def set_colours(app: QApplication, colours: Palette) -> None:
    """Fusion with our palette. Widgets made before `apply` are styled once, not each time they are put together."""
    global _now  # one look a program, as there is one QApplication
    _now = colours
    if app.style().name() != "fusion":
        app.setStyle("Fusion")
    app.setPalette(_palette())


def style_sheet() -> str:
    """The style sheet of every widget, in the colours that are on."""
    now = _now
    check = find_resource(PACKAGE, "icons/check.svg").as_posix()
    return f"""
QMainWindow::separator {{ background: {now.background}; width: 5px; height: 5px; }}
QMainWindow::separator:hover {{ background: {now.accent}; }}
QToolTip {{ background: {now.field}; color: {now.text}; border: 1px solid {now.line}; padding: 4px; }}
QSplitter::handle {{ background: {now.background}; }}
QSplitter::handle:hover {{ background: {now.accent}; }}
QDockWidget {{ font-weight: 600; }}
QDockWidget::title {{ background: {now.panel}; padding: 7px 8px; }}
QGroupBox {{ border: 1px solid {now.line}; border-radius: 4px; margin-top: 22px; padding: 2px; }}
QGroupBox::title {{ subcontrol-origin: margin; left: 6px; padding: 2px 0; color: {now.muted}; }}
QGroupBox[switch="true"]::title {{ color: {now.text}; }}
QPushButton {{ background: {now.field}; border: 1px solid {now.line}; border-radius: 4px; padding: 5px 12px; }}
QPushButton:hover {{ border-color: {now.accent}; }}
QPushButton:pressed {{ background: {now.line}; }}
QPushButton:focus {{ border-color: {now.accent}; }}
QPushButton:disabled {{ color: {now.disabled}; background: {now.panel}; border-color: {now.faint}; }}
QPushButton:checked {{ background: {now.primary}; border-color: {now.primary_hover}; color: {now.on_primary}; }}
QPushButton:checked:disabled {{ background: {now.field}; border-color: {now.line}; color: {now.muted}; }}
QPushButton[primary="true"] {{ background: {now.primary}; border-color: {now.primary_hover};
    color: {now.on_primary}; font-weight: 600; }}
QPushButton[primary="true"]:hover {{ background: {now.primary_hover}; }}
QPushButton[primary="true"]:disabled {{ background: {now.panel}; border-color: {now.faint}; color: {now.disabled}; }}
QTableWidget {{ background: {now.background}; gridline-color: {now.faint};
    border: 1px solid {now.line}; border-radius: 4px; }}
QHeaderView::section {{ background: {now.panel}; color: {now.muted}; border: 0; border-bottom: 1px solid {now.line};
    padding: 4px 5px; }}
QTextBrowser {{ background: {now.background}; border: 1px solid {now.line}; border-radius: 4px; }}
QProgressBar {{ background: {now.field}; border: 0; border-radius: 3px; height: 6px; max-height: 6px; }}
QProgressBar::chunk {{ background: {now.accent}; border-radius: 3px; }}
QScrollArea {{ border: 0; background: {now.panel}; }}
QStatusBar {{ background: {now.panel}; }}
QStatusBar::item {{ border: 0; }}
QMenu {{ background: {now.panel}; border: 1px solid {now.line}; padding: 4px; }}
QMenu::item {{ padding: 5px 26px 5px 22px; border-radius: 3px; }}
QMenu::item:selected {{ background: {now.primary}; color: {now.on_primary}; }}
QMenu::item:disabled {{ color: {now.disabled}; }}
QMenu::separator {{ height: 1px; background: {now.line}; margin: 4px 6px; }}
QCheckBox::indicator, QGroupBox::indicator, QTableWidget::indicator, QListWidget::indicator,
QRadioButton::indicator {{
    width: 14px; height: 14px; border: 1px solid {now.border}; border-radius: 3px; background: {now.field}; }}
QRadioButton::indicator {{ border-radius: 7px; }}
QCheckBox::indicator:hover, QGroupBox::indicator:hover, QTableWidget::indicator:hover,
QListWidget::indicator:hover, QRadioButton::indicator:hover {{ border-color: {now.accent}; }}
QCheckBox::indicator:checked, QGroupBox::indicator:checked, QTableWidget::indicator:checked,
QListWidget::indicator:checked {{
    background: {now.primary}; border-color: {now.primary_hover}; image: url("{check}"); }}
QRadioButton::indicator:checked {{ background: qradialgradient(cx:0.5, cy:0.5, radius:0.5, fx:0.5, fy:0.5,
    stop:0 white, stop:0.42 white, stop:0.5 {now.primary}, stop:1 {now.primary}); border-color: {now.primary_hover}; }}
QCheckBox::indicator:disabled, QGroupBox::indicator:disabled, QTableWidget::indicator:disabled,
QListWidget::indicator:disabled, QRadioButton::indicator:disabled {{
    border-color: {now.line}; background: {now.panel}; }}
QLabel[muted="true"] {{ color: {now.muted}; }}
QLabel:disabled, QLabel[muted="true"]:disabled {{ color: {now.disabled}; }}
QLabel[error="true"] {{ color: {now.error}; }}
QLabel[warning="true"] {{ color: {now.warning}; }}
QDialogButtonBox {{ dialogbuttonbox-buttons-have-icons: 0; }}
QPushButton[link="true"] {{ border: 0; background: transparent; color: {now.accent}; }}
QPushButton[link="true"]:hover, QPushButton[link="true"]:focus {{ text-decoration: underline; }}
#welcome {{ background: {now.background}; border: 2px dashed {now.line}; border-radius: 10px; }}
#card {{ border: 1px solid {now.line}; border-radius: 4px; }}
#banner {{ background: {now.field}; border: 0; border-left: 4px solid {now.accent}; }}
#banner[level="warning"] {{ border-left-color: {now.warning}; }}
#banner[level="error"] {{ border-left-color: {now.error}; }}
"""


def _palette() -> QPalette:
    palette = QPalette()
    colours = {
        QPalette.ColorRole.Window: _now.panel,
        QPalette.ColorRole.WindowText: _now.text,
        QPalette.ColorRole.Base: _now.field,
        QPalette.ColorRole.AlternateBase: _now.panel,
        QPalette.ColorRole.Text: _now.text,
        QPalette.ColorRole.Button: _now.field,
        QPalette.ColorRole.ButtonText: _now.text,
        QPalette.ColorRole.BrightText: _now.error,
        QPalette.ColorRole.ToolTipBase: _now.field,
        QPalette.ColorRole.ToolTipText: _now.text,
        QPalette.ColorRole.Link: _now.accent,
        QPalette.ColorRole.Highlight: _now.primary,
        QPalette.ColorRole.HighlightedText: _now.on_primary,
        QPalette.ColorRole.PlaceholderText: _now.muted,
    }
    for role, colour in colours.items():
        palette.setColor(role, QColor(colour))
    for role in (QPalette.ColorRole.Text, QPalette.ColorRole.WindowText, QPalette.ColorRole.ButtonText):
        palette.setColor(QPalette.ColorGroup.Disabled, role, QColor(_now.disabled))
    return palette
