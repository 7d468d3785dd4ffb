"""Opens scans, saved fits and registrations in the background; what is open stays until the new can be shown."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PySide6.QtCore import QObject, Signal

from noder.errors import REMEDIES, InputError, NoderError
from noder_viewer.fit_rows import reopened
from noder_viewer.fitting import Fitting
from noder_viewer.jobs import Opened, Read
from noder_viewer.loader import Latest
from noder_viewer.main_window import MainWindow
from noder_viewer.pair_jobs import PairReopened
from noder_viewer.presenter import Presenter
from noder_viewer.reading_on import ReadingOn
from noder_viewer.registering import Registering
from noder_viewer.session import Session
from noder_viewer.settings import Settings
from noder_viewer.words import for_window, notes_on_voxels

if TYPE_CHECKING:
    from noder.grid import Grid
    from noder.series import ImageSeries

CANCEL, STOP_AND_OPEN, UNDO = "cancel open", "stop and open", "undo"
"""Keys of the banner's buttons, beside those of `noder.errors.REMEDIES`."""
_OTHER_TIMES = "The times have changed, so the fit no longer describes this series."


class Opening(QObject):
    """Reads what the user gives; emits `opened`, or `failed(sentence)` once the banner shows it.

    `project_read`: a project has been read, for who shows it.
    """

    opened = Signal()
    failed = Signal(str)
    project_read = Signal(object)

    def __init__(
        self,
        window: MainWindow,
        session: Session,
        settings: Settings,
        presenter: Presenter,
        fitting: Fitting,
        registering: Registering,
    ) -> None:
        super().__init__(fitting)
        self._window, self._session, self._settings = window, session, settings
        self._presenter, self._fitting, self._registering = presenter, fitting, registering
        self.remember = True
        self._wanted: Read | None = None
        self._open_when_ended = False
        self._earlier: dict[str, Any] | None = None
        self._edit_error = ""
        self.rest = ReadingOn(window, session, presenter, self)
        self.rest.failed.connect(self.failed)
        self._reader = Latest(self)
        self._reader.reported.connect(self._on_reported)
        self._reader.done.connect(self._on_read)
        self._reader.failed.connect(self._on_failed)
        fitting.ended.connect(self._on_fit_ended)
        registering.ended.connect(self._on_fit_ended)

    def open(self, paths: list[Path], **options: Any) -> None:
        """Read `paths`; options as `Read` takes them."""
        self._wanted = Read(list(paths), options)
        if self._fitting.running or self._registering.running:
            what = "A fit" if self._fitting.running else "A registration"
            sentence = f"{what} is running. Stop it before opening other scans."
            self._window.banner.set_message(sentence, "warning", remedy=(STOP_AND_OPEN, "Stop and open"))
            return
        self._session.activity = "opening"
        self._window.banner.set_busy(f"Opening {named(paths)}…", cancel=CANCEL)
        self._reader.submit(self._wanted, interrupt=True)

    def set_times(self, texts: list[str], unit: str) -> None:
        """Take over edited times (as typed, one a scan) and their unit."""
        session, series = self._session, self._session.series
        if series is None or session.activity or session.pair is not None:
            return
        self._edit(lambda: series.with_times([_number(text) for text in texts], unit or series.unit), _OTHER_TIMES)

    def read_times(self, path: Path) -> None:
        """Take over the times in a file, as the command line's `--times-from` does."""
        series = self._session.series
        if series is not None and not self._session.activity and self._session.pair is None:
            self._edit(lambda: series.with_times_from(path), _OTHER_TIMES)

    def keep(self, first: int = 0, last: int | None = None) -> None:
        """Go on with the scans at the positions `first` to `last` (None: to the end), both kept."""
        session, series = self._session, self._session.series
        if series is None or session.activity or session.pair is not None:
            return
        end = len(series.scans) - 1 if last is None else last
        kept = [scan.image.raw for scan in series.scans[first : end + 1]]
        if session.regions is not None and session.regions.image.raw not in kept:
            name = session.regions.image.name
            self._fail(f"The regions are drawn on {name}, which would go: take the regions away first, or keep it.")
            return
        self._edit(lambda: series.between(first, end), "Other scans are used, so the fit no longer describes them.")

    def _edit(self, make: Callable[[], ImageSeries], sentence: str) -> None:
        """Put these scans at other times, or some of them; what cannot be used is said, and the table is as it was.

        `sentence`: why an unsaved fit goes.
        """
        session, series = self._session, self._session.series
        try:
            edited = make()
        except (ValueError, NoderError) as error:
            self._edit_error = str(error)
            self._fail(self._edit_error)
            self._presenter.mark("series")
            return
        self._clear_edit_error()
        if series is None or _course(edited) == _course(series):
            return
        first = edited.scans[0].image
        notes = [] if first is series.reference.image else [f"{first.name} comes first now, so it is the reference."]
        self._put_aside(sentence, notes)
        place = {id(scan.image): k for k, scan in enumerate(edited.scans)}
        moved = {k: place[id(scan.image)] for k, scan in enumerate(series.scans) if id(scan.image) in place}
        session.result, session.saved_in = None, None
        session.fits, session.shown_fit = (), 0
        session.hold_out = frozenset(moved[k] for k in session.hold_out if k in moved) - {0}
        session.exclude = frozenset(moved[k] for k in session.exclude if k in moved) - {0}
        session.time, session.period, session.followed = edited.times[0], None, ()
        session.series = edited

    def answer(self, key: str) -> None:
        """The banner's button was pressed."""
        if key == CANCEL:
            self._reader.cancel()
            self._session.activity = ""
        elif key == UNDO and self._earlier is not None and not self._session.activity:
            earlier = self._earlier
            sentence = "The later fit had not been saved." if self._session.is_unsaved else _not_saved(self._session)
            self._put_aside(sentence, leaves=True)
            self._session.restore(earlier)
            self._show_config()
        elif key == STOP_AND_OPEN:
            self._open_when_ended = True
            if self._registering.running:
                self._registering.stop()
            else:
                self._fitting.stop_all()
        elif key in REMEDIES and self._wanted is not None and not self.rest.mend(key):
            self.open(self._wanted.paths, **{**self._wanted.options, key: True})

    def take(self, value: Opened) -> None:
        """Show what has been read in the place of what is open."""
        session, config = self._session, None if value.result is None else value.result.config
        self._window.banner.clear()
        notes = [*map(for_window, value.series.notes), *notes_on_voxels(value.series)]
        self._put_aside(_not_saved(session), notes, leaves=True)
        self._registering.leave()
        session.preview, session.progress = None, None
        session.result, session.saved_in = value.result, value.folder
        session.fits = () if value.result is None else (reopened(value.result, value.folder),)
        session.shown_fit = session.fits[0].key if session.fits else 0
        session.hold_out = frozenset(config.hold_out) if config else frozenset()
        session.exclude = frozenset(config.exclude) if config else frozenset()
        session.mask = config.mask if config else None
        session.window, session.value_range = value.window, value.value_range
        session.time, session.period, session.followed = value.series.times[0], None, ()
        session.cursor_mm = centre_of(value.series.grid)
        session.series = value.series
        session.activity = ""
        self._show_config()
        session.status = f"Opened {named(value.paths)}"
        if value.reads_on:
            self.rest.start(value.series)
        else:
            self.rest.cancel()
        self._done(value.paths)

    def shut_down(self) -> None:
        """Stop reading."""
        self._reader.shut_down()
        self.rest.shut_down()

    def _done(self, paths: list[Path]) -> None:
        if self.remember:
            self._settings.add_recent(paths)
            self._window.set_recent(self._settings.recent())
        self._presenter.refresh()
        self.opened.emit()

    def _put_aside(self, sentence: str, notes: Sequence[str] = (), *, leaves: bool = False) -> None:
        """An unsaved fit is about to be replaced: keep it for an Undo. `notes` are said with it, or alone.

        `leaves`: so is the series, and strokes on it.
        """
        session = self._session
        self._earlier = None
        if session.is_unsaved or (leaves and _has_strokes(session)):
            self._earlier = {**session.snapshot(), **_boxes(session), "preview": None}
            words = "  ".join([*notes, sentence])
            self._window.banner.set_message(words, "info", remedy=(UNDO, f"Back to the {_found(session)}"))
        elif notes:
            self._window.banner.set_message("  ".join(notes), "info")

    def _show_config(self) -> None:
        """The fit panel shows how the fit was made, so that Start makes such a one again."""
        if self._session.result is not None and self._session.pair is None:
            self._window.fit_panel.set_config(self._session.result.config)

    def _clear_edit_error(self) -> None:
        if self._edit_error and self._window.banner.text == self._edit_error:
            self._window.banner.clear()
        self._edit_error = ""

    def _on_reported(self, words: object) -> None:
        self._window.banner.set_busy(str(words), cancel=CANCEL)

    def _on_read(self, value: object) -> None:
        if isinstance(value, Opened):
            self.take(value)
        elif isinstance(value, PairReopened):
            self._window.banner.clear()
            self._earlier = None  # the registration keeps what was open
            self._registering.take(value)
            self._done([value.folder])
        elif value is not None:
            self.project_read.emit(value)

    def _on_failed(self, error: object) -> None:
        self._session.activity = ""
        remedy = error.remedy if isinstance(error, InputError) else None
        self._fail(str(error), None if remedy is None else (remedy, REMEDIES[remedy][0]))

    def _fail(self, sentence: str, remedy: tuple[str, str] | None = None) -> None:
        self._window.banner.set_message(sentence, "error", remedy=remedy)
        self.failed.emit(sentence)

    def _on_fit_ended(self) -> None:
        if self._open_when_ended and self._wanted is not None:
            self._open_when_ended = False
            self.open(self._wanted.paths, **self._wanted.options)


