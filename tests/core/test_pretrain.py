"""Pre-training: it learns, repeats bit for bit, keeps the held-out pairs out, and its weights serve a fit."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from engine_kit import box_grid, moving_series, push, texture
from typer.testing import CliRunner

from noder.decoder import apply_separable
from noder.deformations import Deformations, Subjects, chosen_pairs
from noder.errors import InputError, UsageError
from noder.image import write_volume
from noder.linear_autoencoder import linear_start
from noder.methods.autoencoder import NODES, make_autoencoder, read_weights, to_nodes, to_voxels, write_weights
from noder.methods.noder import NoderFit, NoderSettings
from noder.methods.problem import Problem
from noder.pretrain import PretrainConfig, Pretrained, field_loss, mirrored, pretrain

TINY = PretrainConfig(fields=12, epochs=2, voxel_mm=1.5, device="cpu", seed=5)
SHAPE = (24, 24, 24)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A texture, and the same pushed to either side."""
    folder, grid = tmp_path_factory.mktemp("images"), box_grid(24)
    paths = []
    for k, mm in enumerate((0.0, 2.0, -2.0)):
        paths.append(folder / f"subject_{k}.nii.gz")
        write_volume(paths[-1], push(grid, mm).warp(texture(grid), grid)[0].numpy(), grid)
    return paths


def drained(images: list[Path], config: PretrainConfig) -> tuple[Pretrained, list[str]]:
    steps, lines = pretrain(images, config, "public domain"), []
    while True:
        try:
            lines.append(next(steps).line)
        except StopIteration as end:
            return end.value, [line for line in lines if line]


@pytest.fixture(scope="module")
def trained(images: list[Path]) -> tuple[Pretrained, list[str]]:
    return drained(images, TINY)


def smooth_fields(n: int, seed: int) -> torch.Tensor:
    """Mixtures of three smooth fields (n,3,*NODES)."""
    x, y, z = torch.meshgrid(*(torch.linspace(0, 3, m) for m in NODES), indexing="ij")
    three = torch.stack(
        [
            torch.stack([torch.sin(x + y), torch.cos(z), torch.sin(2 * y - z)]),
            torch.stack([torch.cos(x - z), torch.sin(x + 1), torch.cos(y)]),
            torch.stack([torch.ones_like(x), 0 * x, -torch.ones_like(x)]),
        ]
    )
    return torch.einsum("nk,kabcd->nabcd", torch.randn((n, 3), generator=torch.Generator().manual_seed(seed)), three)


def test_it_learns_and_adam_does_not_undo_the_linear_start(trained: tuple[Pretrained, list[str]]) -> None:
    losses = trained[0].card["losses"]
    assert losses["still"] > 0.1
    assert losses["linear"] < losses["still"] / 10000
    assert losses["trained"] < losses["still"] / 5000


def test_equal_seeds_give_equal_files_and_other_seeds_others(
    trained: tuple[Pretrained, list[str]], images: list[Path], tmp_path: Path
) -> None:
    again, _ = drained(images, TINY)
    first = write_weights(tmp_path / "a.safetensors", trained[0].autoencoder, trained[0].card)
    second = write_weights(tmp_path / "b.safetensors", again.autoencoder, again.card)
    assert first.read_bytes() == second.read_bytes()
    source = Deformations(Subjects.open(images, 1.5), {}, torch.device("cpu"))
    one, other = (source.draw(np.random.default_rng(seed)) for seed in (0, 1))
    assert not torch.equal(one, other)


def test_the_card_says_what_was_learned_from_and_what_was_left_out(trained: tuple[Pretrained, list[str]]) -> None:
    result, lines = trained
    card = json.loads(json.dumps(result.card))
    assert [row["name"] for row in card["data"]] == [f"subject_{k}.nii.gz" for k in range(3)]
    assert card["licence"] == "public domain"
    assert card["config"]["seed"] == 5
    assert {"torch", "lightning-fabric"} <= set(card["versions"])
    learned = {frozenset(pair) for pair in card["pairs"]}
    held = {frozenset(pair) for pair in card["pairs_held_out"]}
    assert len(learned) == 2
    assert len(held) == 1
    assert not learned & held
    assert {(row["displacement"], row["fields"]) for row in card["scores"]} == {
        (amplitude, kind) for amplitude in (1, 2, 3, 4) for kind in ("pairs", "random")
    }
    assert any(line.startswith("epoch 2: loss") for line in lines)


