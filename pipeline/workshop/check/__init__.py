"""`melmill vocoder check`: does a vocoder do what it states, and does it speak?"""

from pipeline.workshop.check.run import VocoderReport, check_vocoder
from pipeline.workshop.check.speech import PromptTrial, SpeechVerdict

__all__ = ["PromptTrial", "SpeechVerdict", "VocoderReport", "check_vocoder"]
