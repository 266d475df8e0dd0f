"""What `torch.save` writes, read without torch and without running it: checkpoints, and mels kept as .pt."""

from pipeline.torch_file.files import read_torch_file
from pipeline.torch_file.pickles import CheckpointError

__all__ = ["CheckpointError", "read_torch_file"]
