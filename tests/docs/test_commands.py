"""Every command of the README and of docs/ is run, page by page, in a folder as a user might have it.

Two things stand in for what no machine of the tests has: slides and scores of a small synthetic cohort have the names
of the pages, and behind ``init`` run.toml is made small (a random network instead of the published weights).
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from fault_runs import SETTINGS, SIZE_PX, change_setting
from forks import Fresh, fork
from pages import DOCS, GENERATED, README, REPOSITORY, blocks, commands, pages

from hypoxia_hpc.synthetic.slides import synthetic_cohort, write_synthetic_slide

# Commands that need what is not in that folder: the file that runs them, and words that are in it because it does. What
# no file runs is in the table of what was not run.
CI, NOT_RUN, INSTALLED = ".ci/run", "docs/tested-on.md", "tests/test_installed.py"
JOURNEY = "tests/journey/test_journey.py"
RUN_ELSEWHERE = {
    "make demo": ("tests/journey/conftest.py", ['"-m", "hypoxia_hpc"', '"demo"']),
    "hypoxia-hpc demo small --patients 12": (JOURNEY, ['hypoxia("demo", demo, "--patients", N)']),
    "hypoxia-hpc demo sclc-demo --study sclc": ("tests/stages/test_demo_sclc.py", ['"demo"', '"--study", "sclc"']),
    "hypoxia-hpc demo mgmt-demo --study mgmt": ("tests/stages/test_demo_mgmt.py", ['"demo"', '"--study", "mgmt"']),
    "hypoxia-hpc init MGMT_RUN --study mgmt --images MRI --patients train_labels.csv": (
        "tests/journey/test_mgmt.py",
        ['"init", run, "--study", "mgmt", "--images", images, "--patients", labels'],
    ),
    "hypoxia-hpc status small/run": (JOURNEY, ['hypoxia("status", demo / "run"']),
    "hypoxia-hpc verify small/run": (JOURNEY, ['hypoxia("verify", demo / "run"']),
    "hypoxia-hpc doctor small/run": (JOURNEY, ['hypoxia("doctor", demo / "run"']),
    "hypoxia-hpc backbones uni2-h": (
        "tests/networks/backbones/test_foundation_models.py",
        ['hypoxia("backbones", "virchow2")'],
    ),
    "hypoxia-hpc weights fetch uni2-h --token-file TOKEN": (
        "tests/networks/backbones/test_hub_fetch.py",
        ['hypoxia("weights", "fetch", "phikon", "--token-file"'],
    ),
    "hypoxia-hpc weights convert pytorch_model.bin uni2-h.safetensors": (
        "tests/networks/backbones/test_converting.py",
        ['hypoxia("weights", "convert"'],
    ),
    "hypoxia-hpc import-features RUN DIR": (
        "tests/stages/test_import_features.py",
        ['hypoxia("import-features", run.root, tmp_path / "files")'],
    ),
    "make lint": (CI, ["make -j3 --output-sync=target lint docs"]),
    "make test": (CI, ["make test-here", "make test-cluster"]),
    "make test-long": (NOT_RUN, ["make test-long"]),
    "make test-backends": (CI, ["make test-backends"]),
    "make docs": (CI, ["make -j3 --output-sync=target lint docs"]),
    "pip install .": (INSTALLED, ['"build"', '"pip"', '"install"']),
    "pip install '.[tensorflow]'": ("Makefile", ["pip install", "'.[tensorflow,pretrained,test]'"]),
    "hypoxia-hpc init OS_RUN --slides SLIDES --patients follow_up.csv --outcome survival --time-column months "
    "--event-column died": ("tests/cli/test_asked.py", ['"survival", "--time-column", "months", "--event-column"']),
    "pip install --require-hashes -r containers/recipes/login.lock && pip install --no-deps .": (
        NOT_RUN,
        ["`pip install` of `recipes/login.lock`"],
    ),
    "hypoxia-hpc normalise SLIDE.svs OUT.tif --to REFERENCE.png": (
        "tests/stages/test_normalise.py",
        ['hypoxia("normalise", slide, out, "--to"'],
    ),
    "hypoxia-hpc normalise IMAGE.png OUT.png --to REFERENCE.png": (
        "tests/stages/test_normalise.py",
        ['hypoxia("normalise", images / "one.png", out, "--to"'],
    ),
    "hypoxia-hpc init IMAGES_RUN --images IMAGES --images-table key.csv --outcome classes --class LMS --class SS "
    "--class UPS": (
        "tests/stages/test_image_folders.py",
        ['"init", run, "--images", tmp_path / "images", "--images-table", table, "--outcome", "classes"'],
    ),
    "hypoxia-hpc init MRI_RUN --images MRI --images-pattern '{patient}/{series}/{image}' --series FLAIR --series T2w "
    "--middle 20": (
        "tests/stages/test_image_folders.py",
        ['"--images-pattern", "{patient}/{series}/{image}"', '"--series", "FLAIR", "--series"', '"--middle", "3"'],
    ),
    "hypoxia-hpc quality RUN": ("tests/stages/test_quality.py", ['hypoxia("quality", run.root)']),
    "hypoxia-hpc preview slide.svs": ("tests/stages/test_preview.py", ['hypoxia("preview", real_slide, "--out"']),
    "hypoxia-hpc view RUN": ("tests/viewer/test_view.py", ['started(["view", str(real_slide.parent)]']),
    "hypoxia-hpc view RUN --port 0": (
        "tests/viewer/test_view.py",
        ['started(["view", str(real_slide), "--port", "0"]'],
    ),
    "hypoxia-hpc view RUN --export DIR --slide ID": ("tests/viewer/test_static.py", ['"--export", folder, "--slide"']),
    "make viewer": (CI, ["make viewer"]),
    "hypoxia-hpc maps RUN": ("tests/stages/test_maps.py", ['hypoxia("maps", run.root, "--model", "logistic")']),
    "hypoxia-hpc gallery RUN --slide SLIDE_ID": (
        "tests/stages/test_maps.py",
        ['hypoxia("gallery", run.root, "--slide"'],
    ),
    "hypoxia-hpc maps RUN --of phenotypes": (
        "tests/stages/test_maps.py",
        ['hypoxia("maps", run.root, "--of", "phenotypes")'],
    ),
    "hypoxia-hpc maps RUN --of tissue": ("tests/stages/test_maps.py", ['hypoxia("maps", run.root, "--of", "tissue")']),
    "hypoxia-hpc export RUN --to qupath": ("tests/stages/test_export.py", ['hypoxia("export", run.root, "--to"']),
    "hypoxia-hpc init SARCOMAS --study sarcoma --images IMAGES --images-table key.csv --patients follow_up.csv": (
        "tests/journey/test_sarcoma.py",
        ['"init", run, "--study", "sarcoma", *sources(cohort)'],
    ),
    "hypoxia-hpc demo sarcoma-demo --study sarcoma": (
        "tests/stages/test_demo_sarcoma.py",
        ['"demo", demo, "--study", "sarcoma"'],
    ),
    "hypoxia-hpc weights check": ("tests/networks/backbones/test_check.py", ['"weights", "check"']),
    "hypoxia-hpc weights fetch": ("tests/networks/backbones/test_check.py", ['"weights", "fetch"']),
    "hypoxia-hpc site": ("tests/cluster/test_live_submit.py", ['hypoxia("site")']),
    "hypoxia-hpc submit RUN": ("tests/cluster/chains.py", ['self.hypoxia("submit", run']),
    "hypoxia-hpc image cpu IMAGES": (NOT_RUN, ["`hypoxia-hpc image` to its end"]),
    "sbatch --array=0-7 DIR/slides.sbatch tile RUN 8": (NOT_RUN, ["`sbatch DIR/slides.sbatch`"]),
    'eval "$(_HYPOXIA_HPC_COMPLETE=zsh_source hypoxia-hpc)"': (INSTALLED, ["_HYPOXIA_HPC_COMPLETE", '"zsh"']),
    "_HYPOXIA_HPC_COMPLETE=fish_source hypoxia-hpc | source": (INSTALLED, ["_HYPOXIA_HPC_COMPLETE", '"fish"']),
}
PROGRAMS = r"hypoxia-hpc|make|pip|python|git|sbatch|srun|mpiexec|source|eval|\$EDITOR"
COMMAND = re.compile(rf"(?m)^ *(?:\w+=\S+ )?(?:{PROGRAMS}) .*$")
N_PATIENTS = 12
LIMIT_SECONDS = 600
ONE_MODEL = (("train", "heads", '["logistic"]'), ("train", "clusterings", "[]"))
SCORES = "Buffa_hypoxia_score_pan_cancer\tBuffa_hypoxia_score_intra_tumour_type"


def write_cohort(folder: Path, n: int, seed: int) -> list[str]:
    """Slides with TCGA names; a line of the score table for each."""
    folder.mkdir()
    lines = []
    for number, (_, hypoxic, slide) in enumerate(synthetic_cohort(n, seed=seed)):
        barcode = f"TCGA-{'AB'[number % 2]}{seed}-{number:04d}"
        write_synthetic_slide(folder / f"{barcode}-01Z-00-DX1.svs", replace(slide, size_px=SIZE_PX))
        score = 10 if hypoxic else -10
        lines.append(f"{barcode.replace('-', '.')}\t{score}\t{score}\tBLCA")
    return lines


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    lines = write_cohort(tmp_path / "SLIDES", N_PATIENTS, 1)
    write_cohort(tmp_path / "OTHER_SLIDES", 2, 2)
    table = "\n".join([f"patient_id\t{SCORES}\ttumour_type", *lines])
    (tmp_path / "BhandariHypoxiaScores.txt").write_text(table + "\n")
    return tmp_path


def run_line(command: str, folder: Path) -> None:
    """In a shell, or in a fork where the line is the program and words for it."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "EDITOR": "true", "TF_CPP_MIN_LOG_LEVEL": "3"}
    log = folder / "log"
    log.unlink(missing_ok=True)
    if re.fullmatch(r"hypoxia-hpc( [\w./-]+)+", command):
        code = fork(command.split()[1:], log, environment=environment).wait(LIMIT_SECONDS)
    else:
        code = Fresh(["bash", "-ec", command], log, environment).wait(LIMIT_SECONDS)
    assert code == 0, f"{command}\n{log.read_text()[-3000:]}"
    if re.match(r"hypoxia-hpc init RUN\b(?!.* --update)", command):
        for setting in (*SETTINGS, *ONE_MODEL):
            change_setting(folder / "RUN", *setting)


