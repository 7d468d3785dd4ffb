"""What a project holds beside scans, results and choices: layers, regions, and the list of fits with its tables.

Each part is plain values, with a path where a file is meant; a path of None was not found. No Qt.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from noder_viewer.choices_as_dicts import fit_as_dict, fit_choice
from noder_viewer.fit_rows import Asked, FitRow, LeaveOneOut, Rows, Status, new_row
from noder_viewer.jobs import Reporter
from noder_viewer.layers import Layer, Look
from noder_viewer.region_jobs import ReadRegions, RegionFiles, SaveLabels, drawn_regions, empty_regions
from noder_viewer.region_state import ShownRegions
from noder_viewer.session import SCORES, Methods
from noder_viewer.view_state import plain, revived

if TYPE_CHECKING:
    from noder.leave_one_out import LeftOut
    from noder.series import ImageSeries

METHODS = "methods"
"""Name in a project's view for what is shown side by side."""
DRAWN = "drawn-labels"
"""What the file of labels that were drawn is called, before a number and the ending."""
_RESULT = "result "


@dataclass(frozen=True, eq=False)
class Parts:
    """What was found of the parts; None for a part that an earlier program did not know."""

    layers: tuple[Layer, ...] | None = None
    regions: ShownRegions | None = None
    rows: Rows = ()
    methods: Methods | None = None


def layers_as_dicts(layers: tuple[Layer, ...]) -> list[dict[str, Any]]:
    """The layers of files, front first."""
    kept = ("key", "name", "is_labels", "window", "look", "outline")
    return [
        {"path": layer.image.path, **{name: plain(getattr(layer, name)) for name in kept}}
        for layer in layers
        if layer.image.path is not None
    ]


def layers_of(described: list[dict[str, Any]], task: Reporter, notes: list[str]) -> tuple[Layer, ...]:
    """The layers whose files are there and can be read; `notes` takes why others cannot."""
    from noder.errors import InputError
    from noder.image import Image

    found = []
    for row in described:
        task.check_cancelled()
        if row["path"] is None:
            continue
        try:
            image = Image.open(row["path"])
            image.numpy()  # what is damaged is told now, not when it is drawn
        except InputError as error:
            notes.append(str(error))
            continue
        look, (lo, hi) = revived(row["look"], Look()), row["window"]
        found.append(Layer(row["key"], row["name"], image, row["is_labels"], (lo, hi), look, row["outline"]))
    return tuple(found)


def written_regions(regions: ShownRegions | None, series: ImageSeries | None, folder: Path) -> ShownRegions | None:
    """The same with its label map in a file: what was drawn and not saved goes into `folder`. Raises OutputError."""
    if regions is None or series is None:
        return regions
    if regions.own_for and regions.own_for != tuple(sorted(series.frames)):
        regions = replace(regions, own_files=())  # nothing in them says which volume belongs to which of these scans
    if regions.labels.is_empty:
        return regions
    if regions.file is not None and regions.file.is_file():
        return regions
    path = _unused(folder)
    SaveLabels(regions, series, path).write()
    return replace(regions, saved_in=path, changed=False)


def regions_as_dict(regions: ShownRegions | None) -> dict[str, Any] | None:
    """Regions that `written_regions` gave."""
    if regions is None:
        return None
    from_labels = (regions.source,) if any(regions.own) and regions.saved_in and regions.source else ()
    return {
        "labels": None if regions.labels.is_empty else regions.file,
        "is_drawn": regions.saved_in is not None or regions.labels.is_empty,
        "time": regions.time,
        "own": list(regions.own_files or from_labels),
        "names_file": regions.names_file,
        "names": {str(label): [name.name, name.colour] for label, name in regions.names.items()},
    }


def regions_of(
    described: Mapping[str, Any], series: ImageSeries, task: Reporter, notes: list[str]
) -> ShownRegions | None:
    """The regions, as far as their files are there and can be read; `notes` takes why they cannot."""
    from noder.errors import InputError
    from noder.label_names import LabelName

    labels, time = described["labels"], described["time"]
    if labels is None and not (described["is_drawn"] and any(described["own"])):
        return None
    own = described["own"] if all(described["own"]) else []  # their number says which scan each belongs to
    names = {int(n): LabelName(name, colour and tuple(colour)) for n, (name, colour) in described["names"].items()}
    task.report("Reading the labels…")
    try:
        drawn = None
        if described["is_drawn"]:
            drawn = empty_regions(series, time) if labels is None else drawn_regions(series, time, labels)
        files = RegionFiles(None if drawn is not None else labels, time, tuple(own))
        found = ReadRegions(files, series, drawn)(task)
    except InputError as error:
        notes.append(str(error))
        return None
    return replace(found, names=names, names_file=described["names_file"])


