"""What is imported in the background after the window has been painted: the engine, then the 3D canvas."""

from __future__ import annotations

from dataclasses import dataclass

from noder_viewer.jobs import FitChoices, Reporter, import_engine


@dataclass(frozen=True)
class WarmUp:
    """Import the engine and say what it offers."""

    def __call__(self, task: Reporter) -> FitChoices:
        import_engine()
        import torch

        from noder import kernels
        from noder.methods import PRESETS

        kernels.warm_up()
        return FitChoices(dict(PRESETS), has_gpu=torch.cuda.is_available())


@dataclass(frozen=True)
class WarmUpCanvas:
    """Import what the 3D canvas needs, and what the first step of an optimiser does.

    Torch's optimisers load its compiler, 2 s and half a million objects: in a fit, the window would stand still for
    them, and each time that garbage is looked for (`garbage.GuiGarbage.spare_what_is_loaded` comes after this).
    """

    def __call__(self, task: Reporter) -> None:
        from importlib import import_module

        from noder_viewer.volume import warm

        warm()
        import_module("torch._dynamo")
