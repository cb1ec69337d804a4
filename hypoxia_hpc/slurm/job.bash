# What every job does, whether submit wrote its head or a script to edit sources this file. It knows only the
# command line of hypoxia-hpc. Given by the head: STAGE, RUN, SHARES and FIRST (empty: the whole cohort), RETRY, HYPOXIA_*.
# shellcheck shell=bash disable=SC2153,SC2154

element=${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}${SLURM_ARRAY_TASK_ID:+_$SLURM_ARRAY_TASK_ID}
say() { echo "$(date +%FT%T) job $element: $*"; }

if [ -n "$HYPOXIA_MODULES" ]; then
    read -ra modules <<<"$HYPOXIA_MODULES"
    # A shell that is no login shell may not know it.
    for start in "${MODULESHOME:-}/init/bash" /etc/profile.d/{lmod,z00_lmod,modules}.sh \
        /usr/share/{lmod/lmod,lmod,modules,Modules}/init/bash; do
        if ! type module >/dev/null 2>&1 && [ -r "$start" ]; then
            # shellcheck source=/dev/null
            source "$start"
        fi
    done
    if ! type module >/dev/null 2>&1; then
        say "module is not known here, and [site.slurm] modules names some: leave them out, or set \$MODULESHOME"
        exit 4
    fi
    module load "${modules[@]}" || exit 4
fi

if [ -n "$HYPOXIA_IMAGE" ] && [ ! -r "$HYPOXIA_IMAGE" ]; then
    say "the image $(printf %q "$HYPOXIA_IMAGE") is not there or cannot be read: build or copy it, and submit again"
    exit 4
fi
# With sbatch --export=NONE srun would hand on as little; what stands below has to reach each step.
unset SLURM_EXPORT_ENV
# sbatch from within another allocation passes that one's on; srun takes one of them only.
if [ -n "${SLURM_MEM_PER_NODE:-}" ]; then unset SLURM_MEM_PER_CPU SLURM_MEM_PER_GPU; fi

work=("$STAGE" "$RUN")
mpi=none
if [ -n "$SHARES" ]; then
    : "${SLURM_ARRAY_TASK_ID:?this stage is an array: sbatch --array=0-$((SHARES - 1)) ...}"
    # N is given, never SLURM_ARRAY_TASK_COUNT: that changes when only some elements are sent again.
    work+=(--share "$((FIRST + SLURM_ARRAY_TASK_ID))/$SHARES")
    if [[ " $HYPOXIA_ON_CORES " == *" $STAGE "* ]]; then work+=(--workers "$SLURM_CPUS_PER_TASK"); fi
    if [ "$SLURM_NTASKS" -gt 1 ]; then mpi=$HYPOXIA_MPI && work+=(--mpi); fi
    if [ -n "$RETRY" ]; then work+=(--retry); fi
fi

# A folder of this job alone on the disk of each of its nodes, for whatever goes to $TMPDIR; and one for compiled kernels
# that outlives it, so that a node compiles them once for all jobs of this user.
base=${HYPOXIA_SCRATCH:-${TMPDIR:-/tmp}}
export TMPDIR="$base/hypoxia-$SLURM_JOB_ID" HYPOXIA_HPC_KERNELS="$base/hypoxia_hpc-kernels-$UID"
on_each_node() {
    if [ "$SLURM_NNODES" = 1 ]; then
        "$@"
    else
        # Without --mem=0 such a step waits for memory of its own, all of which the step of the work has.
        srun --nodes="$SLURM_NNODES" --ntasks="$SLURM_NNODES" --ntasks-per-node=1 --overlap --mem=0 --mpi=none "$@"
    fi
}
# Folders of this user's jobs that were killed, and of which SLURM says that they are over, go first.
# shellcheck disable=SC2016
if ! on_each_node bash -c '
    for left in "${TMPDIR%/*}"/hypoxia-[0-9]*; do
        if [ "$left" != "$TMPDIR" ] && [ -O "$left" ] && [ ! -L "$left" ]; then
            { said=$(squeue --noheader --jobs="${left##*-}" 2>&1) && [ -z "$said" ]; } ||
                [[ $said == *"Invalid job id"* ]] && rm -rf -- "$left"
        fi
    done
    mkdir -p -m 700 -- "$HYPOXIA_HPC_KERNELS"
    mkdir -p -m 700 -- "$TMPDIR" && [ -O "$TMPDIR" ] && [ ! -L "$TMPDIR" ]'; then
    say "$(printf %q "$TMPDIR") cannot be made, or belongs to another user: mend [site] scratch or \$TMPDIR, or delete it"
    exit 4
fi

