"""How things are looked at as plain values: all of it comes back, and what cannot be meant is passed over."""

import dataclasses
import json

import pytest

from noder_viewer.followed import Followed
from noder_viewer.layers import Look
from noder_viewer.layouts import Layout, LightboxSettings
from noder_viewer.region_state import RegionLook
from noder_viewer.session import OverlaySettings, Session
from noder_viewer.view_state import lasting_view, set_view, view_of

CHANGED = {
    "time": 3.5, "cursor_mm": (1.0, -2.0, 3.0), "show": "checkerboard", "carry": "first", "pulled": "fixed",
    "period": 800.0, "region_look": RegionLook(visible=False, hidden=frozenset({3, 1})),
    "look": Look("hot", 1.5, 0.5), "order": ("image", "quiver"), "bars": False, "layout": Layout("row"),
    "lightbox": LightboxSettings("even", 7), "followed": (Followed(3, (1.0, 2.0, -3.5), 2.0),),
    "square_mm": 7.5, "window": (-10.0, 40.0),
    "radiological": True,
    "overlays": OverlaySettings(jacobian=True, jacobian_limit=0.25, quiver_scale=3.0),
}  # fmt: skip


def test_all_of_it_comes_back_through_json():
    one, other = Session(**CHANGED), Session()
    set_view(other, json.loads(json.dumps(view_of(one))))
    assert {name: getattr(other, name) for name in CHANGED} == CHANGED
    set_view(other, json.loads(json.dumps(view_of(Session()))))
    assert other == Session()  # None comes back too


def test_every_field_of_the_session_is_a_view_or_kept_elsewhere():
    """A new field of the session: if it passes, or is kept elsewhere, it is named in view_state."""
    assert set(view_of(Session())) == set(CHANGED)


def test_place_and_time_do_not_last():
    assert set(view_of(Session())) - set(lasting_view(Session())) == {"time", "cursor_mm"}


@pytest.mark.parametrize(
    "view",
    [
        {"show": "upside down"}, {"carry": 3}, {"window": [1.0]}, {"window": "wide"}, {"window": [None, True]},
        {"radiological": "yes"}, {"square_mm": None}, {"overlays": {"jacobian": 1, "quiver_scale": "long"}},
        {"overlays": 4}, {"region_look": {"hidden": ["a"]}}, {"series": 3, "fog": 2}, {"time": True},
        {"followed": [{"number": 1}]}, {"followed": [{"number": 1, "place_mm": [1, 2], "time": 0}]}, {"followed": 3},
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_passed_over(view):
    session = Session()
    set_view(session, view)
    assert session == Session()


def test_what_is_known_beside_it_is_taken():
    session = Session()
    set_view(session, {"overlays": {"fog": 1, "quiver": True}, "time": 2})
    assert session.overlays == dataclasses.replace(OverlaySettings(), quiver=True)
    assert session.time == 2.0
    assert isinstance(session.time, float)
