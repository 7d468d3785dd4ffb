"""A registration as a folder that is opened again: the same map, the same scores, and damage said in a sentence."""

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from engine_kit import box_grid, push, texture
from test_register import noder

from noder.errors import InputError
from noder.grid import Grid
from noder.image import Image, write_volume
from noder.methods import NephiSettings
from noder.methods.nephi_weights import Networks, write_networks
from noder.methods.siren import Sizes
from noder.pair import Pair, open_pair
from noder.pair_files import write_registration
from noder.pair_given import Given
from noder.pair_scores import scores
from noder.pair_store import Reopened, read_registration
from noder.register import Registration, register_steps
from noder.store import load_result

FRAME = box_grid(24, 1.5)
SETTINGS = NephiSettings(
    node_spacing=4, code_spacing=6, global_code=4, local_code=8, frequencies=8, hidden=16,
    coarse_iterations=8, middle_iterations=8, fine_iterations=5,
)  # fmt: skip
SIZES = Sizes(4, 8, 8, 16, 1)


def write_files(folder: Path) -> None:
    """A pair, two of each image in one file of four dimensions, a mask of either, labels and landmarks."""
    still = texture(FRAME)
    pushed = push(FRAME, 2.5).warp(still, FRAME)
    for name, volume in (("fixed", pushed), ("moving", still)):
        values = volume[0].numpy()
        write_volume(folder / f"{name}.nii.gz", values, FRAME)
        write_volume(folder / f"{name}_labels.nii.gz", (values > np.median(values)).astype(np.uint8), FRAME)
        mask = np.zeros(FRAME.shape, np.uint8)
        mask[3:-3, 3:-3, 3:-3] = 1
        write_volume(folder / f"{name}_mask.nii.gz", mask, FRAME)
    places = FRAME.corners_mm.mean(0) + np.random.default_rng(0).uniform(-8, 8, (6, 3))
    np.savetxt(folder / "landmarks.csv", np.hstack([places, places + 0.5]), delimiter=",")


def registered(pair: Pair, settings: NephiSettings = SETTINGS) -> Registration:
    steps = register_steps(pair, settings, seed=3, device="cpu")
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: Registration = end.value
            return result


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Registration, dict]:
    """A written registration with everything that can be given, in the folder "out" beside its images."""
    folder = tmp_path_factory.mktemp("pair")
    write_files(folder)
    masks = folder / "fixed_mask.nii.gz", folder / "moving_mask.nii.gz"
    given = Given(
        (folder / "fixed_labels.nii.gz", folder / "moving_labels.nii.gz"), folder / "landmarks.csv", "RAS", True,
        "centre", "fast", SETTINGS, "cpu", 500.0,
    )  # fmt: skip
    fixed, moving = (Image.open(folder / f"{name}.nii.gz", nan_to_zero=True) for name in ("fixed", "moving"))
    registration = registered(open_pair(fixed, moving, "centre", *masks))
    found = scores(registration, given.truth(fixed.grid, moving.grid))
    write_registration(registration, found, folder / "out", given=given)
    return folder, registration, found


@pytest.fixture
def moved(made: tuple[Path, Registration, dict], tmp_path: Path) -> Path:
    """The same folder elsewhere, with its images; those of before are not there any more."""
    shutil.copytree(made[0], tmp_path / "elsewhere")
    out = tmp_path / "elsewhere" / "out"
    text = (out / "result.json").read_text()
    (out / "result.json").write_text(text.replace(str(made[0]), str(tmp_path / "gone")))
    return out


def the_same_map(one: Registration, other: Registration) -> bool:
    pair = one.pair
    return all(
        torch.equal(one.fit.trajectory.field(pair.frame, s).u, other.fit.trajectory.field(pair.frame, s).u)
        and torch.equal(
            one.fit.trajectory.inverse_field(pair.frame, s).u, other.fit.trajectory.inverse_field(pair.frame, s).u
        )
        for s in (0.4, 1.0)
    )


