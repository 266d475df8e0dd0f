"""Audio out: quantizing, encoding, and the containers that hold it."""