def rows_as_dicts(rows: Rows) -> list[dict[str, Any]]:
    """The list of fits in its order: names, and the tables of leave-one-outs; results are counted as they are saved."""
    described, numbers = [], itertools.count()
    for row in rows:
        if row.result is not None:
            described.append({"name": row.name, "result": next(numbers)})
        elif row.left_out is not None:
            described.append({"name": row.name, "asked": _asked(row.asked), "left_out": plain(row.left_out)})
    return described


def rows_of(described: list[dict[str, Any]], fits: Mapping[int, FitRow], series: ImageSeries | None) -> Rows:
    """The list of fits: those that were found by their numbers, named and in the order that it had."""
    rows, left = list[FitRow](), dict(fits)
    for row in described:
        if "result" in row:
            found = left.pop(row["result"], None)
            if found is not None:
                rows.append(replace(found, name=row["name"]))
        elif series is not None and (asked := _asked_of(row["asked"], series)) is not None:
            left_out = _left_out(row["left_out"])
            status: Status = "stopped" if left_out.stopped else "done"
            rows.append(replace(new_row(tuple(rows), asked, row["name"]), status=status, left_out=left_out))
    return (*rows, *left.values())


def methods_as_dict(methods: Methods, fits: Rows) -> dict[str, Any]:
    """What is shown side by side; a fit is known by its number among those that are saved."""
    from noder_viewer.methods_scene import pane_of

    numbers = {pane_of(row.key): f"{_RESULT}{k}" for k, row in enumerate(fits)}
    panes = [numbers.get(pane, pane) for pane in methods.panes]
    return {**plain(methods), "panes": [pane for pane in panes if not pane.startswith("fit ")]}


def methods_of(described: Mapping[str, Any], fits: Mapping[int, FitRow]) -> Methods:
    """The same again, with the fits that were found."""
    from noder_viewer.methods_scene import pane_of

    numbered = {f"{_RESULT}{k}": pane_of(row.key) for k, row in fits.items()}
    panes = [numbered.get(pane, pane) for pane in described["panes"]]
    known: Methods = revived({name: value for name, value in described.items() if name != "panes"}, Methods())
    panes = [pane for pane in panes if not pane.startswith(_RESULT)]
    return replace(known, panes=tuple(panes), score=known.score if known.score in SCORES else Methods.score)


def _asked(asked: Asked) -> dict[str, Any]:
    return {
        "choice": fit_as_dict(asked.choice),
        "hold_out": sorted(asked.hold_out),
        "exclude": sorted(asked.exclude),
        "mask": asked.mask,
        "leave_one_out": plain(asked.leave_one_out),
    }


def _asked_of(described: Mapping[str, Any], series: ImageSeries) -> Asked | None:
    choice = fit_choice(described["choice"])
    how = described["leave_one_out"] or {}
    if choice is None:
        return None
    hold_out, exclude = frozenset(described["hold_out"]), frozenset(described["exclude"])
    return Asked(series, choice, hold_out, exclude, described["mask"], revived(how, LeaveOneOut()))


def _left_out(described: Mapping[str, Any]) -> LeftOut:
    from noder.leave_one_out import LeftOut

    values = {field.name: described[field.name] for field in dataclasses.fields(LeftOut)}
    rows = [{name: _numbers(value) for name, value in row.items()} for row in values["rows"]]
    means = {where: {name: _numbers(value) for name, value in values[where].items()} for where in ("within", "beyond")}
    return LeftOut(**{**values, **means, "rows": rows, "notes": tuple(values["notes"])})


def _numbers(value: Any) -> Any:
    """Scores by name; JSON knows no number that is not finite, and has null there."""
    if not isinstance(value, Mapping):
        return value
    return {name: math.nan if score is None else score for name, score in value.items()}


def _unused(folder: Path) -> Path:
    names = itertools.chain([DRAWN], (f"{DRAWN}-{k}" for k in itertools.count(2)))
    return next(path for name in names if not (path := folder / f"{name}.nii.gz").exists())
