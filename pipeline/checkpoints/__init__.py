"""Trained checkpoints to ONNX models, without torch: one file for each family of checkpoints.

In: the files of a checkpoint (weights, config, statistics), read and never run. Out: an ONNX model with a card, which
states the mels that the model takes, its halo and its source; and the cache where converted models are kept. This room
must not know how a model is run or tried. A run imports only `cached_hifigan`, `model_card` and what they import, none
of which imports the library `onnx`; the builders are imported for a checkpoint that is not converted yet.
"""