def check_same(reopened: Reopened, registration: Registration, found: dict) -> None:
    again = reopened.registration
    assert the_same_map(registration, again)
    assert np.array_equal(again.pair.mask, registration.pair.mask)
    assert again.pair.initial.rows == registration.pair.initial.rows
    for one, other in zip(again.pair.series.scans, registration.pair.series.scans, strict=True):
        assert np.array_equal(one.image.numpy(), other.image.numpy())
    assert reopened.scores == found
    assert scores(again, reopened.truth) == found  # of what was opened, not of what was written down


def test_it_opens_as_it_was_written(made: tuple[Path, Registration, dict]) -> None:
    folder, registration, found = made
    reopened = read_registration(folder / "out")
    check_same(reopened, registration, found)
    assert registration.fit.trajectory.field(registration.pair.frame, 1.0).u.abs().max() > 0.2
    again, given = reopened.registration, reopened.given
    assert [step.losses for step in again.fit.history] == [step.losses for step in registration.fit.history]
    assert again.fit.config == registration.fit.config
    assert again.fit.provenance == registration.fit.provenance
    assert again.pair.masks == registration.pair.masks
    assert again.pair.fixed.nan_to_zero
    assert (given.space, given.swapped, given.initial, given.preset) == ("RAS", True, "centre", "fast")
    assert (given.settings, given.device, given.max_seconds) == (SETTINGS, "cpu", 500.0)
    assert given.landmarks == folder / "landmarks.csv"


def test_written_once_more_it_is_the_same_files(made: tuple[Path, Registration, dict], tmp_path: Path) -> None:
    folder, *_ = made
    reopened = read_registration(folder / "out")
    write_registration(reopened.registration, reopened.scores, tmp_path / "again", given=reopened.given)
    for name in ("model.safetensors", "initial.tfm"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / "out" / name).read_bytes()
    one, other = (json.loads((at / "result.json").read_text()) for at in (tmp_path / "again", folder / "out"))
    for described in (one, other):
        for row in (described["fixed"], described["moving"], *described["masks"], *described["given"]["labels"]):
            row.pop("relative_path")
        described["given"]["landmarks"].pop("relative_path")
    assert one == other
    fields = [Image.open(at / "warped.nii.gz").numpy() for at in (tmp_path / "again", folder / "out")]
    assert np.array_equal(*fields)


def test_a_moved_folder_finds_its_images_beside_it(moved: Path, made: tuple[Path, Registration, dict]) -> None:
    reopened = read_registration(moved)
    assert reopened.registration.pair.fixed.path == moved / ".." / "fixed.nii.gz"
    check_same(reopened, made[1], made[2])


def test_a_changed_original_does_not_hide_the_copy(made: tuple[Path, Registration, dict], tmp_path: Path) -> None:
    shutil.copytree(made[0], tmp_path / "first")
    registration = read_registration(tmp_path / "first" / "out")
    write_registration(
        registration.registration, registration.scores, tmp_path / "first" / "out", given=registration.given
    )
    shutil.copytree(tmp_path / "first", tmp_path / "second")
    write_volume(tmp_path / "first" / "fixed.nii.gz", np.ones(FRAME.shape, np.float32), FRAME)
    assert read_registration(tmp_path / "second" / "out").registration.pair.fixed.numpy().std() > 0


@pytest.mark.parametrize("mode", ["encoder", "encoder+io"])
def test_what_an_encoder_found_needs_no_weights_again(mode: str, tmp_path: Path) -> None:
    write_files(tmp_path)
    networks = Networks(SIZES, seed=3)
    torch.manual_seed(0)
    for parameter in networks.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    weights = write_networks(tmp_path / "networks.safetensors", networks, {"licence": "none"})
    settings = replace(SETTINGS, mode=mode, weights=str(weights))
    pair = open_pair(Image.open(tmp_path / "fixed.nii.gz"), Image.open(tmp_path / "moving.nii.gz"))
    registration = registered(pair, settings)
    given = Given(settings=settings)
    found = scores(registration, given.truth(pair.fixed.grid, pair.moving.grid))
    write_registration(registration, found, tmp_path / "out", given=given)
    weights.unlink()
    assert registration.fit.trajectory.field(pair.frame, 1.0).u.abs().max() > 0.01
    check_same(read_registration(tmp_path / "out"), registration, found)


