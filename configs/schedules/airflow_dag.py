"""Every night the audio of what changed in the corpus: a DAG of Airflow 3, to be put into its folder of DAGs."""

import datetime
import subprocess

from airflow.sdk import dag, task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

CORPUS = "/srv/corpus"
MELMILL = "/srv/melmill/.venv/bin/melmill"  # in an environment of its own, apart from Airflow's

DONE = (0, 3)  # 3: some utterances are quarantined; failures.jsonl says why
OWNED = 5  # another run is at work, and does this one's work
LATER = (6, 75)  # storage or cluster failed, or it was interrupted; the next try goes on


@dag(schedule="0 3 * * *", start_date=datetime.datetime(2026, 1, 1), catchup=False, max_active_runs=1)
def melmill() -> None:
    """One task."""

    @task(retries=5, retry_delay=datetime.timedelta(minutes=5))
    def audio() -> None:
        """Retried where the next try can go on; skipped where another run is at work; failed for good otherwise."""
        code = subprocess.run([MELMILL, "run", "job.yaml", "--if-changed"], cwd=CORPUS, check=False).returncode
        if code == OWNED:
            raise AirflowSkipException("another run is at work")
        if code in LATER or code < 0:
            raise RuntimeError(f"melmill ended with {code}, and is tried again")
        if code not in DONE:
            raise AirflowFailException(f"melmill ended with {code}: somebody has to look")

    audio()


melmill()
