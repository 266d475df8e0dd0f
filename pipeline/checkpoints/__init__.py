"""Torch-free readers of trained checkpoints, one file a family; each builds an ONNX model of ours."""
