"""Other programs' pairwise registration, each run in a process of its own, and the measuring of such a process.

    python bench/_peers.py METHOD FIXED MOVING OUT [--settings JSON] [--mask F] [--initial F]
    python bench/_peers.py measure REPORT COMMAND...

OUT is an ITK displacement field on the fixed grid that holds the whole map, the initial transform included; the CPU
seconds of the registration alone, without imports, reading and writing, are printed as JSON. At its top this file
imports the standard library only: Linux counts what a process was before it became another program into the peak
memory of that program, so the one that starts it has to be small.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Settings = dict[str, Any]

DISTRIBUTIONS = {
    "initial": "SimpleITK",
    "greedy": "picsl_greedy",
    "ants": "antspyx",
    "elastix": "itk-elastix",
    "demons": "SimpleITK",
}
"""Method -> the package that it comes with."""

_GREEDY_SMOOTHER = "greedy, smoother"
_MATTES = {"syn_metric": "mattes", "syn_sampling": 32}
ROWS: dict[str, dict[str, tuple[str, Settings]]] = {
    "lung": {
        "affine only": ("initial", {}),
        "greedy": ("greedy", {"metric": "NCC 2x2x2", "smoothing": "6mm 3mm", "iterations": "100x100x50"}),
        "ANTs SyN": ("ants", {"syn_metric": "CC", "syn_sampling": 2}),
        "elastix": ("elastix", {"spacing": [10, 10, 10], "resolutions": 3}),
        "demons": ("demons", {}),
    },
    "brain": {
        "identity": ("initial", {}),
        "greedy": ("greedy", {"metric": "NCC 2x2x2", "smoothing": "1.5vox 0.5vox", "iterations": "100x50x25"}),
        _GREEDY_SMOOTHER: (
            "greedy",
            {"metric": "NCC 2x2x2", "smoothing": "1.7vox 0.7vox", "iterations": "100x50x25"},
        ),
        "ANTs SyN": ("ants", _MATTES),
        "elastix": ("elastix", {"spacing": [6, 6, 6], "resolutions": 4}),
        "demons": ("demons", {"matched": True}),
    },
    "cine": {
        "identity": ("initial", {}),
        "greedy": ("greedy", {"metric": "NCC 3x3x1", "smoothing": "3mm 1mm", "iterations": "100x100x50"}),
        _GREEDY_SMOOTHER: (
            "greedy",
            {"metric": "NCC 4x4x2", "smoothing": "2vox 0.5vox", "iterations": "100x100x50"},
        ),
        "ANTs SyN": ("ants", _MATTES),
        "elastix": ("elastix", {"spacing": [8, 8, 10], "resolutions": 3}),
        "demons": ("demons", {}),
    },
}
"""Kind of pair -> name of a row -> method and settings."""


class Case:
    """What a method is given, and a clock for what it does with it."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.fixed, self.moving, self.out = options.fixed, options.moving, options.out
        self.mask, self.initial, self.folder = options.mask, options.initial, folder
        self.cpu = 0.0

    @contextmanager
    def clock(self) -> Iterator[None]:
        """Count the CPU seconds of what is done inside."""
        start = time.process_time()
        yield
        self.cpu += time.process_time() - start

    @property
    def threads(self) -> int:
        """As the environment has it for ITK."""
        return int(os.environ.get("ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS", "1"))


def initial(case: Case) -> None:
    """No registration: the initial transform as a field, or none."""
    import SimpleITK as sitk

    fixed = sitk.ReadImage(case.fixed)
    start = sitk.ReadTransform(case.initial) if case.initial else sitk.Transform(3, sitk.sitkIdentity)
    _write(case, start, fixed)


def greedy(case: Case, metric: str, smoothing: str, iterations: str) -> None:
    """greedy, and its own composition with the matrix, which it wants in RAS."""
    from picsl_greedy import Greedy3D

    matrix, warp = case.folder / "initial.mat", case.folder / "warp.nii.gz"
    before = after = ""
    if case.initial:
        matrix.write_text(_ras_matrix(case.initial))
        before, after = f'-it "{matrix}"', f'"{matrix}"'
    mask = f'-gm "{case.mask}"' if case.mask else ""
    # without "-wp 0" a warp is rounded to tenths of a voxel, which folds it where it was smooth
    common = f"-d 3 -V 0 -threads {case.threads} -wp 0"
    program = Greedy3D()
    with case.clock():
        program.execute(
            f'{common} -seed 1 -i "{case.fixed}" "{case.moving}" -m {metric} -s {smoothing} -n {iterations} '
            f'{mask} {before} -o "{warp}"'
        )
    program.execute(f'{common} -rf "{case.fixed}" -r "{warp}" {after} -rc "{case.out}"')


def ants(case: Case, **metric: Any) -> None:
    """SyN with no affine step of its own."""
    import ants as program

    fixed, moving = program.image_read(case.fixed), program.image_read(case.moving)
    mask = program.image_read(case.mask) if case.mask else None
    with case.clock():
        found = program.registration(
            fixed, moving, "SyNOnly", case.initial or "Identity", f"{case.folder}/syn", mask=mask,
            reg_iterations=(100, 70, 50), **metric,
        )  # fmt: skip
    whole = program.apply_transforms(fixed, moving, found["fwdtransforms"], compose=f"{case.folder}/whole")
    shutil.move(whole, case.out)


