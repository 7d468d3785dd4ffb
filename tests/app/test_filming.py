"""A movie from the window: frame k shows the scene of time k, whatever the window does meanwhile; or there is none."""

import dataclasses
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import numpy as np
import pytest
from fit_kit import save_fit, show_fit
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QFileDialog, QWidget
from window_kit import TIMEOUT_MS

from noder_viewer.movie_dialog import COURSES, MovieDialog
from noder_viewer.movie_job import pixels
from noder_viewer.movie_painters import SlicesPainter, fitted, stamped
from noder_viewer.movie_plan import MovieRequest, estimate_words, frame_times
from noder_viewer.offscreen import Offscreen
from noder_viewer.picture_look import AXES, AXIAL, SLICES, VOLUME, WINDOW, Look, framed, stamp_of
from noder_viewer.scene import slice_scene

TIMES = (0.0, 1.0, 2.0, 3.0)
SIZE = (480, 360)


@pytest.fixture(scope="module")
def fit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_fit(tmp_path_factory.mktemp("fit"))


@pytest.fixture
def controller(qtbot: Any, tmp_path: Path, fit: Path) -> Any:
    controller = show_fit(qtbot, tmp_path, fit)
    session = controller.session
    session.overlays = dataclasses.replace(session.overlays, jacobian=True)
    yield controller
    controller.shut_down()


def film(qtbot: Any, controller: Any, request: MovieRequest) -> np.ndarray:
    """The frames of a movie, once it is there."""
    with qtbot.waitSignal(controller.filming.filmed, timeout=TIMEOUT_MS) as filmed:
        controller.filming.film(request)
    assert filmed.args == [request.path]
    plugin = "pyav" if request.path.suffix == ".mp4" else "pillow"
    return imageio.imread(request.path, plugin=plugin).astype(int)


def directly(controller: Any, request: MovieRequest, **changes: Any) -> list[np.ndarray]:
    """The frames that such a movie must show."""
    unit = controller.session.series.unit
    views = Offscreen(controller.window)
    views.lay_out(AXES[request.what], request.size, bars=request.look.bars, looks={})
    made = []
    for t in request.times:
        session = dataclasses.replace(controller.session, time=t, **changes)
        stamp = stamp_of(t, request.step, unit)
        scenes = [
            framed(slice_scene(session, axis), request.look, "" if k else stamp)  # type: ignore[arg-type]
            for k, axis in enumerate(AXES[request.what])
        ]
        made.append(pixels(views.picture(scenes)).astype(int))
    views.rest()
    return made


@pytest.mark.parametrize("name", ["beat.mp4", "beat.gif"])
@pytest.mark.parametrize("what", [AXIAL, SLICES])
def test_frame_k_shows_time_k(qtbot: Any, controller: Any, tmp_path: Path, name: str, what: str) -> None:
    request = MovieRequest(tmp_path / name, what, TIMES, 5.0, SIZE)
    read = film(qtbot, controller, request)
    assert read.shape == (len(TIMES), SIZE[1], SIZE[0], 3)
    for k, wanted in enumerate(directly(controller, request)):
        away = [np.abs(frame - wanted).mean() for frame in read]
        assert np.argmin(away) == k
        assert away[k] < 3.5


def test_scrubbing_and_resizing_meanwhile_are_not_seen(qtbot: Any, controller: Any, tmp_path: Path) -> None:
    request = MovieRequest(tmp_path / "a.mp4", AXIAL, TIMES, 5.0, SIZE)
    wanted = directly(controller, request)
    session, window = controller.session, controller.window
    controller.filming._lane.reported.connect(lambda frame: setattr(session, "time", 0.37 * frame.k))
    controller.filming._lane.reported.connect(lambda _: setattr(session, "radiological", not session.radiological))
    controller.filming._lane.reported.connect(lambda frame: window.resize(1200 + 10 * frame.k, 700))
    read = film(qtbot, controller, request)
    assert session.time == pytest.approx(0.37 * 3)
    for frame, there in zip(read, wanted, strict=True):
        assert np.abs(frame - there).mean() < 3.5


