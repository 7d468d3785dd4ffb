"""The desktop program: drop a series of scans, fit it, move through time, export.

This file stays empty of imports, so that `noder-viewer --help` answers without Qt and torch.
"""
