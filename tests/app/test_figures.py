"""Pictures of the views as PNG and SVG, and the report, from the menus."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fit_kit import save_fit, show_fit
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QApplication, QFileDialog
from window_kit import TIMEOUT_MS

from noder_viewer.figure_dialog import FigureDialog
from noder_viewer.figures import window_picture
from noder_viewer.movie_job import pixels
from noder_viewer.picture_look import AXIAL, SLICES, VOLUME, WINDOW


@pytest.fixture(scope="module")
def fit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_fit(tmp_path_factory.mktemp("fit"))


@pytest.fixture
def controller(qtbot: Any, tmp_path: Path, fit: Path) -> Any:
    controller = show_fit(qtbot, tmp_path, fit)
    yield controller
    controller.shut_down()


@pytest.fixture
def dialog(controller: Any) -> FigureDialog:
    controller.window.actions_by_name["save_picture"].trigger()
    shown: FigureDialog = controller.figures.dialog
    assert shown.isVisible()
    return shown


def save(qtbot: Any, controller: Any, view: str, path: Path, scale: int = 1) -> Path:
    """Choose, click Save, and wait for the file."""
    dialog = controller.figures.dialog
    dialog.view.setCurrentIndex(dialog.view.findData(view))
    dialog.scale.setCurrentIndex(dialog.scale.findData(scale))
    dialog.file.set_path(path)
    with qtbot.waitSignal(controller.figures.saved, timeout=TIMEOUT_MS) as saved:
        qtbot.mouseClick(dialog.save, Qt.MouseButton.LeftButton)
    assert saved.args == [path]
    return path


def test_a_slice_is_saved_as_it_is_on_screen(qtbot: Any, controller: Any, dialog: FigureDialog, tmp_path: Path) -> None:
    controller.window.resize(1400, 900)  # a view that is resized forgets the longer titles that it has made room for
    QApplication.processEvents()
    controller.figures.show_dialog()
    dialog.look.boxes["crosshair"].setChecked(True)
    image = QImage(str(save(qtbot, controller, AXIAL, tmp_path / "a.png")))
    view = controller.window.slices[2]
    assert image.size() == view.size()
    assert np.array_equal(pixels(image), pixels(view.grab().toImage()))


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("view", [AXIAL, SLICES])
def test_a_larger_scale_has_more_pixels_of_the_same(
    qtbot: Any, controller: Any, dialog: FigureDialog, tmp_path: Path, view: str, scale: int
) -> None:
    once = QImage(str(save(qtbot, controller, view, tmp_path / "a.png")))
    more = QImage(str(save(qtbot, controller, view, tmp_path / "b.png", scale)))
    assert more.size() == once.size() * scale
    assert more.dotsPerMeterX() == pytest.approx(scale * 96 / 0.0254, abs=1)
    shape = (once.height(), scale, once.width(), scale, 3)
    mean = pixels(more).astype(float).reshape(shape).mean(axis=(1, 3))
    assert np.abs(mean - pixels(once)).mean() < 4
    names = pixels(more)[: 60 * scale, : 200 * scale].astype(int)
    coarse = names.reshape(60, scale, 200, scale, 3)
    assert (coarse.max(axis=(1, 3)) != coarse.min(axis=(1, 3))).any()  # drawn anew, not blown up


@pytest.mark.parametrize("scale", [2, 4])
def test_the_window_is_saved_sharp_at_any_scale(
    qtbot: Any, controller: Any, dialog: FigureDialog, tmp_path: Path, scale: int
) -> None:
    window = controller.window
    assert QImage(str(save(qtbot, controller, WINDOW, tmp_path / "a.png", scale))).size() == window.size() * scale
    # at once, one after the other: the window goes on working, and what it says moves the rest
    once, more = pixels(window_picture(window, 1)), pixels(plain(window_picture(window, scale))).astype(float)
    mean = more.reshape(window.height(), scale, window.width(), scale, 3).mean(axis=(1, 3))
    assert np.abs(mean - once).mean() < 5
    view = window.slices[2]
    corner = view.mapTo(window, QPoint()) * scale
    badge = more[corner.y() :, corner.x() :][: 24 * scale, : view.width() * scale]
    blocks = badge.reshape(24, scale, view.width(), scale, 3)
    assert (blocks.max(axis=(1, 3)) != blocks.min(axis=(1, 3))).any()  # drawn anew, not blown up


def plain(image: QImage) -> QImage:
    """The same pixels, one to one."""
    image.setDevicePixelRatio(1)
    return image


def test_slices_as_svg_are_vectors(qtbot: Any, controller: Any, dialog: FigureDialog, tmp_path: Path) -> None:
    controller.session.radiological = True
    root = ElementTree.parse(save(qtbot, controller, SLICES, tmp_path / "a.svg")).getroot()
    assert len(root.findall("{http://www.w3.org/2000/svg}svg")) == 3
    words = [(node.text or "").strip() for node in root.iter("{http://www.w3.org/2000/svg}text")]
    assert words.count("RADIOLOGICAL") == 3
    assert (root.attrib["width"], root.attrib["height"]) == (dialog.width_px.text(), dialog.height_px.text())


def test_the_window_is_no_svg_and_a_wrong_name_is_told(qtbot: Any, dialog: FigureDialog, tmp_path: Path) -> None:
    for view, name in ((WINDOW, "a.svg"), (AXIAL, "a.jpg")):
        dialog.view.setCurrentIndex(dialog.view.findData(view))
        dialog.file.set_path(tmp_path / name)
        qtbot.mouseClick(dialog.save, Qt.MouseButton.LeftButton)
        assert ".png" in dialog.message.text()
        assert not (tmp_path / name).exists()
        assert dialog.save.isEnabled()
    dialog.file.edit.clear()
    qtbot.mouseClick(dialog.save, Qt.MouseButton.LeftButton)
    assert dialog.message.text() == "Choose a file to write to."


def test_a_picture_that_cannot_be_written_is_a_sentence(
    qtbot: Any, controller: Any, dialog: FigureDialog, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    for name in ("a.png", "a.svg"):
        dialog.file.set_path(tmp_path / "file" / name)
        with qtbot.waitSignal(controller.figures.failed, timeout=TIMEOUT_MS):
            qtbot.mouseClick(dialog.save, Qt.MouseButton.LeftButton)
        assert "written" in dialog.message.text()
        assert dialog.message.property("error") is True


@pytest.mark.gl
def test_the_3d_view_can_be_saved_once_it_is_there(
    qtbot: Any, controller: Any, dialog: FigureDialog, tmp_path: Path
) -> None:
    assert VOLUME not in dialog._sizes
    controller.build_volume()
    qtbot.waitUntil(lambda: controller.window.volume.is_built, timeout=TIMEOUT_MS)
    qtbot.waitUntil(lambda: not controller.presenter.busy, timeout=TIMEOUT_MS)
    controller.figures.show_dialog()
    image = QImage(str(save(qtbot, controller, VOLUME, tmp_path / "v.png", 2)))
    assert image.width() == 2 * controller.window.volume.width()
    assert pixels(image).std() > 5


def test_the_report_is_of_what_the_window_shows(
    qtbot: Any, controller: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = controller.session
    session.radiological, session.time, session.window = True, 1.25, (10.0, 210.0)
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "mine"), ""))
    with qtbot.waitSignal(controller.reporting.written, timeout=TIMEOUT_MS) as written:
        controller.window.actions_by_name["export_report"].trigger()
    assert written.args == [tmp_path / "mine.html"]
    page = (tmp_path / "mine.html").read_text(encoding="utf-8")
    assert "RADIOLOGICAL" in page
    assert "Growth at t = 1.25 years" in page
    assert ">210</text>" in page
    assert "mine.html" in session.status


def test_a_report_that_cannot_be_written_is_told(qtbot: Any, controller: Any, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with qtbot.waitSignal(controller.reporting.failed, timeout=TIMEOUT_MS):
        controller.reporting.write(tmp_path / "file" / "r.html")
    assert "not written" in controller.window.banner.text


def test_a_series_without_a_fit_has_no_report(controller: Any) -> None:
    assert controller.window.actions_by_name["export_report"].isEnabled()
    controller.session.result = None
    controller.presenter.refresh()
    assert not controller.window.actions_by_name["export_report"].isEnabled()
    assert controller.window.actions_by_name["export_movie"].isEnabled()
