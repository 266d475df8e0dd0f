"""One projection of a waveform onto a mel: each bin of its spectrum scaled to the wanted bands, and back to a waveform.

A waveform goes in and one comes out, each with all hops that the frames reach into. The phases are its own.
"""

from __future__ import annotations

from dataclasses import dataclass

from llvmlite import ir

from pipeline.kernels.complex_values import Complex, ComplexRows
from pipeline.kernels.elementary import exp
from pipeline.kernels.fft import RealFourier
from pipeline.kernels.filter_bands import Bands
from pipeline.kernels.frame_blocks import LANES
from pipeline.kernels.function import Function
from pipeline.kernels.log_mel import ADDED_FLOOR, LOG_SCALE, MAGNITUDE_EPS, POWER_FLOOR
from pipeline.kernels.overlap_add import Overlap
from pipeline.kernels.pointer import Pointer
from pipeline.kernels.target import Target
from pipeline.kernels.values import Floats, Index, Ints


@dataclass(frozen=True)
class Refinement:
    """The recipe of a projection; `constants`, `mean` and `scale` are those of `LogMel`.

    Its function `wanted_bands(mel, there, constants, mean, scale, wanted, mels, blocks, first, bands)` takes

        mel               in the values of the contract, [blocks][mels][LANES]
        there             1 for each frame of the mel, 0 for frames that it does not have: [blocks][LANES]
        wanted            gets what the logarithm of the mel was taken of, [blocks][bands + 2][LANES]; zeros before
        first             number of bands of the filterbank before those of the mel

    and `project(samples, projected, wanted, least, most, segments, weights, analysis, synthesis, constants, ...)`

        samples           [blocks + reach][LANES][hop_length], from where the first frame's window begins
        projected         the same, gets the result
        wanted            as above; 0 for bands, or whole frames, that are to stay as they are
        least, most       outputs that a mel can tell from others, [bands + 2]; those beyond count as the nearest
        segments, weights `BandTables` of a filterbank without gaps at its ends
        analysis          window, halved, [n_fft]
        synthesis         window over the envelope and over n_fft, [n_fft]
        carry ... z       memory of the sizes that `memory` says, the first one 0
        blocks, bands

    Args:
        overlap: geometry of the frames.
        power: power of the magnitudes that the bands sum up, 1 or 2.
    """

    overlap: Overlap
    power: int

    @property
    def bins(self) -> int:
        """Number of bins."""
        return self.overlap.n_fft // 2 + 1

    @property
    def fourier(self) -> RealFourier:
        """The transform of a frame."""
        return RealFourier(self.overlap.n_fft)

    def memory(self, bands: int) -> dict[str, int]:
        """The names of the arguments from `carry` on, and the number of float32 that each needs."""
        hop, spans = self.overlap.hop_length, self.overlap.spans
        return {
            "carry": hop * self.overlap.reach * LANES,
            "given": hop * spans * LANES,
            "made": hop * spans * LANES,
            "spectrum": 2 * self.bins * LANES,
            "present": self.bins * LANES,
            "gains": self.bins * LANES,
            "ratios": (bands + 2) * LANES,
            "z": self.fourier.rows * 2 * LANES,
        }

    def emit(self, module: ir.Module, target: Target) -> None:
        """Adds the two functions, and those that they call."""
        _emit_wanted_bands(module)
        _Code(self, module).project()


def _emit_wanted_bands(module: ir.Module) -> None:
    arguments = "*mel *there *constants *mean *scale *wanted mels blocks first bands"
    f = Function(module, "wanted_bands", arguments, LANES)
    mel, there, constants, mean, scale, wanted, mels, blocks, first, bands = f.arguments
    with f.loop(blocks) as block:
        inside = there[block * LANES]
        with f.loop(mels) as band:
            value = mel[(block * mels + band) * LANES] * scale.spread(band) + mean.spread(band)
            linear = exp(value / constants.spread(LOG_SCALE))
            wanted[(block * (bands + 2) + first + band + 1) * LANES] = linear * inside
    f.end()


