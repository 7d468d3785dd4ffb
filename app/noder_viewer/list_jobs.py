"""What the list of fits runs beside fits: leave-one-out, what that takes, and saving all at once."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from noder_viewer.fit_rows import Asked, FitRow, LeaveOneOut
from noder_viewer.fit_words import LEAVE_ONE_OUT
from noder_viewer.jobs import FitChoice, Reporter, import_engine, make_config, share_cores
from noder_viewer.session import Session

if TYPE_CHECKING:
    from noder.fit import FitProgress
    from noder.leave_one_out import LeftOut


def make_left_out_steps(
    session: Session, choice: FitChoice, how: LeaveOneOut
) -> Generator[FitProgress, bool | None, LeftOut]:
    """Refits of the session's series without each scan in turn; call it in the thread that drives them."""
    from noder.fit import FitProgress
    from noder.leave_one_out import leave_one_out_steps

    share_cores(leave_one=True)
    if session.series is None:
        raise ValueError("no series is open: there is nothing to fit")
    config = replace(make_config(session, choice), hold_out=())
    steps = leave_one_out_steps(session.series, config, baselines=how.baselines, workers=how.workers)
    try:
        at = next(steps)
        while True:
            step, total = round(100 * at.done), 100 * at.total
            wish = yield FitProgress(step, total, LEAVE_ONE_OUT, {}, None, at.seconds, at.seconds_left)
            at = steps.send(wish)
    except StopIteration as end:
        found: LeftOut = end.value
        return found
    finally:
        steps.close()  # worker processes end with it


@dataclass(frozen=True)
class EstimateLeftOut:
    """What a leave-one-out will take, in words; why there can be none, where that is so."""

    asked: Asked
    how: LeaveOneOut

    def __call__(self, task: Reporter) -> str:
        import_engine()
        from noder.errors import NoderError
        from noder.estimate import estimate, together
        from noder.leave_one_out import refits_of

        share_cores(leave_one=True)
        series = self.asked.series
        try:
            config = replace(make_config(self.asked.session(), self.asked.choice), hold_out=())
            refits = refits_of(series, config, self.how.baselines)
            each = [estimate(series, replace(refit.config, hold_out=(refit.index,))) for refit in refits]
        except NoderError as error:
            return str(error)
        return f"{len(each)} fits, {together(each, self.how.workers).words()}."


@dataclass(frozen=True)
class SaveAll:
    """Save several fits, each as a folder of its own; leave-one-outs as tables. Reports (row's key, path) for each."""

    rows: tuple[tuple[FitRow, Path], ...]
    folder: Path

    def __call__(self, task: Reporter) -> Path:
        from noder.atomic import write_text
        from noder.store import save_result
        from noder.tables import left_out_csv

        for row, path in self.rows:
            if row.result is not None:
                save_result(row.result, path)
            elif row.left_out is not None:
                write_text(path, left_out_csv(row.left_out, row.asked.series.unit))
            task.report((row.key, path))
        return self.folder
