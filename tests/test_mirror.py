"""Every module of the package has a test file of its name in the mirrored folder, or is named here with the file that
tests it.

A file that is named here has to reach the module: it, or a helper of the tests that it imports, imports the module or
one that leads to it. Tests of the command line start a command, which leads to what :mod:`hypoxia_hpc.cli.app` imports;
``import hypoxia_hpc`` leads to all of the Python API, which it loads when it is used.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest
from test_layers import IMPORTED, MODULES, imports

TESTS = Path(__file__).parent
# Words by which a test file says that it starts commands.
COMMANDS = ('"hypoxia_hpc"', '"hypoxia-hpc"', "fork_server", "forks", "hypoxia: Callable")

TESTED_IN = {
    "bench.costs": "cli/test_bench.py",
    "bench.environment": "bench/test_records.py",
    "bench.running": "cli/test_bench.py",
    "bench.gpu_decoders": "bench/test_decoding.py",
    "bench.cases.decoding": "bench/test_decoding.py",
    "cli.text.bench": "cli/test_bench.py",
    "bench.scaling_records": "bench/test_scaling.py",
    "tiling.touched_blocks": "tiling/test_cutting.py",
    "cli.text.scaling_curve": "bench/test_scaling.py",
    "cli.text.scaling_notes": "bench/test_scaling_tasks.py",
    "bench.scaling_jobs": "cluster/test_live_scaling.py",
    "cli.scaling": "bench/test_scaling_runs.py",
    "bench.cases.native_tiles": "bench/test_wrong_answers.py",
    **{f"bench.{name}": "bench/test_cases.py" for name in ("agreement", "bounds", "case", "delivery", "feeding")},
    **{f"bench.{name}": "bench/test_cases.py" for name in ("resident", "rounds", "slides", "stored_tiles")},
    **{f"bench.cases.{name}": "bench/test_cases.py" for name in ("feeding", "heads", "kernels", "readers")},
    "bench.bare_stores": "bench/test_networks.py",
    "bench.cases.networks": "bench/test_networks.py",
    **{
        f"bench.cases.{name}": "bench/test_cases.py" for name in ("registry", "stages", "stain", "statistics", "stores")
    },
    "__init__": "api/test_lazy.py",
    "api.bag_models": "api/test_estimators.py",
    "api.bags": "api/test_estimators.py",
    "api.features": "api/test_api_features.py",
    "api.regressors": "api/test_estimators.py",
    "api.notebook": "api/test_api_runs.py",
    "api.run_slides": "api/test_api_runs.py",
    "api.runs": "api/test_api_runs.py",
    "api.slides": "api/test_api_slides.py",
    "api.tiles": "api/test_api_tiles.py",
    "exports.tile_grid": "exports/test_dicom_files.py",
    "models.slide_size": "stages/test_import_features.py",
    "exports.writing": "stages/test_export.py",
    "slides.dicom_headers": "exports/test_dicom_files.py",
    "cli.text.planted": "stages/test_demo_sclc.py",
    "cli.app": "test_bad_input.py",
    "cli.backbones": "networks/backbones/test_foundation_models.py",
    "cli.checking": "journey/test_journey.py",
    "cli.cluster": "stages/test_submit.py",
    "cli.exporting": "stages/test_export.py",
    "cli.exits": "test_bad_input.py",
    "cli.making": "test_bad_input.py",
    "cli.options": "test_bad_input.py",
    "cli.paths": "test_bad_input.py",
    "cli.stages": "test_bad_input.py",
    "cli.terminal": "test_bad_input.py",
    "cli.text.doctor": "monitoring/test_doctor.py",
    "cli.text.estimate": "monitoring/test_estimate.py",
    "cli.text.exporting": "stages/test_export.py",
    "cli.text.making": "test_bad_input.py",
    "cli.text.metrics": "stages/test_train.py",
    "cli.text.normalise": "stages/test_normalise.py",
    "cli.text.stages": "journey/test_journey.py",
    "cli.text.status": "monitoring/test_status.py",
    "cli.text.submission": "stages/test_submit.py",
    "cli.text.survival": "stages/test_survival.py",
    "cli.text.words": "monitoring/test_status.py",
    "cli.planning": "monitoring/test_scaling.py",
    "cli.text.scaling": "monitoring/test_scaling.py",
    "monitoring.alternatives": "monitoring/test_scaling.py",
    "monitoring.rates_here": "monitoring/test_scaling.py",
    "runs.like_cohorts": "monitoring/test_scaling.py",
    **{
        f"simulation.{name}": "simulation/test_simulated_runs.py"
        for name in ("accounts", "cluster", "nodes", "queue", "run", "task", "work")
    },
    "slurm.sizing": "simulation/test_simulated_runs.py",
    "runs.image_update": "stages/test_image_folders.py",
    "runs.initialised": "stages/test_init.py",
    "slides.recoloured_slide": "stages/test_normalise.py",
    "tiling.stain.methods": "stages/test_normalise.py",
    **{
        f"exports.{name}": "exports/test_formats.py"
        for name in ("anndata_files", "atlaspatch", "clam", "hdf5", "qupath")
    },
    **{f"exports.{name}": "exports/test_formats.py" for name in ("registry", "slide", "stamp", "tables", "trident")},
    "models.map_layers": "stages/test_maps.py",
    "models.tile_galleries": "stages/test_maps.py",
    **{f"imports.{name}": "stages/test_import_features.py" for name in ("agreement", "matching")},
    "imports.hdf5": "imports/test_feature_files.py",
    "imports.tile_rows": "imports/test_importing.py",
    "models.importing": "imports/test_importing.py",
    "cli.importing": "stages/test_import_features.py",
    "cli.text.importing": "stages/test_import_features.py",
    "stages.gallery": "stages/test_maps.py",
    "models.tile_predictions": "stages/test_maps.py",
    "reports.rendering": "reports/test_page.py",
    "reports.quality_maps": "reports/test_quality.py",
    "runs.quality": "stages/test_quality.py",
    "slides.quality": "stages/test_quality.py",
    "tiling.quality.measures": "tiling/quality/test_marks.py",
    "models.said_of_tiles": "stages/test_export.py",
    "evaluation.binary": "evaluation/test_kinds.py",
    "evaluation.classes": "evaluation/test_kinds.py",
    "evaluation.measures": "evaluation/test_kinds.py",
    "evaluation.score": "evaluation/test_kinds.py",
    "evaluation.survival": "evaluation/test_kinds.py",
    "evaluation.candidates": "stages/test_survival.py",
    "evaluation.endpoints": "stages/test_survival.py",
    "evaluation.prognosis": "stages/test_survival.py",
    "evaluation.signature": "stages/test_survival.py",
    "runs.prognosis": "stages/test_survival.py",
    "runs.made_by": "models/test_makers.py",
    "reports.remark": "reports/test_survival.py",
    "cohorts.textfiles": "cohorts/test_csvfiles.py",
    "config": "config/test_config.py",
    "config.base": "config/test_config.py",
    "config.series": "tiling/test_gray_series.py",
    "config.cohort": "config/test_config.py",
    "config.evaluate": "config/test_config.py",
    "config.extract": "config/test_config.py",
    "config.heads.attention": "config/test_config.py",
    "config.heads.contrastive": "config/test_config.py",
    "config.heads.contrastive_network": "config/test_config.py",
    "config.heads.declared": "config/test_config.py",
    "config.heads.deep_kmeans": "config/test_config.py",
    "config.heads.fields": "config/test_config.py",
    "config.heads.finetune": "config/test_config.py",
    "config.heads.funnel": "config/test_config.py",
    "config.heads.kmeans": "config/test_config.py",
    "config.heads.linear": "networks/heads/test_linear.py",
    "config.heads.logistic": "config/test_config.py",
    "config.heads.registry": "config/test_config.py",
    "config.heads.relu": "config/test_config.py",
    "config.heads.tanh": "config/test_config.py",
    "config.heads.network": "config/test_config.py",
    "config.keys": "runs/test_keys.py",
    "config.loading": "config/test_config.py",
    "config.messages": "config/test_config.py",
    "config.outcome": "outcomes/test_classes.py",
    "config.paths": "config/test_config.py",
    "config.plugins": "config/test_config.py",
    "config.phenotypes": "config/test_config.py",
    "config.report": "config/test_config.py",
    "config.survival": "config/test_config.py",
    "config.source": "config/test_image_paths.py",
    "slides.image_stores": "slides/test_image_slides.py",
    "slides.volumes": "slides/test_nifti.py",
    "slides.image_reading": "slides/test_image_slides.py",
    "slides.stain_fit": "slides/test_slide_stain.py",
    "slides.stain_reference": "runs/test_cohort_stain.py",
    "models.contact_sheets": "slides/test_image_slides.py",
    "cli.asked_source": "stages/test_image_folders.py",
    "config.run": "config/test_config.py",
    "config.search": "config/test_config.py",
    "config.site": "config/test_config.py",
    "config.slurm": "config/test_config.py",
    "config.stain": "slides/test_slide_stain.py",
    "config.studies.registry": "config/test_config.py",
    "config.studies.hypoxia": "config/test_config.py",
    "config.studies.sarcoma": "config/test_config.py",
    "config.studies.mgmt": "config/test_config.py",
    "config.studies.sclc": "config/test_config.py",
    "config.studies.study": "config/test_config.py",
    "config.tile": "config/test_config.py",
    "config.toml": "config/test_config.py",
    "config.train": "config/test_config.py",
    "machine.images": "test_installed.py",
    "machine.programs": "slurm/test_queue.py",
    "machine.shipped": "test_installed.py",
    "models.series": "journey/test_mgmt.py",
    "models.judging": "stages/test_predict.py",
    "models.outside": "stages/test_predict.py",
    "models.pixel_clusterings": "models/test_finetuned.py",
    "models.predicting": "stages/test_predict.py",
    "models.predictions": "models/test_clusterings.py",
    "models.training_job": "stages/test_train.py",
    "monitoring.checks": "monitoring/test_doctor.py",
    "monitoring.remaining": "stages/test_submit.py",
    "networks.backbones.fetched": "networks/backbones/test_hub_fetch.py",
    "networks.backbones.hub": "networks/backbones/test_hub_fetch.py",
    "networks.backbones.hub_words": "networks/backbones/test_hub_fetch.py",
    "networks.backbones.positions": "networks/backbones/test_foundation_models.py",
    "networks.backbones.precision": "networks/backbones/test_timm_networks.py",
    "networks.backbones.memory": "networks/backbones/test_timm_networks.py",
    "networks.backbones.hub_keys": "networks/backbones/test_foundation_models.py",
    "networks.backbones.listing": "networks/backbones/test_foundation_models.py",
    "networks.backbones.resampling": "networks/backbones/test_foundation_models.py",
    "networks.backbones.seen": "networks/backbones/test_foundation_models.py",
    "networks.backbones.pathology.advice": "networks/backbones/test_foundation_models.py",
    "networks.backbones.pathology.bioptimus": "networks/backbones/test_foundation_models.py",
    "networks.backbones.pathology.elsewhere": "networks/backbones/test_foundation_models.py",
    "networks.backbones.pathology.gigapath": "networks/backbones/test_foundation_models.py",
    "networks.backbones.pathology.histai": "networks/backbones/test_foundation_models.py",
    "networks.backbones.pathology.kaiko": "networks/backbones/test_foundation_models.py",
    "networks.backbones.pathology.lunit": "networks/backbones/test_foundation_models.py",
    "networks.backbones.pathology.mahmood": "networks/backbones/test_foundation_models.py",
    "networks.backbones.pathology.owkin": "networks/backbones/test_foundation_models.py",
    "networks.backbones.pathology.paige": "networks/backbones/test_foundation_models.py",
    "networks.backbones.pathology.record": "networks/backbones/test_foundation_models.py",
    "networks.backbones.pathology.registry": "networks/backbones/test_foundation_models.py",
    "networks.backbones.applications": "networks/backbones/test_resolve.py",
    "networks.backbones.fetch": "networks/backbones/test_check.py",
    "networks.backbones.hdf5_weights": "networks/backbones/test_weights.py",
    "networks.backbones.initialisation": "networks/backbones/test_weights.py",
    "networks.backbones.loading": "networks/backbones/test_weights.py",
    "networks.backbones.preprocessing": "networks/backbones/test_resolve.py",
    "networks.backbones.registry": "networks/backbones/test_resolve.py",
    "networks.backbones.work": "slurm/test_resources.py",
    "models.galleries": "stages/test_phenotypes.py",
    "models.phenotypes": "stages/test_phenotypes.py",
    "models.reported_phenotypes": "reports/test_phenotypes.py",
    "reports.composition": "reports/test_phenotypes.py",
    "networks.data.bags": "networks/heads/test_attention.py",
    "networks.data.batches": "networks/data/test_rows.py",
    "networks.data.shuffling": "networks/data/test_rows.py",
    "networks.data.standardise": "networks/data/test_rows.py",
    "networks.heads.checkpoints": "networks/heads/test_loop.py",
    "networks.heads.cluster_parts": "networks/heads/test_deep_kmeans.py",
    "networks.heads.cost": "slurm/test_resources.py",
    "networks.heads.dense": "networks/heads/test_heads.py",
    "networks.heads.head": "networks/heads/test_heads.py",
    "networks.heads.result": "networks/heads/test_heads.py",
    "networks.heads.saved": "models/test_finetuned.py",
    "networks.heads.tile_network": "networks/heads/test_finetuning.py",
    "networks.inference.device": "networks/inference/test_feeding.py",
    "networks.inference.engines": "networks/inference/test_feeding.py",
    "networks.preprocessing": "networks/test_registry.py",
    "outcomes.named": "outcomes/test_binary.py",
    "outcomes.outcome": "outcomes/test_binary.py",
    "outcomes.registry": "networks/heads/test_kinds_of_outcome.py",
    "progress": "models/test_extraction.py",
    "records": "test_sealed_results.py",
    "reports.data": "reports/test_page.py",
    "reports.figures": "reports/test_report_plots.py",
    "reports.kinds.binary": "reports/test_kinds.py",
    "reports.kinds.classes": "reports/test_kinds.py",
    "reports.kinds.confusion": "reports/test_kinds.py",
    "reports.kinds.kind": "reports/test_kinds.py",
    "reports.kinds.registry": "reports/test_kinds.py",
    "reports.kinds.score": "reports/test_kinds.py",
    "reports.kinds.survival": "reports/test_kinds.py",
    "reports.plots": "reports/test_report_plots.py",
    "reports.text": "reports/test_report_text.py",
    "runs.cohort": "stages/test_train.py",
    "runs.device_time": "monitoring/test_status.py",
    "runs.rates": "monitoring/test_estimate.py",
    "runs.sources": "stages/test_init.py",
    "runs.stages": "test_extension.py",
    "runs.survey": "monitoring/test_status.py",
    "slides.averaging": "slides/test_tile_options.py",
    "slides.layouts": "slides/test_judging.py",
    "slides.masks": "slides/test_tile_options.py",
    "slides.opening": "slides/test_openslide_reader.py",
    "slides.reread": "slides/test_tile_options.py",
    "slides.sources": "slides/test_native_source.py",
    "slides.tiff": "slides/test_native_reader.py",
    "slides.trials": "slides/test_guard.py",
    "slides.turbojpeg": "slides/test_planes_of_slides.py",
    "slides.web_tiles": "viewer/test_tiles.py",
    "slides.windows": "slides/test_windows_of_slides.py",
    "cli.text.viewing": "viewer/test_view.py",
    "cli.viewing": "viewer/test_view.py",
    "viewer.answers": "viewer/test_shown.py",
    "viewer.overlays": "viewer/test_shown.py",
    "viewer.serving": "viewer/test_server.py",
    "viewer.open_slides": "viewer/test_tiles.py",
    "slurm.chain": "slurm/test_calls.py",
    "slurm.associations": "slurm/test_room.py",
    "slurm.binds": "stages/test_submit.py",
    "slurm.by_hand": "test_installed.py",
    "slurm.jobs": "monitoring/test_status.py",
    "slurm.limits": "stages/test_submit.py",
    "stages.demo": "journey/test_journey.py",
    "stages.extract": "models/test_extraction.py",
    "stages.report": "stages/test_train.py",
    "slides.slide_tiles": "slides/test_tile_options.py",
    "stages.tile": "slides/test_tile_options.py",
    "tiling.reference_digest": "slides/test_slide_stain.py",
    "tiling.region_paths": "tiling/test_regions.py",
    "stores.features": "stores/test_feature_stores.py",
    "stores.integrity": "stores/test_damage.py",
    "stores.layout": "stores/test_writing.py",
    "stores.pixels": "stores/test_tile_stores.py",
    "stores.tiles": "stores/test_tile_stores.py",
    "synthetic.fields": "synthetic/test_slides.py",
    "synthetic.svs": "synthetic/test_slides.py",
    "tiling.geojson": "tiling/test_regions.py",
    "tiling.kernels.assembly": "tiling/kernels/test_vectors.py",
    "tiling.kernels.blocks": "tiling/test_cutting.py",
    "tiling.kernels.reduce": "tiling/test_cutting.py",
    "workers.demo_cohorts": "stages/test_demo.py",
    "workers.allocation": "workers/test_heartbeat.py",
    "workers.scheduler": "workers/test_mpi.py",
    "workers.slide_stage": "workers/test_scratch.py",
    "workers.worker": "workers/test_pool.py",
}


def own_file(module: str) -> Path:
    *rooms, name = module.split(".")
    return TESTS.joinpath(*rooms, f"test_{name}.py")


# Modules with content; an ``__init__`` that only holds a docstring has nothing to test.
WITH_CONTENT = sorted(name for name, tree in MODULES.items() if name not in ("", "__main__") and len(tree.body) > 1)
ELSEWHERE = [name for name in WITH_CONTENT if not own_file(name).exists()]


@cache
def leads_to(module: str) -> frozenset[str]:
    """The module and all modules of the package that it leads to, functions' own imports included."""
    found, todo = set(), [module]
    while todo:
        one = todo.pop()
        if one in MODULES and one not in found:
            found.add(one)
            todo += [name.removeprefix("hypoxia_hpc.") for name in IMPORTED[one]]
    return frozenset(found)


