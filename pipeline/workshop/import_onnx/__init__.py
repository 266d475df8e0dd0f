"""ONNX models that others made: read with care, adapted, tried, and given a card.

In: the path of an .onnx file, and the contract of its mels. Out: a model with melmill's inputs and outputs and a card.
This folder must not trust the file: nothing is run before its sizes, operators and other files are checked.
"""

from pipeline.workshop.import_onnx.adapting import Axis
from pipeline.workshop.import_onnx.run import ImportedOnnx, import_onnx

__all__ = ["Axis", "ImportedOnnx", "import_onnx"]
