"""The sample cine, ED to ES: withheld phases predicted from a few, and ED's labels carried to ES.

    OMP_WAIT_POLICY=passive python bench/cine.py [--kept 2,7,13] [--preset balanced]

The sample holds phases 2 (ED) to 13 (ES) of the beat. Scores are taken in the box of the ED labels dilated by 10 voxels
in plane, slices 3 to 14: NRMSE with scikit-image's Euclidean norm, on raw intensities.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np
import torch

from noder.evaluate import carried_labels
from noder.fit import fit
from noder.fit_config import FitConfig
from noder.image import Image
from noder.metrics import dice, nrmse, psnr, ssim
from noder.series import ImageSeries
from noder_viewer.resources import sample_labels, sample_series

ED, ES = 2, 13
SLICES = slice(3, 15)


def label_box(labels: np.ndarray, margin: int = 10) -> tuple[slice, slice, slice]:
    """The box of the labels in the stored order, dilated in plane."""
    where = np.nonzero(labels)
    x, y = (slice(max(0, w.min() - margin), w.max() + margin + 1) for w in where[:2])
    return x, y, SLICES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kept", default="2,7,13")
    parser.add_argument("--preset", default="balanced")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    kept = [int(k) for k in args.kept.split(",")]
    held = tuple(k - ED for k in range(ED, ES + 1) if k not in kept)

    series = ImageSeries.from_paths(sample_series())
    image = series.reference.image
    maps = [Image.open(sample_labels(), k - ED).numpy() for k in (ED, ES)]
    box = label_box(image.to_stored(maps[0]))
    before, started, worked = peak_kib(), time.time(), time.process_time()
    result = fit(series, FitConfig(preset=args.preset, hold_out=held, seed=args.seed))
    wall, cpu = time.time() - started, time.process_time() - worked
    peak = peak_kib() - before

    trajectory = result.trajectory
    raw = [scan.image.to_stored(scan.image.numpy())[box] for scan in series.scans]
    print(f"kept {args.kept}, preset {args.preset}, {torch.get_num_threads()} threads")
    print(f"{'phase':>6} {'neighbours':>11} {'first':>8} {'blend':>8} {'nearest':>8} {'unchanged':>10}  (NRMSE)")
    rows = []
    for k in held:
        row = predictions(trajectory, series, raw, k, box)
        rows.append(
            [nrmse(raw[k], p) for p in row]
            + [ssim(raw[k], row[0], np.ptp(raw[k])), psnr(raw[k], row[0], np.ptp(raw[k]))]
        )
        print(f"{k + ED:>6} " + " ".join(f"{v:>{w}.4f}" for v, w in zip(rows[-1], (11, 8, 8, 8, 10), strict=False)))
    mean = np.mean(rows, axis=0)
    print(f"{'mean':>6} " + " ".join(f"{v:>{w}.4f}" for v, w in zip(mean, (11, 8, 8, 8, 10), strict=False)))
    print(f"neighbours / blend {mean[0] / mean[2]:.3f}; SSIM {mean[5]:.3f}, PSNR {mean[6]:.1f} dB (neighbours)")

    carried = image.to_stored(carried_labels(trajectory, maps[0], series.times[-1]))[..., SLICES]
    true, still = (image.to_stored(m)[..., SLICES] for m in (maps[1], maps[0]))
    for name, found in (("carried", carried), ("not carried", still)):
        scores = dice(found, true)
        print(f"ED labels at ES, slices 3-14, {name}: cavity {scores[1]:.3f}, myocardium {scores[2]:.3f}")
    least = min(float(trajectory.field(series.grid, t).corner_determinant().min()) for t in series.times)
    folds = sum(trajectory.field(series.grid, t).folds() for t in series.times)
    print(f"folded voxels (eight corners, all 12 phases): {folds}; smallest determinant {least:.3f}")
    print(f"fit and scoring: {wall:.1f} s wall, {cpu:.1f} CPU-s, {peak / 2**10:.0f} MiB over base")


def peak_kib() -> int:
    """Largest resident size of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def predictions(trajectory, series, raw, k, box):
    """neighbours, first, blend, nearest and unchanged for scan k, in the box."""
    t, image = series.times[k], series.reference.image
    stored = [
        image.to_stored(trajectory.predict(t, carry=c, exact=True)[0].numpy())[box] for c in ("neighbours", "first")
    ]
    seen = [scan.index for scan in trajectory.scans]
    blend = sum(weight * raw[seen[p]] for p, weight in trajectory.carriers(t, by_residual=False))
    nearest = raw[min(seen, key=lambda s: abs(series.times[s] - t))]
    return [*stored, blend, nearest, raw[0]]


if __name__ == "__main__":
    main()
