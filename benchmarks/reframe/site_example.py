"""A site's configuration for ReFrame, to copy and edit: names of partitions, accounts and modules are yours.

``local`` is the machine that you are on. A partition's `access` are the options of sbatch that its jobs need.
"""

APPTAINER = {"type": "Apptainer", "modules": []}

site_configuration = {
    "systems": [
        {
            "name": "local",
            "descr": "this machine, without a scheduler",
            "hostnames": [".*"],
            "partitions": [
                {
                    "name": "cpu",
                    "scheduler": "local",
                    "launcher": "mpiexec",
                    "environs": ["default"],
                    "max_jobs": 1,
                    "container_platforms": [APPTAINER],
                }
            ],
        },
        {
            "name": "cluster",
            "descr": "a cluster with SLURM: reframe --system=cluster",
            "hostnames": ["^login"],
            "partitions": [
                {
                    "name": "cpu",
                    "scheduler": "slurm",
                    "launcher": "srun",
                    "access": ["--partition=normal", "--mem-per-cpu=2G"],
                    "environs": ["default"],
                    "max_jobs": 4,
                    "container_platforms": [APPTAINER],
                },
                {
                    "name": "gpu",
                    "scheduler": "slurm",
                    "launcher": "srun",
                    "access": ["--partition=gpu", "--gres=gpu:1", "--mem-per-cpu=4G"],
                    "environs": ["default"],
                    "max_jobs": 4,
                    "container_platforms": [APPTAINER],
                },
            ],
        },
    ],
    "environments": [{"name": "default"}],
    "storage": [{"enable": True}],
}
