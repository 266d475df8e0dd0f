"""Training of `lift` vocoders: the only code that needs torch (extra `train`)."""

import os

# Read by torch's OpenMP when it is loaded: its threads wait asleep and not spinning, which on a machine that is shared
# makes a step ten times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
