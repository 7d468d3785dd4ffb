"""Keeps the card of the fit panel up to date, and does what its buttons say."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer

from noder_viewer.card_job import MakeCard, WriteMask
from noder_viewer.loader import Latest

if TYPE_CHECKING:
    from noder.series import ImageSeries
    from noder_viewer.controller import Controller

_FIELDS = ("series", "hold_out", "exclude", "mask", "pair", "activity")


class Cards(QObject):
    """Lives in the GUI thread. The card is open until the first fit of a series has begun."""

    def __init__(self, controller: Controller) -> None:
        super().__init__(controller)
        self._controller, self._session = controller, controller.session
        self._panel = controller.window.fit_panel
        self._series: ImageSeries | None = None
        self._turn = QTimer(self)
        self._turn.setSingleShot(True)
        self._turn.timeout.connect(self._make)
        self._cards, self._masks = Latest(self), Latest(self)
        self._cards.done.connect(self._on_card)
        self._masks.done.connect(self._on_mask)
        for lane in (self._cards, self._masks):
            lane.failed.connect(controller.presenter.failed)
        for name in _FIELDS:
            self._session.events[name].connect(self.mark)
        self._panel.choice_changed.connect(self.mark)
        self._panel.card.remedy_requested.connect(self.apply)
        controller.engine_ready.connect(self.mark)

    @property
    def busy(self) -> bool:
        """Whether a card or a mask is on its way."""
        return self._turn.isActive() or self._cards.busy or self._masks.busy

    def mark(self) -> None:
        """Make the card anew at the next turn of the event loop."""
        if not self._turn.isActive():
            self._turn.start(0)

    def apply(self, remedy: str) -> None:
        """Do what a button of the card says; names as in `noder.card.REMEDIES`."""
        word, _, number = remedy.partition(" ")
        session, panel = self._session, self._panel
        if session.series is None or session.activity:
            return
        if word == "align":
            panel.set_align("rigid")
        elif word == "match":
            panel.match.setChecked(True)
        elif word == "linear":
            panel.set_method("geodesic")
        elif word == "half":
            panel.halve()
        elif word == "drop":
            self._drop(int(number))
        elif word == "mask":
            self._masks.submit(WriteMask(session.series, session.exclude))

    def shut_down(self) -> None:
        """Stop what runs."""
        self._turn.stop()
        for lane in (self._cards, self._masks):
            lane.shut_down()

    def _drop(self, position: int) -> None:
        self._session.hold_out -= {position}
        self._session.exclude |= {position}

    def _make(self) -> None:
        """Not while a fit runs: it needs the processor, and the card would tell a wrong pace."""
        session, panel = self._session, self._panel
        panel.card.set_locked(bool(session.activity))
        if session.series is None or session.pair is not None or not panel.is_ready:
            self._series = None
            panel.card.set_card(None)
            return
        if session.is_fitting:
            panel.card.set_open(False)
            return
        if session.series is not self._series:
            known, self._series = self._series, session.series
            if known is None or known.scans != session.series.scans:
                panel.card.set_open(not session.fits)
        try:
            self._cards.submit(MakeCard(dataclasses.replace(session), panel.choice()))
        except ValueError:  # told when the fit is to start
            return

    def _on_card(self, card: object) -> None:
        session = self._session
        if session.series is not None and session.pair is None:
            self._panel.card.set_card(card)  # type: ignore[arg-type]
            self._panel.card.set_locked(bool(session.activity))

    def _on_mask(self, path: object) -> None:
        if isinstance(path, Path):
            self._controller.masking.take(path)
