"""Runs a clone of the published code itself, for `bench_noder.py --published DIR`. None of its code is here.

    python bench/published_code.py DIR [--size 32] [--epochs 5]

prints its losses beside the oracle's. DIR is a work tree with Network/DynamicNet.py, Utils/Loss.py and Utils/Utls.py,
the modules that its training notebook imports. What that notebook does in an epoch is put together here from those
modules: the adjoint ODE over all visits, warp, losses, Adam with AMSGrad; what it computes for its log alone
(determinants, folds, mean squares) is left out, which flatters it. It runs on the CPU. Its sizes are fixed to
144x176x144; for another size the one layer and the one constant that depend on it are replaced.
"""

from __future__ import annotations

import argparse
import importlib
import math
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor, nn
from torchdiffeq import odeint_adjoint

WINDOW, BOX, REDUCTIONS, BOTTLENECK, CHANNELS = 21, 15, 2, 32, 32
SMOOTHNESS, BOUNDARY, LEARNING_RATE = 0.05, 0.0001, 0.005


class PublishedCode:
    """A fit of `images` (I,J,K), reference first, at `times`, by the code in `folder`. Raises ImportError."""

    def __init__(self, folder: Path, images: Sequence[Tensor], times: Sequence[float], seed: int = 0) -> None:
        warnings.simplefilter("ignore")  # old spellings of torch, repeated at every call
        network, self.loss, tools = modules(folder)
        shape = tuple(images[0].shape)
        self.loss.img_size = shape
        self.images = [image.float()[None, None] for image in images]
        self.times = torch.tensor(times)
        torch.manual_seed(seed)
        self.network = network.DynamicNet(
            img_sz=shape, smoothing_kernel="AK", smoothing_win=BOX, smoothing_pass=1, ds=REDUCTIONS, bs=BOTTLENECK
        )
        features = 2 * CHANNELS * math.prod(-(-(n // 2) // 32) for n in shape)
        if self.network.lin1.in_features != features:
            self.network.lin1 = nn.Linear(features, BOTTLENECK)
        self.optimiser = torch.optim.Adam(self.network.parameters(), lr=LEARNING_RATE, amsgrad=True)
        self.size = torch.tensor(shape).reshape(1, 3, 1, 1, 1) * 1.0
        self.warp = tools.SpatialTransformer(shape)
        self.grid = tools.generate_grid3D_tensor(shape)[None]
        self.similarity = self.loss.NCC(win=WINDOW)

    def step(self) -> dict[str, float]:
        """One epoch; the weighted losses before it."""
        states = odeint_adjoint(self.network, self.grid, self.times, method="rk4", rtol=1e-3, atol=1e-5)
        still = (self.grid + 1) / 2 * self.size
        parts: dict[str, list[Tensor]] = {"similarity": [], "smoothness": [], "boundary": []}
        for state, image in zip(states[1:], self.images[1:], strict=True):
            u = (state + 1) / 2 * self.size - still
            parts["similarity"].append(self.similarity(self.warp(self.images[0], u), image))
            parts["smoothness"].append(SMOOTHNESS * self.loss.smoothloss_loss(u))
            parts["boundary"].append(BOUNDARY * self.loss.boundary_loss(u))
        losses = {name: torch.stack(values).mean() for name, values in parts.items()}
        self.optimiser.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        self.optimiser.step()
        return {name: float(value.detach()) for name, value in losses.items()}


def modules(folder: Path) -> tuple[ModuleType, ModuleType, ModuleType]:
    """Its network, its losses and its tools. Raises ImportError where they are not in `folder`."""
    sys.path.insert(0, str(folder.resolve()))
    try:
        network, loss, tools = (importlib.import_module(n) for n in ("Network.DynamicNet", "Utils.Loss", "Utils.Utls"))
    finally:
        sys.path.pop(0)
    return network, loss, tools


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=5)
    options = parser.parse_args()
    if options.folder is None:
        print("python bench/published_code.py DIR runs a clone of the published code beside the oracle")
        return
    from oracle import Oracle, known_series

    times = [0.0, 1.0, 2.0, 4.0, 5.0]
    images = known_series((options.size,) * 3, times)
    code, oracle = PublishedCode(options.folder, images, times), Oracle(images, times, adjoint=True)
    same = {name: value.double() for name, value in _in_order(code.network, oracle.network).items()}
    oracle.network.load_state_dict(same)
    for epoch in range(1, options.epochs + 1):
        ours, theirs = oracle.step(), code.step()
        print(f"epoch {epoch}  " + "  ".join(f"{n} {theirs[n]:.6f} oracle {ours[n]:.6f}" for n in ours), flush=True)


def _in_order(theirs: nn.Module, ours: nn.Module) -> dict[str, Tensor]:
    """Their weights under our names: both are registered in the order in which they are used."""
    return dict(zip(ours.state_dict(), theirs.state_dict().values(), strict=True))


if __name__ == "__main__":
    main()
