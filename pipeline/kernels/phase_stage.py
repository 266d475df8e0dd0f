"""A waveform from magnitudes: start phases, then projections that keep the mel, as one sweep over blocks of frames.

Block b of one iteration needs the signal of the iteration before up to block b + reach. So the iterations follow each
other as a wave: while the first is at block b, the next is at b - reach, and so on. Each block is in use from its start
to its last iteration, and what is in use at once is a ring of blocks, whose size does not depend on the mel's length.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from llvmlite import ir

from pipeline.kernels.complex_values import Complex, ComplexRows
from pipeline.kernels.emitter import I32
from pipeline.kernels.fft import RealFourier
from pipeline.kernels.filter_bands import Bands
from pipeline.kernels.frame_blocks import LANES
from pipeline.kernels.function import Function
from pipeline.kernels.overlap_add import Overlap
from pipeline.kernels.phase_updates import Admm, FastGriffinLim, Spectra, Update
from pipeline.kernels.pointer import Pointer
from pipeline.kernels.start_phases import SMALLEST_MAGNITUDE, StartPhases
from pipeline.kernels.target import Target
from pipeline.kernels.values import Floats, Index, Ints

Method = Literal["fast-griffin-lim", "admm"]

_METHODS: dict[Method, Update] = {"fast-griffin-lim": FastGriffinLim(), "admm": Admm()}
_TINY = 1e-30  # smallest energy of a band that is divided by
PHASE_BLOCKS = 2
"""Number of blocks over which start phases are continued; then new ones are drawn."""


@dataclass(frozen=True)
class PhaseStage:
    """The recipe of the phase stage.

    Its function `phase_stage` takes, each for blocks of `LANES` frames:

        magnitudes        [blocks][bins][LANES]; 0 after the last frame
        samples           [blocks + reach][LANES][hop_length]; gets the signal from the first frame's window on
        random            phases of the frame before each second block [2^-32 turns], [ceil(blocks / 2)][bins] int32
        segments, weights `BandTables` of a filterbank without gaps at its ends
        analysis          window, halved, [n_fft]
        synthesis         window over the envelope and over n_fft, [n_fft]
        corrections       factors of blocks of hops where fewer frames overlap, [any][hop_length][LANES]
        which_correction  the number of the correction of each block of hops, or -1: [blocks + reach] int64
        mask              1 for each frame of a block; 1 or 0 for those of the last block: [2][LANES]
        carry ... phases  memory of the sizes that `memory` says
        blocks, iterations, bands

    Args:
        overlap: geometry of the frames.
        power: power of the magnitudes that the bands sum up, 1 or 2.
        method: name of the update.
        anchor: weight of the given magnitudes, 0 to 1, relative to those at hand, before they are scaled to the mel.
    """

    overlap: Overlap
    power: int
    method: Method
    anchor: float

    @property
    def bins(self) -> int:
        """Number of bins."""
        return self.overlap.n_fft // 2 + 1

    @property
    def update(self) -> Update:
        """The update of an iteration."""
        return _METHODS[self.method]

    @property
    def fourier(self) -> RealFourier:
        """The transform of a frame."""
        return RealFourier(self.overlap.n_fft)

    def ring(self, iterations: int) -> int:
        """Number of blocks that are in use at once."""
        return iterations * self.overlap.reach + 1

    def memory(self, iterations: int, bands: int) -> dict[str, int]:
        """The names of the arguments from `carry` on, and the number of float32 that each needs; the first three 0."""
        hop, spectrum, ring = self.overlap.hop_length, 2 * self.bins * LANES, self.ring(iterations)
        return {
            "carry": (iterations + 1) * hop * self.overlap.reach * LANES,
            "wanted": ring * (bands + 2) * LANES,
            "ratios": (bands + 2) * LANES,
            "hops": (iterations + 1) * hop * self.overlap.spans * LANES,
            "spectra": ring * self.update.kept * spectrum,
            "spare": spectrum,
            "present": self.bins * LANES,
            "scales": self.bins * LANES,
            "z": self.fourier.rows * 2 * LANES,
            "phases": 2 * self.bins,
        }

    def emit(self, module: ir.Module, target: Target) -> None:
        """Adds `phase_stage`, and the functions that it calls."""
        _Code(self, module).phase_stage()


class _Code:
    """The functions of a phase stage in a module."""

    def __init__(self, stage: PhaseStage, module: ir.Module) -> None:
        self._stage, self._module = stage, module
        self._overlap, self._bins, self._fourier = stage.overlap, stage.bins, stage.fourier

    def _function(self, name: str, arguments: str) -> Function:
        return Function(self._module, name, arguments, LANES)

    def phase_stage(self) -> Function:
        """The sweep. Block `b` of iteration `i` is done in step b + i * reach."""
        redraw, begin, project, fit = self._redraw(), self._begin(), self._project(), self._fit()
        synthesize, add, add_nothing = self._synthesize(), self._add(), self._add_nothing()
        correct, put_out = self._correct(), self._put_out()
        overlap, hop = self._overlap, self._overlap.hop_length
        f = self._function(
            "phase_stage",
            "*magnitudes *samples *random:int32 *segments:int64 *weights *analysis *synthesis *corrections "
            "*which_correction:int64 *mask *carry *wanted *ratios *hops *spectra *spare *present *scales *z "
            "*phases:int32 blocks iterations bands",
        )
        (
            magnitudes, samples, random, segments, weights, analysis, synthesis, corrections,
            which_correction, mask, carry, wanted, ratios, hops, spectra, spare, present, scales, z,
            phases, blocks, iterations, bands,
        ) = f.arguments  # fmt: skip
        with (
            f.loop(blocks + (iterations + 1) * overlap.reach) as step,
            f.loop(iterations + 1) as i,
        ):
            b = step - i * overlap.reach
            my_hops, my_carry = hops + i * (hop * overlap.spans * LANES), carry + i * (hop * overlap.reach * LANES)
            with f.when((b >= 0) & (b < blocks)):
                slot = b % (iterations * overlap.reach + 1)
                my_spectra = spectra + slot * (self._stage.update.kept * 2 * self._bins * LANES)
                my_wanted, given = wanted + slot * ((bands + 2) * LANES), magnitudes + b * (self._bins * LANES)
                tables = (segments, weights, bands)
                with f.when(i.equals(0)):
                    drawn = random + b // PHASE_BLOCKS * self._bins
                    with f.when((b % PHASE_BLOCKS).equals(0)):
                        f.call(redraw, drawn, phases + self._bins)
                    f.call(begin, given, phases, my_spectra, spare, present, scales, my_wanted, *tables)
                with f.when(i > 0):
                    before = my_hops + -(hop * overlap.spans * LANES)
                    f.call(project, before, analysis, z, my_spectra, spare, given, present, scales)
                    f.call(fit, present, scales, my_wanted, ratios, *tables)
                f.call(synthesize, my_spectra, spare, scales, z, (i < iterations).number())
                f.call(add, z, synthesis, mask + b.equals(blocks - 1).number() * LANES, my_carry, my_hops)
            with f.when((b >= blocks) & (b < blocks + overlap.reach)):
                f.call(add_nothing, my_carry, my_hops)
            with f.when((b >= 0) & (b < blocks + overlap.reach)):
                which = which_correction.one(b)
                with f.when(which >= 0):
                    f.call(correct, my_hops, corrections + which * (hop * LANES))
                with f.when(i.equals(iterations)):
                    f.call(put_out, my_hops, samples + b * (LANES * hop))
        return f.end()

    def _redraw(self) -> Function:
        """Copies the phases that a block begins with."""
        f = self._function("redraw", "*random:int32 *phases:int32")
        random, phases = f.arguments
        with f.loop(self._bins) as k:
            phases[k] = random.one(k)
        return f.end()

    def _begin(self) -> Function:
        """The start of a block, and the bands that its magnitudes have."""
        f = self._function(
            "begin",
            "*magnitudes *phases:int32 *spectra *spare *present *scales *wanted *segments:int64 *weights bands",
        )
        magnitudes, phases, spectra, spare, present, scales, wanted, *tables = f.arguments
        start = StartPhases(self._overlap.n_fft, self._overlap.hop_length)
        owner, advance = spare.of(I32), scales.of(I32)
        start.owners(f, magnitudes, present, owner, advance)
        start.carry_on(f, owner, advance, phases)
        kept, one = self._spectra(spectra, spare), f.floats(1.0)
        with f.loop(self._bins) as k:
            started = start.spectrum(magnitudes[k * LANES], advance[k * LANES])
            self._stage.update.begin(kept, k, started)
            scales[k * LANES] = one
        Bands(f, *tables).sums(lambda k: self._energy(magnitudes[k * LANES]), _rows(wanted))
        return f.end()

    def _project(self) -> Function:
        """P of a block, from the signal of the iteration before; and what is scaled to the wanted bands."""
        f = self._function("project", "*hops *analysis *z *spectra *spare *magnitudes *present *scales")
        hops, analysis, z, spectra, spare, magnitudes, present, scales = f.arguments
        kept, points, anchor = self._spectra(spectra, spare), ComplexRows(z), self._stage.anchor

        def use(k: Index, projected: Complex) -> None:
            magnitude, length = self._stage.update.project(kept, k, projected)
            if anchor:
                magnitude = magnitude.fma(1 - anchor, magnitudes[k * LANES] * anchor)
            present[k * LANES] = magnitude
            scales[k * LANES] = magnitude / length.at_least(SMALLEST_MAGNITUDE)

        self._fourier.forward(f, points, lambda point: self._overlap.framed(f, hops, analysis, point))
        self._fourier.bins(f, points, use)
        return f.end()

    def _fit(self) -> Function:
        """The scale of each bin to the wanted bands: the mean of its bands' ratios of wanted to present energy."""
        f = self._function("fit", "*present *scales *wanted *ratios *segments:int64 *weights count")
        present, scales, wanted, ratios, *tables = f.arguments
        bands = Bands(f, *tables)

        def put(row: Ints, energy: Floats) -> None:
            ratios[row * LANES] = wanted[row * LANES] / energy.at_least(_TINY)

        def scale(k: Ints, below: Floats, above: Floats) -> None:
            gain = bands.mean(k, below, above)
            scales[k * LANES] = scales[k * LANES] * (gain if self._stage.power == 1 else gain.sqrt())

        bands.sums(lambda k: self._energy(present[k * LANES]), put)
        bands.over_bins(ratios, scale)
        return f.end()

    def _synthesize(self) -> Function:
        """The samples of a block's frames, from its next spectrum."""
        f = self._function("synthesize", "*spectra *spare *scales *z again")
        spectra, spare, scales, z, again = f.arguments
        kept, points, factor = self._spectra(spectra, spare), ComplexRows(z), again.as_floats().single().in_lanes(LANES)
        self._fourier.from_bins(f, points, lambda k: self._stage.update.next(kept, k, scales[k * LANES], factor))
        self._fourier.inverse(f, points)
        return f.end()

    def _add(self) -> Function:
        f = self._function("add", "*frames *window *mask *carry *hops")
        frames, window, mask, carry, hops = f.arguments
        self._overlap.add(f, frames, window, mask[0], carry, hops)
        return f.end()

    def _add_nothing(self) -> Function:
        f = self._function("add_nothing", "*carry *hops")
        self._overlap.add_nothing(f, *f.arguments)
        return f.end()

    def _correct(self) -> Function:
        f = self._function("correct", "*hops *factors")
        self._overlap.corrected(f, *f.arguments)
        return f.end()

    def _put_out(self) -> Function:
        f = self._function("put_out", "*hops *samples")
        self._overlap.put_out(f, *f.arguments)
        return f.end()

    def _spectra(self, spectra: Pointer, spare: Pointer) -> Spectra:
        first = ComplexRows(spectra)
        return Spectra(first, first + self._bins, ComplexRows(spare))

    def _energy(self, magnitude: Floats) -> Floats:
        return magnitude if self._stage.power == 1 else magnitude * magnitude


def _rows(bands: Pointer) -> Callable[[Ints, Floats], None]:
    def put(row: Ints, value: Floats) -> None:
        bands[row * LANES] = value

    return put
