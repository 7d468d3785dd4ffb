"""The window: two by two pictures over a timeline, panels at the sides, menus from `actions`."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QEvent, QObject, QSize, Qt, QUrl, Signal
from PySide6.QtGui import QAction, QCloseEvent, QDragEnterEvent, QDropEvent, QIcon, QKeyEvent, QKeySequence, QShowEvent
from PySide6.QtWidgets import (
    QDockWidget,
    QMainWindow,
    QMenu,
    QScrollArea,
    QSplitter,
    QStackedWidget,
    QTabBar,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from noder_viewer.actions import DOCKS, MENUS, RECENT, Action
from noder_viewer.banner import Banner
from noder_viewer.elided import ElidedLabel
from noder_viewer.fit_panel import FitPanel
from noder_viewer.full_screen import FullScreen
from noder_viewer.layer_panel import LayerPanel
from noder_viewer.methods_view import MethodsView
from noder_viewer.overlay_panel import OverlayPanel
from noder_viewer.path_panel import PathPanel
from noder_viewer.picture_area import PictureArea
from noder_viewer.read_out import ReadOut
from noder_viewer.reading import Reading
from noder_viewer.region_panel import RegionPanel
from noder_viewer.register_panel import RegisterPanel
from noder_viewer.resources import icon
from noder_viewer.series_panel import SeriesPanel
from noder_viewer.settings import recent_label
from noder_viewer.slices import SliceView
from noder_viewer.timeline import Timeline
from noder_viewer.volume import VolumeView
from noder_viewer.welcome import Welcome

TITLE = "noder-viewer"
LAYOUT = 3
"""Of the docks: to be raised when one is added, since an older state that is restored would tear the tabs apart."""


class MainWindow(QMainWindow):
    """Holds the widgets and lays them out. It says what was dropped or chosen; the controller does it."""

    paths_dropped = Signal(list)
    recent_requested = Signal(list)
    clear_recent_requested = Signal()
    shown = Signal()
    close_requested = Signal(object)  # the QCloseEvent: a slot that wants the window to stay ignores it
    closing = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setWindowTitle(TITLE)
        self.setWindowIcon(QIcon(str(icon())))
        self.setAcceptDrops(True)
        self.setMinimumSize(QSize(1100, 680))
        self.slices = tuple(SliceView(axis) for axis in (0, 1, 2))
        self.methods = MethodsView()
        self.timeline = Timeline()
        self.volume = VolumeView()
        self.series_panel, self.overlay_panel, self.fit_panel = SeriesPanel(), OverlayPanel(), FitPanel()
        self.register_panel = RegisterPanel()
        self.layer_panel = LayerPanel()
        self.region_panel = RegionPanel()
        self.path_panel = PathPanel()
        self.banner = Banner()
        self.welcome = Welcome()
        self.actions_by_name: dict[str, QAction] = {}
        self.read_out, self.status = ReadOut(), ElidedLabel()
        self._was_shown = False
        self.setCentralWidget(self._make_centre())
        self.docks = [
            self._dock("Series", self.series_panel, Qt.DockWidgetArea.LeftDockWidgetArea, scroll=False),
            self._dock("Display", self.overlay_panel, Qt.DockWidgetArea.LeftDockWidgetArea, scroll=True),
            self._dock("Fit", self.fit_panel, Qt.DockWidgetArea.RightDockWidgetArea, scroll=True),
            self._dock("Register", self.register_panel, Qt.DockWidgetArea.RightDockWidgetArea, scroll=True),
            self._dock("Regions", self.region_panel, Qt.DockWidgetArea.RightDockWidgetArea, scroll=True),
            self._dock("Paths", self.path_panel, Qt.DockWidgetArea.RightDockWidgetArea, scroll=True),
        ]
        self.docks.append(self._dock("Layers", self.layer_panel, Qt.DockWidgetArea.LeftDockWidgetArea, scroll=True))
        self.tabifyDockWidget(self.docks[1], self.docks[-1])
        self.setTabPosition(Qt.DockWidgetArea.LeftDockWidgetArea, QTabWidget.TabPosition.North)
        self.docks[1].raise_()
        for dock in self.docks[3:-1]:
            self.tabifyDockWidget(self.docks[2], dock)
        self.setTabPosition(Qt.DockWidgetArea.RightDockWidgetArea, QTabWidget.TabPosition.North)
        self.docks[2].raise_()
        self._make_menus()
        self.full_screen = FullScreen(self, self.docks)
        self.statusBar().setContentsMargins(10, 0, 10, 0)
        self.statusBar().addWidget(self.status, 1)
        self.statusBar().addPermanentWidget(self.read_out)
        self.set_loaded(False)
        self.resize(1500, 940)
        self.resizeDocks(self.docks[:2], [380, 480], Qt.Orientation.Vertical)
        self.resizeDocks([self.docks[0], self.docks[2]], [380, 330], Qt.Orientation.Horizontal)

    def set_loaded(self, loaded: bool) -> None:
        """Show the pictures, or the welcome page while there are none."""
        self.pages.setCurrentIndex(int(loaded))

    def show_methods(self, on: bool) -> None:
        """Show the methods side by side in the place of the three slices."""
        self.screens.setCurrentIndex(int(on))

    def show_panel(self, panel: QWidget) -> None:
        """Bring a panel's dock to the front."""
        for dock in self.docks:
            if dock.isAncestorOf(panel):
                dock.show()
                dock.raise_()

    def set_title(self, name: str) -> None:
        """Name what is open; "" for nothing."""
        self.setWindowTitle(f"{name} — {TITLE}" if name else TITLE)

    def set_status(self, text: str) -> None:
        """What the program is doing, bottom left."""
        self.status.setText(text)

    def set_read_out(self, reading: Reading | None) -> None:
        """All about the place under the mouse or at the crosshair, bottom right."""
        self.read_out.set_reading(reading)

    def set_recent(self, groups: list[list[Path]]) -> None:
        """Fill the menu of recent files and the welcome page."""
        self._recent_menu.clear()
        for group in groups:
            action = self._recent_menu.addAction(recent_label(group))
            action.setData([str(path) for path in group])
            action.setToolTip("\n".join(map(str, group[:20])))
            action.triggered.connect(self._on_recent)
        if groups:
            self._recent_menu.addSeparator()
            self._recent_menu.addAction("Clear").triggered.connect(self.clear_recent_requested)
        self._recent_menu.setEnabled(bool(groups))
        self.welcome.set_recent(groups)

    def set_available(self, states: frozenset[str]) -> None:
        """Enable the actions whose `needs` is among `states`."""
        for entries in MENUS.values():
            for entry in entries:
                if isinstance(entry, Action):
                    self.actions_by_name[entry.name].setEnabled(not entry.needs or entry.needs in states)

    def set_steps(self, undo: str, redo: str) -> None:
        """Name the steps that Undo and Redo would take; "" for none."""
        self.actions_by_name["undo"].setText(f"&Undo {undo}".rstrip())
        self.actions_by_name["redo"].setText(f"&Redo {redo}".rstrip())

    def set_checked(self, name: str, on: bool) -> None:
        """Mark a checkable action."""
        self.actions_by_name[name].setChecked(on)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if _local_paths(event.mimeData().urls()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        paths = _local_paths(event.mimeData().urls())
        if paths:
            event.acceptProposedAction()
            self.paths_dropped.emit(paths)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if not self._was_shown:
            self._was_shown = True
            self._hide_stray_tabs()
            self.shown.emit()

    def closeEvent(self, event: QCloseEvent) -> None:
        super().closeEvent(event)
        self.close_requested.emit(event)
        if event.isAccepted():
            self.closing.emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """What no widget with the focus wanted for itself: the arrows step time, on a slice as on the timeline."""
        if event.key() in (Qt.Key.Key_Left, Qt.Key.Key_Right) and self.timeline.isEnabled():
            self.timeline.keyPressEvent(event)
        else:
            super().keyPressEvent(event)

    def _hide_stray_tabs(self) -> None:
        """Qt leaves tab bars of earlier layouts behind the centre and the menus: a letter shines through, Tab stops."""
        covers = [cover.geometry() for cover in (self.menuBar(), self.centralWidget()) if cover is not None]
        for bar in self.findChildren(QTabBar, options=Qt.FindChildOption.FindDirectChildrenOnly):
            bar.setVisible(not any(bar.geometry().intersects(cover) for cover in covers))

    def _make_centre(self) -> QWidget:
        self.pictures = PictureArea(self.slices, self.volume)
        self.screens = QStackedWidget()
        self.screens.addWidget(self.pictures)
        self.screens.addWidget(self.methods)
        split = QSplitter(Qt.Orientation.Vertical)
        split.addWidget(self.screens)
        split.addWidget(self.timeline)
        split.setStretchFactor(0, 1)
        split.setStretchFactor(1, 0)
        split.setChildrenCollapsible(False)
        self.pages = QStackedWidget()
        self.pages.addWidget(self.welcome)
        self.pages.addWidget(split)
        centre = QWidget()
        column = QVBoxLayout(centre)
        column.setContentsMargins(4, 4, 4, 4)
        column.setSpacing(4)
        column.addWidget(self.banner)
        column.addWidget(self.pages, 1)
        return centre

    def _dock(self, title: str, panel: QWidget, area: Qt.DockWidgetArea, *, scroll: bool) -> QDockWidget:
        dock = QDockWidget(title)
        dock.setObjectName(title)
        dock.setFeatures(
            QDockWidget.DockWidgetFeature.DockWidgetMovable | QDockWidget.DockWidgetFeature.DockWidgetClosable
        )
        if scroll:
            dock.setWidget(_Column(panel))
        else:
            dock.setWidget(panel)
        self.addDockWidget(area, dock)
        return dock

    def _make_menus(self) -> None:
        self._recent_menu = QMenu("Open &recent", self)
        for title, entries in MENUS.items():
            menu = self.menuBar().addMenu(title)
            menu.setToolTipsVisible(True)
            for entry in entries:
                if entry is None:
                    menu.addSeparator()
                elif entry == RECENT:
                    menu.addMenu(self._recent_menu)
                elif entry == DOCKS:
                    menu.addActions([dock.toggleViewAction() for dock in self.docks])
                elif isinstance(entry, Action):
                    menu.addAction(self._make_action(entry))

    def _make_action(self, entry: Action) -> QAction:
        action = QAction(entry.text, self)
        action.setShortcuts([QKeySequence(keys) for keys in entry.shortcuts])
        action.setCheckable(entry.checkable)
        action.setToolTip(entry.tip)
        action.setStatusTip(entry.tip)
        self.actions_by_name[entry.name] = action
        self.addAction(action)  # so that its keys work where the menu bar is hidden
        return action

    def _on_recent(self) -> None:
        action = self.sender()
        if isinstance(action, QAction):
            self.recent_requested.emit([Path(path) for path in action.data()])


class _Column(QScrollArea):
    """Scrolls a panel up and down, and is always as wide as it."""

    def __init__(self, panel: QWidget) -> None:
        super().__init__()
        self._panel = panel
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidget(panel)

    def minimumSizeHint(self) -> QSize:
        width = max(300, self._panel.minimumSizeHint().width())
        return QSize(width + self.verticalScrollBar().sizeHint().width(), 120)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.LayoutRequest:  # the panel wants another size
            self.updateGeometry()
        return super().eventFilter(watched, event)


def _local_paths(urls: list[QUrl]) -> list[Path]:
    return [Path(url.toLocalFile()) for url in urls if url.isLocalFile()]
