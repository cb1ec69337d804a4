"""``run.toml``: one table per stage, validated and frozen, with a preset per study; and the keys made from it.

An unknown key is an error that lists the valid ones with their defaults. `[site]` says where and how fast, never what:
it enters no key.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hypoxia_hpc.config.base import ADDED as ADDED
    from hypoxia_hpc.config.base import NAME_PATTERN as NAME_PATTERN
    from hypoxia_hpc.config.base import Table as Table
    from hypoxia_hpc.config.cohort import CohortTable as CohortTable
    from hypoxia_hpc.config.evaluate import EvaluateTable as EvaluateTable
    from hypoxia_hpc.config.extract import ExtractTable as ExtractTable
    from hypoxia_hpc.config.heads.attention import AttentionTable as AttentionTable
    from hypoxia_hpc.config.heads.contrastive import ContrastiveTable as ContrastiveTable
    from hypoxia_hpc.config.heads.contrastive_network import ContrastiveNetworkTable as ContrastiveNetworkTable
    from hypoxia_hpc.config.heads.deep_kmeans import DeepKMeansTable as DeepKMeansTable
    from hypoxia_hpc.config.heads.fields import Balance as Balance
    from hypoxia_hpc.config.heads.finetune import FinetuneTable as FinetuneTable
    from hypoxia_hpc.config.heads.funnel import FunnelTable as FunnelTable
    from hypoxia_hpc.config.heads.kmeans import KMeansTable as KMeansTable
    from hypoxia_hpc.config.heads.kmeans import MiniBatchKMeansTable as MiniBatchKMeansTable
    from hypoxia_hpc.config.heads.linear import LinearTable as LinearTable
    from hypoxia_hpc.config.heads.logistic import LogisticTable as LogisticTable
    from hypoxia_hpc.config.heads.network import NetworkTable as NetworkTable
    from hypoxia_hpc.config.heads.registry import CLUSTERINGS as CLUSTERINGS
    from hypoxia_hpc.config.heads.registry import HEADS as HEADS
    from hypoxia_hpc.config.heads.relu import ReluTable as ReluTable
    from hypoxia_hpc.config.heads.tanh import TanhTable as TanhTable
    from hypoxia_hpc.config.keys import canonical_json as canonical_json
    from hypoxia_hpc.config.keys import stage_key as stage_key
    from hypoxia_hpc.config.loading import load_config as load_config
    from hypoxia_hpc.config.loading import parse_config as parse_config
    from hypoxia_hpc.config.loading import preset as preset
    from hypoxia_hpc.config.outcome import OutcomeTable as OutcomeTable
    from hypoxia_hpc.config.phenotypes import PhenotypesTable as PhenotypesTable
    from hypoxia_hpc.config.report import ReportTable as ReportTable
    from hypoxia_hpc.config.run import RunConfig as RunConfig
    from hypoxia_hpc.config.search import SearchTable as SearchTable
    from hypoxia_hpc.config.site import SiteTable as SiteTable
    from hypoxia_hpc.config.slurm import SlurmTable as SlurmTable
    from hypoxia_hpc.config.source import SourceTable as SourceTable
    from hypoxia_hpc.config.studies.registry import STUDIES as STUDIES
    from hypoxia_hpc.config.studies.study import Study as Study
    from hypoxia_hpc.config.tile import TileTable as TileTable
    from hypoxia_hpc.config.toml import render_config as render_config
    from hypoxia_hpc.config.toml import toml_value as toml_value
    from hypoxia_hpc.config.train import TrainTable as TrainTable

# Loaded when they are asked for: the names of the studies (--help) need no pydantic, and the module of an installed
# package that adds a head imports parts of this one while the list of heads is being made.
_HOMES = {
    "ADDED": "base",
    "AttentionTable": "heads.attention",
    "Balance": "heads.fields",
    "CLUSTERINGS": "heads.registry",
    "CohortTable": "cohort",
    "ContrastiveNetworkTable": "heads.contrastive_network",
    "ContrastiveTable": "heads.contrastive",
    "DeepKMeansTable": "heads.deep_kmeans",
    "EvaluateTable": "evaluate",
    "ExtractTable": "extract",
    "FinetuneTable": "heads.finetune",
    "FunnelTable": "heads.funnel",
    "HEADS": "heads.registry",
    "KMeansTable": "heads.kmeans",
    "LinearTable": "heads.linear",
    "LogisticTable": "heads.logistic",
    "MiniBatchKMeansTable": "heads.kmeans",
    "NAME_PATTERN": "base",
    "NetworkTable": "heads.network",
    "OutcomeTable": "outcome",
    "PhenotypesTable": "phenotypes",
    "ReluTable": "heads.relu",
    "ReportTable": "report",
    "RunConfig": "run",
    "STUDIES": "studies.registry",
    "SearchTable": "search",
    "SiteTable": "site",
    "SlurmTable": "slurm",
    "SourceTable": "source",
    "Study": "studies.study",
    "Table": "base",
    "TanhTable": "heads.tanh",
    "TileTable": "tile",
    "TrainTable": "train",
    "canonical_json": "keys",
    "load_config": "loading",
    "parse_config": "loading",
    "preset": "loading",
    "render_config": "toml",
    "stage_key": "keys",
    "toml_value": "toml",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
