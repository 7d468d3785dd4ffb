"""Seconds and memory of an epoch beside the published code's, gradients, and time to equal quality.

    python bench/bench_noder.py [--published DIR] [--threads 2] [--quality] [--converge] [--quick]

Each case runs in a process of its own. `--published` names a clone of the published code (`published_code.py` runs
it; none of it is here); without it all ratios are against the oracle alone, which is the same mathematics in float64.
`--quality` and `--converge` run whole fits and take minutes; their figures stay in the file until they are run again.
Prints everything, and writes bench/results/noder.json (`--quick`, small images, writes nothing).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from _machine import described, machine

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "noder.json"
FULL = (144, 176, 144)
CASES: dict[str, tuple[tuple[int, int, int], list[float]]] = {
    "64^3, 5 scans": ((64, 64, 64), [0.0, 1.0, 2.0, 4.0, 5.0]),
    "144x176x144, 3 scans": (FULL, [0.0, 1.0, 2.0]),
    "144x176x144, 7 scans": (FULL, [float(k) for k in range(7)]),
}
QUICK: dict[str, tuple[tuple[int, int, int], list[float]]] = {"32^3, 3 scans": ((32, 32, 32), [0.0, 1.0, 2.0])}
FINE = "coarse_iterations=0,middle_iterations=0,fine_iterations=1000"
FITS = {
    "preset published": "published",
    "default": f"noder:{FINE}",
    "map=displacement": f"noder:map=displacement,{FINE}",
    "map=flow": f"noder:map=flow,{FINE}",
    "latent=grid": f"noder:latent=grid,{FINE}",
}
GRADIENTS = ("backprop", "checkpoint", "adjoint")
HELD = [3.0, 6.0]
Found = dict[str, Any]


def main() -> None:
    options = arguments()
    facts = machine() | {"threads": options.threads}
    print(described(facts) + f"; {options.threads} threads\n", flush=True)
    if not options.published:
        print("No clone of the published code is given (--published DIR): all ratios are against the oracle alone.\n")
    found: Found = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    found |= {"machine": facts, "against": "published code" if options.published else "oracle"}
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(options, Path(folder))
        if "epochs" in options.only:
            found["epochs"] = found.get("epochs", {}) | bench.epochs()
        if "gradients" in options.only:
            found["gradients"] = found.get("gradients", {}) | bench.gradients()
        if options.quality:
            found["quality"] = bench.quality(found.get("epochs", {})) | {"machine": facts}
        if options.converge:
            found["converge"] = bench.converge() | {"machine": facts}
    for name in ("quality", "converge"):
        if name in found and not getattr(options, name):
            print(f"\n{name}: kept from {found[name]['machine']['date']}\n{json.dumps(_short(found[name]), indent=1)}")
    if not options.quick:
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(found, indent=1) + "\n")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--published", type=Path, metavar="DIR", help="work tree of the published code")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--quality", action="store_true", help="time to the quality of the published 300 epochs, 64^3")
    parser.add_argument("--converge", action="store_true", help="9 scans of 144x176x144 to convergence")
    parser.add_argument("--only", nargs="*", choices=("epochs", "gradients"), default=("epochs", "gradients"))
    parser.add_argument("--cases", nargs="+", choices=(*CASES, *QUICK), help="sizes, instead of all")
    parser.add_argument("--quick", action="store_true", help="small images; writes nothing")
    return parser.parse_args()


class Bench:
    """The cases, each in a child process; images lie in `folder`."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.options, self.folder = options, folder
        usual = QUICK if options.quick else CASES
        self.cases = {name: (CASES | QUICK)[name] for name in options.cases or usual}

    def epochs(self) -> Found:
        """Seconds and memory of an epoch of everything, by size."""
        found: Found = {}
        for name, (shape, times) in self.cases.items():
            images = self._images(shape, times)
            large = shape == FULL
            print(f"{name}: an epoch\n{'':24} {'wall s':>9} {'CPU s':>9} {'peak MiB':>9}   less wall, CPU, memory than")
            rows: Found = {}
            slow = {"epochs": 1 if large else 2, "warm_up": 0 if large else 1}
            if self.options.published:
                code = {"engine": "published code", "folder": str(self.options.published)}
                rows["published code"] = self._child("epochs", images, times, **code, **slow)
                _say_epoch("published code", rows)
            rows["oracle"] = self._child("epochs", images, times, engine="oracle", **slow)
            _say_epoch("oracle", rows)
            for label, text in FITS.items():
                rows[label] = self._child("epochs", images, times, engine="fit", text=text, epochs=9, warm_up=2)
                _say_epoch(label, rows)
            found[name] = {label: row | {"ratios": _ratios(row, rows)} for label, row in rows.items()}
            print(flush=True)
        return found

    def gradients(self) -> Found:
        """Memory, seconds and accuracy of each way to a gradient, at a state a few epochs into a fit."""
        found: Found = {}
        for name, (shape, times) in self.cases.items():
            images = self._images(shape, times)
            print(f"{name}: gradients\n{'':36} {'wall s':>8} {'peak MiB':>9} {'error':>9} {'cosine':>11}", flush=True)
            rows: Found = {}
            for label in ("preset published", "default", "latent=grid"):
                rows |= self._gradients_of(label, FITS[label], images, times)
            found[name] = rows
            print(flush=True)
        return found

    def _gradients_of(self, label: str, text: str, images: Path, times: list[float]) -> Found:
        state, files = self.folder / f"{images.stem}-{label}.pt", {}
        rows: Found = {}
        self._child("gradients", images, times, text=text, state=str(state), out="", epochs=5)
        exact = None
        for way in GRADIENTS:
            files[way] = self.folder / f"gradient-{way}.npy"
            changed = f"{text}{',' if ':' in text else ':'}gradients={way}"
            row = self._child("gradients", images, times, text=changed, state=str(state), out=str(files[way]), epochs=1)
            gradient = np.load(files[way])
            exact = gradient if exact is None else exact
            sizes = float(np.linalg.norm(exact)), float(np.linalg.norm(gradient))
            row["error"] = float(np.linalg.norm(gradient - exact)) / sizes[0]
            row["cosine"] = float(gradient @ exact) / (sizes[0] * sizes[1])
            rows[f"{label}, {way}"] = row
            print(
                f"{label + ', ' + way:36} {row['wall']:8.3f} {row['peak_mib']:9.0f} {row['error']:9.1e} "
                f"{row['cosine']:11.8f}", flush=True,
            )  # fmt: skip
        return rows

    def quality(self, epochs: Found) -> Found:
        """CPU seconds until the end-point error at held-out times is at most that of the published 300 epochs."""
        name = "32^3" if self.options.quick else "64^3"
        shape, times = (32, 32, 32) if self.options.quick else (64, 64, 64), [0.0, 1.0, 2.0, 4.0, 5.0]
        images = self._images(shape, times)
        print(f"{name}, scans at {times}: end-point error in voxels at {HELD}, which no fit has seen", flush=True)
        published = self._child("quality", images, times, text="published", held=HELD, every=20)
        _say_quality("preset published", published)
        found: Found = {"preset published": published}
        for label, text in {**FITS, "geodesic": "geodesic", "piecewise": "piecewise"}.items():
            if label != "preset published":
                row = self._child("quality", images, times, text=text.replace(FINE, ""), held=HELD, every=5)
                row["equal"] = _equal(row["course"], published["errors"])
                row["ratio_to_preset"] = published["cpu"] / row["equal"]["cpu"] if row["equal"] else None
                code = epochs.get(f"{name}, 5 scans", {}).get("published code")
                if code and row["equal"]:
                    row["ratio_to_code"] = code["cpu"] * published["total"] / row["equal"]["cpu"]
                found[label] = row
                _say_quality(label, row)
        return found

    def converge(self) -> Found:
        """9 scans: wall seconds of the whole default fit, and until the held-out error is within 2 % of its best."""
        shape = (32, 32, 32) if self.options.quick else FULL
        times, held = [float(k) for k in range(9)], [2.5, 5.5]
        images = self._images(shape, times)
        found: Found = {}
        for label in ("default", "map=displacement"):
            text = FITS[label].replace(FINE, "")
            row = self._child("quality", images, times, text=text, held=held, every=10)
            means = [float(np.mean(point["errors"])) for point in row["course"]]
            row["within_2_percent"] = next(
                point for point, mean in zip(row["course"], means, strict=True) if mean <= 1.02 * min(means)
            )
            print(
                f"{label}: 9 scans of {'x'.join(map(str, shape))}: {row['wall']:.1f} s in all; within 2 % of the best "
                f"held-out error ({min(means):.3f} voxels) after {row['within_2_percent']['wall']:.1f} s", flush=True,
            )  # fmt: skip
            found[label] = row
        return found

    def _images(self, shape: tuple[int, int, int], times: list[float]) -> Path:
        path = self.folder / f"{'x'.join(map(str, shape))}-{len(times)}.npy"
        if not path.exists():
            self._run({"measure": "make", "shape": shape, "times": times, "out": str(path)})
        return path

    def _child(self, measure: str, images: Path, times: list[float], **case: Any) -> Found:
        shape = np.load(images, mmap_mode="r").shape[1:]
        return self._run({"measure": measure, "images": str(images), "shape": shape, "times": times, **case})

    def _run(self, case: Found) -> Found:
        threads = self.options.threads
        words = [sys.executable, str(HERE / "_speed_case.py"), json.dumps(case | {"threads": threads})]
        variables = os.environ | {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "passive"}
        done = subprocess.run(words, env=variables, stdout=subprocess.PIPE, text=True, check=True)
        answer: Found = json.loads(done.stdout.splitlines()[-1])
        return answer