def test_commands_run_as_they_stand(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """README first, then page by page; a line that stands on several pages is run once."""
    monkeypatch.chdir(folder)
    lines = dict.fromkeys(command for page in pages() for command in commands(page))
    for command in lines:
        if command not in RUN_ELSEWHERE:
            run_line(command, folder)
    for made in ("tiles", "features"):  # else no script would start a worker, which imports the script
        shutil.rmtree(folder / "RUN" / made)
    for number, code in enumerate([*blocks(README, "python"), *blocks(DOCS / "on-disk.md", "python")]):
        (folder / f"{number}.py").write_text(code.replace("P001", next((folder / "SLIDES").iterdir()).stem))
        run_line(f"python {number}.py", folder)


def test_what_runs_elsewhere_is_said_truly() -> None:
    written = {command for page in pages() for command in commands(page)}
    assert set(RUN_ELSEWHERE) <= written
    missing = [
        (command, place, word)
        for command, (place, words) in RUN_ELSEWHERE.items()
        for word in words
        if word not in (REPOSITORY / place).read_text(encoding="utf-8")
    ]
    assert missing == []


def test_no_command_is_in_a_block_that_is_not_run() -> None:
    written = [page for page in pages() if page.name not in GENERATED]
    assert [line for page in written for block in blocks(page, "text") for line in COMMAND.findall(block)] == []
