"""`melmill vocoder check`: does a vocoder do what it states, and does it speak?"""

from pipeline.check.run import VocoderReport, check_vocoder
from pipeline.check.speech import PromptTrial, Verdict

__all__ = ["PromptTrial", "Verdict", "VocoderReport", "check_vocoder"]