def _ratios(row: Found, rows: Found) -> Found:
    """How many times less than the published code and than the oracle."""
    return {
        slow: {key: rows[slow][key] / max(row[key], 1e-9) for key in ("wall", "cpu", "peak_mib")}
        for slow in ("published code", "oracle")
        if slow in rows
    }


def _say_epoch(label: str, rows: Found) -> None:
    row = rows[label]
    ratios = {slow: ratio for slow, ratio in _ratios(row, rows).items() if slow != label}
    said = [f"{slow} {r['wall']:.1f}x {r['cpu']:.1f}x {r['peak_mib']:.1f}x" for slow, r in ratios.items()]
    print(f"{label:24} {row['wall']:9.3f} {row['cpu']:9.3f} {row['peak_mib']:9.0f}   {';  '.join(said)}", flush=True)


def _equal(course: list[Found], errors: list[float]) -> Found | None:
    """The first point of a fit from which on all its errors are at most `errors`."""
    good = [all(a <= b for a, b in zip(point["errors"], errors, strict=True)) for point in course]
    first = next((k for k in range(len(course)) if all(good[k:])), None)
    return None if first is None else course[first]


def _say_quality(label: str, row: Found) -> None:
    errors = " / ".join(f"{error:.3f}" for error in row["errors"])
    said = f"{label:24} {errors} after {row['cpu']:.1f} CPU-s"
    if "equal" in row:
        equal = row["equal"]
        said += f"; as good as published after {equal['cpu']:.2f} CPU-s" if equal else "; never as good as published"
        said += f", {row['ratio_to_preset']:.0f}x less than the preset" if equal else ""
        said += f", {row['ratio_to_code']:.0f}x less than the published code" if "ratio_to_code" in row else ""
    print(said, flush=True)


def _short(found: Found) -> Found:
    rows = {label: row for label, row in found.items() if label != "machine"}
    return {label: {k: v for k, v in row.items() if k != "course"} for label, row in rows.items()}


if __name__ == "__main__":
    main()