def test_its_weights_serve_a_fit(trained: tuple[Pretrained, list[str]], tmp_path: Path) -> None:
    path = write_weights(tmp_path / "own.safetensors", trained[0].autoencoder, trained[0].card)
    assert read_weights(path)[1] == json.loads(json.dumps(trained[0].card))
    series, grid = moving_series(times=[0.0, 1.0], mm_per_time=2.0)
    images = tuple(scan.image.tensor() / scan.image.tensor().std() for scan in series.scans)
    settings = NoderSettings(
        latent="autoencoder", weights=str(path), coarse_iterations=20, middle_iterations=30, fine_iterations=10,
        smoothness=0.05,
    )  # fmt: skip
    run = NoderFit(Problem(images, (0.0, 1.0), torch.ones(grid.shape, dtype=torch.bool), grid), settings, 0)
    assert torch.equal(run.latent.state_dict()["decode.linear.weight"], trained[0].autoencoder.decoder.linear.weight)
    assert len(list(run.run())) == 60
    mm = apply_separable(run.decoder.matrices(), run.curve()(1.0)) * min(grid.spacing)
    truth = push(grid, 2.0).u
    moved = truth[0] > 1.4
    assert float(mm[0][moved].mean()) == pytest.approx(float(truth[0][moved].mean()), rel=0.3)


def test_the_linear_start_gives_unseen_mixtures_back() -> None:
    """Fields of three dimensions: a linear auto-encoder of 96 channels loses nothing but rounding."""
    autoencoder = make_autoencoder(0)
    linear_start(autoencoder, smooth_fields(12, seed=0), torch.ones(NODES))
    unseen = smooth_fields(3, seed=1)
    with torch.no_grad():
        error = (autoencoder(unseen) - unseen).norm(dim=1).mean()
    assert float(error) < 0.01 * float(unseen.norm(dim=1).mean())


def test_a_mirrored_field_is_the_deformation_of_a_mirrored_image() -> None:
    """Pulling a mirrored image by the mirrored field is mirroring what the field pulls."""
    fields = smooth_fields(6, seed=2)
    mirror = mirrored(fields, torch.Generator().manual_seed(0))
    coins = torch.rand((6, 3), generator=torch.Generator().manual_seed(0)) < 0.5
    assert coins.any()
    assert not coins.all()
    for field, found, flips in zip(fields, mirror, coins.tolist(), strict=True):
        axes = [axis + 1 for axis in range(3) if flips[axis]]
        sign = torch.tensor([-1.0 if flip else 1.0 for flip in flips])[:, None, None, None]
        assert torch.equal(found, sign * field.flip(axes))


def test_the_loss_counts_voxels_of_the_image() -> None:
    """Nodes are 2 voxels apart here, and an error of half a node is a voxel."""
    shape = tuple(2 * m - 1 for m in NODES)
    fields = torch.zeros(2, 3, *NODES)
    wrong = fields.clone()
    wrong[:, 1] = 0.5
    assert field_loss(wrong, fields, torch.ones(NODES), shape) == pytest.approx(1.0)
    weight = torch.zeros(NODES)
    weight[3] = 1
    wrong[:, 1, 3] = 0
    assert field_loss(wrong, fields, weight, shape) == 0


def test_pairs_are_held_out_in_both_directions() -> None:
    learned, held = chosen_pairs(5, 100, seed=0)
    assert len(learned) + len(held) == 20
    assert {(b, a) for a, b in held} == set(held)
    assert not {frozenset(pair) for pair in learned} & {frozenset(pair) for pair in held}
    assert chosen_pairs(2, 100, seed=0) == ([(0, 1), (1, 0)], [])
    assert sum(map(len, chosen_pairs(6, 4, seed=1))) == 8


