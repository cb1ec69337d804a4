"""The heads and clusterings that run.toml can name: the table of each, and what every room has to know of it.

To add one: its table in a file beside this one, a line in the registry below, and its code in
``hypoxia_hpc/networks/heads`` with a line in the registry there. Two registries, because the configuration lies below
everything: ``status`` and ``report`` read run.toml without the code of networks. A test holds both to the same names.

Another package adds one with an entry point of the group ``hypoxia_hpc.heads`` or ``hypoxia_hpc.clusterings`` that
names a ``Head`` or ``Clustering`` of ``hypoxia_hpc.networks.heads.head``: table and code in one.
"""

from __future__ import annotations

from collections.abc import Mapping

from hypoxia_hpc.config.heads.attention import AttentionTable
from hypoxia_hpc.config.heads.declared import DeclaredClustering, DeclaredHead
from hypoxia_hpc.config.heads.deep_kmeans import DeepKMeansTable
from hypoxia_hpc.config.heads.finetune import FinetuneTable
from hypoxia_hpc.config.heads.funnel import FunnelTable
from hypoxia_hpc.config.heads.logistic import LogisticTable
from hypoxia_hpc.config.heads.tanh import TanhTable
from hypoxia_hpc.config.plugins import added

HEADS_GROUP, CLUSTERINGS_GROUP = "hypoxia_hpc.heads", "hypoxia_hpc.clusterings"
# Entries of [train] itself.
RESERVED = ("heads", "clusterings", "folds", "split", "seed", "search", "tumour-type")


_HEADS: Mapping[str, DeclaredHead] = {
    "tanh": DeclaredHead(table=TanhTable),
    "funnel": DeclaredHead(table=FunnelTable),
    "logistic": DeclaredHead(table=LogisticTable),
    "attention": DeclaredHead(table=AttentionTable, loss_over="patient, a bag of tiles"),
    "finetune": DeclaredHead(table=FinetuneTable, inputs="pixels", searchable=False),
}
_CLUSTERINGS: Mapping[str, DeclaredClustering] = {
    "deep_kmeans": DeclaredClustering(
        table=DeepKMeansTable,
        loss_over="tile; the autoencoder alone first, then the distance to the clusters is added, and the loss jumps",
    ),
}
_ADDED_HEADS = added(HEADS_GROUP, DeclaredHead, (*RESERVED, *_HEADS, *_CLUSTERINGS))
_ADDED_CLUSTERINGS = added(
    CLUSTERINGS_GROUP, DeclaredClustering, (*RESERVED, *_HEADS, *_CLUSTERINGS, *_ADDED_HEADS.found)
)

# Those of this package in the order of the report, then those that installed packages add.
HEADS: Mapping[str, DeclaredHead] = {**_HEADS, **_ADDED_HEADS.found}
CLUSTERINGS: Mapping[str, DeclaredClustering] = {**_CLUSTERINGS, **_ADDED_CLUSTERINGS.found}
# Why a head or clustering that an installed package adds cannot be used, by name.
USELESS: Mapping[str, str] = {**_ADDED_HEADS.useless, **_ADDED_CLUSTERINGS.useless}


def declared(name: str) -> DeclaredHead | DeclaredClustering:
    """The head or clustering of this name. Raises KeyError."""
    return HEADS[name] if name in HEADS else CLUSTERINGS[name]


def is_on_pixels(name: str) -> bool:
    """Is this a head that is trained on the pixels of tiles?"""
    return name in HEADS and HEADS[name].inputs == "pixels"


def loss_over(name: str) -> str:
    """What the loss of this head or clustering is the mean over; of one that is not installed here, tiles."""
    return declared(name).loss_over if name in HEADS or name in CLUSTERINGS else "tile"
