"""Signal processing: STFT, log-mel, the distance of mels, and mel back to a waveform, the last by compiled kernels.

In: waveforms, mels and spectra as arrays, and their contract. Out: arrays and numbers; the same input gives the same
bits, however a waveform or a mel was cut into pieces. This room must not read or write files, and must not know
vocoders, stores or jobs.
"""
