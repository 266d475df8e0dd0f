"""verify: read an output again, all of it, and hold it against what was written down when it was made.

The trust goes one way. Commit records, job.json and published.json carry a seal over their values. A commit record
holds the digest of every object and row of its shard; published.json holds the digests of manifest.jsonl and
failures.jsonl as they were published. So whatever is changed, lost or added afterwards does not fit something sealed.
"""

from pipeline.output.audit.findings import EXIT_CODES, Finding, ShardVerified, VerifyReport
from pipeline.output.audit.reading import verify
from pipeline.output.audit.repair import repair

__all__ = ["EXIT_CODES", "Finding", "ShardVerified", "VerifyReport", "repair", "verify"]
