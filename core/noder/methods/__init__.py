"""The methods a series can be fitted with. A new one is one file and one line here."""

from __future__ import annotations

from noder.methods.noder import PRESETS, NoderFit, NoderSettings

METHODS: dict[str, type[NoderFit]] = {"noder": NoderFit}

__all__ = ["METHODS", "PRESETS", "NoderFit", "NoderSettings"]
