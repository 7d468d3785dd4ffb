"""A fit that runs out of memory says what to change, keeps nothing of what was too much, and the program goes on."""

import gc
import weakref

import pytest
import torch
from engine_kit import SHORT, moving_series

from noder.errors import OutOfMemory
from noder.fit import fit, fit_steps
from noder.fit_config import FitConfig
from noder.methods.noder import NoderFit


class Large:
    """Stands for what a fit has allocated."""


def run_out(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> list[weakref.ref[Large]]:
    """Make the second step of every fit run out of memory; what the fit holds then is watched."""
    held: list[weakref.ref[Large]] = []
    descend = NoderFit._descend

    def short_of_memory(self: NoderFit, level: object) -> dict[str, float]:
        if self.step == 0:
            return descend(self, level)  # type: ignore[arg-type]
        self.large = large = Large()  # type: ignore[attr-defined]
        held.append(weakref.ref(large))
        raise type(error)(*error.args)  # a fresh one: an error that is kept keeps what its traceback has seen

    monkeypatch.setattr(NoderFit, "_descend", short_of_memory)
    return held


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), r"The GPU ran out .*\(device cpu\)"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), "The fit ran out"),
        (MemoryError(), "preset 'fast'"),
    ],
    ids=["GPU", "torch on the CPU", "Python"],
)
def test_it_is_a_sentence_and_the_next_fit_runs(
    monkeypatch: pytest.MonkeyPatch, error: BaseException, words: str
) -> None:
    series, _ = moving_series()
    with monkeypatch.context() as patch:
        run_out(patch, error)
        steps = fit_steps(series, FitConfig(settings=SHORT))
        assert next(steps).step == 1
        with pytest.raises(OutOfMemory, match=words):
            next(steps)
    assert fit(series, FitConfig(settings=SHORT)).report is not None


def test_what_was_too_much_is_let_go_while_the_error_is_still_told(monkeypatch: pytest.MonkeyPatch) -> None:
    series, _ = moving_series()
    held = run_out(monkeypatch, MemoryError())
    with pytest.raises(OutOfMemory) as caught:
        fit(series, FitConfig(settings=SHORT))
    gc.collect()
    assert caught.value.__cause__ is None
    assert len(held) == 1
    assert held[0]() is None


def test_what_leaves_out_full_size_already_is_not_advised_again(monkeypatch: pytest.MonkeyPatch) -> None:
    series, _ = moving_series()
    run_out(monkeypatch, torch.OutOfMemoryError("CUDA out of memory"))
    with pytest.raises(OutOfMemory) as caught:
        fit(series, FitConfig(preset="fast"))
    assert "fast" not in str(caught.value)
    assert "close other programs" in str(caught.value)


def test_other_errors_stay_what_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    series, _ = moving_series()
    run_out(monkeypatch, RuntimeError("sizes do not match"))
    with pytest.raises(RuntimeError, match="sizes do not match"):
        fit(series, FitConfig(settings=SHORT))