def test_a_finer_frame_a_turned_file_and_one_of_many_volumes(tmp_path: Path) -> None:
    coarse = Grid((17, 17, 17), np.array([[-3.0, 0, 0, 20], [0, 0, 2, 1], [0, 2.0, 0, 2], [0, 0, 0, 1]]))
    still = texture(FRAME)
    values = FRAME.sample(still, coarse.points())[0].numpy()
    write_volume(tmp_path / "fixed.nii.gz", values, coarse)
    write_volume(tmp_path / "moving.nii.gz", np.stack([still[0].numpy() * 0, still[0].numpy()], axis=-1), FRAME)
    pair = open_pair(Image.open(tmp_path / "fixed.nii.gz"), Image.open(tmp_path / "moving.nii.gz", 1))
    assert pair.refined != (1, 1, 1)
    registration = registered(pair)
    found = scores(registration, Given().truth(pair.fixed.grid, pair.moving.grid))
    write_registration(registration, found, tmp_path / "out")
    reopened = read_registration(tmp_path / "out")
    check_same(reopened, registration, found)
    assert reopened.registration.pair.moving.volume == 1


def test_fsl_fields_of_an_earlier_registration_do_not_stay(
    made: tuple[Path, Registration, dict], tmp_path: Path
) -> None:
    _, registration, found = made
    write_registration(registration, found, tmp_path, ("itk", "fsl"))
    assert (tmp_path / "field_fsl.nii.gz").is_file()
    write_registration(registration, found, tmp_path)
    assert not (tmp_path / "field_fsl.nii.gz").exists()


def edited(change: Callable[[dict], object]) -> Callable[[Path], object]:
    def edit(out: Path) -> None:
        described = json.loads((out / "result.json").read_text())
        change(described)
        (out / "result.json").write_text(json.dumps(described))

    return edit


def cut(name: str) -> Callable[[Path], object]:
    return lambda out: (out / name).write_bytes((out / name).read_bytes()[:300])


DAMAGE = {
    "image gone": (lambda out: (out.parent / "moving.nii.gz").unlink(), "moving.nii.gz back, or into"),
    "image changed": (
        lambda out: write_volume(out.parent / "fixed.nii.gz", np.ones(FRAME.shape, np.float32), FRAME),
        "fixed.nii.gz has changed since the registration",
    ),
    "mask gone": (lambda out: (out.parent / "fixed_mask.nii.gz").unlink(), "fixed_mask.nii.gz back, or into"),
    "landmarks changed": (lambda out: (out.parent / "landmarks.csv").write_text("1,2,3,4,5,6\n"), "has changed since"),
    "other format": (edited(lambda d: d.update(format=99)), "has the format 99, where this version knows 1"),
    "earlier version": (edited(lambda d: [d.pop("kind"), d.pop("format")]), "earlier version, which did not keep"),
    "a part missing": (edited(lambda d: d.pop("given")), "'given' is missing or odd"),
    "of another type": (edited(lambda d: d.update(history=[7])), "is missing or odd"),
    "no table": (lambda out: (out / "result.json").write_text("[1]"), "it holds no table"),
    "cut result": (cut("result.json"), "result.json is damaged"),
    "cut map": (cut("model.safetensors"), "cannot be read as the map of a registration"),
    "map gone": (lambda out: (out / "model.safetensors").unlink(), "cannot be read as the map of a registration"),
    "no folder": (shutil.rmtree, "result.json cannot be read"),
}


@pytest.mark.parametrize(("damage", "words"), DAMAGE.values(), ids=list(DAMAGE))
def test_damage_is_a_sentence(moved: Path, damage: Callable[[Path], object], words: str) -> None:
    damage(moved)
    with pytest.raises(InputError, match=words) as error:
        read_registration(moved)
    assert str(moved.parent.parent) in str(error.value)


def test_a_map_of_another_frame_is_told(moved: Path, tmp_path: Path) -> None:
    described = json.loads((moved / "result.json").read_text())
    smaller = Grid((20, 24, 24), FRAME.affine)
    write_volume(moved.parent / "fixed.nii.gz", texture(smaller)[0].numpy(), smaller)
    described["fixed"]["sha256"] = hashlib.sha256((moved.parent / "fixed.nii.gz").read_bytes()).hexdigest()
    described["given"]["labels"], described["given"]["landmarks"] = [None, None], None
    (moved / "result.json").write_text(json.dumps(described))
    with pytest.raises(InputError, match="belongs to the registration of other images"):
        read_registration(moved)


