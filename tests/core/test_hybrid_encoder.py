"""NePhi's encoder: what it compares, where its codes lie, and weights as files that say when they are damaged."""

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from noder.errors import InputError
from noder.methods.hybrid_encoder import CUBE, STRIDE, HybridEncoder, offset_products, self_similarity
from noder.methods.nephi_weights import Networks, onto_cube, read_networks, write_networks
from noder.methods.siren import Sizes

SIZES = Sizes(global_code=5, local_code=7, frequencies=4, hidden=8)


def texture(*shape: int, seed: int = 0) -> torch.Tensor:
    """Smooth noise (1,*shape)."""
    noise = torch.randn(1, 1, *shape, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.avg_pool3d(noise, 3, 1, 1)[0]


def test_products_are_those_of_the_shifted_image() -> None:
    """By hand: the product at offset d reads b at 2 x + d, and zero beyond the border."""
    a, b = torch.randn(4, 3, 4, 5), torch.randn(4, 5, 7, 9)
    found = offset_products(a, b, reach=1)
    assert found.shape == (27, 3, 4, 5)
    at = (2, 0, 1)  # offset (1, -1, 0)
    x = (1, 2, 3)
    expected = a[:, 1, 2, 3] @ b[:, 2 * 1 + 1, 2 * 2 - 1, 2 * 3]
    torch.testing.assert_close(found[at[0] * 9 + at[1] * 3 + at[2], *x], expected)
    assert not found[0, 0].any()  # the first voxels look at -1


def test_self_similarity_holds_across_contrasts_and_finds_a_shift() -> None:
    """An inverted image that was moved by two voxels agrees best at that offset."""
    image = texture(33, 33, 33)
    moved = -3 * image.roll(2, dims=1) + 5
    fixed = self_similarity(image)[:, ::2, ::2, ::2].contiguous()
    alike = offset_products(fixed, self_similarity(moved), reach=1)
    inner = alike[:, 2:-2, 2:-2, 2:-2].flatten(1).mean(1)
    assert int(inner.argmax()) == 2 * 9 + 1 * 3 + 1  # one step of two voxels along the first axis
    first, second = inner.topk(2).values
    assert float(first) > 0.7
    assert float(second) < 0.5


def test_codes_lie_from_corner_to_corner() -> None:
    encoder = HybridEncoder(SIZES).eval()
    pair = [texture(CUBE, CUBE, CUBE, seed=seed)[None] for seed in (0, 1)]
    with torch.no_grad():
        whole, local = encoder(*pair)
    assert whole.shape == (1, 5)
    assert local.shape == (1, 7, *((CUBE - 1) // STRIDE + 1,) * 3)


def test_the_code_of_a_pair_does_not_depend_on_its_neighbours() -> None:
    encoder = HybridEncoder(SIZES)  # as in training
    a, b, c = (texture(33, 33, 33, seed=seed)[None] for seed in range(3))
    with torch.no_grad():
        alone = encoder(a, b)
        beside = encoder(torch.cat([a, c]), torch.cat([b, a]))
    for one, other in zip(alone, beside, strict=True):
        torch.testing.assert_close(one[0], other[0], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("shape", [(129, 40, 65), (65, 65, 65), (20, 200, 31)])
def test_onto_the_cube_keeps_places(shape: tuple[int, int, int]) -> None:
    """A ramp along each axis stays one, whatever the number of voxels; its ends are the corners."""
    for axis in range(3):
        sizes = [1, 1, 1]
        sizes[axis] = shape[axis]
        ramp = torch.linspace(-1, 1, shape[axis]).reshape(1, *sizes).expand(1, *shape)
        cube = onto_cube(ramp).movedim(axis + 1, 1)[0, :, 7, 9]
        expected = torch.linspace(-1, 1, CUBE)
        assert float((cube - expected)[2:-2].abs().max()) < 1e-3  # at the very ends an average looks inwards
        assert float((cube - expected).abs().max()) < 1.2 / min(CUBE, shape[axis])


@pytest.fixture
def written(tmp_path: Path) -> Path:
    return write_networks(tmp_path / "w.safetensors", Networks(SIZES, seed=3), {"licence": "none"})


def test_weights_come_back_as_they_were(written: Path) -> None:
    networks, card = read_networks(written)
    before = Networks(SIZES, seed=3).state_dict()
    after = networks.state_dict()
    assert card["licence"] == "none"
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not any(p.requires_grad for p in networks.parameters())


def test_a_changed_weight_is_told(written: Path) -> None:
    with safe_open(written, framework="pt") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    tensors["encoder.whole.bias"][0] += 1
    save_file(tensors, written, metadata)
    with pytest.raises(InputError, match=r"w\.safetensors is damaged: its checksum"):
        read_networks(written)


def test_other_files_are_no_weights(written: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(written.read_bytes()[:5000])
    other = tmp_path / "other.safetensors"
    card = {"sizes": {**vars(SIZES), "hidden": 16}, "checksum": ""}
    with safe_open(written, framework="pt") as file:
        save_file({name: file.get_tensor(name) for name in file.keys()}, other, {"card": json.dumps(card)})  # noqa: SIM118
    for path in (cut, other, tmp_path / "missing.safetensors"):
        with pytest.raises(InputError, match=rf"{path.name} cannot be read as weights of NePhi .*noder pretrain nephi"):
            read_networks(path)
