"""Finding an action of the menus' table by some of its words. Pure functions, no Qt."""

from __future__ import annotations

from dataclasses import dataclass

from noder_viewer.actions import GESTURES, MENUS, Action

NEEDS: dict[str, str] = {
    "series": "open scans first",
    "map": "fit the series first",
    "result": "fit or register first",
    "fitting": "no fit is running",
    "fit": "fit the series first",
    "idle series": "open scans first, and let what runs come to its end",
    "pair": "open a pair in the Register tab first",
    "registered": "register a pair first",
    "landmarks": "open a pair with landmarks first",
    "idle": "something is running",
    "fit list": "fit the series first",
    "ensemble": "fit with several seeds first",
    "regions": "read or draw regions first",
    "measured": "measure regions first",
    "drawable": "open scans first, and no pair",
    "undo": "nothing was changed",
    "redo": "nothing was undone",
    "paths": "follow a point first",
    "followed": "follow a point first",
    "CT": "the values are no Hounsfield units",
    "kept": "nothing was open before",
    "registering": "no registration is running",
}
"""What an action waits for, in words, by its `needs`."""


@dataclass(frozen=True)
class Entry:
    """One action with its menu, as it is found: "Show › Jacobian (growth)"."""

    action: Action
    menu: str

    @property
    def words(self) -> str:
        """What the action is called, without the menu's underlines."""
        return self.action.text.replace("&", "").rstrip("…")

    @property
    def path(self) -> str:
        """Menu and action."""
        return f"{self.menu} › {self.words}"

    @property
    def waits_for(self) -> str:
        """Why it cannot be run where it cannot."""
        return NEEDS.get(self.action.needs, self.action.needs)


def entries() -> list[Entry]:
    """Every action of every menu, in order."""
    return [
        Entry(action, menu.replace("&", ""))
        for menu, table in MENUS.items()
        for action in table
        if isinstance(action, Action)
    ]


def found(typed: str, among: list[Entry]) -> list[Entry]:
    """Those that all typed words fit, the best first; all of them where nothing is typed."""
    words = typed.lower().split()
    scored = [(score, k, entry) for k, entry in enumerate(among) if (score := _score(words, entry)) is not None]
    return [entry for _, _, entry in sorted(scored, key=lambda item: item[:2])]


def rows(typed: str = "") -> dict[str, list[tuple[tuple[str, ...], str]]]:
    """The sheet of shortcuts: title of a group -> (keys, what they do), those that all typed words fit."""
    groups: dict[str, list[tuple[tuple[str, ...], str]]] = {}
    for entry in entries():
        if entry.action.shortcuts and _fits(typed, entry.path, entry.action.tip, *entry.action.shortcuts):
            groups.setdefault(entry.menu, []).append((entry.action.shortcuts, entry.words))
    for title, gestures in GESTURES.items():
        kept: list[tuple[tuple[str, ...], str]] = [
            ((keys,), meaning) for keys, meaning in gestures if _fits(typed, title, keys, meaning)
        ]
        if kept:
            groups[title] = kept
    return groups


def _fits(typed: str, *texts: str) -> bool:
    whole = " ".join(texts).lower()
    return all(word in whole for word in typed.lower().split())


def _score(words: list[str], entry: Entry) -> int | None:
    """The lower the better; None where a word is not there at all."""
    total = 0
    for word in words:
        found_at = [score for score in (_of_word(word, text, far) for text, far in _texts(entry)) if score is not None]
        if not found_at:
            return None
        total += min(found_at)
    return total


def _texts(entry: Entry) -> list[tuple[str, int]]:
    """What is searched, and how much less each counts."""
    keys = " ".join(entry.action.shortcuts)
    return [(entry.words.lower(), 0), (entry.menu.lower(), 10), (keys.lower(), 10), (entry.action.tip.lower(), 20)]


def _of_word(word: str, text: str, far: int) -> int | None:
    """At the start of a word, else inside one, else with its letters in order (in the action's name alone)."""
    if text.startswith(word):
        return far
    if f" {word}" in text or f"({word}" in text:
        return far + 1
    if word in text:
        return far + 3
    if far == 0 and len(word) > 1 and _in_order(word, text):
        return 40
    return None


def _in_order(letters: str, text: str) -> bool:
    rest = iter(text)
    return all(letter in rest for letter in letters)
