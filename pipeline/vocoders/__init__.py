"""Vocoders: mel -> waveform."""
