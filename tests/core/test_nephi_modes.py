"""NePhi with networks that were trained before: one look, and codes optimised from there; the networks stay frozen."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from engine_kit import box_grid, moving_series
from test_nephi import GRID, error, problem

from noder.errors import InputError
from noder.fit import FitConfig, fit
from noder.image import Image, write_volume
from noder.methods import NephiSettings
from noder.methods.mending import composed_maps
from noder.methods.nephi_pair import PairFit
from noder.methods.nephi_weights import read_networks
from noder.series import ImageSeries
from noder.store import load_result, save_result

ENCODER = NephiSettings(mode="encoder")
IO = NephiSettings(mode="encoder+io", io_iterations=6, node_spacing=4.0, code_spacing=4.0)


def run(settings: NephiSettings) -> PairFit:
    found = PairFit(problem(), settings, seed=0)
    for _ in found.run():
        pass
    return found


def missed(found: PairFit) -> float:
    maps = composed_maps(found.stages, GRID)
    assert maps is not None
    return error(maps[0])


@pytest.fixture(scope="module")
def looked() -> PairFit:
    return run(ENCODER)


@pytest.fixture(scope="module")
def tuned() -> PairFit:
    return run(IO)


def test_one_look_finds_most_of_a_push_that_it_has_never_seen(looked: PairFit) -> None:
    assert looked.step == looked.total == 2
    still = error(torch.zeros(3, *GRID.shape))
    assert missed(looked) < 0.6 * still


def test_optimising_the_codes_comes_nearer(looked: PairFit, tuned: PairFit) -> None:
    assert missed(tuned) < 0.7 * missed(looked)


def test_the_networks_stay_as_they_were(tuned: PairFit) -> None:
    """All but what a 1 stands for: the cube of the second stage has smaller voxels."""
    trained = read_networks("shipped")[0].decoders.state_dict()
    for stage in tuned.stages:
        now = stage.decoders.state_dict()
        assert all(torch.equal(now[name], trained[name]) for name in trained if not name.endswith(".unit"))
    coarse, fine = (float(stage.decoders.forwards.unit) for stage in tuned.stages)
    assert fine == pytest.approx(coarse * 64 / 96)


def test_equal_pairs_have_equal_maps_whatever_the_seed() -> None:
    """One look leaves nothing to chance."""
    one, other = (PairFit(problem(), ENCODER, seed) for seed in (0, 7))
    for each in (one, other):
        for _ in each.run():
            pass
    assert torch.equal(one.stages[1].codes.local, other.stages[1].codes.local)


def test_a_run_that_was_cut_goes_on_bit_for_bit(tuned: PairFit) -> None:
    for cut in (3, 15):  # in the first stage, and in the second
        first = PairFit(problem(), IO, seed=0)
        for _, _ in zip(range(cut), first.run(), strict=False):
            pass
        second = PairFit(problem(), IO, seed=0)
        second.load_state(first.state())
        for _ in second.run():
            pass
        ours, theirs = tuned.state(), second.state()
        assert all(torch.equal(torch.as_tensor(ours[name]), torch.as_tensor(theirs[name])) for name in ours)


@pytest.mark.parametrize("mode", ["encoder", "encoder+io"])
def test_a_saved_chain_needs_no_weights_file(mode: str, tmp_path: Path) -> None:
    weights = tmp_path / "w.safetensors"
    from noder.methods.nephi_weights import shipped_networks

    weights.write_bytes(shipped_networks().read_bytes())
    made, grid = moving_series(box_grid(24, 1.0), times=[0.0, 1.0, 3.0], mm_per_time=0.8)
    paths = [tmp_path / f"scan_{k}.nii.gz" for k in range(3)]
    for path, scan in zip(paths, made.scans, strict=True):
        write_volume(path, scan.image.numpy(), grid)
    series = ImageSeries.from_images([Image.open(path) for path in paths], made.times, "years")
    settings = replace(IO, mode=mode, weights=str(weights), io_iterations=2)
    result = fit(series, FitConfig(method="nephi", settings=settings))
    save_result(result, tmp_path / "out")
    weights.unlink()
    again = load_result(tmp_path / "out")
    for t in (0.7, 3.0):
        assert float(result.trajectory.field(grid, t).u.abs().max()) > 0.1
        assert torch.equal(again.trajectory.field(grid, t).u, result.trajectory.field(grid, t).u)


def test_damaged_weights_are_told_before_any_step(tmp_path: Path) -> None:
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"no weights at all")
    with pytest.raises(InputError, match=r"broken\.safetensors cannot be read as weights of NePhi"):
        next(PairFit(problem(), replace(ENCODER, weights=str(broken)), 0).run())
