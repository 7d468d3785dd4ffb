"""Networks of NePhi that were trained beforehand: the encoder and the decoders that belong together, as one file."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from noder.decoder import apply_separable
from noder.errors import InputError
from noder.image import written_atomically
from noder.methods.hybrid_encoder import CUBE, HybridEncoder
from noder.methods.neural_field import Codes
from noder.methods.siren import Decoders, ModulatedSiren, Sizes
from noder.resources import find_resource
from noder.separable import tent_matrix

SHIPPED = "shipped"
_BRIGHTEST = 4.0
"""Standard deviations beyond which brightness is cut: bone in a lung's image says nothing about the lung."""


class Networks(nn.Module):
    """An encoder and the decoders of both directions, fresh; the seed is the only source of chance."""

    def __init__(self, sizes: Sizes, seed: int) -> None:
        super().__init__()
        self.sizes = sizes
        self.decoders = Decoders(sizes, seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.encoder = HybridEncoder(sizes)
            for network in (self.decoders.forwards, self.decoders.inverse):
                _listening(network, sizes)

    def encode(self, moving: Tensor, fixed: Tensor, edge: int = CUBE) -> Codes:
        """The code of the map that pulls `moving` onto `fixed`, (1,I,J,K) of mean 0 and deviation 1 in their mask."""
        with torch.no_grad():
            whole, local = self.encoder(onto_cube(moving, edge)[None], onto_cube(fixed, edge)[None])
        return Codes(whole[0], local[0])


def onto_cube(image: Tensor, edge: int = CUBE) -> Tensor:
    """The box of an image (1,I,J,K), from corner to corner, as a cube (1,n,n,n); bright spots are cut."""
    x, y, z = (tent_matrix(n, edge).to(image.device) for n in image.shape[1:])
    return apply_separable((x, y, z), image.clamp(-_BRIGHTEST, _BRIGHTEST))


def write_networks(path: Path, networks: Networks, card: Mapping[str, Any]) -> Path:
    """Write weights and what there is to know of them under `path` at once, with a checksum."""
    weights = {name: value.detach().cpu().contiguous() for name, value in networks.state_dict().items()}
    facts = {**card, "sizes": asdict(networks.sizes), "checksum": _checksum(weights)}
    with written_atomically(path) as temporary:
        temporary.write_bytes(save(weights, metadata={"card": json.dumps(facts, sort_keys=True)}))
    return path


def read_networks(name: str | Path) -> tuple[Networks, dict[str, Any]]:
    """The networks of a file, or the "shipped" ones, frozen, and their card. Raises InputError."""
    path = shipped_networks() if str(name) == SHIPPED else Path(name)
    try:
        with safe_open(path, framework="pt") as file:
            card: dict[str, Any] = json.loads((file.metadata() or {})["card"])
            weights = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
        networks = Networks(Sizes(**card["sizes"]), 0)
        networks.load_state_dict(weights)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{path} cannot be read as weights of NePhi ({_first_line(error)}). {_ELSE}") from error
    if _checksum(weights) != card["checksum"]:
        raise InputError(f"{path} is damaged: its checksum is not that of its weights. {_ELSE}")
    return networks.requires_grad_(False).eval(), card


def shipped_networks() -> Path:
    """Where the weights that come with the program lie. Raises NoderError where the installation lacks them."""
    return find_resource(Path(__file__).parents[1], "weights/nephi-general.safetensors")


def _listening(network: ModulatedSiren, sizes: Sizes) -> None:
    """Start with an f that follows the codes in a line and hardly hears the position.

    What holds for all pairs is learnt sooner so: as they are drawn, two gates give an f that is even in the codes.
    """
    features = 2 * sizes.frequencies
    with torch.no_grad():
        for k, (synthesis, modulation) in enumerate(zip(network.synthesis, network.modulation, strict=True)):
            cast(nn.Linear, synthesis).bias.fill_(0.0 if k else math.pi / 2)
            layer = cast(nn.Linear, modulation)
            layer.weight[:, -features:] *= 0.1
            layer.weight[:, :-features] *= 0.1 if k else math.sqrt(3.0)
            layer.bias.fill_(math.pi / 2 if k else 0.0)


_ELSE = "Give a file that `noder pretrain nephi` wrote, or use the shipped ones."


def _checksum(weights: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(name.encode() + weights[name].contiguous().numpy().tobytes())
    return digest.hexdigest()


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