def test_the_side_convention_of_the_window_is_that_of_the_movie(qtbot: Any, controller: Any, tmp_path: Path) -> None:
    """The ball is symmetric, so the letters tell: R stands where L stood."""
    request = MovieRequest(tmp_path / "a.mp4", AXIAL, TIMES[1:3], 5.0, SIZE)
    neurological = directly(controller, request)
    controller.session.radiological = True
    radiological = directly(controller, request)
    read = film(qtbot, controller, request)
    for k in range(2):
        differ = (neurological[k] != radiological[k]).any(axis=2)
        assert np.abs(read[k] - radiological[k])[differ].mean() < np.abs(read[k] - neurological[k])[differ].mean() / 3


def test_another_picture_than_the_windows_can_be_filmed(qtbot: Any, controller: Any, tmp_path: Path) -> None:
    assert controller.session.show == "prediction"
    request = MovieRequest(tmp_path / "a.mp4", AXIAL, TIMES[1:3], 5.0, (640, 360), show="side by side")
    read = film(qtbot, controller, request)
    for frame, there in zip(read, directly(controller, request, show="side by side"), strict=True):
        assert np.abs(frame - there).mean() < 3.5
    assert controller.session.show == "prediction"


def left_behind(folder: Path) -> list[str]:
    """Files in a folder but for those that were there before a movie."""
    return sorted(path.name for path in folder.iterdir() if path.name not in ("window.ini",))


