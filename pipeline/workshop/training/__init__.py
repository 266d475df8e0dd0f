"""`melmill vocoder train`: trains `lift` vocoders. Only this code needs torch (extra `train`).

In: folders or manifests of speech, and a mel contract. Out: an .onnx file with a card, and a page about it. This folder
must not know how a job uses the vocoder.
"""

import os

# Torch's OpenMP reads this when it is loaded. Its threads then sleep while they wait. On a shared machine, threads that
# spin make a step ten times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
