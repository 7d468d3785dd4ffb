"""Separable matrices, compiled and plain, and the array that is kept."""

from __future__ import annotations

import pytest
import torch

from noder import kernels
from noder.decoder import Decoder, apply_separable, apply_transposed
from noder.grid import Grid
from noder.separable import Separable

DECODER = Decoder(Grid((19, 24, 15), torch.eye(4).double().numpy()), (4.0, 4.0, 4.0), (6.0, 6.0, 6.0))


def fields(channels: int) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(channels)
    return (
        torch.randn(channels, *DECODER.shape, generator=random),
        torch.randn(channels, 19, 24, 15, generator=random),
    )


@pytest.mark.parametrize("enabled", [True, False])
def test_it_is_the_dense_product_and_its_transpose(enabled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "ENABLED", enabled)
    matrices, (c, u) = DECODER.matrices(), fields(3)
    separable = Separable(matrices)
    assert torch.allclose(separable(c), apply_separable(matrices, c), atol=1e-5)
    assert torch.allclose(separable.transposed(u), apply_transposed(matrices, u), atol=1e-4)
    assert float((separable(c) * u).sum()) == pytest.approx(float((c * separable.transposed(u)).sum()), rel=1e-4)


def test_what_is_kept_fits_the_number_of_channels() -> None:
    separable = Separable(DECODER.matrices(), keeps=True)
    for channels in (3, 2, 5):
        c, _ = fields(channels)
        assert torch.allclose(separable(c), apply_separable(DECODER.matrices(), c), atol=1e-5)
