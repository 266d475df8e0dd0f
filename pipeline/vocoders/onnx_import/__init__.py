"""ONNX models that others made: read with care, given our inputs and outputs, tried, and given a card."""

from pipeline.vocoders.onnx_import.adapting import Axis
from pipeline.vocoders.onnx_import.run import ImportedOnnx, import_onnx

__all__ = ["Axis", "ImportedOnnx", "import_onnx"]
