"""A project reopens the whole session: layers, regions and strokes, points, methods side by side, leave-one-outs."""

import dataclasses
import json
import shutil

import nibabel
import numpy as np
import pytest
from pair_kit import choice_of, wait_for_end, write_pair
from project_kit import autosaved, opened, saved, windows
from PySide6.QtCore import Qt
from region_kit import paint, save_lps, settle
from scipy.spatial.transform import Rotation
from window_kit import SHAPE, TIMEOUT_MS, ball, open_and_wait, write_scan, write_scans

from noder_viewer.autosave import FILE
from noder_viewer.fit_rows import Asked, LeaveOneOut, new_row
from noder_viewer.followed import Followed
from noder_viewer.jobs import FitChoice
from noder_viewer.methods_scene import pane_of
from noder_viewer.project_parts import DRAWN
from noder_viewer.region_state import Brush

LEFT = Qt.MouseButton.LeftButton
STROKE = [(6, 6, 9), (9, 6, 9)]

make = pytest.fixture(windows)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Four scans with two fits and a leave-one-out of them, and files of other images and labels."""
    from noder.fit import fit
    from noder.fit_config import FitConfig
    from noder.leave_one_out import leave_one_out_steps
    from noder.methods import NoderSettings
    from noder.series import ImageSeries
    from noder.store import save_result

    folder = tmp_path_factory.mktemp("made")
    series = ImageSeries.from_paths(write_scans(folder), times=[0, 1, 2, 3], unit="years")
    for name, smoothness in (("one", 0.1), ("two", 10.0)):
        settings = NoderSettings(coarse_iterations=3, middle_iterations=0, fine_iterations=0, smoothness=smoothness)
        save_result(fit(series, FitConfig(settings=settings)), folder / name)
    steps = leave_one_out_steps(series, FitConfig(settings=settings), baselines=False)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            left_out = end.value
            break
    write_scan(folder / "pet.nii.gz", ball(3.0)[::2, ::2, ::2], (2.0, 2.0, 3.0))
    save_lps(folder / "atlas.nii.gz", (ball(6.0) > 150).astype(np.uint8))
    own = np.stack([(ball(5.0 + 0.6 * k) > 150).astype(np.uint8) for k in range(4)], axis=-1)
    save_lps(folder / "own.nii.gz", own)
    (folder / "names.txt").write_text("1 ball\n")
    return folder, left_out


@pytest.fixture
def data(made, tmp_path):
    shutil.copytree(made[0], tmp_path / "study" / "data")
    return tmp_path / "study" / "data"


@pytest.fixture
def one(qtbot, make, data):
    controller = make("one")
    open_and_wait(qtbot, controller, [data / f"scan_{k}.nii.gz" for k in range(4)])
    return controller


def with_layers(qtbot, controller, paths):
    controller.layering.add(paths)
    qtbot.waitUntil(lambda: not controller.layering.busy, timeout=TIMEOUT_MS)


def moved_and_opened(qtbot, make, tmp_path, path):
    """The study as a whole lies elsewhere when its project is opened."""
    (tmp_path / "study").rename(tmp_path / "elsewhere")
    return opened(qtbot, make("other"), tmp_path / "elsewhere" / path.relative_to(tmp_path / "study"))


def drawn(qtbot, controller, points=STROKE, label=2):
    """A stroke on the scan that is shown."""
    controller.presenter.refresh()
    controller.measuring.set_brush(Brush(2.0, label=label))
    controller.region_view.refresh()  # now the views know the brush
    paint(controller, points)
    settle(qtbot, controller)
    controller.measuring.set_brush(None)
    assert (controller.session.regions.labels.values == label).any()
    return controller.session.regions.labels.values


def test_layers_come_back_with_their_looks_and_their_order(qtbot, make, one, data, tmp_path):
    with_layers(qtbot, one, [data / "pet.nii.gz", data / "atlas.nii.gz"])
    atlas, pet = one.session.layers
    list_ = one.window.layer_panel
    list_.look_requested.emit(pet.key, {"colormap": "viridis", "gamma": 1.7, "opacity": 0.25})
    list_.window_requested.emit(pet.key, 20.0, 90.0)
    list_.outline_requested.emit(atlas.key, True)
    list_.list.visible_requested.emit(atlas.key, False)
    one.session.order = ("landmarks", pet.key, "image", atlas.key)
    one.session.overlays = one.session.overlays.switched("landmarks", on=False)
    before = one.session.layers
    path = saved(qtbot, one, data.parent / "heart.noderproj")
    assert not one.projects.changed

    other = moved_and_opened(qtbot, make, tmp_path, path)
    after = other.session.layers
    kept = ("key", "name", "is_labels", "window", "look", "outline")
    assert [[getattr(layer, name) for name in kept] for layer in after] == [
        [getattr(layer, name) for name in kept] for layer in before
    ]
    assert after[1].image.path == tmp_path / "elsewhere" / "data" / "pet.nii.gz"
    assert np.array_equal(after[1].image.numpy(), before[1].image.numpy())
    assert other.session.order == ("landmarks", pet.key, "image", atlas.key)
    assert not other.session.overlays.landmarks
    assert not other.projects.changed
    with_layers(qtbot, other, [tmp_path / "elsewhere" / "data" / "pet.nii.gz"])
    assert len({layer.key for layer in other.session.layers}) == 3
    assert other.projects.changed


def test_a_layer_that_is_missing_is_told_and_nothing_else_is_lost(qtbot, make, one, data):
    with_layers(qtbot, one, [data / "pet.nii.gz", data / "atlas.nii.gz"])
    path = saved(qtbot, one, data.parent / "heart.noderproj")
    (data.parent / "archive").mkdir()
    shutil.move(data / "pet.nii.gz", data.parent / "archive")
    other = opened(qtbot, make("other"), path)
    assert "pet.nii.gz (layer) is not there any more" in other.window.banner.text
    assert [layer.name for layer in other.session.layers] == ["atlas.nii.gz"]
    assert len(other.session.times) == 4
    with qtbot.waitSignal(other.projects.taken, timeout=TIMEOUT_MS):
        other.projects.look_in(data.parent / "archive")
    assert [layer.name for layer in other.session.layers] == ["atlas.nii.gz", "pet.nii.gz"]
    assert other.window.banner.text == ""


def test_strokes_are_written_beside_the_project_and_come_back(qtbot, make, one, data, tmp_path):
    one.session.time = 1.0
    drawn(qtbot, one)
    one.measuring.rename(2, "scar")
    one.session.region_look = dataclasses.replace(one.session.region_look, fill=0.7)
    assert one.session.regions.changed
    path = saved(qtbot, one, data.parent / "heart.noderproj")
    results = data.parent / "heart-results"
    assert [file.name for file in results.iterdir()] == [f"{DRAWN}.nii.gz"]
    assert not one.session.regions.changed
    values = drawn(qtbot, one, [(14, 14, 9)], label=3)
    assert one.projects.changed
    saved(qtbot, one, path)
    (file,) = results.iterdir()  # the strokes before are in the new one
    assert np.array_equal(nibabel.load(file).get_fdata(), values)

    other = moved_and_opened(qtbot, make, tmp_path, path)
    settle(qtbot, other)
    regions = other.session.regions
    assert np.array_equal(regions.labels.values, values)
    assert (regions.time, regions.image.name) == (1.0, "scan_1.nii.gz")
    assert (regions.name(2), other.session.region_look.fill) == ("scar", 0.7)
    assert other.session.region_figures.drawn_ml.keys() == {2, 3}
    assert not regions.changed
    assert not other.projects.changed
    saved(qtbot, other, tmp_path / "elsewhere" / "heart.noderproj")
    assert len(list((tmp_path / "elsewhere" / "heart-results").iterdir())) == 1  # nothing was drawn since


def test_own_labels_of_the_scans_that_are_kept_come_back(qtbot, make, one, data, tmp_path):
    inputs = one.window.region_panel.inputs
    for row, name in ((inputs.labels, "atlas"), (inputs.own, "own")):
        row.set_path(data / f"{name}.nii.gz")
    inputs.scan.setCurrentIndex(1)
    inputs.scan.activated.emit(1)
    inputs.changed.emit()
    settle(qtbot, one)
    before = one.session.regions
    one.opening.keep(first=1)
    settle(qtbot, one)
    path = saved(qtbot, one, data.parent / "heart.noderproj")

    other = moved_and_opened(qtbot, make, tmp_path, path)
    settle(qtbot, other)
    assert len(other.session.times) == 3
    assert [mine.mm3 for mine in other.session.regions.own] == [mine.mm3 for mine in before.own[1:]]


def test_regions_of_files_come_back_with_own_labels_and_names(qtbot, make, one, data, tmp_path):
    inputs = one.window.region_panel.inputs
    for row, name in ((inputs.labels, "atlas"), (inputs.own, "own")):
        row.set_path(data / f"{name}.nii.gz")
    inputs.names.set_path(data / "names.txt")
    inputs.changed.emit()
    settle(qtbot, one)
    one.measuring.rename(1, "heart")
    path = saved(qtbot, one, data.parent / "heart.noderproj")
    assert not (data.parent / "heart-results").exists()

    other = moved_and_opened(qtbot, make, tmp_path, path)
    settle(qtbot, other)
    before, after = one.session.regions, other.session.regions
    assert np.array_equal(after.labels.values, before.labels.values)
    assert after.name(1) == "heart"
    assert [mine.mm3 for mine in after.own] == [mine.mm3 for mine in before.own]
    rows = other.window.region_panel.inputs
    assert [row.path.name for row in (rows.labels, rows.own, rows.names)] == ["atlas.nii.gz", "own.nii.gz", "names.txt"]
    # the labels go, the rest stays
    (tmp_path / "elsewhere" / "data" / "atlas.nii.gz").unlink()
    third = opened(qtbot, make("third"), tmp_path / "elsewhere" / "heart.noderproj")
    assert "atlas.nii.gz (file of the regions) is not there" in third.window.banner.text
    assert third.session.regions is None
    assert len(third.session.times) == 4


def test_the_list_of_fits_and_what_is_side_by_side(qtbot, make, made, data):
    """The fit that is missing takes its pane with it, not that of its neighbour."""
    one = make("one")
    open_and_wait(qtbot, one, [data / "one"])
    session = one.session
    first = session.fits[0]
    left_out = dataclasses.replace(
        new_row((), Asked(session.series, FitChoice(seed=3), leave_one_out=LeaveOneOut(False, 2)), "without each"),
        status="done", left_out=made[1],
    )  # fmt: skip
    with qtbot.waitSignal(one.opening.opened, timeout=TIMEOUT_MS):
        one.open([data / "two"])
    second = dataclasses.replace(session.fits[0], name="smooth")
    session.fits = (first, left_out, second)
    panes = ("observed", pane_of(first.key), pane_of(second.key))
    session.methods = dataclasses.replace(session.methods, on=True, axis=0, score="ssim_mask", panes=panes)
    session.followed = (Followed(1, (1.0, 2.0, 3.0), 0.5), Followed(4, (-2.0, 0.0, 3.0), 1.0))
    path = saved(qtbot, one, data.parent / "heart.noderproj")
    assert not session.is_unsaved  # the table is in the project

    other = opened(qtbot, make("other"), path)
    assert [row.name for row in other.session.fits] == ["one", "without each", "smooth"]
    table, shown = other.session.fits[1], other.session.fits[2]
    assert table.left_out == made[1]
    assert (table.asked.choice.seed, table.asked.leave_one_out) == (3, LeaveOneOut(False, 2))
    assert other.session.shown_fit == shown.key
    fits = (pane_of(other.session.fits[0].key), pane_of(shown.key))
    assert other.session.methods == dataclasses.replace(session.methods, panes=("observed", *fits))
    assert other.session.followed == session.followed
    qtbot.waitUntil(lambda: not other.following.busy, timeout=TIMEOUT_MS)
    assert [len(other.session.paths.line(n).times) > 2 for n in (1, 4)] == [True, True]
    other.comparing.refresh()
    assert other.window.methods.isVisible()
    other.fits.show(table.key)
    assert other.fits.left_out.table.rowCount() == one_table_rows(made[1])
    assert not other.session.is_unsaved
    assert not other.projects.changed

    shutil.rmtree(data / "one")
    third = opened(qtbot, make("third"), path)
    assert [row.name for row in third.session.fits] == ["without each", "smooth"]
    assert third.session.result is third.session.fits[1].result
    assert third.session.methods.panes == ("observed", pane_of(third.session.fits[1].key))
    assert "one (fit) is not there" in third.window.banner.text


def one_table_rows(left_out):
    return len(left_out.rows) + bool(left_out.within) + bool(left_out.beyond)


def test_strokes_and_points_behind_a_pair_come_back_on_their_series(qtbot, make, data):
    one = make("one")
    open_and_wait(qtbot, one, [data / "one"])
    values = drawn(qtbot, one)
    one.session.followed = (Followed(2, (1.0, 2.0, 3.0), 0.5),)
    one.registering.start(choice_of(write_pair(data)))
    wait_for_end(qtbot, one)
    path = saved(qtbot, one, data.parent / "both.noderproj")
    assert not one.session.kept["regions"].changed
    assert not one.projects.changed

    other = opened(qtbot, make("other"), path)
    assert other.session.pair is not None
    assert other.session.followed == ()
    qtbot.mouseClick(other.window.register_panel.back, LEFT)
    assert np.array_equal(other.session.regions.labels.values, values)
    assert other.session.followed == one.session.kept["followed"]


def test_strokes_are_in_the_autosave_and_still_unsaved_when_taken_back(qtbot, make, one):
    values = drawn(qtbot, one)
    folder = autosaved(qtbot, one)
    assert one.session.regions.changed  # it is no save of the user's
    drawn(qtbot, one, [(14, 14, 9)], label=2)
    autosaved(qtbot, one)
    assert len(list(folder.glob(f"{DRAWN}*"))) == 1
    one.session.radiological = True
    written = next(folder.glob(f"{DRAWN}*")).stat().st_mtime_ns
    autosaved(qtbot, one)
    assert next(folder.glob(f"{DRAWN}*")).stat().st_mtime_ns == written  # nothing was drawn since
    left = folder.with_name("1-crashed")
    shutil.copytree(folder, left, ignore=shutil.ignore_patterns("lock"))
    other = make("other")
    other.autosave.offer()
    with qtbot.waitSignal(other.projects.taken, timeout=TIMEOUT_MS):
        qtbot.mouseClick(other.window.banner.button, LEFT)
    regions = other.session.regions
    assert np.array_equal(regions.labels.values, one.session.regions.labels.values)
    assert not np.array_equal(regions.labels.values, values)
    assert regions.changed
    qtbot.waitUntil(lambda: not left.exists(), timeout=TIMEOUT_MS)
    again = json.loads((other.autosave.folder / FILE).read_text())
    assert again["regions"]["labels"]["relative_path"] == f"{DRAWN}.nii.gz"


def test_a_project_of_an_earlier_version_opens(qtbot, make, one, data):
    path = saved(qtbot, one, data.parent / "heart.noderproj")
    document = json.loads(path.read_text())
    for name in ("layers", "regions", "fits"):
        del document[name]
    for name in ("methods", "followed"):
        del document["view"][name]
    path.write_text(json.dumps(document))
    other = opened(qtbot, make("other"), path)
    assert len(other.session.times) == 4
    assert other.window.banner.text == ""


def test_a_part_that_is_odd_is_told_and_the_others_open(qtbot, make, one, data):
    with_layers(qtbot, one, [data / "pet.nii.gz"])
    values = drawn(qtbot, one)
    path = saved(qtbot, one, data.parent / "heart.noderproj")
    document = json.loads(path.read_text())
    del document["layers"][0]["window"]
    path.write_text(json.dumps(document))
    other = opened(qtbot, make("other"), path)
    assert "The layers in heart.noderproj cannot be read" in other.window.banner.text
    assert np.array_equal(other.session.regions.labels.values, values)


def test_a_capsule_holds_the_strokes(qtbot, make, data, tmp_path, monkeypatch):
    one = make("one")
    open_and_wait(qtbot, one, [data / "one"])
    values = drawn(qtbot, one)
    monkeypatch.setattr("noder_viewer.projects.QFileDialog.getSaveFileName", lambda *_: (str(tmp_path / "c"), ""))
    with qtbot.waitSignal(one.projects.saved, timeout=TIMEOUT_MS):
        one.projects.save_capsule()
    assert one.session.regions.changed
    other = opened(qtbot, make("other"), tmp_path / "c" / "capsule.noderproj")
    assert np.array_equal(other.session.regions.labels.values, values)


def test_strokes_on_an_aligned_scan_lie_where_they_were_drawn(tmp_path):
    """They were drawn on the aligned picture: its alignment must not move them once more."""
    from noder.alignment import Alignment
    from noder.image import Image
    from noder.labels import read_labels
    from noder.series import ImageSeries
    from noder_viewer.region_jobs import SaveLabels, drawn_regions, empty_regions

    first, other = (Image.open(save_lps(tmp_path / f"{k}.nii.gz", ball(5.0 + k))) for k in range(2))
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", (10, -6, 4), degrees=True).as_matrix()
    matrix[:3, 3] = 4.0
    rows = tuple(map(tuple, matrix.tolist()))
    aligned = other.aligned_onto(first, Alignment("rigid", first.name, rows, 4.0, 0.5, 0.9))
    series = ImageSeries.from_images([first, aligned], [0.0, 1.0])
    regions = empty_regions(series, 1.0)
    values = np.zeros(SHAPE, np.int32)
    values[3:6, 7:9, 2] = 300
    values[0, 0, 0] = values[-1, -1, -1] = 2
    regions = regions.drawn(dataclasses.replace(regions.labels, values=values), 300)
    path = tmp_path / "drawn.nii.gz"
    SaveLabels(regions, series, path).write()
    assert nibabel.load(path).get_data_dtype().kind in "iu"
    assert np.array_equal(drawn_regions(series, 1.0, path).labels.values, values)
    assert np.array_equal(read_labels(path, series, 1.0).values, values)  # as the Regions tab and `noder measure` do
    # and on the scan's own file: aligned scan (x) = scan as stored (matrix x)
    written = nibabel.load(path)
    voxel = np.argwhere(np.asarray(written.dataobj) == 300)[0]
    on_file = (written.affine @ [*voxel, 1])[:3]
    shown = (np.linalg.inv(matrix) @ [*on_file, 1])[:3]
    index = np.linalg.inv(series.grid.affine) @ [*shown, 1]
    assert values[tuple(np.rint(index[:3]).astype(int))] == 300
