"""What a stage of NePhi is, and its losses on images of one size, with their gradient in networks and codes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from noder.grid import Grid, Triple, block_mean, sample_at_index
from noder.methods.carrier import Carrier
from noder.methods.nephi_points import RandomPoints
from noder.methods.nephi_settings import NephiSettings
from noder.methods.neural_field import Codes, NeuralField, code_shape, fields_of, gradient_inverse_consistency
from noder.methods.nodes import NodeDecoder
from noder.methods.problem import Level, Problem, added
from noder.methods.siren import Decoders, Sizes
from noder.methods.svf import composed
from noder.separable import Separable

Maps = tuple[Tensor, Tensor]
"""phi - id and its inverse - id, (3,I,J,K) in voxels each."""

_BESIDE = ("codes.whole", "codes.local", "damping")
_CONSISTENCY_PART, _FEWEST_POINTS = 1e-4, 64
"""Part of the voxels at which inverse consistency is asked for in a step, as published, and how many at least."""


@dataclass(frozen=True, eq=False)
class Stage:
    """A neural field of both directions; `damping` (a,b,c) is what is left of the forward one at each node, None: all.

    (`noder.methods.mending`)
    """

    decoder: NodeDecoder
    decoders: Decoders
    codes: Codes
    damping: Tensor | None = None

    @classmethod
    def fresh(cls, grid: Grid, spacing: float, code_spacing: float, sizes: Sizes, seed: int) -> Stage:
        """The identity, with networks and codes of their own; nodes and codes every so many voxels."""
        codes = Codes.fresh(sizes, code_shape(grid, code_spacing), seed)
        return cls(NodeDecoder.every(grid, spacing), Decoders(sizes, seed), codes)

    @classmethod
    def restored(cls, decoder: NodeDecoder, tensors: dict[str, Tensor]) -> Stage:
        """What `tensors` gave, frozen. Raises RuntimeError or KeyError where they do not belong together."""
        decoders = Decoders(Sizes.of_tensors(tensors), 0)
        own = {name: value for name, value in tensors.items() if name not in _BESIDE}
        decoders.load_state_dict(own)
        codes = Codes(tensors["codes.whole"], tensors["codes.local"])
        return cls(decoder, decoders.requires_grad_(False), codes, tensors.get("damping"))

    def fields(self) -> tuple[NeuralField, NeuralField]:
        """The forward and the inverse field."""
        return fields_of(self.decoder, self.decoders)

    def snapshot(self) -> Stage:
        """As it is now, detached, on the CPU."""
        return Stage.restored(self.decoder, {name: v.detach().cpu().clone() for name, v in self.tensors().items()})

    def tensors(self) -> dict[str, Tensor]:
        """All that a file must hold of it, by name."""
        codes = {"codes.whole": self.codes.whole, "codes.local": self.codes.local}
        return {**self.decoders.state_dict(), **codes, **({} if self.damping is None else {"damping": self.damping})}


class Descent:
    """The losses of a stage on images reduced by `factors`, and their gradient in its networks and codes.

    `decoder` holds the nodes at which the networks are evaluated; `before` gives the maps of the stages before on a
    grid. Maps are composed on a `Carrier`, and compared on all voxels.
    """

    def __init__(
        self,
        pair: Problem,
        settings: NephiSettings,
        stage: Stage,
        decoder: NodeDecoder,
        factors: Triple,
        before: Callable[[Grid], Maps] | None,
    ) -> None:
        self.settings, self.stage, self.factors = settings, stage, factors
        self._by_points = settings.similarity == "global"
        self._fields = fields_of(decoder, stage.decoders)
        self._points = max(_FEWEST_POINTS, round(_CONSISTENCY_PART * pair.grid.n_voxels))
        moving, fixed = pair.images
        turned = Problem((fixed, moving), pair.taus, pair.mask, pair.grid)
        level = Level(pair, decoder, factors, settings, whole=True)
        self._levels = [level, Level(turned, decoder, factors, settings, whole=True, like=level)]
        self.name = level.name
        self._last = torch.tensor(level.grid.shape, device=pair.mask.device) - 1
        self._random = [_random_points(each, factors, settings) for each in (pair, turned) if self._by_points]
        composes = before is not None and not self._by_points
        grid, device = decoder.carrier(level.grid) if composes else level.grid, pair.mask.device
        self._carrier = Carrier(level.grid, grid, keeps=True).to(device)
        self._decode = Separable(decoder.matrices(grid), keeps=True).to(device)
        to_voxel = grid.inverse_affine[:3, :3] * pair.voxel_mm
        self._to_voxel = torch.as_tensor(to_voxel, dtype=torch.float32, device=device)
        self._previous: Maps | tuple[None, None] = (None, None) if before is None else before(grid)

    def backward(self, chance: torch.Generator) -> dict[str, float]:
        """Weighted losses by name; their gradient is added to that of whatever parameters are not frozen."""
        direction = self._at_points if self._by_points else self._on_voxels
        losses = added(direction(inverse, chance) for inverse in (False, True))
        return {**losses, **self._held_together(chance)}

    def _on_voxels(self, inverse: bool, _: torch.Generator) -> dict[str, float]:
        """Local correlation, folding and smoothness of the composed map on all voxels."""
        level = self._levels[inverse]
        c = self._fields[inverse].coefficients(self.stage.codes)
        u = self._decode((self._to_voxel @ c.detach().flatten(1)).reshape(c.shape))
        total, leaf = self._composed(u, inverse)
        similarity, of_voxels = level.match(self._carrier.spread(total), 1)
        gradient = self._carrier.gathered(of_voxels)
        folding = level.folding(total, gradient)
        if leaf is not None:
            (gradient,) = torch.autograd.grad(total, leaf, gradient)
        regular, of_c = level.regularity(c)
        taken_back = self._to_voxel.T @ self._decode.transposed(gradient).flatten(1)
        c.backward((taken_back.reshape(c.shape) + of_c) / 2)
        return {name: value / 2 for name, value in {"similarity": similarity, **folding, **regular}.items()}

    def _at_points(self, inverse: bool, chance: torch.Generator) -> dict[str, float]:
        """Global correlation over random points, where the networks are evaluated exactly, as published."""
        field, codes, previous = self._fields[inverse], self.stage.codes, self._previous[inverse]

        def phi(index: Tensor) -> Tensor:
            if inverse and previous is not None:
                index = index + sample_at_index(previous, index).movedim(0, -1)
            moved = (field.normalised(2 * index / self._last - 1, codes) + 1) / 2 * self._last
            if not inverse and previous is not None:
                moved = moved + sample_at_index(previous, moved).movedim(0, -1)
            return moved

        similarity = self._random[inverse](phi, chance) / 2
        similarity.backward()
        losses = {"similarity": float(similarity.detach())}
        level = self._levels[inverse]
        if self.settings.smoothness > 0 or self.settings.boundary > 0:
            c = field.coefficients(codes)
            regular, of_c = level.regularity(c)
            c.backward(of_c / 2)
            losses.update({name: value / 2 for name, value in regular.items()})
        return losses

    def _composed(self, u: Tensor, inverse: bool) -> tuple[Tensor, Tensor | None]:
        """phi_1 o phi_2 - id, or phi_2^-1 o phi_1^-1 - id, and the leaf that gradients go back to."""
        previous = self._previous[inverse]
        if previous is None:
            return u, None
        leaf = u.detach().requires_grad_()
        total = previous + composed(leaf, previous) if inverse else leaf + composed(previous, leaf)
        return total, leaf

    def _held_together(self, chance: torch.Generator) -> dict[str, float]:
        """Gradient inverse consistency at random points, and the prior of the codes."""
        codes, terms = self.stage.codes, {}
        if self.settings.inverse_consistency > 0:
            x = 2 * torch.rand((self._points, 3), generator=chance).to(codes.whole) - 1
            found = gradient_inverse_consistency(*self._fields, codes, x)
            terms["inverse consistency"] = self.settings.inverse_consistency * found
        if self.settings.prior > 0:
            terms["codes"] = self.settings.prior * codes.prior()
        if terms:
            torch.stack(list(terms.values())).sum().backward()
        return {name: float(term.detach()) for name, term in terms.items()}


def _random_points(pair: Problem, factors: Triple, settings: NephiSettings) -> RandomPoints:
    moving, fixed = (block_mean(image, factors) for image in pair.images)
    mask = block_mean(pair.mask[None].float(), factors)[0] > 0.5
    return RandomPoints(moving, fixed, mask if bool(mask.any()) else torch.ones_like(mask), settings.points)
