"""Readers of pretrained checkpoints, without torch: one file a family."""
