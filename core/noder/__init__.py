"""Continuous image regression of longitudinal medical images: the engine, usable without a screen.

This file imports nothing heavy, so that `noder --help` and the window's first paint never wait for torch. What torch
reads when it loads is set here, where nobody can have been earlier.
"""

import os

# idle threads must not spin: beside a busy core a time step of the window took 376 ms instead of 42
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
# matrix products with one and with two threads are equal bit for bit; costs nothing that could be measured
os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")

__version__ = "0.1.0"
