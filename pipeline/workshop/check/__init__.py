"""`melmill vocoder check`: does a vocoder do what it states, and does it speak?"""

from pipeline.workshop.check.run import VocoderReport, check_vocoder
from pipeline.workshop.check.speech import PromptTrial, Verdict

__all__ = ["PromptTrial", "Verdict", "VocoderReport", "check_vocoder"]
