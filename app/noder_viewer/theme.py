"""Colours and style: one dark look for widgets, plots and canvases."""

from __future__ import annotations

from PySide6.QtGui import QColor, QPalette
from PySide6.QtWidgets import QApplication

from noder.resources import find_resource
from noder_viewer.resources import PACKAGE

BACKGROUND = "#15171c"
PANEL = "#1c1f26"
FIELD = "#262a33"
LINE = "#343a46"
TEXT = "#d7dae0"
MUTED = "#8b919e"
ACCENT = "#4aa3ff"
WARNING = "#e0b040"
ERROR = "#ff7066"


def apply(app: QApplication) -> None:
    """Give `app` the dark look: Fusion with our palette, then the style sheet."""
    app.setStyle("Fusion")
    app.setPalette(_palette())
    app.setStyleSheet(style_sheet())


def style_sheet() -> str:
    """The style sheet of every widget."""
    check = find_resource(PACKAGE, "icons/check.svg").as_posix()
    return f"""
QMainWindow::separator {{ background: {BACKGROUND}; width: 5px; height: 5px; }}
QMainWindow::separator:hover {{ background: {ACCENT}; }}
QToolTip {{ background: {FIELD}; color: {TEXT}; border: 1px solid {LINE}; padding: 4px; }}
QDockWidget {{ font-weight: 600; }}
QDockWidget::title {{ background: {PANEL}; padding: 7px 8px; }}
QGroupBox {{ border: 1px solid {LINE}; border-radius: 4px; margin-top: 18px; padding: 2px; }}
QGroupBox::title {{ subcontrol-origin: margin; left: 6px; color: {MUTED}; }}
QGroupBox[switch="true"]::title {{ color: {TEXT}; }}
QPushButton {{ background: {FIELD}; border: 1px solid {LINE}; border-radius: 4px; padding: 5px 12px; }}
QPushButton:hover {{ border-color: {ACCENT}; }}
QPushButton:pressed {{ background: {LINE}; }}
QPushButton:focus {{ border-color: {ACCENT}; }}
QPushButton:disabled {{ color: #5d6370; background: {PANEL}; border-color: #2a2f39; }}
QPushButton:checked {{ background: #2470c0; border-color: #2f80d5; color: white; }}
QPushButton:checked:disabled {{ background: {FIELD}; border-color: {LINE}; color: {MUTED}; }}
QPushButton[primary="true"] {{ background: #2470c0; border-color: #2f80d5; color: white; font-weight: 600; }}
QPushButton[primary="true"]:hover {{ background: #2f80d5; }}
QPushButton[primary="true"]:disabled {{ background: {PANEL}; border-color: #2a2f39; color: #5d6370; }}
QTableWidget {{ background: {BACKGROUND}; gridline-color: #2a2f39;
    border: 1px solid {LINE}; border-radius: 4px; }}
QHeaderView::section {{ background: {PANEL}; color: {MUTED}; border: 0; border-bottom: 1px solid {LINE};
    padding: 4px 5px; }}
QTextBrowser {{ background: {BACKGROUND}; border: 1px solid {LINE}; border-radius: 4px; }}
QProgressBar {{ background: {FIELD}; border: 0; border-radius: 3px; height: 6px; max-height: 6px; }}
QProgressBar::chunk {{ background: {ACCENT}; border-radius: 3px; }}
QScrollArea {{ border: 0; background: {PANEL}; }}
QStatusBar {{ background: {PANEL}; }}
QStatusBar::item {{ border: 0; }}
QMenu {{ background: {PANEL}; border: 1px solid {LINE}; padding: 4px; }}
QMenu::item {{ padding: 5px 26px 5px 22px; border-radius: 3px; }}
QMenu::item:selected {{ background: #2470c0; color: white; }}
QMenu::item:disabled {{ color: #5d6370; }}
QMenu::separator {{ height: 1px; background: {LINE}; margin: 4px 6px; }}
QCheckBox::indicator, QGroupBox::indicator, QTableWidget::indicator, QRadioButton::indicator {{
    width: 14px; height: 14px; border: 1px solid #667081; border-radius: 3px; background: {FIELD}; }}
QRadioButton::indicator {{ border-radius: 7px; }}
QCheckBox::indicator:hover, QGroupBox::indicator:hover, QTableWidget::indicator:hover,
QRadioButton::indicator:hover {{ border-color: {ACCENT}; }}
QCheckBox::indicator:checked, QGroupBox::indicator:checked, QTableWidget::indicator:checked {{
    background: #2470c0; border-color: #2f80d5; image: url("{check}"); }}
QRadioButton::indicator:checked {{ background: qradialgradient(cx:0.5, cy:0.5, radius:0.5, fx:0.5, fy:0.5,
    stop:0 white, stop:0.42 white, stop:0.5 #2470c0, stop:1 #2470c0); border-color: #2f80d5; }}
QCheckBox::indicator:disabled, QGroupBox::indicator:disabled, QTableWidget::indicator:disabled,
QRadioButton::indicator:disabled {{ border-color: {LINE}; background: {PANEL}; }}
QLabel[muted="true"] {{ color: {MUTED}; }}
QLabel:disabled, QLabel[muted="true"]:disabled {{ color: #5d6370; }}
QLabel[error="true"] {{ color: {ERROR}; }}
"""


def _palette() -> QPalette:
    palette = QPalette()
    colours = {
        QPalette.ColorRole.Window: PANEL,
        QPalette.ColorRole.WindowText: TEXT,
        QPalette.ColorRole.Base: FIELD,
        QPalette.ColorRole.AlternateBase: PANEL,
        QPalette.ColorRole.Text: TEXT,
        QPalette.ColorRole.Button: FIELD,
        QPalette.ColorRole.ButtonText: TEXT,
        QPalette.ColorRole.BrightText: ERROR,
        QPalette.ColorRole.ToolTipBase: FIELD,
        QPalette.ColorRole.ToolTipText: TEXT,
        QPalette.ColorRole.Link: ACCENT,
        QPalette.ColorRole.Highlight: "#2470c0",
        QPalette.ColorRole.HighlightedText: "#ffffff",
        QPalette.ColorRole.PlaceholderText: MUTED,
    }
    for role, colour in colours.items():
        palette.setColor(role, QColor(colour))
    for role in (QPalette.ColorRole.Text, QPalette.ColorRole.WindowText, QPalette.ColorRole.ButtonText):
        palette.setColor(QPalette.ColorGroup.Disabled, role, QColor("#5d6370"))
    return palette