inside=()
if [ -n "$HYPOXIA_IMAGE" ]; then
    container=apptainer
    if ! type "$container" >/dev/null 2>&1; then container=singularity; fi
    if ! type "$container" >/dev/null 2>&1; then
        say "neither apptainer nor singularity is here: name their module in [site.slurm] modules"
        exit 4
    fi
    inside=("$container" exec --bind "$RUN" --bind "${HYPOXIA_SCRATCH:-$TMPDIR}" --bind "$HYPOXIA_HPC_KERNELS")
    if [ -n "$HYPOXIA_BINDS" ]; then inside+=(--bind "$HYPOXIA_BINDS"); fi
    if [ -n "${SLURM_JOB_GPUS:-}${SLURM_STEP_GPUS:-}${SLURM_GPUS_ON_NODE:-}${CUDA_VISIBLE_DEVICES:-}" ]; then
        if [ -e /dev/kfd ]; then inside+=(--rocm); else inside+=(--nv); fi # AMD's, or NVIDIA's
    fi
    inside+=("$HYPOXIA_IMAGE")
    # MPI ranks in user namespaces of their own cannot read each other's memory; they talk by TCP instead.
    export {APPTAINER,SINGULARITY}ENV_UCX_TLS=self,tcp {APPTAINER,SINGULARITY}ENV_MPIR_CVAR_CH4_CMA_ENABLE=0
fi

# The report says what jobs had and used; an image has neither sacct nor sinfo.
if [ "$STAGE" = report ] && [ -n "${HYPOXIA_SACCT:-}" ]; then
    sent=("$RUN"/slurm/jobs/*.json)
    sent=("${sent[@]##*/}")
    ids=$(IFS=, && echo "${sent[*]%.json}")
    rm -f -- "$RUN/slurm/accounting.txt"
    { timeout 30 sacct --noheader --parsable2 --jobs="$ids" --format="$HYPOXIA_SACCT" &&
        timeout 30 sinfo --noheader --Node --format='%N|%c'; } >"$RUN/slurm/accounting.txt" 2>/dev/null
fi

# Signals. Shortly before the time limit SLURM sends USR1 to this shell alone (--signal=B:USR1@...), which passes it on;
# hypoxia-hpc finishes the slides it is at and exits with 75. Where that takes too long, a second USR1 stops it at once.
# It goes to the first process of each task only. Neither srun nor scancel could do that: they signal every process of
# a step, and so kill the one that has the image mounted (squashfuse) before hypoxia-hpc has finished.
# scancel and preemption send TERM to the step themselves, and KILL a little later: what is in flight is done again.
# Bash runs a trap only while it waits; so srun is in the background.
# shellcheck disable=SC2016,SC2317
pass_on() {
    on_each_node bash -c 'kill -USR1 $(cat "$TMPDIR/$SLURMD_NODENAME"-*.pid)'
}
# shellcheck disable=SC2317
stop() {
    heard=1
    say "the time limit is near: asking hypoxia-hpc to stop"
    pass_on
    { sleep "$HYPOXIA_PATIENCE" && pass_on; } 2>/dev/null &
}
trap stop USR1
trap 'heard=1' TERM

# A rank that dies alone ends the others after --wait seconds. --kill-on-bad-exit=1 would do so at once, but also where
# ranks end with 3 or 75, one a little before the others: 137 would be left of that.
heard=0
say "on $SLURM_JOB_NODELIST, start $((${SLURM_RESTART_COUNT:-0} + 1)): hypoxia-hpc$(printf ' %q' "${work[@]}")"
# shellcheck disable=SC2016
srun --kill-on-bad-exit=0 --wait=30 --cpus-per-task="$SLURM_CPUS_PER_TASK" --mpi="$mpi" \
    bash -c 'echo $$ >"$TMPDIR/$SLURMD_NODENAME-$SLURM_PROCID.pid" && exec "$@"' task \
    "${inside[@]}" "$HYPOXIA_PROGRAM" "${work[@]}" &
step=$!
while wait "$step"; code=$?; [ "$heard" = 1 ]; do heard=0; done

on_each_node rm -rf -- "$TMPDIR"
rm -rf -- "$TMPDIR" # SLURM starts no step any more where the job was cancelled
# A line for each requeue of our own: SLURM_RESTART_COUNT counts those after preemption and lost nodes, too.
count=$RUN/slurm/requeues/$element
requeues=$(cat -- "$count" 2>/dev/null | wc -l)
case $code in
    3)
        say "done; some slides are quarantined: hypoxia-hpc status $(printf %q "$RUN")"
        code=0 ;;
    75) # stopped: go on later, unless the job was cancelled
        if [ "$(squeue --noheader --jobs="$element" --format=%T)" != RUNNING ]; then
            say "cancelled"
        elif [ "$requeues" -ge "$HYPOXIA_REQUEUES" ]; then
            say "stopped $((requeues + 1)) times, not requeued again; what sends the rest:" \
                "hypoxia-hpc submit $(printf %q "$RUN")"
        elif mkdir -p -- "$RUN/slurm/requeues" && date +%FT%T >>"$count" && scontrol requeue "$element"; then
            say "requeued"
        else
            say "could not be requeued; what sends the rest: hypoxia-hpc submit $(printf %q "$RUN")"
        fi ;;
esac
exit "$code"
