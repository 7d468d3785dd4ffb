"""The auto-encoder of deformation fields: its identity, its units, what it loses, and fits in its latent space."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from engine_kit import box_grid, moving_series, push
from sample_grids import GRIDS
from torch.nn.functional import avg_pool3d

from noder.decoder import apply_separable
from noder.errors import InputError, NoderError
from noder.fit import FitResult, fit
from noder.fit_config import FitConfig
from noder.grid import Grid
from noder.image import write_volume
from noder.methods import PRESETS
from noder.methods import autoencoder as module
from noder.methods.autoencoder import (
    LATENT,
    NODES,
    Autoencoder,
    blocked,
    make_autoencoder,
    onto_control_points,
    read_weights,
    to_nodes,
    to_voxels,
    unblocked,
    voxel_in_nodes,
)
from noder.methods.latent import AutoencoderLatent, make_latent
from noder.methods.noder import NoderSettings
from noder.methods.settings import decoder_of
from noder.methods.svf import Exponential
from noder.regularity import Boundary, Smoothness
from noder.series import ImageSeries
from noder.store import load_result, save_result

FEW = NoderSettings(
    latent="autoencoder", coarse_iterations=20, middle_iterations=30, fine_iterations=20, smoothness=0.05
)


@pytest.fixture(scope="module")
def shipped() -> Autoencoder:
    return read_weights("shipped")[0].requires_grad_(False)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> FitResult:
    """Two mm of push, from files, so that the result can be saved."""
    folder = tmp_path_factory.mktemp("scans")
    series, grid = moving_series(times=[0.0, 1.0, 2.0], mm_per_time=-1.5)
    paths = [folder / f"scan_{k}.nii.gz" for k in range(3)]
    for path, scan in zip(paths, series.scans, strict=True):
        write_volume(path, scan.image.numpy(), grid)
    return fit(ImageSeries.from_paths(paths, times=[0, 1, 2], unit="years"), FitConfig(settings=FEW))


def constant(values: list[float], shape: tuple[int, int, int]) -> torch.Tensor:
    return torch.tensor(values)[:, None, None, None].expand(3, *shape).contiguous()


def test_the_identity_is_exactly_zero_on_both_sides(shipped: Autoencoder) -> None:
    for autoencoder in (make_autoencoder(3).requires_grad_(False), shipped):
        assert float(autoencoder.encoder(torch.zeros(1, 3, *NODES)).abs().max()) == 0
        assert float(autoencoder.decoder(torch.zeros(2, *LATENT)).abs().max()) == 0


def test_a_field_and_its_opposite_are_opposite(shipped: Autoencoder) -> None:
    field = torch.randn((1, 3, *NODES), generator=torch.Generator().manual_seed(0))
    assert torch.allclose(shipped(-field), -shipped(field), atol=1e-6)


def test_blocks_of_nodes_come_back_in_their_places() -> None:
    field = torch.randn((2, 3, *NODES), generator=torch.Generator().manual_seed(0))
    assert torch.equal(unblocked(blocked(field)), field)
    first = blocked(field)[0, :, 0, 0, 0].reshape(3, 4, 4, 4)
    assert torch.equal(first, field[0, :, :4, :4, :4])


@pytest.mark.parametrize("shape", [(24, 28, 24), (17, 90, 33), (144, 40, 20)])
def test_the_box_of_an_image_is_stretched_onto_the_nodes(shape: tuple[int, int, int]) -> None:
    """x -> x + a x about the first voxel, a an axis, is the same map in any units; a translation is stretched."""
    parts = torch.tensor([0.04, -0.02, 0.03])
    u = (Grid(shape, np.eye(4)).indices() * parts).movedim(-1, 0).float()
    expected = (Grid(NODES, np.eye(4)).indices() * parts).movedim(-1, 0).float()
    assert torch.allclose(to_nodes(u), expected, atol=1e-4)
    assert torch.allclose(to_voxels(expected, shape), u, atol=1e-3)
    moved = to_nodes(constant([2.0, 2.0, 2.0], shape))[:, 0, 0, 0]
    assert moved.tolist() == pytest.approx([2 * (m - 1) / (n - 1) for n, m in zip(shape, NODES, strict=True)], rel=1e-4)


@pytest.mark.parametrize("name", ["RAS", "LAS anisotropic", "oblique", "oblique LPI"])
def test_control_points_get_the_field_in_voxels_of_the_finest_along_ras_axes(name: str) -> None:
    """Half the box along its first axis and a fifth along the last: W c in mm says the same, oblique or not."""
    grid = GRIDS[name].reoriented(GRIDS[name].reorientation())
    decoder = decoder_of(grid, NoderSettings())
    matrices, turn = onto_control_points(decoder)
    part = torch.tensor([0.5, 0.0, -0.2])
    field = constant((part * torch.tensor([m - 1.0 for m in NODES])).tolist(), NODES)
    c = torch.einsum("ab,bijk->aijk", turn, apply_separable(matrices, field))
    mm = apply_separable(decoder.matrices(), c)[:, 5, 5, 5] * min(grid.spacing)
    extent = torch.tensor([(n - 1.0) * p for n, p in zip(grid.shape, part.tolist(), strict=True)]).double()
    expected = torch.as_tensor(grid.affine[:3, :3].copy()) @ extent
    assert torch.allclose(mm.double(), expected, atol=1e-3 * float(expected.norm()))


def test_a_sloping_field_lies_in_its_place_on_the_control_points() -> None:
    """Averaging does not change a slope: away from the faces W c is the field that was given."""
    grid = box_grid(48, 2.0)
    decoder = decoder_of(grid, NoderSettings())
    slope = (grid.indices() * torch.tensor([0.05, -0.03, 0.02])).movedim(-1, 0).float()
    matrices, turn = onto_control_points(decoder)
    c = torch.einsum("ab,bijk->aijk", turn, apply_separable(matrices, to_nodes(slope)))
    inside = (slice(None), *(slice(12, -12),) * 3)
    assert torch.allclose(apply_separable(decoder.matrices(), c)[inside], slope[inside], atol=2e-3)


def test_a_voxel_in_nodes_is_that_of_the_finest_axis() -> None:
    grid = Grid((47, 55, 12), np.diag([1.0, 1.0, 4.0, 1.0]))
    expected = np.mean([23 / 46, 27 / 54, 23 / 11 / 4])
    assert voxel_in_nodes(decoder_of(grid, NoderSettings())) == pytest.approx(expected)


@pytest.mark.parametrize("voxels", [1.0, 2.0, 3.0, 4.0])
def test_unseen_smooth_fields_come_back_within_a_tenth_of_a_voxel(shipped: Autoencoder, voxels: float) -> None:
    """Random control points of this test's own, on a grid of another size and shape than those learned from."""
    grid = Grid((72, 80, 64), np.diag([1.0, 1.2, 1.5, 1.0]))
    decoder = decoder_of(grid, NoderSettings())
    noise = torch.randn((3, *decoder.shape), generator=torch.Generator().manual_seed(int(voxels)))
    c = avg_pool3d(noise[None], 5, 1, 2)[0]
    exponential = Exponential(decoder, grid, halved=True)
    for _ in range(3):
        c = c * (voxels / exponential(c).norm(dim=0).mean())
    truth = exponential(c)
    found = to_voxels(shipped(to_nodes(truth)[None])[0], grid.shape)
    assert float(truth.norm(dim=0).mean()) == pytest.approx(voxels, rel=0.05)
    assert float((found - truth).norm(dim=0).mean()) < 0.1