class TestWhatGoesWrong:
    def test_cancel_leaves_no_file_and_no_view(self, qtbot: Any, controller: Any, tmp_path: Path) -> None:
        dialog = controller.filming.show_dialog()
        before = set(QApplication.topLevelWidgets())
        controller.filming._lane.reported.connect(lambda frame: frame.k == 3 and dialog.cancel_requested.emit())
        controller.filming.film(
            MovieRequest(tmp_path / "a.mp4", SLICES, tuple(0.075 * k for k in range(40)), 5.0, SIZE)
        )
        qtbot.waitUntil(lambda: not controller.filming.busy and not controller.filming._lane.busy, timeout=TIMEOUT_MS)
        assert left_behind(tmp_path) == []
        assert dialog.message.text() == "Cancelled; nothing was written."
        assert dialog.export.isEnabled()
        qtbot.waitUntil(lambda: not (_alive(set(QApplication.topLevelWidgets())) - before), timeout=TIMEOUT_MS)
        read = film(qtbot, controller, MovieRequest(tmp_path / "b.mp4", AXIAL, TIMES[:3], 5.0, SIZE))
        assert len(read) == 3

    @pytest.mark.parametrize(
        ("name", "size", "words"),
        [("a.mp4", (481, 360), "482 x 360"), ("a.avi", SIZE, ".mp4 or .gif"), ("there/a.mp4", SIZE, "not written")],
    )
    def test_a_movie_that_cannot_be_written_is_a_sentence(
        self, qtbot: Any, controller: Any, tmp_path: Path, name: str, size: tuple[int, int], words: str
    ) -> None:
        (tmp_path / "there").touch()
        dialog = controller.filming.show_dialog()
        with qtbot.waitSignal(controller.filming.failed, timeout=TIMEOUT_MS):
            controller.filming.film(MovieRequest(tmp_path / name, AXIAL, TIMES, 5.0, size))
        assert words in dialog.message.text()
        assert dialog.message.property("error") is True
        assert left_behind(tmp_path) == ["there"]

    def test_what_breaks_while_painting_ends_the_movie(
        self, qtbot: Any, controller: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(_self: object, frame: Any) -> Any:
            yield None
            raise RuntimeError(f"no paint left for frame {frame.k}")

        monkeypatch.setattr(SlicesPainter, "steps", broken)
        with qtbot.waitSignal(controller.filming.failed, timeout=TIMEOUT_MS) as failed:
            controller.filming.film(MovieRequest(tmp_path / "a.gif", AXIAL, TIMES, 5.0, SIZE))
        assert "no paint left" in failed.args[0]
        assert left_behind(tmp_path) == []


def _alive(widgets: set[QWidget]) -> set[QWidget]:
    return {widget for widget in widgets if widget.isVisible()}


def test_the_whole_window_is_stepped_and_put_back(qtbot: Any, controller: Any, tmp_path: Path) -> None:
    session, window = controller.session, controller.window
    session.time = 1.5
    window.timeline.set_playing(True)
    dialog = controller.filming.show_dialog()
    shown: list[float] = []
    modal: list[bool] = []
    session.events.time.connect(lambda t: (shown.append(t), modal.append(dialog.isModal())))
    request = MovieRequest(tmp_path / "w.mp4", WINDOW, TIMES, 5.0, (900, 600), Look(stamp=False))
    read = film(qtbot, controller, request)
    assert read.shape == (4, 600, 900, 3)
    assert [t for t in shown if t != 1.5][-4:] == list(TIMES)
    assert session.time == 1.5
    assert all(modal[-5:-1])
    assert not dialog.isModal()
    assert dialog.isVisible()
    assert not window.timeline.is_playing
    for k, t in enumerate(TIMES):
        session.time = t
        controller.presenter.refresh()
        qtbot.waitUntil(lambda: not controller.presenter.busy, timeout=TIMEOUT_MS)
        there = pixels(fitted(window.grab().toImage(), 900, 600)).astype(int)
        away = [np.abs(frame - there).mean() for frame in read]
        assert np.argmin(away) == k


@pytest.mark.gl
def test_the_3d_view_is_drawn_at_the_movies_size(qtbot: Any, controller: Any, tmp_path: Path) -> None:
    controller.build_volume()
    qtbot.waitUntil(lambda: controller.window.volume.is_built, timeout=TIMEOUT_MS)
    session = controller.session
    session.time = 3.0
    qtbot.waitUntil(lambda: not controller.presenter.busy, timeout=TIMEOUT_MS)
    request = MovieRequest(tmp_path / "v.mp4", VOLUME, (0.0, 3.0), 5.0, (320, 240), Look(stamp=False))
    read = film(qtbot, controller, request)
    assert read.shape == (2, 240, 320, 3)
    assert read[0].std() > 5
    assert (read[1] > 60).sum() > 1.1 * (read[0] > 60).sum()  # the ball has grown
    assert session.time == 3.0


class TestDialog:
    @pytest.fixture
    def dialog(self, controller: Any) -> MovieDialog:
        controller.window.actions_by_name["export_movie"].trigger()
        shown: MovieDialog = controller.filming.dialog
        assert shown.isVisible()
        return shown

    def test_it_begins_with_the_span_of_the_scans(self, dialog: MovieDialog) -> None:
        times = dialog.times()
        assert (times[0], times[-1], len(times)) == (0.0, 3.0, 48)
        assert dialog.first.suffix() == " years"
        assert dialog.estimate.text().startswith("48 frames, 4 s")

    def test_what_is_typed_and_clicked_is_what_is_filmed(self, qtbot: Any, dialog: MovieDialog, tmp_path: Path) -> None:
        asked: list[MovieRequest] = []
        dialog.movie_requested.disconnect()
        dialog.movie_requested.connect(asked.append)
        qtbot.keyClicks(dialog.view, "Cor")
        for box, text in ((dialog.first, "0.5"), (dialog.last, "3.5"), (dialog.frames, "7"), (dialog.fps, "8")):
            box.selectAll()
            qtbot.keyClicks(box, text)
            qtbot.keyClick(box, Qt.Key.Key_Tab)
        dialog.preset.setCurrentText("640 × 480")
        qtbot.mouseClick(
            dialog.look.boxes["badge"], Qt.MouseButton.LeftButton, pos=dialog.look.boxes["badge"].rect().center() * 0.2
        )
        dialog.show_box.setCurrentText("Difference")
        dialog.file.edit.selectAll()
        qtbot.keyClicks(dialog.file.edit, str(tmp_path / "my movie"))
        qtbot.mouseClick(dialog.export, Qt.MouseButton.LeftButton)
        request = asked[0]
        assert request.path == tmp_path / "my movie.mp4"
        assert (request.what, request.show) == ("coronal", "difference")
        assert request.times == pytest.approx([0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5])
        assert (request.fps, request.size) == (8.0, (640, 480))
        assert request.look == Look(badge=False)

    def test_seconds_and_frames_follow_each_other(self, dialog: MovieDialog) -> None:
        dialog.fps.setValue(10)
        dialog.seconds.setValue(3.0)
        assert dialog.frames.value() == 30
        dialog.frames.setValue(50)
        assert dialog.seconds.value() == 5.0
        dialog.course.setCurrentText(COURSES[1])
        assert len(dialog.times()) == 98
        assert dialog.seconds.value() == 9.8
        dialog.seconds.setValue(4.0)
        assert len(dialog.times()) == 40

    def test_there_and_back_has_no_frame_twice_in_a_row(self, dialog: MovieDialog) -> None:
        dialog.course.setCurrentText(COURSES[1])
        dialog.frames.setValue(4)
        assert dialog.times() == pytest.approx([0, 1, 2, 3, 2, 1])

    def test_what_was_said_of_a_movie_goes_when_the_next_is_set_up(self, dialog: MovieDialog) -> None:
        dialog.set_finished("Cancelled; nothing was written.")
        assert "Cancelled" in dialog.message.text()
        dialog.frames.setValue(dialog.frames.value() + 1)
        assert dialog.message.text() == ""
        dialog.set_progress(0.5, "Frame 3 of 6")
        dialog.fps.setValue(7)
        assert dialog.message.text() == "Frame 3 of 6"
        dialog.set_finished("")

    def test_no_file_is_told(self, qtbot: Any, dialog: MovieDialog) -> None:
        dialog.file.edit.clear()
        qtbot.mouseClick(dialog.export, Qt.MouseButton.LeftButton)
        assert dialog.message.text() == "Choose a file to write to."

    def test_a_view_that_is_not_there_cannot_be_chosen(self, dialog: MovieDialog) -> None:
        model = dialog.view.model()
        enabled = {
            dialog.view.itemData(row): bool(model.flags(model.index(row, 0)) & Qt.ItemFlag.ItemIsEnabled)
            for row in range(dialog.view.count())
        }
        assert not enabled.pop(VOLUME)
        assert all(enabled.values())

    def test_the_window_is_filmed_at_its_size_and_has_no_letters_of_its_own(
        self, controller: Any, dialog: MovieDialog
    ) -> None:
        dialog.view.setCurrentIndex(dialog.view.findData(WINDOW))
        size = controller.window.size()
        assert dialog.size_px() == (size.width() + size.width() % 2, size.height() + size.height() % 2)
        assert not dialog.show_box.isEnabled()
        assert [name for name, box in dialog.look.boxes.items() if box.isEnabled()] == ["stamp"]

    def test_a_file_that_is_there_is_named_before_it_is_replaced(self, dialog: MovieDialog, tmp_path: Path) -> None:
        assert "takes the place" not in dialog.estimate.text()
        (tmp_path / "old.gif").touch()
        dialog.file.set_path(tmp_path / "old.gif")
        assert "takes the place" in dialog.estimate.text()

    def test_choosing_a_file(self, qtbot: Any, dialog: MovieDialog, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: ("/some/where.gif", ""))
        qtbot.mouseClick(dialog.file.browse, Qt.MouseButton.LeftButton)
        assert dialog.file.path() == Path("/some/where.gif")

    def test_every_control_has_a_name(self, dialog: MovieDialog) -> None:
        boxes = [dialog.view, dialog.show_box, dialog.first, dialog.last, dialog.course, dialog.frames, dialog.fps]
        boxes += [dialog.seconds, dialog.preset, dialog.width_px, dialog.height_px, dialog.file.edit]
        names = [box.accessibleName() for box in boxes]
        assert all(names)
        assert len(set(names)) == len(names)


def test_times_and_words_of_a_plan() -> None:
    assert frame_times(2.0, 5.0, 1) == (2.0,)
    assert frame_times(0.0, 1.0, 2, there_and_back=True) == (0.0, 1.0)
    assert estimate_words(24, 12, (1280, 720), ".mp4") == "24 frames, 2 s, about 0.3 MB"
    assert estimate_words(1, 10, (640, 480), ".txt") == "1 frame, 0.1 s"


def test_a_picture_that_does_not_fit_keeps_its_shape(qtbot: Any) -> None:
    from PySide6.QtGui import QColor, QFont, QImage

    image = QImage(200, 100, QImage.Format.Format_RGB32)
    image.fill(QColor(255, 0, 0))
    found = pixels(fitted(image, 100, 100)).astype(int)
    red = found[..., 0] > 200
    assert red[25:75].all()
    assert not red[:24].any()
    assert not red[76:].any()
    plain = pixels(image)
    assert np.array_equal(pixels(stamped(image.copy(), "", QFont())), plain)
    rows, columns = np.nonzero((pixels(stamped(image.copy(), "t = 1", QFont())) != plain).any(axis=2))
    assert rows.min() > 50
    assert columns.max() < 100
