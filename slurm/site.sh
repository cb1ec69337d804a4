# Settings of this site, for the scripts beside it. Edit, then once in every shell:   source slurm/site.sh
# shellcheck shell=bash disable=SC2034

# Read by sbatch itself, in the place of its options (man sbatch, "INPUT ENVIRONMENT VARIABLES").
# export SBATCH_ACCOUNT=project123
# export SBATCH_PARTITION=compute
# export SBATCH_QOS=normal

# For extract and train, as in:  sbatch "${GPU[@]}" slurm/cohort.sbatch train RUN
GPU=(--partition=gpu --gres=gpu:1)

# The image made by `make images`; empty: hypoxia-hpc of the environment that is active, or of the modules below.
export HYPOXIA_IMAGE=
# What the image sees beside the run, with commas: the slides, the weights. Links lead only to what is named here.
export HYPOXIA_BINDS=
export HYPOXIA_PROGRAM=hypoxia-hpc
# Environment modules, with spaces between.
export HYPOXIA_MODULES=
# A folder on a disk of the node itself; empty: $TMPDIR of the job, else /tmp.
export HYPOXIA_SCRATCH=

# How MPI ranks find each other (srun --mpi=list); used where a job has more than one.
export HYPOXIA_MPI=pmi2
# Most times that an element which met its time limit is requeued.
export HYPOXIA_REQUEUES=10
# Seconds that it has to stop by itself, of those between --signal and the limit; then it is stopped at once.
export HYPOXIA_PATIENCE=240

# What the scripts do, the same in each of them; a job reads it when it starts.
HYPOXIA_JOB=$(realpath -- "$(dirname -- "${BASH_SOURCE[0]:-$0}")/job.bash")
export HYPOXIA_JOB
# Stages of slides.sbatch that use cores alone: a worker for each.
export HYPOXIA_ON_CORES=tile
