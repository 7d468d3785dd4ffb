"""Ties the session's layers to the Layers panel: files are read in the background, looks and order are set."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from PySide6.QtCore import QObject, QTimer, Signal

from noder_viewer.jobs import Reporter, import_engine
from noder_viewer.layer_rows import HEATS, layer_rows
from noder_viewer.layers import IMAGE, Layer, Look, looks_like_labels, moved, stacked, with_look
from noder_viewer.loader import Latest
from noder_viewer.main_window import MainWindow
from noder_viewer.session import Session

_FIELDS = ("series", "result", "preview", "pair", "show", "overlays", "look", "layers", "order", "bars")
_FRESH = ("hot", "viridis", "magma", "cividis", "green", "red")
"""Colours of the images that are added, in turn: grey over grey would hide what is below."""


@dataclass(frozen=True)
class ReadLayers:
    """Images or label maps of files, read whole. Raises InputError."""

    paths: tuple[Path, ...]

    def __call__(self, task: Reporter) -> list[Layer]:
        import_engine()
        from noder.image import Image
        from noder_viewer.frames import default_window

        layers = []
        for path in self.paths:
            task.check_cancelled()
            image = Image.open(path)
            values = image.numpy()
            is_labels, look = looks_like_labels(values), Look("hot", opacity=0.6)
            layers.append(Layer("", path.name, image, is_labels, default_window(values), look))
        return layers


class Layering(QObject):
    """Owns the list of the panel; every change is one new tuple of the session. Emits `failed(problem)`."""

    failed = Signal(object)

    def __init__(self, window: MainWindow, session: Session, parent: QObject) -> None:
        super().__init__(parent)
        self._window, self._session, self._panel = window, session, window.layer_panel
        self._count = 0
        self._turn = QTimer(self, interval=0, singleShot=True)
        self._turn.timeout.connect(self.refresh)
        self._reader, self._waiting = Latest(self), list[Path]()
        self._reader.done.connect(self._on_read)
        self._reader.failed.connect(self._on_failed)
        for name in _FIELDS:
            session.events[name].connect(self._mark)
        panel = self._panel
        panel.list.visible_requested.connect(self._set_visible)
        panel.list.order_requested.connect(self._set_order)
        panel.list.files_dropped.connect(self.add)
        panel.move_requested.connect(self._move)
        panel.remove_requested.connect(self._remove)
        panel.look_requested.connect(self._set_look)
        panel.window_requested.connect(self._set_window)
        panel.labels_requested.connect(self._set_labels)
        panel.outline_requested.connect(self._set_outline)
        panel.bars_requested.connect(self._set_bars)
        self.refresh()

    @property
    def busy(self) -> bool:
        """Whether files are being read."""
        return self._reader.busy or self._turn.isActive()

    def add(self, paths: Sequence[Path]) -> None:
        """Read images or label maps and lay them over the image."""
        self._waiting += list(paths)
        if self._waiting and not self._reader.busy:
            wanted, self._waiting = tuple(self._waiting), []
            self._session.status = f"Reading {wanted[0].name}…"
            self._reader.submit(ReadLayers(wanted))

    def refresh(self) -> None:
        """Show all layers now."""
        self._turn.stop()
        self._panel.set_rows(layer_rows(self._session) if self._session.series is not None else [])
        self._panel.set_bars(self._session.bars)
        self._panel.setEnabled(self._session.series is not None)
        for view in self._window.slices:
            view.set_bars_visible(self._session.bars)
        self._window.set_checked("toggle_bars", self._session.bars)

    def toggle_bars(self) -> None:
        """Colour bars or none."""
        self._session.bars = not self._session.bars

    def shut_down(self) -> None:
        """Stop reading."""
        self._turn.stop()
        self._reader.shut_down()

    def _mark(self, *_: object) -> None:
        if not self._turn.isActive():
            self._turn.start()

    def _on_read(self, read: object) -> None:
        fresh, taken = [], {layer.key for layer in self._session.layers}  # those of a project have their own numbers
        for layer in cast("list[Layer]", read):
            self._count = next(n for n in itertools.count(self._count + 1) if f"layer {n}" not in taken)
            colours = _FRESH[self._count % len(_FRESH) - 1]
            fresh.append(
                dataclasses.replace(
                    layer, key=f"layer {self._count}", look=dataclasses.replace(layer.look, colormap=colours)
                )
            )
        fresh.sort(key=lambda layer: not layer.is_labels)  # an image would hide them
        self._session.layers = (*fresh, *self._session.layers)
        self._session.status = f"Added {', '.join(layer.name for layer in fresh)}"
        self.refresh()
        self._panel.list.choose(fresh[0].key)
        self.add([])

    def _on_failed(self, problem: object) -> None:
        self._session.status = ""
        self.failed.emit(problem)
        self.add([])

    def _set_visible(self, key: str, visible: bool) -> None:
        session = self._session
        if key == IMAGE or self._own(key) is not None:
            self._set_look(key, {"visible": visible})
        elif hasattr(session.overlays, key):
            session.overlays = session.overlays.switched(key, on=visible)

    def _set_look(self, key: str, changes: Mapping[str, object]) -> None:
        session = self._session
        if key == IMAGE:
            session.look = dataclasses.replace(session.look, **changes)  # type: ignore[arg-type]
        elif key in HEATS:
            named = {"jacobian_opacity" if name == "opacity" else name: value for name, value in changes.items()}
            session.overlays = dataclasses.replace(session.overlays, **named)  # type: ignore[arg-type]
        else:
            session.layers = with_look(session.layers, key, **changes)

    def _set_order(self, keys: object) -> None:
        self._session.order = tuple(key for key in cast("tuple[str, ...]", keys))
        self._mark()  # a row that was dragged in front of the landmarks goes back

    def _move(self, key: str, by: int) -> None:
        shown = tuple(row.key for row in layer_rows(self._session))
        hidden = tuple(name for name in stacked(self._session) if name not in shown)
        self._session.order = (*hidden, *moved(("landmarks", *[k for k in shown if k != "landmarks"]), key, by))

    def _remove(self, key: str) -> None:
        self._session.layers = tuple(layer for layer in self._session.layers if layer.key != key)

    def _set_window(self, key: str, lo: float, hi: float) -> None:
        self._change(key, window=(lo, max(hi, lo + 1e-6)))

    def _set_labels(self, key: str, on: bool) -> None:
        self._change(key, is_labels=on)

    def _set_outline(self, key: str, on: bool) -> None:
        self._change(key, outline=on)

    def _set_bars(self, on: bool) -> None:
        self._session.bars = on

    def _change(self, key: str, **changes: object) -> None:
        self._session.layers = tuple(
            dataclasses.replace(layer, **changes) if layer.key == key else layer  # type: ignore[arg-type]
            for layer in self._session.layers
        )

    def _own(self, key: str) -> Layer | None:
        return next((layer for layer in self._session.layers if layer.key == key), None)
