"""Pre-training of NePhi: it repeats, it goes on where it was cut off, it learns from images too, and its files."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from engine_kit import box_grid, texture
from typer.testing import CliRunner

from noder.cli import app
from noder.errors import InputError, UsageError
from noder.image import write_volume
from noder.methods.nephi_weights import Networks, read_networks
from noder.pretrain_nephi import NephiPretrainConfig, NephiProgress, drawn_pair, pretrain_nephi, score
from noder.training_page import write_page

SHORT = NephiPretrainConfig(steps=4, batch=1, workers=0, pairs=0.5, device="cpu", precision="32-true")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two textures, the second a little brighter and larger."""
    folder, paths = tmp_path_factory.mktemp("images"), []
    for k, n in enumerate((24, 28)):
        grid = box_grid(n, 2.0)
        paths.append(folder / f"image{k}.nii.gz")
        write_volume(paths[-1], np.asarray(texture(grid, seed=k)[0]), grid)
    return paths


def drained(paths: list[Path], config: NephiPretrainConfig, **more: object) -> tuple[Networks, list[NephiProgress]]:
    steps, seen = pretrain_nephi(paths, config, **more), []  # type: ignore[arg-type]
    while True:
        try:
            seen.append(next(steps))
        except StopIteration as end:
            return end.value.networks, seen


def test_a_run_that_was_cut_off_ends_as_one_that_was_not(images: list[Path], tmp_path: Path) -> None:
    whole, seen = drained(images, SHORT)
    kept = tmp_path / "kept.safetensors"
    steps = pretrain_nephi(images, SHORT, checkpoint=kept, every=2)
    for _ in range(3):  # one step more than what is kept
        next(steps)
    steps.close()
    again, later = drained(images, SHORT, checkpoint=kept, resume=True, every=2)
    assert [progress.step for progress in later] == [3, 4]
    assert later[-1].losses == seen[-1].losses
    one, other = whole.state_dict(), again.state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_every_network_learns_from_both_kinds_of_steps(images: list[Path]) -> None:
    networks, seen = drained(images, SHORT)
    kinds = {tuple(progress.losses) for progress in seen}
    assert {"distance" in kind for kind in kinds} == {True, False}
    fresh = Networks(networks.sizes, SHORT.seed).state_dict()
    moved = {name.split(".")[1] for name, value in networks.state_dict().items() if not torch.equal(value, fresh[name])}
    assert {"features", "joined", "down", "up", "whole", "local", "forwards", "inverse"} <= moved


def test_another_runs_checkpoint_is_refused(tmp_path: Path) -> None:
    kept = tmp_path / "kept.safetensors"
    steps = pretrain_nephi([], SHORT, checkpoint=kept, every=1)
    next(steps)
    next(steps)
    steps.close()
    other = NephiPretrainConfig(**{**vars(SHORT), "seed": 1})
    with pytest.raises(InputError, match=r"kept\.safetensors belongs to"):
        next(pretrain_nephi([], other, checkpoint=kept, resume=True))


def test_two_images_are_turned_alike() -> None:
    """One is the other plus 10, undeformed: whatever the position, the difference stays."""
    first = torch.randn(1, 9, 9, 9, generator=torch.Generator().manual_seed(0))
    positions = set()
    for seed in range(40):
        moving, fixed = drawn_pair([first, first + 10], torch.Generator().manual_seed(seed))
        if torch.allclose((moving - fixed).abs(), torch.full_like(first, 10), atol=1e-5):
            positions.add(round(float(moving[0, 0, 1, 2] - moving.mean()), 4))
    assert len(positions) > 8  # about half of forty are not deformed, in up to 48 positions


def test_the_score_of_fresh_networks_is_that_of_standing_still() -> None:
    found = score(Networks(read_networks("shipped")[0].sizes, 0), seed=7, count=2)
    assert found["after"] == pytest.approx(found["before"], rel=0.1)  # softened where it is small


def test_the_shipped_networks_know_deformations_that_they_have_not_seen() -> None:
    found = score(read_networks("shipped")[0], seed=12345, count=6)
    assert found["after"] < 0.65 * found["before"]


@pytest.mark.parametrize(
    "change", [{"steps": 0}, {"pairs": 1.5}, {"precision": "8"}, {"device": "tpu"}, {"learning_rate": 0.0}]
)
def test_a_configuration_that_cannot_be_meant_is_told(change: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        next(pretrain_nephi([], NephiPretrainConfig(**{**vars(SHORT), **change})))  # type: ignore[arg-type]


def test_the_command_writes_weights_card_log_and_curves(tmp_path: Path) -> None:
    out = tmp_path / "w.safetensors"
    line = ["pretrain", "nephi", "-o", str(out), "--steps", "2", "--batch", "1", "--workers", "0", "--device", "cpu"]
    result = CliRunner().invoke(app, [*line, "--licence", "none", "--quiet", "--json"], catch_exceptions=False)
    assert result.exit_code == 0
    networks, card = read_networks(out)
    told = json.loads(result.stdout[result.stdout.index("{") :])
    assert told["licence"] == card["licence"] == "none"
    assert told["scores"]["pairs"] == card["scores"]["pairs"] > 0
    assert json.loads(out.with_suffix(".json").read_text())["run"]["seconds"] > 0
    assert "step 2: distance" in out.with_suffix(".log").read_text()
    assert "<polyline" in out.with_suffix(".html").read_text()
    assert not out.with_suffix(".state.safetensors").exists()
    assert networks.sizes == read_networks("shipped")[0].sizes


@pytest.mark.parametrize(("line", "sentence"), [
    (["missing.nii.gz", "-o", "w.safetensors"], "missing.nii.gz does not exist"),
    (["-o", "w.pt"], "w.pt cannot hold weights"),
])  # fmt: skip
def test_the_command_refuses_what_cannot_work(line: list[str], sentence: str) -> None:
    with pytest.raises((InputError, UsageError), match=sentence):
        CliRunner().invoke(app, ["pretrain", "nephi", *line], catch_exceptions=False, standalone_mode=False)


def test_the_page_reloads_itself_until_the_end(tmp_path: Path) -> None:
    history = {"distance": [(k, 3.0 / k) for k in range(1, 1001)], "zero": [(1, 0.0)]}
    path = tmp_path / "page.html"
    running = write_page(path, "w<1>", 500, 1000, history).read_text()
    ended = write_page(path, "w<1>", 1000, 1000, history).read_text()
    assert 'http-equiv="refresh"' in running
    assert 'http-equiv="refresh"' not in ended
    assert "w&lt;1&gt;" in ended
    places = ended.split('points="')[1].split('"')[0].split()
    heights = [float(place.split(",")[1]) for place in places]
    assert heights == sorted(heights)  # a falling loss goes down the page
    assert len(places) <= 400