def test_fields_have_the_wanted_size_and_are_diffeomorphic(images: list[Path]) -> None:
    source = Deformations(Subjects.open(images, 1.5), {}, torch.device("cpu"))
    still = torch.zeros(3, *SHAPE)
    for voxels in (1.0, 2.0):
        u = source.random(np.random.default_rng(3), voxels)
        assert source.error(still, u) == pytest.approx(voxels, rel=0.05)
        slopes = torch.stack(torch.gradient(u, dim=(1, 2, 3)), dim=1) + torch.eye(3)[:, :, None, None, None]
        assert float(torch.linalg.det(slopes.permute(2, 3, 4, 0, 1)).min()) > 0
        assert float((to_voxels(to_nodes(u), SHAPE) - u).norm(dim=0).mean()) < 0.02


def test_images_elsewhere_are_brought_onto_the_first(tmp_path: Path) -> None:
    """The same subject on a shifted grid comes to lie where the first one does."""
    from noder.grid import Grid

    grid = box_grid(32)
    blob = np.exp(-(((grid.indices() - 15.5) / 5) ** 2).sum(-1).numpy()) * 1000
    shifted = grid.affine.copy()
    shifted[:3, 3] += (40.0, -20.0, 13.0)
    for name, affine in (("a", grid.affine), ("b", shifted)):
        write_volume(tmp_path / f"{name}.nii.gz", blob.astype(np.float32), Grid(grid.shape, affine))
    subjects = Subjects.open([tmp_path / "a.nii.gz", tmp_path / "b.nii.gz"], 1.5)
    assert np.abs(subjects.volumes[0] - subjects.volumes[1]).max() < 5


@pytest.mark.parametrize(
    ("change", "said"), [({"device": "tpu"}, "tpu"), ({"fields": 0}, "fields"), ({"voxel_mm": 0.0}, "voxel")]
)
def test_what_cannot_be_meant_is_refused(images: list[Path], change: dict[str, object], said: str) -> None:
    from dataclasses import replace

    with pytest.raises(UsageError, match=said):
        next(pretrain(images, replace(TINY, **change)))  # type: ignore[arg-type]


def test_one_image_or_too_large_voxels_are_refused(images: list[Path]) -> None:
    with pytest.raises(InputError, match="two images"):
        Subjects.open(images[:1], 1.5)
    with pytest.raises(InputError, match="--voxel"):
        Subjects.open(images, 6.0)


def test_the_command_refuses_what_it_cannot_read_or_write(images: list[Path], tmp_path: Path) -> None:
    from noder.cli import app

    runner = CliRunner()
    missing = runner.invoke(app, ["pretrain", "autoencoder", "none.nii", "-o", str(tmp_path / "w.safetensors")])
    assert isinstance(missing.exception, InputError)
    odd = runner.invoke(app, ["pretrain", "autoencoder", str(images[0]), "-o", str(tmp_path / "w.pt")])
    assert isinstance(odd.exception, UsageError)


def test_the_command_writes_weights_card_and_log(images: list[Path], tmp_path: Path) -> None:
    from noder.cli import app

    out = tmp_path / "w.safetensors"
    options = ["--fields", "4", "--epochs", "1", "--pairs", "1", "--voxel", "1.5", "--device", "cpu", "--quiet"]
    ran = CliRunner().invoke(app, ["pretrain", "autoencoder", *map(str, images), "-o", str(out), *options])
    assert ran.exit_code == 0, ran.output
    assert "random" in ran.stdout
    card = json.loads(out.with_suffix(".json").read_text())
    assert card["weights"] == "w.safetensors"
    assert card["run"]["device"] == "cpu"
    assert str(tmp_path) not in out.with_suffix(".json").read_text()
    assert "epoch 1: loss" in out.with_suffix(".log").read_text()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["w.json", "w.log", "w.safetensors"]
