"""`melmill vocoder check`: does a vocoder do what it states, and does speech come out?

In: the name of a vocoder or the path of an .onnx file, and a mel contract. Out: a `VocoderReport` with the halo, the
length rule, the speed and a verdict on the speech. This folder must not print or exit.
"""

from pipeline.workshop.check.run import VocoderReport, check_vocoder
from pipeline.workshop.check.speech import PromptTrial, SpeechVerdict

__all__ = ["PromptTrial", "SpeechVerdict", "VocoderReport", "check_vocoder"]