def test_a_pair_is_no_fit_and_a_fit_no_pair(moved: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds a registered pair, no fit"):
        load_result(moved)
    (tmp_path / "result.json").write_text('{"format": 1, "times": [0, 1]}')
    with pytest.raises(InputError, match="holds no registration"):
        read_registration(tmp_path)


def test_an_image_in_memory_cannot_be_found_again(tmp_path: Path) -> None:
    write_files(tmp_path)
    fixed, moving = (Image.open(tmp_path / f"{name}.nii.gz") for name in ("fixed", "moving"))
    registration = registered(open_pair(Image.from_array(fixed.numpy(), fixed.grid, "mine"), moving))
    found = scores(registration, Given().truth(fixed.grid, moving.grid))
    write_registration(registration, found, tmp_path / "out")
    with pytest.raises(InputError, match="mine was never a file"):
        read_registration(tmp_path / "out")


class TestPredict:
    def test_the_moving_image_along_the_timeline(self, made: tuple[Path, Registration, dict], tmp_path: Path) -> None:
        folder, registration, _ = made
        done = noder(
            "predict",
            folder / "out",
            "--at",
            "0,0.5,1",
            "-o",
            tmp_path,
            "--fields",
            "itk",
            "--jacobian",
            "--brightness",
        )
        assert done.returncode == 0, done.stderr
        about = "Time 0 is moving.nii.gz where the initial transform (centre) lays it on fixed.nii.gz"
        assert about in done.stdout
        described = json.loads((tmp_path / "predict.json").read_text())
        assert described["about"].startswith(about)
        assert [row["carried"][0]["scan"] for row in described["predictions"]] == ["moving.nii.gz"] * 3
        moving = registration.pair.series.scans[0].image
        volumes = [Image.open(tmp_path / f"pred_{k:03d}.nii.gz") for k in range(3)]
        assert all(volume.stored_grid.matches(Image.open(folder / "fixed.nii.gz").stored_grid) for volume in volumes)
        assert np.allclose(volumes[0].numpy(), moving.numpy(), atol=1e-3 * moving.numpy().std())
        warped, inner = Image.open(folder / "out" / "warped.nii.gz").numpy(), (slice(3, -3),) * 3
        away = [float(np.abs(volume.numpy() - warped)[inner].mean()) for volume in volumes]
        assert away[2] < 0.2 * away[1] < 0.2 * away[0]
        field = Image.open(tmp_path / "jac_002.nii.gz").numpy()
        assert field.std() > 0.005
        assert {path.name for path in tmp_path.iterdir()} >= {"field_001.nii.gz", "inverse_001.nii.gz", "align_000.tfm"}

    def test_what_cannot_be_opened_is_told_with_its_code(self, moved: Path, tmp_path: Path) -> None:
        (moved.parent / "moving.nii.gz").unlink()
        done = noder("predict", moved, "--times", "0.5", "-o", tmp_path / "files")
        assert done.returncode == 3
        assert "Put moving.nii.gz back, or into" in done.stderr
        assert not (tmp_path / "files").exists()
        done = noder("evaluate", moved)
        assert done.returncode == 3
        assert "holds a registered pair, no fit" in done.stderr


def test_several_volumes_name_the_option(tmp_path: Path) -> None:
    write_volume(tmp_path / "many.nii.gz", np.zeros((20, 20, 20, 7), np.float32), box_grid(20, 1.0))
    write_volume(tmp_path / "one.nii.gz", texture(box_grid(20, 1.0))[0].numpy(), box_grid(20, 1.0))
    for order, option in ((("many", "one"), "--fixed-volume"), (("one", "many"), "--moving-volume")):
        done = noder("register", *(tmp_path / f"{name}.nii.gz" for name in order), "-o", tmp_path / "out")
        assert done.returncode == 3
        assert f"name one with {option}, 0 to 6" in done.stderr
