"""Names that are misspelt: what was probably meant is said first, then what there is."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.cli import app


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("rnu", "'run'"),
        ("vocoder lst", "'list'"),
        ("config shema", "'schema'"),
        ("plan --stor x", "--store"),
        ("plan --store {store} --out x --vocoder hifigan-univrsal", "(did you mean hifigan-universal?)"),
        ("vocoder check lift_hq", "(did you mean lift-hq?)"),
        ("plan --store {store} --out x --set input.mel=hifigan22k", "(did you mean hifigan-22k?)"),
        ("pack x y --mel tacotron-22k", "(did you mean tacotron2-22k?)"),
        ("pack x y --mel hifigan22k", "(did you mean hifigan-22k?); the presets are"),
        ("plan --store x --out y --set output.shard_second=3", "unknown key (did you mean shard_seconds?)"),
        ("plan --store x --out y --set shard_seconds=3", "unknown key (did you mean output.shard_seconds?)"),
        ("plan --store x --out y --set vocoder.codec=wav", "vocoder.codec: unknown key (did you mean output.codec?)"),
        ("plan --store x --out y --set outptu.codec=wav", "outptu: unknown key (did you mean output?)"),
        ("plan --store x --out y --set cluster.kind=slrum", "it is 'slrum' (did you mean slurm?), and must be"),
        ("plan --store x --out y --set output.subtype=pcm24", "it is 'pcm24' (did you mean PCM_24?), and must be"),
        ("plan --store x --out y --subtype pcm24", "is not one of PCM_16, PCM_24, FLOAT (did you mean PCM_24?)"),
        ("pack x y --from kladi", "(did you mean kaldi?)"),
        ("inspect x --layout raged", "(did you mean ragged?)"),
        ("vocoder import g_02500000 -o x.onnx --family hifgan", "(did you mean hifigan?)"),
    ],
)  # fmt: skip
def test_what_was_probably_meant_is_said(
    words: str, told: str, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "g_02500000").write_bytes(b"")
    done = CliRunner().invoke(app, words.format(store=store).split())
    assert done.exit_code == 2
    assert told in done.output


def test_a_name_that_is_like_no_other_is_answered_with_all_that_there_are(store: Path, tmp_path: Path) -> None:
    said = CliRunner().invoke(
        app, ["plan", "--store", str(store), "--out", str(tmp_path / "x"), "--vocoder", "wavenet"]
    )
    assert "no vocoder is named 'wavenet'; there are lift, " in said.output