def named(paths: list[Path]) -> str:
    """What was opened, in few words."""
    return paths[0].name if len(paths) == 1 else f"{paths[0].name} and {len(paths) - 1} more"


def _boxes(session: Session) -> dict[str, Any]:
    """Those of the fit that is shown: they may have been ticked anew for the one that follows."""
    if session.result is None:
        return {}
    config = session.result.config
    return {"hold_out": frozenset(config.hold_out), "exclude": frozenset(config.exclude), "mask": config.mask}


def _found(session: Session) -> str:
    """What was found of what is open."""
    if not session.is_unsaved:
        return "drawn labels"
    return "fit" if session.pair is None else "registration"


def _not_saved(session: Session) -> str:
    n = sum(row.is_unsaved for row in session.fits)
    if n > 1:
        return f"{n} fits of the series that was open before had not been saved."
    if not session.is_unsaved:
        return "The labels that were drawn on the series before had not been saved."
    return f"The {_found(session)} that was shown before had not been saved."


def _has_strokes(session: Session) -> bool:
    return session.regions is not None and session.regions.changed


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{text!r} is not a time: write a number, such as 12 or 0.5.")
    return value


def centre_of(grid: Grid) -> tuple[float, float, float]:
    """RAS mm of the centre voxel's centre."""
    middle = np.array([(n - 1) // 2 for n in grid.shape], dtype=np.float64)
    r, a, s = grid.to_mm(middle).tolist()
    return r, a, s


def _course(series: ImageSeries) -> tuple[object, ...]:
    """Which image is when: two scans may have changed places at the same times."""
    return series.unit, [(id(scan.image), scan.time) for scan in series.scans]
