"""Makes the audio of what changed in the corpus, every night. Put this file into the folder of DAGs of Airflow 3."""

import datetime
import subprocess

from airflow.sdk import dag, task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

CORPUS = "/srv/corpus"
MELMILL = "/srv/melmill/.venv/bin/melmill"  # in an environment of its own, not Airflow's

DONE = (0, 3)  # 3: some utterances are quarantined; failures.jsonl says why
OWNED = 5  # another run is at work, and makes everything
LATER = (6, 75)  # storage or cluster failed, or the run was interrupted; the next try resumes


@dag(schedule="0 3 * * *", start_date=datetime.datetime(2026, 1, 1), catchup=False, max_active_runs=1)
def melmill() -> None:
    """One task."""

    @task(retries=5, retry_delay=datetime.timedelta(minutes=5))
    def audio() -> None:
        """Retried if the next try can resume; skipped if another run is at work; otherwise failed for good."""
        code = subprocess.run([MELMILL, "run", "job.yaml", "--if-changed"], cwd=CORPUS, check=False).returncode
        if code == OWNED:
            raise AirflowSkipException("another run is at work")
        if code in LATER or code < 0:
            raise RuntimeError(f"melmill ended with exit code {code}; it is tried again")
        if code not in DONE:
            raise AirflowFailException(f"melmill ended with exit code {code}: a person must look")

    audio()


melmill()
