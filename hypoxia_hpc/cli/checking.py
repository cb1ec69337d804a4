"""Verbs that ask whether all is sound: verify, doctor, weights."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from hypoxia_hpc.cli.exits import EXIT_NOT_READY
from hypoxia_hpc.cli.options import JSON, RUN, STOP, OutputFile, existing_run, progress, say_blocks, say_json
from hypoxia_hpc.cli.terminal import say, tell
from hypoxia_hpc.cli.text.words import table
from hypoxia_hpc.errors import NotReadyError


@click.command(short_help="Re-read every store and model: are they as they were written?")
@RUN
@click.option("--clean", is_flag=True, help="Also delete leftovers of killed jobs that are a day old.")
@JSON
def verify(run: Path, clean: bool, as_json: bool) -> int:
    """Re-read every store and model and compare with what was written. Exit code 5 if anything is not sound."""
    from hypoxia_hpc.monitoring.verify import everything_to_verify, verify_notes
    from hypoxia_hpc.monitoring.verify import verify as verify_all
    from hypoxia_hpc.stores.commit import remove_leftovers

    run_dir = existing_run(run)
    shown = progress()
    n = len(everything_to_verify(run_dir))
    shown.begin("verify", n, n, "result")
    checked = []
    for one in verify_all(run_dir):
        checked.append(one)
        shown.item(1)
    shown.end()
    removed = [str(path) for path in remove_leftovers(run)] if clean else []
    bad, notes = [one for one in checked if one.problems], verify_notes(run_dir)
    if as_json:
        problems = {one.path: list(one.problems) for one in bad}
        say_json({"checked": len(checked), "problems": problems, "notes": notes, "removed": removed})
    elif not bad:
        whole = "1 store, model or result, sound" if n == 1 else f"{n} stores, models and results, all sound"
        say(f"verify: {whole}")
    for note in notes:
        tell(note)
    for path in removed:
        tell(f"removed {path}")
    if bad:
        raise NotReadyError(
            f"{len(bad)} of {len(checked)} stores, models and results are not sound",
            offending=[f"{one.path}: {'; '.join(one.problems)}" for one in bad],
            remedy=f"delete what is named here, then hypoxia-hpc run {shlex.quote(str(run))}: only what is missing is "
            "made again",
        )
    return 0


@click.command(short_help="Is this machine fit, and every slide of RUN?")
@click.argument("run", required=False, type=click.Path(path_type=Path, file_okay=False), metavar="[RUN]")
@click.option("--md5", is_flag=True, help="Also read every slide whose MD5 slides.csv has (from a manifest).")
@JSON
def doctor(run: Path | None, md5: bool, as_json: bool) -> int:
    """Is this machine fit, and every slide of RUN? One table; exit code 5 if anything is bad."""
    from hypoxia_hpc.cli.text.doctor import doctor_text
    from hypoxia_hpc.monitoring.doctor import examine_machine, examine_run

    if run is None:
        checks = [*examine_machine()]
    else:
        run_dir = existing_run(run)
        checks = [*examine_machine(run_dir.config().site.slurm), *examine_run(run_dir, md5=md5)]
    if as_json:
        say_json([{"name": one.name, "verdict": one.verdict, "detail": one.detail} for one in checks])
    else:
        say_blocks(doctor_text(checks))
    return EXIT_NOT_READY if any(one.verdict == "bad" for one in checks) else 0


@click.group(short_help="Weights of pretrained networks: fetch them once, check them.")
def weights() -> None:
    """Weight files of pretrained networks: fetch them once where there is internet, check them anywhere.

    They lie in [site] weights of a run.toml, else in $HYPOXIA_HPC_WEIGHTS, else in ~/.keras/models. Nothing else
    downloads anything.
    """


@weights.command(name="fetch")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option(
    "--run",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="RUN",
    help="What run.toml of RUN needs, into its [site] weights.",
)
@click.option(
    "--token-file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="The token that the hub gave you, for foundation models that are not for everybody.",
)
@click.option("--mirror", metavar="URL", help="Take Keras' files from this folder on a web server of your own.")
def fetch_weights(names: tuple[str, ...], run: Path | None, token_file: Path | None, mirror: str | None) -> int:
    """Fetch weights, each verified by its hash: ImageNet's of keras.applications, and those of foundation models.

    NAMEs are networks as in [extract] backbone; without any, those of the four studies: inception_v3, resnet50, vgg16,
    densenet121. What is there and sound is not fetched again.

    A foundation model (hypoxia-hpc backbones) comes from its makers' page at the hub, or from $HF_ENDPOINT; a .bin is
    converted to safetensors, and nothing of it is executed. What breaks off goes on by the same command. Beside the
    file lies a .json with its SHA-256 and origin: copy both where you need them. Not on a compute node.
    """
    from hypoxia_hpc.networks.backbones.check import STUDIES, imagenet_networks, weights_folder
    from hypoxia_hpc.networks.backbones.pathology.registry import MODELS

    config = None if run is None else existing_run(run).config()
    wanted = names or (STUDIES if config is None else imagenet_networks(config))
    folder = weights_folder(config)
    models = [name for name in wanted if name in MODELS]
    if others := [name for name in wanted if name not in MODELS]:
        _fetch_known(others, folder, mirror)
    if models:
        _fetch_models(models, folder, token_file)
    return 0


def _fetch_known(names: Sequence[str], folder: Path, mirror: str | None) -> None:
    from hypoxia_hpc.networks.backbones.check import known_files
    from hypoxia_hpc.networks.backbones.fetch import fetch_files

    done = fetch_files(known_files(names), folder, mirror=mirror, progress=progress(), stop=STOP)
    say(f"{folder}: fetched {', '.join(done.made) or 'nothing'}; sound already: {', '.join(done.found) or 'nothing'}")


def _fetch_models(names: Sequence[str], folder: Path, token_file: Path | None) -> None:
    """What it prints goes into run.toml, where weights are to be named by their hash."""
    from hypoxia_hpc.networks.backbones.hub_fetch import fetch_models, read_token

    shown = progress()
    done = fetch_models(names, folder, token=read_token(token_file, shown), progress=shown, stop=STOP)
    for one in done:
        say(f"{one.name}: {one.path}, {'fetched and verified' if one.is_new else 'sound already'}")
    say_blocks(f'[extract]\nbackbone = "{one.name}"\n{_weights_lines(one.path.absolute(), one.sha256)}' for one in done)


def _weights_lines(path: Path, sha256: str) -> str:
    return f'weights = {json.dumps(str(path))}\nweights_sha256 = "{sha256}"'


@weights.command(name="convert")
@click.argument("source", type=click.Path(path_type=Path), metavar="FILE")
@click.argument("target", type=OutputFile(), metavar="OUT.safetensors")
def convert_weights(source: Path, target: Path) -> int:
    """Tensors of a file of PyTorch's (.bin, .pt, .pth) as safetensors; a process of its own reads them, and nothing in
    FILE is executed.

    What it prints goes into run.toml, [extract].
    """
    from hypoxia_hpc.networks.backbones.converting import convert

    done = convert(source, target)
    part = f", from its part {done.part}" if done.part else ""
    say(f"{target}: {done.n} tensors{part}")
    say_blocks([_weights_lines(target.absolute(), done.sha256)])
    return 0


@weights.command(name="check")
@click.argument("run", required=False, type=click.Path(path_type=Path, file_okay=False), metavar="[RUN]")
@JSON
def check_weights(run: Path | None, as_json: bool) -> int:
    """Are the weight files here, and sound? Without network; exit code 5 if any is not.

    Those that RUN needs, else those of the four studies' networks and whatever other known file lies beside them.
    """
    from hypoxia_hpc.networks.backbones.check import check_known, check_run, weights_folder

    found = [*check_known(weights_folder(None))] if run is None else [*check_run(existing_run(run).config())]
    if as_json:
        say_json([asdict(one) for one in found])
    else:
        say(table(["network", "status", "file"], [[one.network, one.status, one.description] for one in found]))
    return 0 if all(one.is_fit for one in found) else EXIT_NOT_READY
