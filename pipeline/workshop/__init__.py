"""Import, check, list and train vocoders: what `melmill vocoder` does.

In: checkpoints, .onnx files that others made, speech, and the name of a vocoder. Out: .onnx files with a card, reports,
and the list of vocoders. This room may use any library that building or trying a model needs (`onnx`, `torch`). It must
not know of jobs, outputs or clusters, and a run never imports it.
"""
