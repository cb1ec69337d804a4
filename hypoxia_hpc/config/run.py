"""The whole of run.toml."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, model_validator

from hypoxia_hpc.config.base import Table
from hypoxia_hpc.config.cohort import CohortTable
from hypoxia_hpc.config.evaluate import EvaluateTable, PoolingKind
from hypoxia_hpc.config.extract import ExtractTable
from hypoxia_hpc.config.heads.registry import HEADS
from hypoxia_hpc.config.outcome import OutcomeKind, OutcomeTable
from hypoxia_hpc.config.paths import COHORT
from hypoxia_hpc.config.phenotypes import PhenotypesTable
from hypoxia_hpc.config.report import ReportTable
from hypoxia_hpc.config.site import SiteTable
from hypoxia_hpc.config.source import SourceTable
from hypoxia_hpc.config.studies.registry import STUDIES, USELESS_STUDIES
from hypoxia_hpc.config.survival import SurvivalTable
from hypoxia_hpc.config.tile import TileTable
from hypoxia_hpc.config.train import TrainTable, one_of

# The median of each of several probabilities is no probability: they no longer sum to 1. A share is no score, no risk.
POOLINGS: Mapping[OutcomeKind, tuple[PoolingKind, ...]] = {
    "binary": ("mean", "median", "top-k", "share-above"),
    "classes": ("mean",),
    "score": ("mean", "median", "top-k"),
    "survival": ("mean", "median", "top-k"),
}
StudyName = Annotated[str, one_of(STUDIES, USELESS_STUDIES)]


class RunConfig(Table):
    """The whole of run.toml."""

    study: StudyName = Field("hypoxia", description="preset that the defaults come from")
    source: SourceTable = SourceTable()
    cohort: CohortTable = CohortTable()
    outcome: OutcomeTable = OutcomeTable()
    tile: TileTable = TileTable()
    extract: ExtractTable = ExtractTable()
    train: TrainTable = TrainTable()
    evaluate: EvaluateTable = EvaluateTable()
    phenotypes: PhenotypesTable = PhenotypesTable()
    survival: SurvivalTable = SurvivalTable()
    report: ReportTable = ReportTable()
    site: SiteTable = SiteTable()

    @model_validator(mode="after")
    def _models_on_pixels_have_them_and_a_name(self) -> RunConfig:
        for name in self.train.on_pixels:
            self._require_pixels_and_a_name(name)
        return self

    @model_validator(mode="after")
    def _imported_features_are_all_there_is(self) -> RunConfig:
        if not self.extract.imported:
            return self
        wrong = [f"[train] {name}, which goes by the pixels of tiles" for name in self.train.on_pixels]
        wrong += ["[tile] regions"] if self.tile.regions is not None else []
        wrong += ['[source] kind = "folders"'] if self.source.kind == "folders" else []
        if wrong:
            raise ValueError(
                f'[extract] backbone = "{self.extract.backbone}": imported features have their tiles, and no pixels; '
                f"remove {'; '.join(wrong)}"
            )
        return self

    @model_validator(mode="after")
    def _images_are_tiled_as_they_can_be(self) -> RunConfig:
        tile = self.tile
        wrong = [
            f'{name} = "{getattr(tile, name)}"'
            for name, fits in (("pixels", "store"), ("tissue", "none"))
            if getattr(tile, name) != fits
        ]
        wrong += ["regions"] if tile.regions is not None else []
        if self.source.kind == "folders" and wrong:
            raise ValueError(f'[tile] {", ".join(wrong)}: not for [source] kind = "folders"; remove it')
        if self.source.kind != "folders" and tile.series.is_on:
            raise ValueError('[tile.series] is for images in folders: set scale = "none"')
        if tile.stain.method != "none" and tile.series.is_on:
            raise ValueError("[tile.series] is for gray slices, [tile.stain] for stained tissue: remove one of them")
        return self

    @model_validator(mode="after")
    def _training_patients_are_known_where_tiles_need_them(self) -> RunConfig:
        if self.tile.stain.reference == COHORT and self.train.split_file is None:
            raise ValueError(
                '[tile.stain] reference = "cohort" is fitted on training patients, which have to be known before tiles '
                "are made: name a table of patient_id and set as [train] split_file (init --split)"
            )
        return self

    @model_validator(mode="after")
    def _heads_predict_the_outcome(self) -> RunConfig:
        kind = self.outcome.kind
        wrong = [head for head in self.train.heads if kind not in HEADS[head].outcomes]
        if wrong:
            able = [head for head in HEADS if kind in HEADS[head].outcomes]
            raise ValueError(
                f"[train] heads: {', '.join(wrong)} cannot predict an [outcome] of kind {kind!r}; these can: "
                f"{', '.join(able)}"
            )
        return self

    @model_validator(mode="after")
    def _evaluates_as_the_outcome_allows(self) -> RunConfig:
        kind, pooling = self.outcome.kind, self.evaluate.pooling
        able = POOLINGS[kind]
        if kind == "survival" and self.evaluate.image_split:
            raise ValueError('[evaluate] image_split is not for an [outcome] of kind "survival": leave it out')
        if pooling not in able:
            raise ValueError(
                f"[evaluate] pooling = {pooling!r} is not for an [outcome] of kind {kind!r}; these are: "
                f"{', '.join(able)}"
            )
        return self

    def _require_pixels_and_a_name(self, name: str) -> None:
        kind = "head" if name in self.train.heads else "clustering"
        if self.tile.pixels == "none":
            raise ValueError(
                f'[train] {kind}s has "{name}", which goes by the pixels of tiles: set [tile] pixels = "store", or '
                f"take it out of {kind}s"
            )
        if self.extract.name.split(".")[0] == name:
            raise ValueError(
                f'[extract] name = "{self.extract.name}" is where the {kind} "{name}" keeps its own: choose another'
            )
