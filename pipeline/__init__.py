"""melmill: mel-spectrogram corpora in Zarr become audio shards and a manifest."""
