"""Results as files for other programs: predicted volumes, displacement fields, Jacobian maps, tables.

Everything lies on the reference's STORED grid (shape, axis order and affine), one time at a time in memory.
To add an exporter: one generator function and one line in `EXPORTERS`.
"""

from __future__ import annotations

import csv
import io
import math
import tempfile
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from noder.align import describe_alignments, write_alignments
from noder.atomic import output_errors, publish, staging_folder, write_json, write_text
from noder.errors import InputError, UsageError
from noder.image import write_volume
from noder.itk_fields import orthogonal_grid, write_itk_field
from noder.predict_json import DESCRIPTION, ExportedFile, description_of, files_of_earlier_export
from noder.trajectory import CARRIES, Carry, Trajectory

if TYPE_CHECKING:
    from noder.fit import FitResult


@dataclass(frozen=True)
class ExportOptions:
    """`carry`: which scans a predicted volume moves to its time, one of `CARRIES`."""

    carry: Carry = "neighbours"


Steps = Callable[["FitResult", Sequence[float], Path, ExportOptions], Iterator["ExportedFile | None"]]


@dataclass(frozen=True)
class Exporter:
    """A kind of export. `steps` yields once for each unit of work: the file it wrote, or None."""

    label: str
    steps: Steps
    steps_per_time: int = 0
    steps_once: int = 0

    def __call__(
        self, result: FitResult, times: Sequence[float], folder: Path, options: ExportOptions | None = None
    ) -> list[Path]:
        """Write the files for `times` (in the fit's unit) into the existing `folder`; each file is atomic.

        Raises OutputError where a file cannot be written.
        """
        return [file.path for file in self.steps(result, times, folder, options or ExportOptions()) if file]

    def n_steps(self, times: Sequence[float]) -> int:
        """How often `steps` yields for these times."""
        return self.steps_per_time * len(times) + self.steps_once


@dataclass(frozen=True)
class ExportProgress:
    """`done` of `total` steps; `exporter` is the key of `EXPORTERS` at work."""

    done: int
    total: int
    exporter: str


def predictions(
    result: FitResult, times: Sequence[float], folder: Path, options: ExportOptions
) -> Iterator[ExportedFile]:
    """pred_000.nii.gz and so on, in the order of `times`."""
    for k, t in enumerate(times):
        path = folder / f"pred_{k:03d}.nii.gz"
        _write_stored(path, result.trajectory, result.trajectory.predict(t, carry=options.carry, exact=True)[0])
        yield ExportedFile(path, "prediction", k)


def series4d(
    result: FitResult, times: Sequence[float], folder: Path, options: ExportOptions
) -> Iterator[ExportedFile | None]:
    """predictions_4d.nii.gz and a JSON of its times: NIfTI holds one uniform step in seconds at most."""
    trajectory, path = result.trajectory, folder / "predictions_4d.nii.gz"
    shape = (*trajectory.stored_grid.shape, len(times))
    with output_errors(path), tempfile.TemporaryFile(dir=folder) as spool:  # one time at a time in memory
        for t in times:
            spool.write(
                _stored(trajectory, trajectory.predict(t, carry=options.carry, exact=True)[0]).tobytes(order="F")
            )
            yield None
        spool.flush()
        volumes = np.memmap(spool, dtype=np.float32, mode="r", shape=shape, order="F")
        step = _uniform_step(times)
        write_volume(path, volumes, trajectory.stored_grid, time_step=step, unit=trajectory.unit)
        del volumes
    yield ExportedFile(path, "prediction")
    sidecar = {"TimeUnit": trajectory.unit, "FrameTimes": list(times), "Carry": options.carry}
    yield ExportedFile(write_json(folder / "predictions_4d.json", sidecar))


def fields_itk(
    result: FitResult, times: Sequence[float], folder: Path, options: ExportOptions
) -> Iterator[ExportedFile]:
    """field_000.nii.gz (pulls the reference to the time) and inverse_000.nii.gz (pulls it back)."""
    trajectory, grid = result.trajectory, orthogonal_grid(result.trajectory.stored_grid)
    for k, t in enumerate(times):
        for kind, evaluate in (("field", trajectory.field), ("inverse", trajectory.inverse_field)):
            path = folder / f"{kind}_{k:03d}.nii.gz"
            write_itk_field(path, evaluate(grid, t))
            yield ExportedFile(path, kind, k)


def jacobians(
    result: FitResult, times: Sequence[float], folder: Path, options: ExportOptions
) -> Iterator[ExportedFile]:
    """jac_000.nii.gz and so on: J, above 1 where tissue is larger than at the reference."""
    for k, t in enumerate(times):
        path = folder / f"jac_{k:03d}.nii.gz"
        _write_stored(path, result.trajectory, result.trajectory.jacobian(t, exact=True))
        yield ExportedFile(path, "jacobian", k)


def brightness(
    result: FitResult, times: Sequence[float], folder: Path, options: ExportOptions
) -> Iterator[ExportedFile]:
    """brightness_000.nii.gz and so on: what the intensity model adds to the carried reference."""
    for k, t in enumerate(times):
        path = folder / f"brightness_{k:03d}.nii.gz"
        _write_stored(path, result.trajectory, result.trajectory.brightness(t))
        yield ExportedFile(path, "brightness", k)


