"""Continuous image regression of longitudinal medical images: the engine, usable without a screen.

This file stays empty of imports, so that `noder --help` and the window's first paint never wait for torch.
"""

__version__ = "0.1.0"
