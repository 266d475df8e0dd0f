"""The page to listen to: every player has its file, and texts stay texts."""

import xml.etree.ElementTree
from pathlib import Path

import numpy as np
import soundfile
from tools.quality.listening import audio_path, write_page

FIGURES = {"pesq": 3.25, "dnsmos": float("nan"), "plcmos": 4.5, "mel_distance": 0.1}


def test_every_row_that_has_audio_has_a_player_with_its_figures(tmp_path: Path) -> None:
    rows = [
        {"voice": "June", "utterance": "a<b>", "kind": kind, "system": system, **FIGURES}
        for kind, system in (("clean", "lift"), ("clean", "griffin-lim"), ("model B", "lift"))
    ]
    for row in rows[:2]:
        path = tmp_path / audio_path(row["kind"], row["system"], row["voice"], row["utterance"])
        path.parent.mkdir(parents=True)
        soundfile.write(path, np.zeros(100), 22050)
    text = write_page(tmp_path, rows).read_text()
    body = text.partition("<main>")[2].partition("</main>")[0]
    for html, as_xml in (("<br>", "<br/>"), ("<audio controls", '<audio controls=""')):
        body = body.replace(html, as_xml)
    page = xml.etree.ElementTree.fromstring(f"<main>{body}</main>")
    players = list(page.iter("audio"))
    assert len(players) == 2
    assert all((tmp_path / each.attrib["src"]).is_file() for each in players)
    assert players[1].attrib["aria-label"] == "lift, a<b> of June, clean"
    assert [each.text for each in page.iter("p")][1:] == ["3.25, none, 4.50, 0.10"] * 2
    assert "model B" not in text
    assert "<script" not in text


def test_names_that_differ_have_files_that_differ() -> None:
    systems = ("hifigan-universal", "hifigan-universal, refine 1", "hifigan-universal, refine 2")
    assert len({audio_path("clean", system, "June", "one") for system in systems}) == 3
