"""A fit as a folder: result.json, model.safetensors and run.log. The window and `noder predict` open it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from noder.align import placed
from noder.alignment import Alignment
from noder.atomic import output_errors, publish, staging_folder, write_json, write_text
from noder.errors import InputError
from noder.evaluate import Report
from noder.fit import FitProgress, FitResult, carrying, make_trajectory
from noder.fit_config import FitConfig, seen_scans
from noder.image import Image
from noder.model_file import MODEL, model_bytes, read_model, settings_as_dict, settings_from_dict
from noder.preprocess import Gain
from noder.provenance import Provenance
from noder.series import ImageSeries, Scan
from noder.stored_files import REGISTRATION, described_file, found_file, read_described

RESULT, LOG = "result.json", "run.log"
OTHER_SEEDS = "model_seed_{}.safetensors"
_FORMAT = 1


def save_result(result: FitResult, folder: Path | str) -> list[Path]:
    """Write the three files into `folder`, and a model for each other seed, all or none. Raises OutputError."""
    folder = Path(folder)
    models = _models(result)
    with staging_folder(folder) as staging:
        for name, content in models.items():
            with output_errors(staging / name):
                (staging / name).write_bytes(content)
        write_text(staging / LOG, _log(result))
        write_json(staging / RESULT, describe_result(result, folder))
        stale = {path.name for path in folder.glob(OTHER_SEEDS.format("*"))} - set(models)
        return publish([*models, LOG, RESULT], staging, folder, stale=sorted(stale))


def _models(result: FitResult) -> dict[str, bytes]:
    """Name and content of the model file of each seed."""
    config, grid = result.config, result.series.grid
    models = {MODEL: model_bytes(result.model, config, grid, result.trajectory.intensity)}
    for seed, model in zip(_other_seeds(result), result.other_models, strict=True):
        models[OTHER_SEEDS.format(seed)] = model_bytes(model, replace(config, seed=seed), grid)
    return models


def _other_seeds(result: FitResult) -> list[int]:
    return [result.config.seed + k + 1 for k in range(len(result.other_models))]


def load_result(
    folder: Path | str, hashed: dict[Path, str] | None = None, images: dict[Any, Image] | None = None
) -> FitResult:
    """Open a folder that `save_result` wrote; `hashed` as in `found_file`, `images` as in `scans_of_rows`.

    Raises InputError where it is damaged, or its scans gone or changed.
    """
    folder, hashed = Path(folder), {} if hashed is None else hashed
    described = read_described(folder / RESULT)
    if described.get("kind") == REGISTRATION:
        raise InputError(
            f"{folder} holds a registered pair, no fit of a series. `noder predict` and the window open it, and "
            "`noder warp` pulls images through it."
        )
    try:
        mask = described["mask"]
        config = config_from_dict(described["config"])
        config = replace(config, mask=None if mask is None else found_file(mask, folder, hashed))
        series = _series(described, folder, hashed, {} if images is None else images)
        gains = {row["index"]: Gain(row["gain"], row["offset"]) for row in described["scans"] if "gain" in row}
        decoder, curve, brightness = read_model(folder / MODEL, series.grid)
        names = [OTHER_SEEDS.format(seed) for seed in described.get("other_seeds", [])]  # older folders have none
        others = [read_model(folder / name, series.grid)[:2] for name in names]
        history = [FitProgress(**step) for step in described["history"]]
        report = _report(described["report"], described["metrics"])
        provenance = Provenance(**described["provenance"])
    except (KeyError, TypeError) as error:
        raise InputError(
            f"{folder / RESULT} is not a result of this version: {error} is missing or odd. Fit again."
        ) from error
    seen = seen_scans(series, config)
    residuals = [described["scans"][k].get("residual", 1.0) for k in seen]
    trajectory = make_trajectory(decoder, curve, series, seen, gains).judged(residuals, brightness)
    trajectory = trajectory.beside([carrying(*other, series, trajectory.scans) for other in others])
    return FitResult(
        trajectory, series, config, gains, history, provenance, curve, report,
        stopped=described["stopped"], notes=tuple(described["notes"]), other_models=tuple(other[1] for other in others),
    )  # fmt: skip


def describe_result(result: FitResult, folder: Path) -> dict[str, Any]:
    """The content of result.json."""
    series, report = result.series, result.report
    stored = series.reference.image.stored_grid
    return {
        "format": _FORMAT,
        "times": series.times,
        "time_unit": series.unit,
        "config": config_as_dict(result.config),
        "seed": result.config.seed,
        "other_seeds": _other_seeds(result),
        "device": result.provenance.device,
        "seconds": result.provenance.seconds,
        "peak_memory_mib": result.provenance.peak_memory_mib,
        "versions": result.provenance.versions,
        "stopped": result.stopped,
        "iterations": len(result.history),
        "folds": None if report is None else report.folds,
        "metrics": None if report is None else report.rows,
        "summary": None if report is None else report.summary,
        "report": None if report is None else _without_rows(report),
        "notes": list(result.notes),
        "grid": {
            "shape": list(stored.shape),
            "affine": stored.affine.tolist(),
            "orientation": stored.orientation,
        },
        "frames": list(series.frames),
        "n_given": series.n_given,
        "mask": None if result.config.mask is None else described_file(result.config.mask, folder),
        "series_notes": list(series.notes),
        "scans": [_described_scan(result, k, folder) for k in range(len(series.scans))],
        "history": [described_step(step) for step in result.history],
        "provenance": asdict(result.provenance),
    }


def config_as_dict(config: FitConfig) -> dict[str, Any]:
    """A configuration as JSON holds it."""
    return {
        **asdict(config),
        "settings": settings_as_dict(config.settings),
        "mask": None if config.mask is None else str(config.mask.absolute()),
    }


def _described_scan(result: FitResult, k: int, folder: Path) -> dict[str, Any]:
    gain, config = result.gains.get(k), result.config
    role = "held out" if k in config.hold_out else "excluded" if k in config.exclude else "seen" if k else "reference"
    row = {"index": k, **described_scan(result.series.scans[k], folder), "role": role}
    residual = {seen.index: seen.residual for seen in result.trajectory.scans}.get(k)
    row |= {} if residual is None else {"residual": residual}
    return row if gain is None else {**row, "gain": gain.gain, "offset": gain.offset}


def described_scan(scan: Scan, folder: Path) -> dict[str, Any]:
    """A scan as JSON holds it: its time, its file, and how it was put onto the first; `scans_of_rows` reads it."""
    image = scan.image
    row: dict[str, Any] = {"name": image.name, "time": scan.time, "time_source": scan.time_source}
    if image.path is not None:
        row |= described_file(image.path, folder) | {
            "volume": image.volume, "resampled": image.is_resampled, "nan_to_zero": image.nan_to_zero,
        }  # fmt: skip
        if image.alignment is not None:
            row["alignment"] = image.alignment.as_dict()
    return row


def scans_of_rows(
    rows: Sequence[Mapping[str, Any]], paths: Sequence[Path], images: dict[Any, Image] | None = None
) -> tuple[Scan, ...]:
    """What `described_scan` described, its files being at `paths` now.

    `images` keeps what has been opened, so that several fits share their voxels. Raises KeyError, TypeError,
    InputError.
    """
    opened = {} if images is None else images
    stored = []
    for row, path in zip(rows, paths, strict=True):
        key = path, row["volume"], row["nan_to_zero"]
        if key not in opened:
            opened[key] = Image.open(path, row["volume"], nan_to_zero=row["nan_to_zero"])
        stored.append(opened[key])
    alignments = [Alignment.from_dict(row["alignment"]) if "alignment" in row else None for row in rows]
    put = placed(stored, [row["resampled"] for row in rows], alignments)
    return tuple(Scan(image, row["time"], row["time_source"]) for image, row in zip(put, rows, strict=True))


def described_step(step: FitProgress) -> dict[str, Any]:
    """A step as JSON holds it, without its map."""
    return {
        "step": step.step, "total": step.total, "stage": step.stage, "losses": step.losses, "folds": step.folds,
        "seconds": round(step.seconds, 3), "seconds_left": None,
    }  # fmt: skip


def _without_rows(report: Report) -> dict[str, Any]:
    return {key: value for key, value in asdict(report).items() if key != "rows"}


def config_from_dict(described: Mapping[str, Any]) -> FitConfig:
    """What `config_as_dict` described. Raises KeyError or TypeError where this version knows other configurations."""
    known = {f.name for f in fields(FitConfig)}
    config = FitConfig(**{name: value for name, value in described.items() if name in known})
    return replace(
        config,
        settings=settings_from_dict(described["settings"]),
        hold_out=tuple(config.hold_out),
        exclude=tuple(config.exclude),
        mask=None if config.mask is None else Path(config.mask),
    )


def _series(
    described: Mapping[str, Any], folder: Path, hashed: dict[Path, str], images: dict[Any, Image]
) -> ImageSeries:
    rows, paths = described["scans"], []
    for row in rows:
        if "path" not in row:
            raise InputError(
                f"{row['name']} was never a file, so {folder} cannot be opened again. Fit the series again."
            )
        paths.append(found_file(row, folder, hashed))
    return ImageSeries(
        scans_of_rows(rows, paths, images), described["time_unit"], tuple(described["frames"]), described["n_given"],
        tuple(described["series_notes"]),
    )  # fmt: skip


def _report(described: Mapping[str, Any] | None, rows: list[dict[str, Any]] | None) -> Report | None:
    if described is None or rows is None:
        return None
    summary, notes = with_nan(described["summary"]), tuple(described["notes"])
    return Report(with_nan(rows), **{**described, "summary": summary, "notes": notes})


def with_nan(value: Any) -> Any:
    """JSON has no nan: null stands for a score that does not exist."""
    if isinstance(value, dict):
        return {key: with_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [with_nan(item) for item in value]
    return float("nan") if value is None else value


def _log(result: FitResult) -> str:
    when = datetime.now(UTC).astimezone().isoformat(timespec="seconds")
    run = f"{result.provenance.seconds:.1f} s on {result.provenance.device}"
    seeds = "" if result.n_seeds == 1 else f" from each of {result.n_seeds} seeds, the first of which are below"
    head = [f"{when}  {len(result.history)} iterations{seeds}, {run}"]
    head += ["stopped by the user"] if result.stopped else []
    steps = [
        f"{step.step:5d}/{step.total}  {step.seconds:8.2f} s  {step.stage:10s}  "
        + "  ".join(f"{name} {value:.6f}" for name, value in step.losses.items())
        for step in result.history
    ]
    return "\n".join([*head, *steps]) + "\n"
