"""Verbs that see the whole cohort: train, evaluate, report."""

from __future__ import annotations

from pathlib import Path

import click

from hypoxia_hpc.cli.options import RUN, STOP, existing_run, progress
from hypoxia_hpc.cli.terminal import say
from hypoxia_hpc.cli.text.metrics import metrics_table
from hypoxia_hpc.cli.text.words import spaced


@click.command()
@RUN
def train(run: Path) -> int:
    """Split the patients and train the top models: RUN/split.csv, RUN/models/."""
    from hypoxia_hpc.stages.train import train as train_stage

    done = train_stage(existing_run(run), progress=progress(), stop=STOP)
    say(f"train: {', '.join(done.made) or 'nothing'} trained now, {', '.join(done.found) or 'nothing'} trained before")
    return 0


@click.command()
@RUN
def evaluate(run: Path) -> int:
    """Predict tiles, slides and patients, and measure: RUN/predictions/, RUN/metrics.json."""
    from hypoxia_hpc.stages.evaluate import evaluate as evaluate_stage

    done = evaluate_stage(existing_run(run), progress=progress(), stop=STOP)
    say(spaced(metrics_table(done.metrics)))
    return 0


@click.command()
@RUN
def report(run: Path) -> int:
    """One self-contained HTML page: RUN/report/index.html."""
    from hypoxia_hpc.stages.report import report as report_stage

    say(f"report: {report_stage(existing_run(run), progress=progress())}")
    return 0
