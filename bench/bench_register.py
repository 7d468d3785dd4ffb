"""Registration of real pairs by `noder register` and by other programs: landmarks, overlap, folds, time and memory.

    python bench/bench_register.py --data DIR [--only PAIR...] [--methods ROW...] [--threads 1] [--cache DIR] [--write]

`--data` holds lung_elastix_pair/, brain_mni_subjects/ and cardiac_pig_cine/; the other programs come with
`pip install -e '.[bench]'`. Each row runs in a process of its own and leaves a displacement field, which one scorer
judges. CPU seconds and memory are those of the whole process; "call" is the registration without imports, reading
and writing, as far as the program tells. The first run of `noder` on a machine compiles its kernels: run it twice.
Rows are kept in `--cache` and not computed again: name another folder after the engine has changed. `--write` puts
them into bench/results/register.json, beside those that it holds already.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from _machine import described, machine
from _pairs import PAIRS, Pair, score
from _peers import DISTRIBUTIONS, ROWS
from bench_quality import Cache

from noder.errors import NoderError

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "register.json"
MODES = {"noder optimise": "optimise", "noder encoder+io": "encoder+io", "noder encoder": "encoder"}
THREADS = (
    "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
)  # fmt: skip
OWN = ("seconds", "peak_gib", "folds_percent", "min_determinant")
"""Figures of `noder register` itself."""
Row = dict[str, Any]


class NoRow(NoderError):
    """A method that is not there, or that failed: why."""


def main() -> None:
    options = arguments()
    facts = machine()
    print(f"{described(facts)}; {options.threads} threads\n", flush=True)
    kept = Cache(options.cache)
    rows: list[Row] = []
    for name in options.only:
        with tempfile.TemporaryDirectory() as folder:
            pair = PAIRS[name](options.data.resolve(), Path(folder))
            mine = [_row(kept, pair, method, Path(folder), options.threads) for method in _methods(pair, options)]
        print(table(pair, mine) + "\n", flush=True)
        rows += mine
    if options.write:
        write(rows, facts)


def arguments() -> argparse.Namespace:
    known = [*dict.fromkeys(row for rows in ROWS.values() for row in rows), *MODES]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the pairs")
    parser.add_argument("--only", nargs="+", choices=PAIRS, default=list(PAIRS), metavar="PAIR", help=", ".join(PAIRS))
    parser.add_argument("--methods", nargs="+", choices=known, default=known, metavar="ROW", help=", ".join(known))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cache", type=Path, help="folder where finished rows are kept")
    parser.add_argument("--write", action="store_true", help="write bench/results/register.json")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    return options


def _methods(pair: Pair, options: argparse.Namespace) -> list[str]:
    return [method for method in (*ROWS[pair.kind], *MODES) if method in options.methods]


def _row(kept: Cache, pair: Pair, method: str, folder: Path, threads: int) -> Row:
    """A row from the cache or from a run of its own; whatever stops it is told in the row."""
    key = {"pair": pair.name, "row": method, "threads": threads}
    try:
        if method in MODES:
            compute = partial(noder_row, pair, MODES[method], folder, threads)
        else:
            name, settings = ROWS[pair.kind][method]
            key |= {"method": name, "settings": settings, "version": _version(name)}
            compute = partial(peer_row, pair, name, settings, folder, threads)
        found = kept.row(key, compute)
    except NoRow as why:
        found = key | {"failed": str(why)}
    print(f"{pair.name}: {method}: " + (found.get("failed") or f"{found['cpu']:.1f} CPU-s"), flush=True)
    return found


def _version(method: str) -> str:
    package = DISTRIBUTIONS[method]
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        raise NoRow(f"{package} is not installed: pip install -e '.[bench]'.") from None


def peer_row(pair: Pair, method: str, settings: Row, folder: Path, threads: int) -> Row:
    """Another program's row."""
    out = folder / "field.nii.gz"
    command = [sys.executable, str(HERE / "_peers.py"), method, str(pair.fixed), str(pair.moving), str(out)]
    command += ["--settings", json.dumps(settings)]
    command += ["--mask", str(pair.mask)] if pair.mask else []
    command += ["--initial", str(pair.initial)] if pair.initial else []
    said, used = run(command, folder, threads)
    return score(pair, out) | used | json.loads(said.strip().splitlines()[-1])


