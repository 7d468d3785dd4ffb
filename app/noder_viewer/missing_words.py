"""What is said of a project that lacks files: which, where was looked, what cannot be shown without them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from noder_viewer.project_jobs import ProjectOpened


def missing_words(opened: ProjectOpened) -> str:
    """A few sentences for the banner; empty where nothing is missing."""
    if not opened.missing:
        return ""
    n = len(opened.missing)
    words = f"{n} {'files' if n > 1 else 'file'} of {opened.path.name} could not be used: "
    words += ", ".join(each.words for each in opened.missing[:2]) + (f" and {n - 2} more" if n > 2 else "")
    return " ".join(filter(None, [f"{words}.", _searched(opened), _rest(opened)]))


def _searched(opened: ProjectOpened) -> str:
    """Whoever has chosen a folder wants to know that it was looked into."""
    if not opened.places:
        return ""
    names = " or ".join(place.name or str(place) for place in opened.places)
    if opened.is_cut:
        return f"Not found in {names} either, which holds too many files to look at all: choose a folder below it."
    return f"Not found in {names} either, nor in the folders below it."


def _rest(opened: ProjectOpened) -> str:
    lost = _lost(opened)
    if lost:
        pronoun = "it" if len(opened.missing) == 1 else "them"
        return f"Without {pronoun} {_listed(lost)} of this project cannot be shown."
    if opened.notes:
        return "What needs them is not open either." if len(opened.missing) > 1 else "What needs it is not open either."
    return "All else is open." if opened.series or opened.pair else "Nothing else is in it."


def _lost(opened: ProjectOpened) -> list[str]:
    """What the project names and has found, and what still cannot be shown."""
    from noder.stored_files import is_registration

    results = [is_registration(folder) for folder in opened.project.results]
    lost = ["the registration"] if any(results) and opened.pair is None else []
    if opened.series is not None:
        return lost
    scans = ["the series"] if any(each.what == "scan" for each in opened.missing) else []
    fits = results.count(False)
    fitted = [] if not fits else ["the fit" if fits == 1 else f"the {fits} fits"]
    regions = ["the regions"] if "regions" in opened.project.parts else []
    return [*scans, *fitted, *regions, *lost]


def _listed(names: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
