#!/usr/bin/env bash
# Runs the command itself as a job, where nothing may run on the login node. It submits its workers as further jobs.
# Before its own time limit it interrupts the run and has SLURM start it again: sbatch configs/slurm/driver.sh corpus.yaml
#SBATCH --job-name=melmill-driver
#SBATCH --cpus-per-task=1
#SBATCH --mem=4G
#SBATCH --time=2-00:00:00
#SBATCH --signal=B:TERM@180
#SBATCH --requeue
melmill run "$@" &
trap 'kill -TERM $!' TERM
wait $!
code=$?
while kill -0 $! 2>/dev/null; do wait $!; code=$?; done    # the first wait was cut short by the signal
if [ "$code" -eq 75 ]; then scontrol requeue "$SLURM_JOB_ID"; fi
exit "$code"
