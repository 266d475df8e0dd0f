"""verify: read all of an output again, and compare it with what was written down when it was made.

Commit records, job.json and published.json carry a seal over their values. A commit record holds the digest of every
object and row of its shard; published.json holds the digests of manifest.jsonl and failures.jsonl. So whatever was
changed, lost or added later disagrees with something sealed. `verify` gives findings; `repair` prepares the next run to
mend them. Nothing here makes audio or publishes.
"""

from pipeline.output.audit.findings import EXIT_CODES, Finding, Look, ShardVerified, VerifyReport
from pipeline.output.audit.look import look
from pipeline.output.audit.reading import verify
from pipeline.output.audit.repair import repair

__all__ = ["EXIT_CODES", "Finding", "Look", "ShardVerified", "VerifyReport", "look", "repair", "verify"]
