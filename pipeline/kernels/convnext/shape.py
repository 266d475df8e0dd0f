"""The shape of a ConvNeXt net over frames: all that its code depends on.

Z. Liu et al., A ConvNet for the 2020s, CVPR 2022, https://arxiv.org/abs/2201.03545, in one dimension; as H. Siuzdak's
Vocos (2024), https://arxiv.org/abs/2306.00814, and melmill's lift have it.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.kernels.products import COLUMNS

_PANEL = 2 * COLUMNS


@dataclass(frozen=True)
class ConvNextShape:
    """The shape of a net.

    A convolution over `taps` frames embeds the mel in `width` channels, which are normalized. Each block adds to them
    what it makes of them: a convolution of each channel over `taps` frames, a layer norm, a matrix to `hidden`
    channels, the GELU, and a matrix back. Channels are normalized again, and a last matrix gives the outputs from them
    and from the frame of the mel itself. Convolutions see zeros beyond the ends of the mel.

    Args:
        bands: number of mel bands.
        width: number of channels between blocks.
        hidden: number of channels inside a block.
        blocks: number of blocks.
        outputs: number of outputs for a frame.
        taps: kernel size of the convolutions.
        epsilon: number that a layer norm adds to the variance.
    """

    bands: int
    width: int
    hidden: int
    blocks: int
    outputs: int
    taps: int = 7
    epsilon: float = 1e-6

    @property
    def reach(self) -> int:
        """Number of frames on each side that a convolution sees."""
        return self.taps // 2

    @property
    def context(self) -> int:
        """Number of frames on each side that the outputs of a frame depend on."""
        return self.reach * (1 + self.blocks)

    @property
    def columns(self) -> int:
        """Number of columns of the last matrix in memory: those that are added have no weights."""
        return -(-self.outputs // _PANEL) * _PANEL

    def matrices(self) -> dict[str, tuple[int, int]]:
        """Number of inputs and outputs of each matrix by its layer's name.

        Inputs of "embed" are the mel's bands for each of the taps, those of "head" the channels and then the bands.
        """
        found = {"embed": (self.taps * self.bands, self.width), "head": (self.width + self.bands, self.outputs)}
        for number in range(self.blocks):
            found[f"blocks.{number}.up"] = self.width, self.hidden
            found[f"blocks.{number}.down"] = self.hidden, self.width
        return found

    def others(self) -> dict[str, tuple[int, ...]]:
        """Shape of the weight of each other layer, norms and depthwise convolutions, by its name."""
        found: dict[str, tuple[int, ...]] = {"norm_in": (self.width,), "norm_out": (self.width,)}
        for number in range(self.blocks):
            found[f"blocks.{number}.depthwise"] = self.taps, self.width
            found[f"blocks.{number}.norm"] = (self.width,)
        return found

    def weight_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each weight and bias by its name, such as "blocks.0.up.weight"."""
        layers = {**self.matrices(), **self.others()}
        weights = {f"{name}.weight": size for name, size in layers.items()}
        return weights | {f"{name}.bias": size[-1:] for name, size in layers.items()}


def why_not(shape: ConvNextShape) -> str | None:
    """Why the compiled code does not take a shape; None if it does."""
    if shape.width % COLUMNS or shape.hidden % COLUMNS:
        return f"its blocks have {shape.width} and {shape.hidden} channels, which are not multiples of {COLUMNS}"
    if shape.taps % 2 == 0:
        return f"its convolutions have kernel size {shape.taps}, which is not odd"
    return None
