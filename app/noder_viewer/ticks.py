"""Round numbers as the engine has them: the report's plots have axes too."""

from noder.ticks import nice_step, ticks, words

__all__ = ["nice_step", "ticks", "words"]
