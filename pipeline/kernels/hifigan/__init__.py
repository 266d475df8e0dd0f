"""HiFi-GAN's generator as compiled code: any stretch of a mel to its samples, which are those of the whole mel.

In: the shape of a generator, its weights as torch stores them, a target. Out: `HifiganGenerator`, whose samples are the
same, bit for bit, on every processor, and for every window. Its convolutions multiply a quarter as often as direct ones
do, by minimal filtering. It knows nothing of checkpoints, ONNX or mel contracts.
"""
