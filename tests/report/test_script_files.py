"""What is written for the page to read comes back as it was, and is harmless on its way."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.report.script_files import json_in_html, plain_json, script_file

TEXTS = st.text(st.characters(exclude_categories=()) | st.sampled_from("<>&\u2028\u2029\ud800\udfff\\\"'/"))


@given(st.recursive(TEXTS | st.integers() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner)))
def test_any_value_comes_back_and_cannot_end_its_script(value: object) -> None:
    text = json_in_html(value).decode("utf-8")
    assert json.loads(text) == value
    assert not re.search("[<>&\u2028\u2029]", text)


def test_a_number_that_json_cannot_express_is_a_defect() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        plain_json([float("nan")])
    with pytest.raises(TypeError):
        plain_json({1, 2})


def test_a_script_holds_nothing_but_its_name_and_base64() -> None:
    script = script_file("rows/0000.js", b"</script><script>alert(1)</script>")
    assert re.fullmatch(rb'melmill\("rows/0000\.js","[A-Za-z0-9+/]+=*"\)\n', script)
