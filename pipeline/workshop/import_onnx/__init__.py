"""ONNX models that others made: read with care, given our inputs and outputs, tried, and given a card."""

from pipeline.workshop.import_onnx.adapting import Axis
from pipeline.workshop.import_onnx.run import ImportedOnnx, import_onnx

__all__ = ["Axis", "ImportedOnnx", "import_onnx"]