def test_a_fresh_latent_space_is_still_with_shipped_weights() -> None:
    latent = make_latent("autoencoder", decoder_of(box_grid(), FEW), seed=0).requires_grad_(False)
    latent.adopt("shipped")
    assert float(latent.coefficients(latent.start()[None]).abs().max()) == 0
    assert float(latent.rate(torch.tensor(0.3), latent.start(), *latent.shared()).abs().max()) == 0


def test_a_fit_finds_a_known_push_with_its_sign_and_size(fitted: FitResult) -> None:
    grid = fitted.series.grid
    truth = push(grid, -3.0).u
    moved = truth.norm(dim=0) > 2.1
    found = fitted.trajectory.field(grid, 2.0).u
    assert float((found - truth)[:, moved].norm(dim=0).mean()) < 0.9
    assert float(found[0][moved].mean()) == pytest.approx(-3.0, rel=0.25)


def test_the_decoder_is_tuned_in_a_fit_and_not_by_much(fitted: FitResult, shipped: Autoencoder) -> None:
    tuned, before = fitted.model.tensors()["decode.linear.weight"], shipped.decoder.linear.weight
    assert not torch.equal(tuned, before)
    assert float((tuned - before).norm()) < 0.5 * float(before.norm())


def test_a_saved_fit_opens_without_the_shipped_weights(
    fitted: FitResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_result(fitted, tmp_path)

    def gone() -> Path:
        raise NoderError("there are no shipped weights")

    monkeypatch.setattr(module, "shipped_weights", gone)
    again = load_result(tmp_path)
    for t in (0.7, 2.0, 2.6):
        assert torch.equal(again.trajectory.predict(t), fitted.trajectory.predict(t))
    assert not any("encoder." in name for name in fitted.model.tensors())


def test_the_latent_space_is_read_and_written_in_voxels() -> None:
    """A last layer of ones moves the field about as far as the size of its channels says."""
    latent = make_latent("autoencoder", decoder_of(box_grid(48), FEW), seed=0)
    assert isinstance(latent, AutoencoderLatent)
    latent.adopt("shipped")
    random = torch.Generator().manual_seed(0)
    unit, _ = latent.shared()
    c = latent.coefficients((unit * torch.randn(unit.shape, generator=random))[None])
    assert 0.2 < float(c.detach().square().sum(1).mean().sqrt()) < 5


def test_the_paper_preset_weighs_as_published() -> None:
    """Published: means over the components, axes and pairs of faces added up, all in voxels (here of 1 mm)."""
    grid = Grid((12, 14, 10), np.eye(4))
    u = torch.randn((3, *grid.shape), generator=torch.Generator().manual_seed(0))
    smoothness = sum(float(u.diff(dim=axis).square().mean()) for axis in (1, 2, 3))
    faces = [u.select(axis, end) for axis in (1, 2, 3) for end in (0, -1)]
    boundary = sum(float(face.square().sum(0).mean()) for face in faces)
    paper = PRESETS["noder"]["paper"]
    assert isinstance(paper, NoderSettings)
    assert paper.smoothness * float(Smoothness()(u, grid)) == pytest.approx(0.05 * smoothness, rel=1e-5)
    assert paper.boundary * float(Boundary()(u, grid)) == pytest.approx(0.0001 * boundary, rel=1e-5)
    assert (paper.latent, paper.window, paper.smoothing, paper.iterations) == ("autoencoder", 21, 15.0, (0, 0, 300))


def test_the_paper_preset_fits() -> None:
    series, _ = moving_series(times=[0.0, 1.0])
    few = replace(PRESETS["noder"]["paper"], fine_iterations=25)
    losses = [step.losses["similarity"] for step in fit(series, FitConfig(preset="paper", settings=few)).history]
    assert losses[-1] < 0.7 * losses[0]


def test_weights_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"missing\.safetensors"):
        read_weights(tmp_path / "missing.safetensors")
    (tmp_path / "odd.safetensors").write_bytes(b"odd")
    with pytest.raises(InputError, match="noder pretrain autoencoder"):
        read_weights(tmp_path / "odd.safetensors")
