"""The commands of the page about object stores, on a real one."""

from pathlib import Path

from support.pages import blocks, console, shell
from support.s3_server import BUCKET, KEY, SECRET, Server, client

PAGE = "howto/object-stores"


def test_the_commands_of_the_page_run(server: Server, small_store: Path, tmp_path: Path) -> None:
    """The endpoint is the server's instead of the example's; the job file is the page's own."""
    client(server.endpoint).put(f"{small_store}/", f"{BUCKET}/mels.zarr/", recursive=True)
    (job,) = [block.body for block in blocks(PAGE) if block.language == "yaml"]
    assert f"s3://{BUCKET}/" in job
    (tmp_path / "job.yaml").write_text(here(job, server))
    lines = console(PAGE, "s3")
    assert len(lines) == 3
    for line in lines:
        done = shell(here(line, server), tmp_path, STORE_KEY=KEY, STORE_SECRET=SECRET)
        assert done.code == 0, f"{line}: {done.said}"
        assert SECRET not in done.said


def here(text: str, server: Server) -> str:
    """With the server's endpoint."""
    return text.replace("https://objects.example.org", server.endpoint)
