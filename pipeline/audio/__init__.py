"""From a waveform to audio files: levels, sample rate, loudness, quantization, encoding, containers.

In: a mono waveform in consecutive pieces, `[samples] float32`, and the output that a job asks for. Out: the encoded
audio of each utterance with its figures, and a tar or files in a scratch folder. Results do not depend on how the
waveform is cut into pieces, and memory is bounded for a waveform of any length.
Nothing here knows stores, vocoders or commits, or where a finished file is stored.
"""
