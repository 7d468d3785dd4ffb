"""Which signal of the window and of the workers goes where: tables of connections, no behaviour."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt

if TYPE_CHECKING:
    from noder_viewer.controller import Controller


def wire(controller: Controller) -> None:
    """Connect all that a controller has built."""
    _connect_window(controller)
    _connect_panels(controller)
    _connect_register(controller)
    _connect_pictures(controller)
    _connect_opening(controller)


def _connect_window(controller: Controller) -> None:
    window = controller.window
    window.paths_dropped.connect(controller.open)
    window.recent_requested.connect(controller.open)
    window.welcome.recent_requested.connect(controller.open)
    window.clear_recent_requested.connect(controller.clear_recent)
    window.shown.connect(controller.warm_up_soon)
    window.close_requested.connect(controller.closing.answer)
    window.closing.connect(controller.shut_down)
    window.banner.remedy_requested.connect(controller.opening.answer)
    for answers in (controller.registering, controller.projects, controller.autosave):
        window.banner.remedy_requested.connect(answers.answer)
    handlers = controller.commands.handlers()
    for name, action in window.actions_by_name.items():
        # a lambda is safe here: actions are triggered in the GUI thread
        action.triggered.connect(lambda _checked=False, run=handlers[name]: run())
    window.welcome.files_requested.connect(controller.commands.open_files)
    window.welcome.folder_requested.connect(controller.commands.open_folder)
    window.welcome.sample_requested.connect(controller.commands.open_sample)


def _connect_panels(controller: Controller) -> None:
    window = controller.window
    series, fit, overlay = window.series_panel, window.fit_panel, window.overlay_panel
    series.times_requested.connect(controller.opening.set_times, Qt.ConnectionType.QueuedConnection)
    series.hold_out_requested.connect(controller.set_hold_out)
    series.exclude_requested.connect(controller.set_exclude)
    series.mask_requested.connect(controller.set_mask)
    series.browse_mask_requested.connect(controller.commands.choose_mask)
    series.browse_times_requested.connect(controller.commands.open_times)
    series.scan_requested.connect(controller.go_to_scan)
    fit.start_requested.connect(controller.fitting.start)
    fit.stop_requested.connect(controller.fitting.stop)
    fit.pause_requested.connect(controller.fitting.toggle_paused)
    controller.fitting.failed.connect(controller.show_problem)
    overlay.show_requested.connect(controller.set_show)
    overlay.carry_requested.connect(controller.set_carry)
    overlay.overlays_requested.connect(controller.set_overlays)
    overlay.since_now_requested.connect(controller.commands.since_now)
    overlay.window_requested.connect(controller.set_window)
    overlay.auto_window_requested.connect(controller.auto_window)
    overlay.preset_requested.connect(controller.set_preset)
    overlay.radiological_requested.connect(controller.set_radiological)


def _connect_register(controller: Controller) -> None:
    window = controller.window
    panel = window.register_panel
    panel.start_requested.connect(controller.registering.start)
    panel.stop_requested.connect(controller.registering.stop)
    panel.export_requested.connect(controller.commands.export_registration)
    panel.back_requested.connect(controller.registering.go_back)
    panel.landmarks.row_requested.connect(controller.go_to_landmark)
    panel.landmarks.shown_requested.connect(controller.set_landmarks_shown)
    controller.registering.opened.connect(controller.show_curves)
    controller.registering.registered.connect(controller.show_scores)
    for bar in (panel.compare, window.overlay_panel.compare):
        bar.show_requested.connect(controller.set_show)
        bar.pulled_requested.connect(controller.set_pulled)
        bar.square_requested.connect(controller.set_square)


def _connect_pictures(controller: Controller) -> None:
    window = controller.window
    for view in window.slices:
        controller.connect_slice(view)
        view.large_requested.connect(controller.arranging.enlarge)
    controller.arranging.failed.connect(controller.show_problem)
    controller.layering.failed.connect(controller.show_problem)
    window.layer_panel.add_requested.connect(controller.commands.add_slice_layers)
    controller.arranging.read.connect(window.set_read_out)
    window.pictures.lightbox.left.connect(controller.presenter.reader.read_cursor)
    window.pictures.lightbox.index_requested.connect(controller.go_to_slice)
    window.pictures.lightbox.levels_requested.connect(controller.set_window)
    window.timeline.time_requested.connect(controller.set_time)
    window.path_panel.time_requested.connect(controller.set_time)
    window.path_panel.step_requested.connect(window.timeline.step)
    window.timeline.playing_requested.connect(controller.set_playing)
    window.timeline.period_requested.connect(controller.time_feed.set_period)
    controller.time_feed.failed.connect(controller.show_problem)
    window.volume.built.connect(controller.presenter.update_volume)
    window.volume.layers_requested.connect(controller.commands.add_layers)
    controller.presenter.failed.connect(controller.show_problem)
    controller.problem.connect(controller.show_problem)


def _connect_opening(controller: Controller) -> None:
    controller.opening.rest.unrecorded = controller.undoing.unrecorded
    controller.opening.rest.looked.connect(controller.cards.mark)