EXPORTED = frozenset({"__init__"}.union(*(leads_to(name) for name in MODULES if name.startswith("api."))))


@cache
def read(path: Path) -> tuple[bool, tuple[str, ...]]:
    """Whether a file of the tests starts the command, and what it imports."""
    text = path.read_text(encoding="utf-8")
    return any(word in text for word in COMMANDS), tuple(imports(ast.parse(text)))


def reached_by(test: Path) -> set[str]:
    """Modules of the package that a test file and its helpers import or start, and what those lead to."""
    files, todo, found = set(), [test, *(folder / "conftest.py" for folder in (test.parent,))], set()
    while todo:
        path = todo.pop()
        if path in files or not path.exists():
            continue
        files.add(path)
        starts_the_command, imported = read(path)
        if starts_the_command:
            found |= leads_to("cli.app")
        for name in imported:
            found |= EXPORTED if name == "hypoxia_hpc" else leads_to(name.removeprefix("hypoxia_hpc."))
            todo += [folder / f"{name}.py" for folder in (path.parent, TESTS)]
    return found


@pytest.mark.parametrize("module", ELSEWHERE)
def test_a_module_without_a_test_file_of_its_name_is_tested_elsewhere(module: str) -> None:
    assert module in TESTED_IN, f"write {own_file(module).relative_to(TESTS)}, or say here where {module} is tested"
    assert module in reached_by(TESTS / TESTED_IN[module])


def test_the_table_names_modules_and_files_that_there_are() -> None:
    assert set(TESTED_IN) - set(WITH_CONTENT) == set()
    assert [name for name in TESTED_IN.values() if not (TESTS / name).is_file()] == []


def test_a_file_that_has_nothing_to_do_with_a_module_does_not_reach_it() -> None:
    assert "slides.tiff" in reached_by(TESTS / "slides" / "test_decoders.py")
    assert "slides.tiff" not in reached_by(TESTS / "analysis" / "test_metrics.py")


def test_test_files_of_one_name_are_in_packages() -> None:
    """Pytest imports a file outside a package by its name alone: a second one of that name is an error."""
    names = [path.name for path in TESTS.rglob("test_*.py") if not (path.parent / "__init__.py").exists()]
    assert {name for name in names if names.count(name) > 1} == set()
