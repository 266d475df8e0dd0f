"""Signal processing in plain numpy, without I/O: STFT, log-mel, and mel back to a waveform."""
