"""The card of the fit that would start now, made in the background; and the mask that it offers."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from noder_viewer.jobs import FitChoice, Reporter, import_engine, make_config, share_cores
from noder_viewer.recent import Recent
from noder_viewer.rest_jobs import with_known_offer
from noder_viewer.session import Session

if TYPE_CHECKING:
    from noder.card import Card
    from noder.series import ImageSeries

_looks = Recent(per_owner=4)


@dataclass(frozen=True)
class MakeCard:
    """The scans are looked at once for each mask and choice of scans; the rest takes milliseconds."""

    session: Session
    choice: FitChoice

    def __call__(self, task: Reporter) -> Card | None:
        import_engine()
        from noder.card import card, look
        from noder.errors import NoderError

        share_cores(leave_one=True)
        session, series = self.session, self.session.series
        if series is None:
            return None
        key = (session.mask, session.exclude, tuple(id(scan.image) for scan in series.scans))
        try:
            seen = _looks.get(series.reference.image, key, lambda: look(series, session.mask, session.exclude))
            return card(with_known_offer(series), make_config(session, self.choice), seen, self.choice.seeds)
        except NoderError:  # a choice that cannot be meant is told when the fit is to start
            return None


@dataclass(frozen=True)
class WriteMask:
    """The foreground of the scans that are used, as a file that every fit of them can be given. Raises OutputError."""

    series: ImageSeries
    exclude: frozenset[int]

    def __call__(self, task: Reporter) -> Path:
        import_engine()
        import numpy as np

        from noder.atomic import output_errors
        from noder.image import write_volume
        from noder.preprocess import foreground

        image = self.series.reference.image
        used = [scan.image.numpy() for k, scan in enumerate(self.series.scans) if k not in self.exclude]
        mask = foreground(used, self.series.grid)
        folder = Path(platformdirs.user_data_dir("noder-viewer", appauthor=False)) / "masks"
        stem = image.name.split(".")[0].split("[")[0]
        path = folder / f"{stem}-foreground-{hashlib.sha1(mask.tobytes()).hexdigest()[:10]}.nii.gz"
        with output_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        write_volume(path, np.ascontiguousarray(image.to_stored(mask.astype(np.uint8))), image.stored_grid)
        return path
