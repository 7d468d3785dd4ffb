"""Both looks: readable, and switched while the program runs."""

import re

import pytest
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QApplication, QDialogButtonBox
from window_kit import TIMEOUT_MS, make_controller, open_and_wait, write_scans

from noder_viewer import theme
from noder_viewer.fits_list import FitLine
from noder_viewer.palettes import DARK, LIGHT, READABLE, SIGN_PAIRS, TEXT_PAIRS, VISIBLE, contrast
from noder_viewer.series_panel import SOURCE


def test_contrast_is_that_of_the_standard():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#ffffff", "#ffffff") == 1
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)  # just too little
    assert contrast("#ff0000", "#ffffff") == pytest.approx(4.0, abs=0.01)


@pytest.mark.parametrize("colours", [DARK, LIGHT], ids=["dark", "light"])
def test_text_can_be_read_on_everything_that_it_stands_on(colours):
    for ink, ground in TEXT_PAIRS:
        ratio = contrast(getattr(colours, ink), getattr(colours, ground))
        assert ratio >= READABLE, f"{ink} on {ground}: {ratio:.2f}"
    for line in colours.series:
        assert contrast(line, colours.background) >= READABLE  # names of curves are written in their colours


@pytest.mark.parametrize("colours", [DARK, LIGHT], ids=["dark", "light"])
def test_signs_can_be_seen(colours):
    for ink, ground in SIGN_PAIRS:
        ratio = contrast(getattr(colours, ink), getattr(colours, ground))
        assert ratio >= VISIBLE, f"{ink} on {ground}: {ratio:.2f}"


@pytest.mark.parametrize("colours", [DARK, LIGHT], ids=["dark", "light"])
def test_every_text_colour_of_the_style_sheet_can_be_read_where_it_stands(dressed, colours):
    """Rules that give both an ink and a ground; those with an ink alone stand on a panel."""
    theme.apply(dressed, colours)
    rules = re.findall(r"([^{}]+)\{([^{}]*)\}", theme.style_sheet())
    found = 0
    for selector, body in rules:
        ink = re.search(r"(?:^|[\s;])color: (#\w{6})", body)
        ground = re.search(r"background: (#\w{6})", body)
        if ink is None:
            continue
        found += 1
        least = VISIBLE if "disabled" in selector else READABLE
        ratio = contrast(ink[1], ground[1] if ground else colours.panel)
        assert ratio >= least, f"{selector.strip()}: {ratio:.2f}"
    assert found > 10


def test_the_names_of_colours_are_those_of_the_look_that_is_on(dressed):
    assert DARK.text == theme.TEXT
    theme.apply(dressed, LIGHT)
    assert LIGHT.text == theme.TEXT
    with pytest.raises(AttributeError):
        theme.NO_SUCH_COLOUR  # noqa: B018
    with pytest.raises(AttributeError):
        theme.SERIES  # noqa: B018


@pytest.fixture
def controller(qtbot, tmp_path, dressed):
    controller = make_controller(tmp_path)
    qtbot.addWidget(controller.window)
    controller.window.resize(1100, 680)
    with qtbot.waitExposed(controller.window, timeout=TIMEOUT_MS):
        controller.window.show()
    yield controller
    controller.shut_down()


def commonest(widget):
    """The colour that most of a widget has."""
    image = widget.grab().toImage()
    seen: dict[str, int] = {}
    for x in range(0, image.width(), 3):
        for y in range(0, image.height(), 3):
            name = image.pixelColor(x, y).name()
            seen[name] = seen.get(name, 0) + 1
    return max(seen, key=seen.get)


def test_panels_plots_and_timeline_follow_and_slices_stay_dark(qtbot, controller, tmp_path):
    window = controller.window
    open_and_wait(qtbot, controller, write_scans(tmp_path))
    controller.presenter.refresh()
    for name, colours in (("light", LIGHT), ("dark", DARK), ("light", LIGHT)):
        window.actions_by_name[f"theme_{name}"].trigger()
        QApplication.processEvents()
        assert commonest(window.overlay_panel) == colours.panel
        assert commonest(window.series_panel.table.viewport()) == colours.background
        assert commonest(window.fit_panel.curves) == colours.background
        assert contrast(commonest(window.timeline), colours.background) < 1.3
        for view in window.slices:
            assert contrast(commonest(view), "#000000") < 1.3
        assert window.actions_by_name[f"theme_{name}"].isChecked()
        assert not window.actions_by_name["theme_system"].isChecked()


def test_texts_that_warn_change_with_the_look(controller, dressed):
    label = controller.window.series_panel.hint
    controller.window.actions_by_name["theme_light"].trigger()
    assert label.palette().color(label.foregroundRole()) == QColor(LIGHT.warning)
    controller.window.actions_by_name["theme_dark"].trigger()
    assert label.palette().color(label.foregroundRole()) == QColor(DARK.warning)


def test_curves_are_drawn_in_the_colours_of_the_look(controller, dressed):
    curves = controller.window.fit_panel.curves
    curves.set_history([0, 1, 2], {"similarity": [3, 2, 1], "smoothness": [1, 1, 1]})
    for name, colours in (("light", LIGHT), ("dark", DARK)):
        controller.window.actions_by_name[f"theme_{name}"].trigger()
        pens = [curve.opts["pen"].color().name() for curve in curves._curves.values()]
        assert pens == list(colours.series[:2])


def test_the_theme_is_remembered(qtbot, controller, tmp_path, dressed):
    controller.window.actions_by_name["theme_light"].trigger()
    controller.shut_down()
    theme.apply(dressed)
    again = make_controller(tmp_path)
    qtbot.addWidget(again.window)
    assert theme.palette() is LIGHT
    assert again.window.actions_by_name["theme_light"].isChecked()
    again.window.actions_by_name["theme_system"].trigger()
    assert again.theming.theme == "system"
    assert theme.palette() is theme.palette_of("system")
    again.shut_down()


def test_buttons_of_dialogs_have_no_icons_which_the_style_draws_black(dressed):
    theme.apply(dressed, DARK)
    box = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
    box.ensurePolished()
    assert box.button(QDialogButtonBox.StandardButton.Close).icon().isNull()


def test_words_in_tables_take_the_colours_of_the_new_look(qtbot, controller, tmp_path, dressed):
    """The grey of the dark look can hardly be read on white."""
    window = controller.window
    open_and_wait(qtbot, controller, write_scans(tmp_path, 2))
    window.fit_panel.fits.set_lines((FitLine(1, "NODER", "done, no folds", is_shown=True),))
    for name, colours in (("light", LIGHT), ("dark", DARK), ("light", LIGHT)):
        window.actions_by_name[f"theme_{name}"].trigger()
        QApplication.processEvents()
        inks = [window.fit_panel.fits.table.item(0, 1), window.series_panel.table.item(0, SOURCE)]
        assert [item.foreground().color().name() for item in inks] == [colours.muted] * 2