class _Code:
    """The functions of a projection in a module."""

    def __init__(self, recipe: Refinement, module: ir.Module) -> None:
        self._recipe, self._module = recipe, module
        self._overlap, self._bins, self._fourier = recipe.overlap, recipe.bins, recipe.fourier

    def _function(self, name: str, arguments: str) -> Function:
        return Function(self._module, name, arguments, LANES)

    def project(self) -> Function:
        """The sweep over blocks of frames."""
        put_in, analyse, fit, synthesize = self._put_in(), self._analyse(), self._fit(), self._synthesize()
        add, add_nothing, put_out = self._add(), self._add_nothing(), self._put_out()
        overlap, hops = self._overlap, LANES * self._overlap.hop_length
        f = self._function(
            "project",
            "*samples *projected *wanted *least *most *segments:int64 *weights *analysis *synthesis *constants *carry "
            "*given *made *spectrum *present *gains *ratios *z blocks bands",
        )
        (
            samples, projected, wanted, least, most, segments, weights, analysis, synthesis, constants, carry, given,
            made, spectrum, present, gains, ratios, z, blocks, bands,
        ) = f.arguments  # fmt: skip
        with f.loop(overlap.reach) as span:
            f.call(put_in, samples + span * hops, given)
        with f.loop(blocks + overlap.reach) as b:
            with f.when(b < blocks):
                f.call(put_in, samples + (b + overlap.reach) * hops, given)
                f.call(analyse, given, analysis, constants, z, spectrum, present)
                mine = wanted + b * ((bands + 2) * LANES)
                f.call(fit, present, gains, mine, least, most, ratios, constants, segments, weights, bands)
                f.call(synthesize, spectrum, gains, z)
                f.call(add, z, synthesis, carry, made)
            with f.when(b >= blocks):
                f.call(add_nothing, carry, made)
            f.call(put_out, made, projected + b * hops)
        return f.end()

    def _put_in(self) -> Function:
        f = self._function("put_in", "*samples *hops")
        self._overlap.put_in(f, *f.arguments)
        return f.end()

    def _analyse(self) -> Function:
        """The spectrum of a block's frames, and what its bands sum up."""
        f = self._function("analyse", "*hops *analysis *constants *z *spectrum *present")
        hops, analysis, constants, z, spectrum, present = f.arguments
        points, kept = ComplexRows(z), ComplexRows(spectrum)
        added, least = constants.spread(MAGNITUDE_EPS), constants.spread(POWER_FLOOR)

        def use(k: Index, value: Complex) -> None:
            kept[k] = value
            power = (value.re.fma(value.re, value.im * value.im) + added).at_least_or_nan(least)
            present[k * LANES] = power.sqrt() if self._recipe.power == 1 else power

        self._fourier.forward(f, points, lambda point: self._overlap.framed(f, hops, analysis, point))
        self._fourier.bins(f, points, use)
        return f.end()

    def _fit(self) -> Function:
        """The gain of each bin: the mean of its bands' ratios of wanted to present, weighted by the filters."""
        f = self._function(
            "fit", "*present *gains *wanted *least *most *ratios *constants *segments:int64 *weights count"
        )
        present, gains, wanted, least, most, ratios, constants, *tables = f.arguments
        bands, added = Bands(f, *tables), constants.spread(ADDED_FLOOR)

        def put(row: Ints, band: Floats) -> None:
            """1 for bands of which nothing is wanted."""
            goal = wanted[row * LANES]
            apart = goal / (band + added).within(least.spread(row), most.spread(row))
            ratios[row * LANES] = (goal > 0).where(apart, goal.filled(1.0))

        def spread(k: Ints, below: Floats, above: Floats) -> None:
            gain = bands.mean(k, below, above)
            gains[k * LANES] = gain if self._recipe.power == 1 else gain.sqrt()

        bands.sums(lambda k: present[k * LANES], put)
        bands.over_bins(ratios, spread)
        return f.end()

    def _synthesize(self) -> Function:
        """The samples of a block's frames, from the scaled spectrum."""
        f = self._function("synthesize", "*spectrum *gains *z")
        spectrum, gains, z = f.arguments
        kept, points = ComplexRows(spectrum), ComplexRows(z)
        self._fourier.from_bins(f, points, lambda k: kept[k].scaled(_at(gains, k)))
        self._fourier.inverse(f, points)
        return f.end()

    def _add(self) -> Function:
        f = self._function("add", "*frames *window *carry *hops")
        frames, window, carry, hops = f.arguments
        self._overlap.add(f, frames, window, f.floats(1.0), carry, hops)
        return f.end()

    def _add_nothing(self) -> Function:
        f = self._function("add_nothing", "*carry *hops")
        self._overlap.add_nothing(f, *f.arguments)
        return f.end()

    def _put_out(self) -> Function:
        f = self._function("put_out", "*hops *samples")
        self._overlap.put_out(f, *f.arguments)
        return f.end()


def _at(rows: Pointer, k: Index) -> Floats:
    value: Floats = rows[k * LANES]
    return value
