#!/usr/bin/env bash
# A job in parts, for sites where no Dask scheduler may run. Each task of the array makes its part, then what other tasks
# left undone. Start it with: sbatch configs/slurm/array.sh job.yaml
#SBATCH --job-name=melmill-part
#SBATCH --array=0-7
#SBATCH --cpus-per-task=1
#SBATCH --mem=2G
#SBATCH --time=04:00:00
#SBATCH --requeue
exec melmill run "$@" --part "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT"
