"""Files of torch and safetensors, read without torch and without running what they hold.

In: the path of a checkpoint or of a mel kept as .pt. Out: numbers, texts and arrays in plain containers, or
`CheckpointError`. This room must not know what the tensors mean: whose weights they are (`checkpoints`) or which mels
(`pack`).
"""

from pipeline.tensor_files.files import read_torch_file

__all__ = ["read_torch_file"]
