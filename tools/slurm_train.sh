#!/usr/bin/env bash
# slurm_train.sh PARTITION JOB_NAME CONFIG [options of tools/train.py]; GPUS (default 8), GPUS_PER_NODE (8), CPUS_PER_TASK (8),
# SRUN_ARGS. A job that is preempted or out of time leaves a checkpoint and exit code 75: the same command with --resume resumes it.
set -euo pipefail
partition=$1 job=$2 config=$3
gpus=${GPUS:-8}
per_node=$((gpus < ${GPUS_PER_NODE:-8} ? gpus : ${GPUS_PER_NODE:-8}))
exec srun -p "$partition" --job-name="$job" --gres=gpu:"$per_node" --ntasks="$gpus" --ntasks-per-node="$per_node" \
    --cpus-per-task="${CPUS_PER_TASK:-8}" --kill-on-bad-exit=1 --signal=USR1@120 ${SRUN_ARGS:-} \
    "${PYTHON:-python}" -u "$(dirname "$0")/train.py" "$config" --launcher slurm "${@:4}"