def elastix(case: Case, spacing: list[float], resolutions: int) -> None:
    """B-splines and normalised correlation, with no penalty; the knots' distance is halved at each resolution."""
    import itk

    kind = itk.Image[itk.F, 3]
    fixed, moving = itk.imread(case.fixed, itk.F), itk.imread(case.moving, itk.F)
    parameters = itk.ParameterObject.New()
    chosen = dict(parameters.GetDefaultParameterMap("bspline", resolutions)) | {
        "Registration": ["MultiResolutionRegistration"], "Metric": ["AdvancedNormalizedCorrelation"],
        "FinalGridSpacingInPhysicalUnits": [str(step) for step in spacing],
        "GridSpacingSchedule": [str(2**k) for k in reversed(range(resolutions))],
        "ImageSampler": ["Random"], "NumberOfSpatialSamples": ["5000"], "MaximumNumberOfIterations": ["500"],
        "WriteResultImage": ["false"],
    }  # fmt: skip
    parameters.AddParameterMap(chosen)
    program = itk.ElastixRegistrationMethod[kind, kind].New(fixed, moving)
    program.SetParameterObject(parameters)
    program.SetLogToConsole(False)
    program.SetNumberOfWorkUnits(case.threads)
    if case.mask:
        program.SetFixedMask(itk.imread(case.mask, itk.UC))
    if case.initial:
        program.SetInitialTransform(itk.transformread(case.initial)[0])
    with case.clock():
        program.UpdateLargestPossibleRegion()
    itk.imwrite(itk.transformix_deformation_field(moving, program.GetTransformParameterObject()), case.out)


def demons(case: Case, matched: bool = False) -> None:
    """Diffeomorphic demons from coarse to fine, of the moving image as the initial transform puts it; no mask."""
    import SimpleITK as sitk

    fixed, moving = (sitk.ReadImage(path, sitk.sitkFloat32) for path in (case.fixed, case.moving))
    start = sitk.ReadTransform(case.initial) if case.initial else sitk.Transform(3, sitk.sitkIdentity)
    program = sitk.DiffeomorphicDemonsRegistrationFilter()
    program.SetStandardDeviations(1.0)
    with case.clock():
        lowest = float(sitk.GetArrayViewFromImage(moving).min())
        moving = sitk.Resample(moving, fixed, start, sitk.sitkLinear, lowest)
        if matched:
            moving = sitk.HistogramMatching(moving, fixed, 256, 15, True)
        u = None
        for factor, iterations in ((4, 100), (2, 100), (1, 50)):
            pair = [_coarse(image, factor) for image in (fixed, moving)]
            program.SetNumberOfIterations(iterations)
            u = program.Execute(*pair) if u is None else program.Execute(*pair, sitk.Resample(u, pair[0]))
    found = sitk.DisplacementFieldTransform(sitk.Cast(u, sitk.sitkVectorFloat64))
    # the last transform of a composite is applied first
    _write(case, sitk.CompositeTransform([start, found]), fixed)


METHODS: dict[str, Callable[..., None]] = {
    "initial": initial, "greedy": greedy, "ants": ants, "elastix": elastix, "demons": demons,
}  # fmt: skip


def _write(case: Case, transform: Any, fixed: Any) -> None:
    import SimpleITK as sitk

    box = (fixed.GetSize(), fixed.GetOrigin(), fixed.GetSpacing(), fixed.GetDirection())
    sitk.WriteImage(sitk.TransformToDisplacementField(transform, sitk.sitkVectorFloat32, *box), case.out)


def _coarse(image: Any, factor: int) -> Any:
    """Smoothed and thinned out; an axis of few voxels is left as it is."""
    import SimpleITK as sitk

    factors = [factor if n // factor >= 12 else 1 for n in image.GetSize()]
    sigmas = [h * f / 2 if f > 1 else 1e-3 for h, f in zip(image.GetSpacing(), factors, strict=True)]
    return sitk.Shrink(sitk.SmoothingRecursiveGaussian(image, sigmas), factors) if max(factors) > 1 else image


def _ras_matrix(path: str) -> str:
    """The 4x4 matrix of an ITK affine, which is LPS, in RAS."""
    import SimpleITK as sitk

    found = sitk.AffineTransform(sitk.ReadTransform(path))
    shift, sign = found.TransformPoint((0.0, 0.0, 0.0)), (-1, -1, 1)
    rows = [found.GetMatrix()[3 * k : 3 * k + 3] for k in range(3)]
    lines = [[sign[i] * sign[j] * rows[i][j] for j in range(3)] + [sign[i] * shift[i]] for i in range(3)]
    return "\n".join(" ".join(repr(value) for value in line) for line in [*lines, [0, 0, 0, 1]]) + "\n"


def measure(report: Path, command: list[str]) -> None:
    """Run `command`; exit code, CPU and wall seconds and peak memory of it and of all that it started, as JSON."""
    start = time.monotonic()
    child = subprocess.Popen(command)
    _, status, used = os.wait4(child.pid, 0)
    scale = 2**30 if sys.platform == "darwin" else 2**20
    report.write_text(
        json.dumps(
            {
                "code": os.waitstatus_to_exitcode(status),
                "cpu": used.ru_utime + used.ru_stime,
                "wall": time.monotonic() - start,
                "peak_gib": used.ru_maxrss / scale,
            }
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("method", choices=METHODS)
    for name in ("fixed", "moving", "out"):
        parser.add_argument(name)
    parser.add_argument("--settings", type=json.loads, default={})
    parser.add_argument("--mask")
    parser.add_argument("--initial")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        case = Case(options, Path(folder))
        METHODS[options.method](case, **options.settings)
    print(json.dumps({"cpu_call": case.cpu}))


if __name__ == "__main__":
    if sys.argv[1:2] == ["measure"]:
        measure(Path(sys.argv[2]), sys.argv[3:])
    else:
        main()
