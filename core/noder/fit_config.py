"""What is fitted and how, and whether it can be: checked before anything is read or computed."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path

import torch

from noder.errors import InputError, UsageError
from noder.methods import PRESETS, Settings
from noder.series import ImageSeries

SMALLEST_AXIS = 16


@dataclass(frozen=True)
class FitConfig:
    """What is fitted and how. `hold_out` and `exclude` are positions in the series; scan 0 is the reference.

    A held-out scan is seen by nothing in the fit and scored after it; an excluded one is left out altogether.
    `settings` None means those of the preset. `align`: none, rigid or affine, of every scan to the first.
    `match_intensity`: one gain and offset a scan; `intensity`: a slow change of brightness in each place besides
    (`noder.intensity`).
    """

    method: str = "noder"
    preset: str = "balanced"
    settings: Settings | None = None
    hold_out: tuple[int, ...] = ()
    exclude: tuple[int, ...] = ()
    mask: Path | None = None
    seed: int = 0
    device: str = "auto"
    match_intensity: bool = True
    align: str = "none"
    intensity: bool = False

    def resolved(self) -> FitConfig:
        """The same with the preset's settings written out. Raises UsageError for unknown names."""
        settings = self.settings or preset_settings(self.method, self.preset)
        check_settings(settings)
        if not 0 <= self.seed < 2**63:
            raise UsageError(f"The seed {self.seed} cannot be used: give a whole number from 0 to {2**63 - 1}.")
        return replace(
            self,
            settings=settings,
            hold_out=tuple(sorted(set(self.hold_out))),
            exclude=tuple(sorted(set(self.exclude))),
        )


def check(series: ImageSeries, config: FitConfig) -> None:
    """Raise InputError or UsageError for a series that cannot be fitted this way."""
    n = len(series.scans)
    for name, positions in (("hold out", config.hold_out), ("exclude", config.exclude)):
        for k in positions:
            if not 0 <= k < n:
                raise UsageError(f"Cannot {name} scan {k}: the series has scans 0 to {n - 1}.")
            if k == 0:
                raise UsageError(
                    f"Cannot {name} scan 0 ({series.scans[0].image.name}): it is the reference that is carried through "
                    "time. Leave it in, or start the series at a later scan."
                )
    if len(seen_scans(series, config)) < 2:
        raise UsageError("A fit needs the reference and at least one more scan. Hold out or exclude fewer scans.")
    if min(series.grid.shape) < SMALLEST_AXIS:
        shape = " x ".join(str(k) for k in series.grid.shape)
        raise InputError(
            f"{series.scans[0].image.name} has {shape} voxels; a fit needs at least {SMALLEST_AXIS} along each axis. "
            "Pad or resample the scans first."
        )
    choose_device(config.device)
    for k in config.hold_out:  # a scan that cannot be read is told before the fit, not when it is scored after it
        scan = series.scans[k].image
        loaded = scan.is_loaded
        scan.numpy()
        if not loaded:
            scan.release()


def preset_settings(method: str, preset: str) -> Settings:
    """The settings that a preset of a method stands for. Raises UsageError for unknown names."""
    if method not in PRESETS:
        raise UsageError(f"There is no method '{method}'. Choose from: {', '.join(PRESETS)}.")
    if preset not in PRESETS[method]:
        raise UsageError(f"There is no preset '{preset}' of {method}. Choose from: {', '.join(PRESETS[method])}.")
    return PRESETS[method][preset]


def check_settings(settings: Settings) -> None:
    """Raise UsageError for values that cannot be meant."""
    for setting in fields(settings):
        value, allowed = getattr(settings, setting.name), setting.metadata["range"]
        if isinstance(value, str):
            is_file = setting.metadata.get("or_file") and Path(value).is_file()
            if value not in allowed and not is_file:
                or_file = ", or give a file" if setting.metadata.get("or_file") else ""
                raise UsageError(f"{setting.name} = {value} is not known: choose from {', '.join(allowed)}{or_file}.")
        elif not allowed[0] <= value <= allowed[1]:
            low, high = allowed
            raise UsageError(f"{setting.name} = {value:g} cannot be used: choose a value from {low:g} to {high:g}.")
    counts = [getattr(settings, s.name) for s in fields(settings) if s.name.endswith("_iterations")]
    if counts and sum(counts) == 0:
        raise UsageError("All three numbers of iterations are 0: choose one above 0.")


def choose_device(name: str) -> torch.device:
    """The device called "auto", "cpu", "cuda" or as torch calls it. Raises UsageError."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"There is no device '{name}'. Use auto, cpu or cuda.") from error
    if device.type not in ("cpu", "cuda"):
        raise UsageError(f"The device '{name}' is not supported. Use auto, cpu or cuda.")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UsageError(f"There is no CUDA device '{name}' on this computer. Use cpu, or auto.")
    return device


def seen_scans(series: ImageSeries, config: FitConfig) -> list[int]:
    """Positions of the scans that are neither held out nor excluded."""
    unseen = {*config.hold_out, *config.exclude}
    return [k for k in range(len(series.scans)) if k not in unseen]
