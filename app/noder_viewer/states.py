"""What holds of the session now, by the names that actions of the menus ask for."""

from __future__ import annotations

from noder_viewer.session import Session
from noder_viewer.window_presets import looks_like_ct


def states(session: Session) -> frozenset[str]:
    """The names that hold; an action says in `needs` which it waits for."""
    opened = session.series is not None
    states = {
        "series": opened,
        "map": session.trajectory is not None,
        "ensemble": session.has_ensemble,
        "result": session.result is not None,
        "fitting": session.activity in ("fitting", "paused"),
        "fit list": opened and session.pair is None and (not session.activity or session.is_fitting),
        "fit": session.result is not None and session.pair is None,
        "idle series": opened and not session.activity and session.pair is None,
        "pair": session.pair is not None,
        "registered": not session.activity and session.pair is not None and session.pair.registration is not None,
        "followed": bool(session.followed),
        "paths": session.paths is not None,
        "landmarks": session.pair is not None and session.pair.landmarks is not None,
        "idle": not session.activity,
        "CT": opened and looks_like_ct(session.value_range),
        "regions": session.regions is not None and session.pair is None,
        "measured": session.region_figures is not None and session.region_figures.volumes is not None,
        "drawable": opened and session.pair is None,
        "undo": bool(session.undoable),
        "redo": bool(session.redoable),
        "kept": session.kept is not None and not session.activity,
        "registering": session.activity in ("pairing", "registering"),
    }
    return frozenset(name for name, holds in states.items() if holds)
