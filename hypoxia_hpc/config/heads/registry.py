"""The heads and clusterings that run.toml can name: the table of each, and what every room has to know of it.

To add one: its table in a file beside this one, a line in the registry below, and its code in
``hypoxia_hpc/networks/heads`` with a line in the registry there. Two registries, because the configuration lies below
everything: ``status`` and ``report`` read run.toml without the code of networks. A test holds both to the same names.

Another package adds one with an entry point of the group ``hypoxia_hpc.heads`` or ``hypoxia_hpc.clusterings`` that
names a ``Head`` or ``Clustering`` of ``hypoxia_hpc.networks.heads.head``: table and code in one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hypoxia_hpc.config.heads.attention import AttentionTable
from hypoxia_hpc.config.heads.contrastive import ContrastiveTable
from hypoxia_hpc.config.heads.contrastive_network import ContrastiveNetworkTable
from hypoxia_hpc.config.heads.declared import DeclaredClustering, DeclaredHead
from hypoxia_hpc.config.heads.deep_kmeans import DeepKMeansTable
from hypoxia_hpc.config.heads.finetune import FinetuneTable
from hypoxia_hpc.config.heads.funnel import FunnelTable
from hypoxia_hpc.config.heads.kmeans import KMeansTable, MiniBatchKMeansTable
from hypoxia_hpc.config.heads.linear import LinearTable
from hypoxia_hpc.config.heads.logistic import LogisticTable
from hypoxia_hpc.config.heads.relu import ReluTable
from hypoxia_hpc.config.heads.tanh import TanhTable
from hypoxia_hpc.config.outcome import OUTCOME_KINDS
from hypoxia_hpc.config.plugins import added

HEADS_GROUP, CLUSTERINGS_GROUP = "hypoxia_hpc.heads", "hypoxia_hpc.clusterings"
HEAD, CLUSTERING = (f"{name} of hypoxia_hpc.networks.heads.head" for name in ("Head", "Clustering"))
# Entries of [train] itself.
RESERVED = (
    *("heads", "clusterings", "folds", "repeats", "split", "seed", "keep_together", "split_file", "search"),
    "tumour-type",
)


_HEADS: Mapping[str, DeclaredHead] = {
    "tanh": DeclaredHead(table=TanhTable, outcomes=("binary", "classes")),
    "funnel": DeclaredHead(table=FunnelTable, outcomes=("binary", "score")),
    "relu": DeclaredHead(table=ReluTable),
    "logistic": DeclaredHead(table=LogisticTable, outcomes=("binary", "classes"), balance="weight"),
    "linear": DeclaredHead(table=LinearTable, outcomes=("score", "survival"), loss_over="patient"),
    "attention": DeclaredHead(
        table=AttentionTable, outcomes=("binary", "classes", "score", "survival"), loss_over="patient, a bag of tiles"
    ),
    "finetune": DeclaredHead(table=FinetuneTable, inputs="pixels", outcomes=("binary", "classes"), searchable=False),
}
_CLUSTERINGS: Mapping[str, DeclaredClustering] = {
    "deep_kmeans": DeclaredClustering(
        table=DeepKMeansTable,
        loss_over="tile; the autoencoder alone first, then the distance to the clusters is added, and the loss jumps",
    ),
    "contrastive": DeclaredClustering(table=ContrastiveTable, loss_over="batch of tiles"),
    "contrastive_network": DeclaredClustering(
        table=ContrastiveNetworkTable, inputs="pixels", loss_over="batch of tiles"
    ),
    "kmeans": DeclaredClustering(table=KMeansTable),
    "mini_batch_kmeans": DeclaredClustering(table=MiniBatchKMeansTable),
}


def unfit_head(head: DeclaredHead) -> str:
    """Why a head of another package cannot be used; empty where it can."""
    code = ("train",) if head.inputs == "pixels" else ("train", "predictor")
    if not set(head.outcomes) & set(OUTCOME_KINDS):
        return f"predicts {list(head.outcomes)}, and a run asks for one of {list(OUTCOME_KINDS)}"
    return _without_code(head, code, HEAD)


def unfit_clustering(clustering: DeclaredClustering) -> str:
    """Why a clustering of another package cannot be used; empty where it can."""
    if clustering.inputs == "pixels":
        return "is on pixels, and a clustering of another package is on features"
    return _without_code(clustering, ("train", "predictor", "n_clusters"), CLUSTERING)


def _without_code(one: object, code: Sequence[str], wanted: str) -> str:
    """The code is looked for by its names: the configuration does not import the rooms of networks."""
    lacking = [name for name in code if not callable(getattr(one, name, None))]
    return f"is of type {type(one).__name__} without {', '.join(lacking)}: name a {wanted}" if lacking else ""


_ADDED_HEADS = added(HEADS_GROUP, DeclaredHead, (*RESERVED, *_HEADS, *_CLUSTERINGS), unfit=unfit_head, called=HEAD)
_ADDED_CLUSTERINGS = added(
    CLUSTERINGS_GROUP,
    DeclaredClustering,
    (*RESERVED, *_HEADS, *_CLUSTERINGS, *_ADDED_HEADS.found),
    unfit=unfit_clustering,
    called=CLUSTERING,
)

# Those of this package in the order of the report, then those that installed packages add.
HEADS: Mapping[str, DeclaredHead] = {**_HEADS, **_ADDED_HEADS.found}
CLUSTERINGS: Mapping[str, DeclaredClustering] = {**_CLUSTERINGS, **_ADDED_CLUSTERINGS.found}
# Why a head or clustering that an installed package adds cannot be used, by name.
USELESS_HEADS: Mapping[str, str] = _ADDED_HEADS.useless
USELESS_CLUSTERINGS: Mapping[str, str] = _ADDED_CLUSTERINGS.useless


def declared(name: str) -> DeclaredHead | DeclaredClustering:
    """The head or clustering of this name. Raises KeyError."""
    return HEADS[name] if name in HEADS else CLUSTERINGS[name]


def is_on_pixels(name: str) -> bool:
    """Is this a head or clustering that is trained on the pixels of tiles?"""
    return (name in HEADS or name in CLUSTERINGS) and declared(name).inputs == "pixels"


def loss_over(name: str) -> str:
    """What the loss of this head or clustering is the mean over; of one that is not installed here, tiles."""
    return declared(name).loss_over if name in HEADS or name in CLUSTERINGS else "tile"
