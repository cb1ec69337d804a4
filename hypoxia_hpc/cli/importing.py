"""The verb that brings in features of other tools: import-features."""

from __future__ import annotations

from pathlib import Path

import click

from hypoxia_hpc.cli.exits import EXIT_BUG, EXIT_QUARANTINED, worst
from hypoxia_hpc.cli.options import RUN, STOP, existing_run, progress, say_blocks


@click.command(name="import-features", short_help="Features of CLAM, TRIDENT, STAMP, AtlasPatch, AnnData.")
@RUN
@click.argument("given", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="DIR|FILE...")
@click.option("--retry", is_flag=True, help="Try files again that could not be used.")
def import_features(run: Path, given: tuple[Path, ...], retry: bool) -> int:
    """Features that another tool made of the slides of RUN, in place of tile and extract.

    \b
    A run of the slides:    hypoxia-hpc init RUN --slides DIR --patients CSV
    In its run.toml:        [extract] name = "uni", backbone = "imported:uni"
    Their features:         hypoxia-hpc import-features RUN DIR
    And from there:         hypoxia-hpc run RUN

    DIR has HDF5 files of CLAM (h5_files/ and patches/), TRIDENT, STAMP or AtlasPatch, or of `export` (AnnData, too); a
    file is called as its slide. Where run.toml does not fit the files, the lines that it needs are printed.
    """
    from hypoxia_hpc.cli.text.importing import imported_text
    from hypoxia_hpc.stages.import_features import import_features as import_into

    made = import_into(existing_run(run), given, retry=retry, progress=progress(), stop=STOP)
    say_blocks(imported_text(made, run))
    outcome = made.outcome
    return worst([EXIT_BUG if outcome.bugs else 0, EXIT_QUARANTINED if outcome.quarantined else 0])
