"""The window on a small screen: nothing lies outside of it, and nothing is squeezed."""

import pytest
from pair_kit import write_pair
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication
from test_register_panel import drop_on
from window_kit import TIMEOUT_MS, engine, make_controller

SMALL = (1100, 680)


@pytest.fixture
def window(qtbot, tmp_path):
    controller = make_controller(tmp_path)
    qtbot.addWidget(controller.window)
    controller.window.resize(*SMALL)
    with qtbot.waitExposed(controller.window):
        controller.window.show()
    engine(qtbot, controller)
    controller.window.show_panel(controller.window.register_panel)
    controller.window.resize(*SMALL)
    QApplication.processEvents()
    yield controller.window
    controller.shut_down()


def test_the_register_tab_ends_inside_the_window(window):
    """Its scroll bar used to lie beyond the right edge, where nobody could reach it."""
    panel = window.register_panel
    assert panel.mapTo(window, panel.rect().topRight()).x() < SMALL[0]
    assert window.minimumSizeHint().width() <= SMALL[0]


def test_rows_keep_their_height_when_a_hint_appears(qtbot, window, tmp_path):
    files, inputs = write_pair(tmp_path), window.register_panel.inputs
    inputs.more.setChecked(True)
    for row, path in ((inputs.fixed, files.fixed), (inputs.moving, files.moving), (inputs.landmarks, files.landmarks)):
        assert drop_on(row, [path])
    inputs.set_initial("file")
    assert drop_on(inputs.transform, [files.initial])
    qtbot.mouseClick(inputs.swap, Qt.MouseButton.LeftButton)
    assert "the other way round" in inputs.hint.text()
    rows = (*inputs.masks, *inputs.labels, inputs.landmarks)
    qtbot.waitUntil(
        lambda: (
            all(row.button.height() >= row.button.sizeHint().height() for row in rows)
            and inputs.hint.height() >= inputs.hint.heightForWidth(inputs.hint.width())
        ),
        timeout=TIMEOUT_MS,
    )
