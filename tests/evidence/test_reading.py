"""The level that a contract gives values, against its definition bin by bin."""

import numpy as np
import pytest
from numpy.typing import NDArray
from support.misfits import corpus

from pipeline.dsp.filterbank import mel_filterbank
from pipeline.dsp.stft import window
from pipeline.evidence import Sample
from pipeline.evidence.reading import magnitude_logs, read_values
from pipeline.melspec import PRESETS, MelSpec


def level_by_bins(values: NDArray[np.float64], spec: MelSpec) -> float:
    """Parseval's sum over the bins of each frame, whose magnitudes are the means of their bands' flat densities."""
    bank = mel_filterbank(spec).astype(np.float64)
    linear = np.exp(np.minimum(magnitude_logs(values, spec) * spec.power, 80.0))
    density = np.where(bank.any(axis=1)[:, None], linear / np.maximum(bank.sum(axis=1), 1e-30)[:, None], 0)
    bins = np.stack([weights @ density / max(weights.sum(), 1e-30) for weights in bank.T])
    power = bins if spec.power == 2 else bins**2
    squares = 2 * power.sum(axis=0) / (spec.n_fft * np.sum(window(spec) ** 2))
    return float(10 * np.log10(np.quantile(squares, 0.99)))


@pytest.mark.parametrize("name", [name for name, spec in PRESETS.items() if spec.n_mels == 80])
def test_a_level_is_the_sum_over_all_bins(name: str) -> None:
    sample = Sample(tuple(corpus("constant", 3, 1)[0].values()), 3)
    assert read_values(sample, PRESETS[name]).level == pytest.approx(
        level_by_bins(sample.joined(), PRESETS[name]), abs=1e-9
    )
