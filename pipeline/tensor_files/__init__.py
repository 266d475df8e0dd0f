"""What `torch.save` writes, read without torch and without running it: checkpoints, and mels kept as .pt."""

from pipeline.tensor_files.files import read_torch_file
from pipeline.tensor_files.pickles import CheckpointError

__all__ = ["CheckpointError", "read_torch_file"]
