"""From the name of a member back to the key of its utterance."""

from urllib.parse import unquote


def unescape(name: str) -> str:
    """The key that `escape` was given: the docs' line for readers, also for keys that no utterance can have.

    >>> unescape("ru%2Fvoice%2E1")
    'ru/voice.1'
    """
    return "" if name == "%" else unquote(name.replace("/", ""), errors="surrogatepass")