def metrics_csv(
    result: FitResult, times: Sequence[float], folder: Path, options: ExportOptions
) -> Iterator[ExportedFile]:
    """metrics.csv: a row a scan of the fit's report, whatever `times` are."""
    if result.report is None:
        raise InputError("This result has no report, so metrics.csv cannot be written: let a fit run to its end.")
    rows = [dict(_flat(row)) for row in result.report.rows]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, columns, lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    yield ExportedFile(write_text(folder / "metrics.csv", text.getvalue()))


EXPORTERS: dict[str, Exporter] = {
    "predictions": Exporter("Predicted volumes (NIfTI, one a time)", predictions, steps_per_time=1),
    "series4d": Exporter("Predicted series (4D NIfTI and a JSON of the times)", series4d, 1, steps_once=2),
    "fields_itk": Exporter("Displacement fields and inverses (ITK, ANTs, Slicer)", fields_itk, steps_per_time=2),
    "jacobians": Exporter("Jacobian maps (above 1 = growth)", jacobians, steps_per_time=1),
    "brightness": Exporter("Brightness maps (0 without the intensity model)", brightness, steps_per_time=1),
    "metrics_csv": Exporter("Metrics of every scan (CSV)", metrics_csv, steps_once=1),
}


def export(
    result: FitResult,
    names: Sequence[str],
    times: Sequence[float],
    folder: Path,
    *,
    carry: str = "neighbours",
    about: str | None = None,
) -> list[Path]:
    """Run the exporters `names` for `times` (in the fit's unit) into `folder`, then write predict.json.

    All or nothing: on any failure the folder is as it was. Files of an earlier export into the same folder
    are replaced, those that this one does not write removed. `about`: a sentence on the times for predict.json, where
    they are no times of scans. Returns the paths, predict.json last.
    Raises UsageError for unknown names and times that are no numbers, OutputError for what cannot be written.
    """
    steps = export_steps(result, names, times, folder, carry=carry, about=about)
    while True:
        try:
            next(steps)
        except StopIteration as finished:
            paths: list[Path] = finished.value
            return paths


def export_steps(
    result: FitResult,
    names: Sequence[str],
    times: Sequence[float],
    folder: Path,
    *,
    carry: str = "neighbours",
    about: str | None = None,
) -> Generator[ExportProgress, None, list[Path]]:
    """`export` as a generator of its progress; closing it cancels, and nothing stays behind."""
    _check(names, times)
    options = ExportOptions(_checked_carry(carry))
    total, done = sum(EXPORTERS[name].n_steps(times) for name in names), 0
    files: list[ExportedFile] = []
    with staging_folder(Path(folder)) as staging:
        for name in names:
            for file in EXPORTERS[name].steps(result, times, staging, options):
                files += [file] if file else []
                done += 1
                yield ExportProgress(done, total, name)
        files += [ExportedFile(path, "alignment") for path in write_alignments(result.series, staging)]
        described = description_of(result.trajectory, times, options.carry, files)
        alignments = describe_alignments(result.series)
        described |= {"alignments": alignments} if alignments else {}
        write_json(staging / DESCRIPTION, described | ({"about": about} if about else {}))
        new = [file.path.name for file in files]
        stale = sorted(files_of_earlier_export(Path(folder)) - set(new))
        return publish([*new, DESCRIPTION], staging, Path(folder), stale=stale)


def _check(names: Sequence[str], times: Sequence[float]) -> None:
    for name in names:
        if name not in EXPORTERS:
            raise UsageError(f"There is no exporter {name!r}: choose from {', '.join(EXPORTERS)}.")
    for t in times:
        if not math.isfinite(t):
            raise UsageError(f"A prediction at the time {t} cannot be made: give finite numbers.")
    if not times and any(EXPORTERS[name].steps_per_time for name in names):
        raise UsageError("No times were given to predict: give one or more.")


def _checked_carry(carry: str) -> Carry:
    if carry not in CARRIES:
        raise UsageError(f"carry={carry!r} is not known: choose from {', '.join(CARRIES)}.")
    return carry


def _stored(trajectory: Trajectory, volume: Tensor) -> NDArray[np.float32]:
    """(I,J,K) on the closest RAS grid -> float32 in the stored axis order."""
    array: NDArray[np.float32] = volume.detach().cpu().float().numpy()
    return trajectory.stored_grid.reorientation().undo(array)


def _write_stored(path: Path, trajectory: Trajectory, volume: Tensor) -> None:
    write_volume(path, _stored(trajectory, volume), trajectory.stored_grid)


def _uniform_step(times: Sequence[float]) -> float | None:
    """The step between times, all a 4D header can hold; None where it varies."""
    steps = np.diff(np.asarray(times, dtype=np.float64))
    uniform = steps.size > 0 and steps[0] > 0 and np.allclose(steps, steps[0], rtol=1e-6)
    return float(steps[0]) if uniform else None


def _flat(row: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(column, value) pairs; a mapping inside a row, such as Dice by label, becomes columns of its own."""
    for name, value in row.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}_")
        else:
            yield f"{prefix}{name}", value
