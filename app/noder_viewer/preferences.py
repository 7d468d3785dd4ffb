"""What the settings dialog offers: one field a setting, with what a form needs to know of it. No Qt."""

from __future__ import annotations

from dataclasses import dataclass, field

CONVENTIONS = ("neurological", "radiological")
NOTHING, LAST = "nothing", "what was open last"


@dataclass(frozen=True)
class Preferences:
    """The user's defaults. `threads` 0: as many as there are cores; `autosave_minutes` 0: never."""

    convention: str = field(
        default="neurological", metadata={"label": "Side convention at start", "range": CONVENTIONS,
                                          "help": "Radiological: the patient's right is on the left"})  # fmt: skip
    device: str = field(
        default="auto", metadata={"label": "Device of fits", "range": ("auto", "cpu", "cuda"),
                                  "help": "Where fits and registrations run, unless a panel differs. "
                                          "auto: the GPU if there is one"})  # fmt: skip
    threads: int = field(
        default=0, metadata={"label": "Threads", "range": (0, 256), "zero": "all",
                             "help": "Processor cores to use at most; 0: all. Results stay the same"})  # fmt: skip
    autosave_minutes: int = field(
        default=1, metadata={"label": "Autosave every", "unit": "min", "range": (0, 60), "zero": "never",
                             "help": "What is open is kept, also after each fit, and offered again after a crash. "
                                     "0: never"})  # fmt: skip
    reopen: str = field(
        default=NOTHING, metadata={"label": "Open at start", "range": (NOTHING, LAST),
                                   "help": "Unless files are given on the command line"})  # fmt: skip
    export_folder: str = field(
        default="", metadata={"label": "Export folder",
                              "help": "Where exports begin; empty: where the last one went"})  # fmt: skip
