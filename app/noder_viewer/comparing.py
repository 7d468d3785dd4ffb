"""Methods side by side: queues the baselines that are missing, fills the panes, and starts leave-one-out."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, QTimer

from noder_viewer import fit_rows
from noder_viewer.awaiting import awaited_scans, with_known_scales
from noder_viewer.compare_dialogs import BaselinesDialog, LeaveOneOutDialog, MethodLine
from noder_viewer.fit_rows import Asked, LeaveOneOut
from noder_viewer.jobs import Prepare
from noder_viewer.list_jobs import EstimateLeftOut
from noder_viewer.loader import Latest
from noder_viewer.session import MOST_PANES

if TYPE_CHECKING:
    from noder_viewer.controller import Controller

_FIELDS = (
    "series", "result", "preview", "progress", "fits", "shown_fit", "time", "cursor_mm", "carry", "overlays", "window",
    "radiological", "exclude", "methods", "pair",
)  # fmt: skip
"""Fields of the session that the panes depend on."""


class Comparing(QObject):
    """Lives in the GUI thread; ties the panes and two dialogs to the session and to the list of fits."""

    def __init__(self, controller: Controller) -> None:
        super().__init__(controller)
        self._controller, self._session, self._fitting = controller, controller.session, controller.fitting
        self.view = controller.window.methods
        self.baselines: BaselinesDialog | None = None
        self.leave_one_out: LeaveOneOutDialog | None = None
        self._turn = QTimer(self)
        self._turn.setSingleShot(True)
        self._turn.timeout.connect(self.refresh)
        self._prepare, self._estimates = Latest(self), Latest(self)
        self._prepare.done.connect(self._on_prepared)
        self._estimates.done.connect(self._on_estimate)
        for lane in (self._prepare, self._estimates):
            lane.failed.connect(controller.presenter.failed)
        for name in _FIELDS:
            self._session.events[name].connect(self.mark)
        controller.presenter.fetched.connect(self.mark)
        self._connect_view()

    def mark(self) -> None:
        """Show the panes at the next turn of the event loop, if they are seen."""
        if (self._session.methods.on or self._controller.window.screens.currentIndex()) and not self._turn.isActive():
            self._turn.start(0)

    def refresh(self) -> None:
        """Show the panes as the session is now."""
        from noder_viewer.methods_scene import choices, message, pane_scene, shown_panes

        session = self._session
        shown = session.methods.on and session.series is not None and session.pair is None
        self._turn.stop()
        self._controller.window.show_methods(shown)
        if not shown:
            return
        if self.view.set_axis(session.methods.axis):
            self._connect_slices()
        if awaited_scans(session):  # the presenter has them read
            return
        session = with_known_scales(session)
        panes = shown_panes(session)
        self.view.set_choices(choices(session), panes, session.methods)
        scenes = [pane_scene(session, pane) for pane in panes]
        self.view.set_scenes(scenes, [message(session, pane) for pane in panes])
        self._prepare_shown()

    def toggle(self) -> None:
        """Show the methods side by side, or the three slices again."""
        if self._session.methods.on:
            self._set(on=False)
        else:
            self.open()

    def open(self) -> None:
        """Show the panes; those that show no fit yet are given the fits that there are."""
        from noder_viewer.methods_scene import shown_panes, standard_panes

        session = self._session
        if session.series is None or session.pair is not None:
            self._controller.presenter.mark("controls")  # the menu's tick as it was
            return
        panes = shown_panes(session)
        if not any(pane.startswith("fit ") for pane in panes):
            panes = standard_panes(session)
        self._set(on=True, panes=panes)

    def ask(self) -> None:
        """Ask which methods are to be fitted beside the one that is shown."""
        pattern = self._pattern()
        if pattern is None:
            return
        if self.baselines is None:
            self.baselines = BaselinesDialog(self._controller.window)
            self.baselines.queue_requested.connect(self._on_baselines)
        self.baselines.set_methods(pattern[1], self._lines(pattern[0]))
        self.baselines.show()
        self.baselines.raise_()

    def ask_leave_one_out(self) -> None:
        """Ask how every scan is to be left out in turn."""
        pattern = self._pattern()
        if pattern is None:
            return
        if self.leave_one_out is None:
            self.leave_one_out = LeaveOneOutDialog(self._controller.window)
            self.leave_one_out.queue_requested.connect(self._on_leave_one_out)
            self.leave_one_out.changed.connect(self._estimate)
        self.leave_one_out.set_pattern(pattern[1], len(self._session.times) - len(pattern[0].exclude) - 1)
        self.leave_one_out.show()
        self.leave_one_out.raise_()
        self._estimate()

    def shut_down(self) -> None:
        """Close what is open, stop what runs."""
        self._turn.stop()
        for lane in (self._prepare, self._estimates):
            lane.shut_down()
        for dialog in (self.baselines, self.leave_one_out):
            if dialog is not None:
                dialog.close()

    def _pattern(self) -> tuple[Asked, str] | None:
        """The fit that others are compared with: the shown one, else what the fit panel says."""
        session, panel = self._session, self._controller.window.fit_panel
        if session.series is None or session.pair is not None or not panel.is_ready:
            return None
        row = fit_rows.found(session.fits, session.shown_fit)
        if row is not None and row.asked.leave_one_out is None:
            return row.asked, row.name
        try:
            asked = Asked.of(session, panel.choice())
        except ValueError as error:
            self._controller.problem.emit(str(error))
            return None
        return asked, fit_rows.name_of(asked)

    def _lines(self, asked: Asked) -> list[MethodLine]:
        """Every method, and whether there is such a fit already."""
        from noder.methods import PRESETS
        from noder_viewer.variants import BASELINES, by_method, like

        lines = []
        for method in PRESETS:
            wanted = asked if method == asked.choice.method else by_method(asked, method)
            there = like(self._session.fits, wanted) is not None
            on = method in BASELINES or method == asked.choice.method
            lines.append(MethodLine(method, fit_rows.name_of(wanted), there, on))
        return lines

    def _on_baselines(self, methods: object) -> None:
        from noder_viewer.methods_scene import pane_of
        from noder_viewer.variants import by_method, like

        pattern, session = self._pattern(), self._session
        if pattern is None or not isinstance(methods, list):
            return
        panes = []
        for method in methods:
            asked = pattern[0] if method == pattern[0].choice.method else by_method(pattern[0], method)
            if like(session.fits, asked) is None:
                self._fitting.queue(asked, follow=not self._fitting.running and session.result is None)
            if (row := like(session.fits, asked)) is not None:
                panes.append(pane_of(row.key))
        shown = [pane_of(session.shown_fit)] if session.shown_fit else []
        self._set(on=True, panes=tuple(dict.fromkeys(["observed", *shown, *panes]))[:MOST_PANES])

    def _on_leave_one_out(self, how: object) -> None:
        pattern = self._pattern()
        if pattern is not None and isinstance(how, LeaveOneOut):
            self._fitting.queue(dataclasses.replace(pattern[0], leave_one_out=how, hold_out=frozenset()))

    def _estimate(self) -> None:
        pattern, dialog = self._pattern(), self.leave_one_out
        if pattern is not None and dialog is not None:
            self._estimates.submit(EstimateLeftOut(pattern[0], dialog.how()))

    def _on_estimate(self, words: object) -> None:
        if self.leave_one_out is not None:
            self.leave_one_out.set_estimate(str(words))

    def _on_prepared(self, _: object) -> None:
        self.mark()

    def _prepare_shown(self) -> None:
        """The inverse maps that predictions from neighbours need, of a fit that was stopped."""
        from noder_viewer.methods_scene import pane_of, shown_panes

        panes = shown_panes(self._session)
        for row in self._session.fits:
            if row.result is not None and pane_of(row.key) in panes and not row.result.trajectory.is_prepared:
                self._prepare.submit(Prepare(row.result.trajectory))
                return

    def _connect_view(self) -> None:
        view = self.view
        view.pane_requested.connect(self._set_pane)
        view.axis_requested.connect(self._set_axis)
        view.score_requested.connect(self._set_score)
        view.what_requested.connect(self._set_what)
        view.close_requested.connect(self.toggle)

    def _connect_slices(self) -> None:
        controller = self._controller
        for view in self.view.views:
            controller.connect_slice(view)

    def _set(self, **changes: Any) -> None:
        self._session.methods = dataclasses.replace(self._session.methods, **changes)

    def _set_pane(self, position: int, pane: str) -> None:
        from noder_viewer.methods_scene import shown_panes, with_pane

        methods = dataclasses.replace(self._session.methods, panes=shown_panes(self._session))
        self._session.methods = with_pane(methods, position, pane)

    def _set_axis(self, axis: int) -> None:
        self._set(axis=axis)

    def _set_score(self, score: str) -> None:
        self._set(score=score)

    def _set_what(self, what: str) -> None:
        self._set(what=what)