def noder_row(pair: Pair, mode: str, folder: Path, threads: int) -> Row:
    """A row of the command line; its own figures are kept beside the scorer's."""
    out = folder / f"noder-{mode}"
    command = [*_noder(mode), str(pair.fixed), str(pair.moving), "-o", str(out), "--json", "--quiet"]
    command += ["--initial", str(pair.initial or "none")]
    command += ["--fixed-mask", str(pair.mask)] if pair.mask else []
    used = run(command, folder, threads)[1]
    found = score(pair, out / "field.nii.gz") | used
    own = json.loads((out / "result.json").read_text())
    return found | {"own": {name: own.get(name) for name in OWN}}


@cache
def _noder(mode: str) -> list[str]:
    """The command line up to its files. One that knows no modes does but one thing, it optimises."""
    command = [str(Path(sys.executable).with_name("noder")), "register"]
    told = subprocess.run([*command, "--help"], capture_output=True, text=True, check=False)
    if "--mode" in told.stdout:
        return [*command, "--mode", mode]
    if mode != "optimise":
        raise NoRow("This `noder register` has no --mode: it only optimises.")
    return command


def run(command: list[str], folder: Path, threads: int) -> tuple[str, Row]:
    """What a program printed, and its CPU and wall seconds and peak memory. Raises NoRow where it failed."""
    report = folder / "report.json"
    measured = [sys.executable, "-I", "-S", str(HERE / "_peers.py"), "measure", str(report), *command]
    date, load = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"), round(os.getloadavg()[0], 2)
    surroundings = os.environ | dict.fromkeys(THREADS, str(threads)) | {"OMP_WAIT_POLICY": "passive"}
    # elastix leaves a file in the folder that it is started in
    found = subprocess.run(measured, cwd=folder, env=surroundings, capture_output=True, text=True, check=False)
    if found.returncode != 0:
        raise NoRow(f"{Path(command[0]).name} cannot be run: {_last_words(found.stderr)}")
    used = json.loads(report.read_text()) | {"date": date, "load": load}
    code = used.pop("code")
    if code != 0:
        raise NoRow(f"It ended with exit code {code}: {_last_words(found.stderr or found.stdout)}")
    return found.stdout, used


def _last_words(text: str) -> str:
    """The last line that holds words: the command line draws boxes around its errors."""
    lines = [line.strip(" │╭╮╰╯─") for line in text.splitlines()]
    return next((line for line in reversed(lines) if line), "it said nothing.")


def table(pair: Pair, rows: list[Row]) -> str:
    """Markdown; below it a sentence for each row that is not there."""
    good = [row for row in rows if "failed" not in row]
    points = ["TRE mean", "median", "max mm"] if pair.landmarks else []
    overlaps = [f"Dice {name}" for name in pair.names.values()] + ["mean"] * (len(pair.names) > 1)
    head = ["method", *points, *overlaps, "folds %", "forward %", "smallest det", "CPU-s", "call", "wall s", "GiB"]
    lines = [f"### {pair.name}", "", "| " + " | ".join(head) + " |", "|---|" + "---|" * (len(head) - 1)]
    lines += ["| " + " | ".join([row["row"], *_cells(pair, row)]) + " |" for row in good]
    failed = [f"{row['row']} is not in the table. {row['failed']}" for row in rows if "failed" in row]
    return "\n".join([*lines, *([""] if failed else []), *failed])


def _cells(pair: Pair, row: Row) -> list[str]:
    points = [f"{row[f'tre_{name}']:.2f}" for name in ("mean", "median", "max")] if pair.landmarks else []
    overlaps = [f"{value:.3f}" for value in row["dice"].values()]
    overlaps += [f"{row['dice_mean']:.3f}"] * (len(pair.names) > 1)
    folds = [f"{row[name]:.4f}" for name in ("folds_percent", "folds_forward_percent")]
    call = f"{row['cpu_call']:.1f}" if "cpu_call" in row else ""
    used = [f"{row['cpu']:.1f}", call, f"{row['wall']:.1f}", f"{row['peak_gib']:.2f}"]
    return [*points, *overlaps, *folds, f"{row['min_determinant']:.2f}", *used]


def write(rows: list[Row], facts: dict[str, Any]) -> None:
    """Rows beside the machine; those of other pairs and methods stay, and none gives way to a failure."""
    before = json.loads(RESULTS.read_text())["rows"] if RESULTS.exists() else []
    kept = {(row["pair"], row["row"]): row for row in before}
    for row in rows:
        if "failed" not in row or (row["pair"], row["row"]) not in kept:
            kept[row["pair"], row["row"]] = row
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({"machine": facts, "rows": list(kept.values())}, indent=1) + "\n")


if __name__ == "__main__":
    main()
