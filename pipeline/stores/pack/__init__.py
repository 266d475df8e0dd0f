"""Making ragged mel stores from audio and from .npy mels."""
