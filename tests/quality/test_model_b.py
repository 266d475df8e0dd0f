"""Model B: that it never hears what it is judged on, and that its mels are smooth."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from tools.quality import model_b
from tools.quality.model_b import Heard, corpus_speech, features, net_path, predicted, unheard
from tools.quality.speech import GIVEN, SPEC, SYNTHETIC, VOICES, prompts

from pipeline.dsp.mel import log_mel

SECONDS = SPEC.sample_rate


def noise(seed: int, seconds: float = 10) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.9, 0.9, int(seconds * SECONDS)).astype(np.float32)


@pytest.mark.parametrize("voice", VOICES)
def test_a_net_hears_no_recording_of_the_voice_that_it_is_judged_on(voice: str) -> None:
    """The shipped prompts of Allison lie in two folders, and `vm-sorry` is said by several voices."""
    everything = prompts(99)
    judged = {name: named[:2] for name, named in everything.items()}
    heard = unheard(voice, judged, corpus_speech(None))
    own = {wave.tobytes() for _, wave in everything[voice]}
    assert not own & {each.wave.tobytes() for each in heard}
    assert len(heard) == sum(len(named) for named in everything.values()) - len(everything[voice])


def test_voices_of_a_corpus_are_known_by_their_folders(tmp_path: Path) -> None:
    for number, folder in enumerate(("es_MX_f_Allison/digits", "JUNE", "anna", "it_IT_m_Carlo")):
        (tmp_path / folder).mkdir(parents=True)
        soundfile.write(tmp_path / folder / "hello.wav", noise(number), SECONDS)
    corpus = corpus_speech(tmp_path)
    judged = {"Allison": [("hello", noise(9))], "June": [("hello", noise(8))]}
    assert {each.voice for each in unheard("Allison", judged, corpus)} == {"JUNE", "anna", "it_IT_m_Carlo"}
    assert {each.voice for each in unheard("June", judged, corpus)} == {
        "es_MX_f_Allison/digits",
        "anna",
        "it_IT_m_Carlo",
    }


def test_a_recording_that_is_judged_is_left_out_whatever_the_corpus_calls_it() -> None:
    judged = {"June": [("one", noise(0))], GIVEN: [("other", noise(1))], SYNTHETIC: [("sentence 0", noise(5))]}
    corpus = [Heard("a", "anna", noise(0)), Heard("b", "anna", noise(1)), Heard("c", "anna", noise(2)),
              Heard("other", "anna", noise(3))]  # fmt: skip
    assert [each.name for each in unheard("June", judged, corpus)] == ["b", "c", "other"]
    assert [each.name for each in unheard(GIVEN, judged, corpus)] == ["a", "c"]
    assert len(unheard(SYNTHETIC, judged, corpus)) == 4


def test_a_corpus_of_the_judged_voice_alone_is_refused() -> None:
    with pytest.raises(SystemExit, match="0 s of speech are left to learn from without the voice June"):
        unheard("June", {"June": [("one", noise(0))]}, [Heard("two", "June", noise(1))])


def test_nets_are_kept_by_what_they_were_made_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_b, "STEPS", 2)
    monkeypatch.setattr(model_b, "LEAST_SECONDS", 1.0)
    judged = {"June": [("one", noise(0))]}
    corpus = [Heard(str(seed), "anna", noise(seed, 1)) for seed in (1, 2)]
    first = net_path("June", judged, corpus, tmp_path)
    written = first.stat().st_mtime_ns
    assert net_path("June", judged, corpus, tmp_path) == first
    assert first.stat().st_mtime_ns == written
    assert net_path("June", judged, [corpus[0], Heard("2", "anna", noise(3, 1))], tmp_path) != first
    again = tmp_path / "again"
    np.testing.assert_array_equal(
        predicted(noise(4, 1), net_path("June", judged, corpus, again)), predicted(noise(4, 1), first)
    )


def test_it_gets_the_content_in_blocks_of_eight_frames() -> None:
    wave = prompts(1)["Carlo"][0][1]
    given = features(wave)
    assert given.shape == (SPEC.n_mels + 3, log_mel(wave, SPEC).shape[1])
    content, (octaves, voiced, _) = given[: SPEC.n_mels], given[SPEC.n_mels :]
    changes = np.flatnonzero(np.diff(content, axis=1).any(axis=0)) + 1
    assert set(changes % model_b.BLOCK) == {0}
    assert 0.2 < voiced.mean() < 0.95
    assert np.abs(octaves[voiced == 1]).max() < 1.5
    assert not octaves[voiced == 0].any()
