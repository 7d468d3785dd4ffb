"""The window's shipped files: icon and sample series."""

from pathlib import Path

from noder.resources import find_resource

PACKAGE = Path(__file__).parent


def icon() -> Path:
    """The program's icon, PNG, 256 pixels."""
    return find_resource(PACKAGE, "icons/noder-viewer.png")


def sample_series() -> Path:
    """A 4D NIfTI of a beating pig heart, 12 phases from end diastole to end systole, 31.58 ms apart (CC0)."""
    return find_resource(PACKAGE, "samples/pig_cine/cine.nii.gz")


def sample_labels() -> Path:
    """The labels of `sample_series()` on the same grid and phases: 1 = LV cavity, 2 = myocardium."""
    return find_resource(PACKAGE, "samples/pig_cine/labels.nii.gz")
