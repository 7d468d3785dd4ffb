"""How well each method predicts what it has not seen: known motion of real brains, and the sample cine.

    OMP_NUM_THREADS=1 python bench/bench_quality.py [--data DIR] [--cache DIR] [--quick] [--write]

`--data` holds mni152/, brain_mni_subjects/ and brain_fs_subject/; without it the cine alone is scored. Rows are kept in
`--cache` and not computed again: name another folder after the engine has changed. `--methods` takes texts such as
`noder:latent=rank,map=flow` (`_methods.py`) instead of the usual rows. `--write` puts the rows into
bench/results/quality.json, beside those that it holds already, and the tables of all into docs/quality.md. Seeds are
fixed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Callable
from functools import cache as cached
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _cine import KEPT, Cine
from _known import BEYOND, COURSES, PROTOCOLS, SUBJECTS, TIMES, WITHHELD, Known, known_series
from _machine import described, machine
from _methods import NoderError, config_of, fitted, usual
from _quality_tables import TRUE_MAP, tables

from noder.fields import DisplacementField
from noder.linearity import linearity_index
from noder.metrics import similarity_scores
from noder.trajectory import Trajectory

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "bench" / "results" / "quality.json"
START, END = "<!-- tables -->", "<!-- end of tables -->"
MISSING = "Some of its rows are not in the cache."
Row = dict[str, Any]


def main() -> None:
    options = arguments()
    facts = machine()
    print(described(facts), flush=True)
    methods = usual()
    if options.methods:
        names = {text: name for name, text in methods.items()}
        methods = {names.get(text, text): text for text in options.methods}
    cache = Cache(options.cache, closed=options.kept)
    rows: list[Row] = []
    if "cine" in options.only:
        rows += cine_rows(methods, cache, dict(list(KEPT.items())[1:2]) if options.quick else KEPT)
    if "known" in options.only and options.data is not None:
        rows += known_rows(methods, cache, options)
    if options.data is None:
        print("No --data: the tables of known motion are left out.")
    rows = [row for row in rows if row.get("failed") != MISSING]
    print(tables(rows))
    if options.write:
        write(rows, facts)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of the brains")
    parser.add_argument("--cache", type=Path, help="folder where finished rows are kept")
    parser.add_argument("--kept", action="store_true", help="only rows that are in the cache")
    parser.add_argument("--methods", nargs="+", help="rows, instead of the usual ones")
    parser.add_argument("--only", nargs="+", choices=("cine", "known"), default=("cine", "known"))
    parser.add_argument("--subjects", nargs="+", choices=SUBJECTS, default=list(SUBJECTS))
    parser.add_argument("--protocols", nargs="+", choices=PROTOCOLS, default=list(PROTOCOLS))
    parser.add_argument("--quick", action="store_true", help="one small case of each kind")
    parser.add_argument("--write", action="store_true", help="write docs/quality.md and bench/results/quality.json")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.quick:
        options.subjects, options.protocols = options.subjects[:1], options.protocols[:1]
    return options


class Cache:
    """Finished rows, a JSON file each."""

    def __init__(self, folder: Path | None, *, closed: bool = False) -> None:
        self.folder, self.closed = folder, closed
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)

    def row(self, key: Row, compute: Callable[[], Row]) -> Row:
        """The row of `key`, computed if it is not there; what cannot be had gives {"failed": why}."""
        name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:20] + ".json"
        path = None if self.folder is None else self.folder / name
        if path is not None and path.exists():
            kept: Row = json.loads(path.read_text())
            return kept
        if self.closed:
            return key | {"failed": MISSING}
        try:
            row = key | compute()
        except NoderError as error:
            return key | {"failed": str(error)}
        if path is not None:
            path.with_suffix(".part").write_text(json.dumps(row, indent=1))
            path.with_suffix(".part").rename(path)
        return row


def cine_rows(methods: dict[str, str], cache: Cache, kept: dict[str, tuple[int, ...]]) -> list[Row]:
    """Rows of the cine: the trivial ones, then each method carried in both ways."""
    rows = []
    for name, phases in kept.items():
        cine = Cine(phases)
        for trivial, scores in cine.trivial().items():
            rows.append({"table": "cine", "case": name, "row": trivial, **scores})
        for row, text in methods.items():
            key = {"table": "cine", "case": name, "method": text, "settings": _settings(text)}
            found = cache.row(key, partial(cine_row, cine, text))
            rows.append(found | {"row": row})
            _say(found, row)
    return rows


def cine_row(cine: Cine, text: str) -> Row:
    """Fit and scores of a method."""
    fit = fitted(cine.series, config_of(text, cine.unseen))
    trajectory = fit.result.trajectory
    about = _about(trajectory, fit.result.mask()[0], cine.series.times)
    return {**cine.scores_of_fit(trajectory), **about, "cpu": fit.cpu}


def known_rows(methods: dict[str, str], cache: Cache, options: argparse.Namespace) -> list[Row]:
    """Rows of the known motions; a series is made only where a row of it is missing."""
    rows = []
    for subject, course in product(options.subjects, list(COURSES)[1:2] if options.quick else COURSES):
        series = cached(partial(known_series, options.data, subject, course))
        for protocol in options.protocols:
            case = {"table": "known", "subject": subject, "course": course, "protocol": protocol}
            trivial = cache.row(case | {"method": "no fit"}, partial(trivial_row, series, protocol))
            rows += [case | {"row": name} | found for name, found in trivial.get("rows", {}).items()]
            for row, text in methods.items():
                key = case | {"method": text, "settings": _settings(text)}
                found = cache.row(key, partial(known_row, series, text, protocol))
                rows.append(found | {"row": row})
                _say(found, row)
    return rows


def known_row(make: Callable[[], Known], text: str, protocol: str) -> Row:
    """Fit of a method on the seen visits, and its errors at all others."""
    known = make()
    seen = PROTOCOLS[protocol]
    fit = fitted(known.series, config_of(text, tuple(k for k in range(len(TIMES)) if k not in seen)))
    trajectory, mask = fit.result.trajectory, fit.result.mask()[0]
    grid = known.series.grid
    times: dict[str, Row] = {}
    for k, t in enumerate(TIMES[1:], start=1):
        times[str(k)] = {"end_point": end_point(trajectory.field(grid, t).u, known, k)}
        if k in (*WITHHELD, *BEYOND):
            for carry in ("neighbours", "first"):
                times[str(k)][carry] = scores(known, k, trajectory.predict(t, carry=carry, exact=True))
    return {**_summary(times, seen), **_about(trajectory, mask, known.series.times), "cpu": fit.cpu, "times": times}


def trivial_row(make: Callable[[], Known], protocol: str) -> Row:
    """What needs no fit, and how the motion of the series is."""
    known = make()
    seen = PROTOCOLS[protocol]
    volumes = [scan.image.tensor() for scan in known.series.scans]
    names = ("linear blend", "nearest scan", "first scan unchanged", TRUE_MAP)
    rows: dict[str, dict[str, Row]] = {name: {} for name in names}
    for k, t in enumerate(TIMES[1:], start=1):
        before = max(s for s in seen if s <= k)
        after = min((s for s in seen if s >= k), default=before)
        part = 0.0 if before == after else (t - TIMES[before]) / (TIMES[after] - TIMES[before])
        near = min(seen, key=lambda s, t=t: abs(TIMES[s] - t))
        still = torch.zeros_like(known.truth[k])
        rows["first scan unchanged"][str(k)] = {"end_point": end_point(still, known, k)}
        rows[TRUE_MAP][str(k)] = {"end_point": 0.0}
        if k in (*WITHHELD, *BEYOND):
            blend = (1 - part) * volumes[before] + part * volumes[after]
            moved = DisplacementField(known.truth[k], known.series.grid).warp(volumes[0], known.series.grid)
            for name, volume in zip(rows, (blend, volumes[near], volumes[0], moved), strict=True):
                rows[name].setdefault(str(k), {})["neighbours"] = scores(known, k, volume)
    found = {name: _summary(times, seen) for name, times in rows.items()}
    return {"rows": found, "motion": known.facts()}


def end_point(u: torch.Tensor, known: Known, k: int) -> float:
    """Mean distance in voxels between where a map and the true one send the tissue of visit k."""
    away = (u - known.truth[k]).norm(dim=0)[torch.from_numpy(known.tissue[k])]
    return float(away.double().mean()) / min(known.series.grid.spacing)


def scores(known: Known, k: int, predicted: torch.Tensor) -> Row:
    """NRMSE, SSIM and PSNR in the tissue, against the image without noise."""
    truth = known.clean[k][0].numpy()
    found = similarity_scores(truth, predicted[0].numpy(), float(np.ptp(truth)), known.tissue[k])
    return {name: found[f"{name}_mask"] for name in ("nrmse", "ssim", "psnr")}


def _summary(times: dict[str, Row], seen: tuple[int, ...]) -> Row:
    """Means over the seen visits, those withheld between them, and those beyond the last."""
    found: Row = {}
    for role, positions in (("seen", seen[1:]), ("withheld", WITHHELD), ("beyond", BEYOND)):
        rows = [times[str(k)] for k in positions if str(k) in times]
        if rows and "end_point" in rows[0]:
            found[f"end_point_{role}"] = float(np.mean([row["end_point"] for row in rows]))
        for carry in ("neighbours", "first"):
            if rows and carry in rows[0]:
                found[f"{carry}_{role}"] = {
                    name: float(np.mean([row[carry][name] for row in rows])) for name in ("nrmse", "ssim", "psnr")
                }
    return found


def _about(trajectory: Trajectory, mask: np.ndarray, times: list[float]) -> Row:
    """Folded voxels and the smallest determinant over all times, and how linear the course is."""
    least = [trajectory.field(trajectory.grid, t).corner_determinant() for t in times[1:]]
    return {
        "folds": sum(int((each <= 0).sum()) for each in least),
        "smallest_determinant": min(float(each.min()) for each in least),
        "linearity": linearity_index(trajectory, mask),
    }


def _settings(text: str) -> str:
    return repr(config_of(text, ()).settings)


def _say(row: Row, name: str) -> None:
    where = " ".join(str(row[k]) for k in ("table", "case", "subject", "course", "protocol") if k in row)
    if row.get("failed") == MISSING:
        return
    if "failed" in row:
        print(f"{where}: {name} cannot be fitted. {row['failed']}", flush=True)
        return
    if row["table"] == "cine":
        n, f = row["neighbours"], row["first"]
        said = f"NRMSE {n['nrmse']:.4f} first {f['nrmse']:.4f} Dice {n['cavity']:.3f} {n['myocardium']:.3f}"
    else:
        said = " / ".join(f"{row[f'end_point_{role}']:.3f}" for role in ("seen", "withheld", "beyond"))
    print(f"{where}: {name}: {said}; least det {row['smallest_determinant']:.2f}, {row['cpu']:.1f} CPU-s", flush=True)


def write(rows: list[Row], facts: dict[str, Any]) -> None:
    """All rows beside their machine, those of other methods and cases stay; all tables into the page."""
    before = json.loads(RESULTS.read_text())["rows"] if RESULTS.exists() else []
    kept = {_place(row): row for row in (*before, *rows)}
    order = list(dict.fromkeys(row["row"] for row in kept.values()))
    merged = sorted(kept.values(), key=lambda row: (*_case(row), order.index(row["row"])))
    page = ROOT / "docs" / "quality.md"
    head, _, rest = page.read_text().partition(START)
    page.write_text(f"{head}{START}\n\n{described(facts)}.\n\n{tables(merged)}\n\n{END}{rest.partition(END)[2]}")
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({"machine": facts, "rows": merged}, indent=1) + "\n")


def _case(row: Row) -> tuple[Any, ...]:
    """What is scored, in the order of the tables."""
    if row["table"] == "cine":
        return (0, list(KEPT).index(row["case"]))
    return (
        1,
        list(SUBJECTS).index(row["subject"]),
        list(COURSES).index(row["course"]),
        list(PROTOCOLS).index(row["protocol"]),
    )


def _place(row: Row) -> tuple[Any, ...]:
    return (*_case(row), row["row"])


if __name__ == "__main__":
    main()
