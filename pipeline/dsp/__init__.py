"""Signal code: pure numpy, no input or output."""
