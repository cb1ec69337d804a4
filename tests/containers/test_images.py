"""What the images are made of, read without building them: locks that fit setup.py, and definition files that agree."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from hypoxia_hpc.cli.cluster import IMAGES

ROOT = Path(__file__).parents[2]
CONTAINERS = ROOT / "containers"
LOCKS = ("cpu.lock", "gpu.lock", "gpu-torch.lock", "openmpi.lock")
# What a lock is made of beside setup.py and image.in, as the Makefile has it: extras, and one more file.
MADE_OF = {
    "cpu.lock": (("tensorflow",), "tensorflow.in"),
    "gpu.lock": (("gpu",), "tensorflow.in"),
    "gpu-torch.lock": (("torch", "timm"), "torch.in"),
}
DEFINITIONS = ("cpu.def", "gpu.def", "gpu-torch.def")
SHIPPED = sorted(path for path in CONTAINERS.rglob("*") if path.is_file() and path.suffix not in {".pyc", ".h5"})
PIN = re.compile(r"(?P<name>[a-z0-9-]+)==(?P<version>[^ ]+)(?P<hashes>( \\\n    --hash=sha256:[0-9a-f]{64})+)\n")


def pins(lock: str) -> dict[str, str]:
    text = (CONTAINERS / lock).read_text()
    return {match["name"]: match["version"] for match in PIN.finditer(text)}


def setup_argument(name: str) -> Any:
    """What setup.py gives to setup() by this name."""
    calls = [node for node in ast.walk(ast.parse((ROOT / "setup.py").read_text())) if isinstance(node, ast.Call)]
    keywords = [word for call in calls for word in call.keywords if word.arg == name]
    return ast.literal_eval(keywords[0].value)


def requirements(lock: str) -> list[Requirement]:
    """What has to be in a lock: of setup.py and of the .in files."""
    if lock == "openmpi.lock":
        return lines_of("openmpi.in")
    extras, more = MADE_OF[lock]
    lines = [
        *setup_argument("install_requires"),
        *(line for name in extras for line in setup_argument("extras_require")[name]),
    ]
    return [*map(Requirement, lines), *lines_of("image.in"), *lines_of(more)]


def lines_of(file: str) -> list[Requirement]:
    text = (CONTAINERS / file).read_text()
    return [Requirement(line) for line in text.splitlines() if not line.startswith("#")]


def sections(definition: str) -> dict[str, str]:
    """Text of each section, ``%post`` of the first stage and of the second one as two."""
    text = (CONTAINERS / definition).read_text()
    parts = re.split(r"^%(.+)\n", text, flags=re.MULTILINE)[1:]
    found: dict[str, str] = {}
    for name, body in zip(parts[::2], parts[1::2], strict=True):
        found[name if name not in found else f"{name} of the last stage"] = body.strip()
    return found


def stages(definition: str) -> list[str]:
    """Text of each stage, its header first, without comments."""
    text = re.sub(r"^ *#.*\n", "", (CONTAINERS / definition).read_text(), flags=re.MULTILINE)
    return re.split(r"^(?=Bootstrap:)", text, flags=re.MULTILINE)[1:]


def arguments(stage: str) -> dict[str, str]:
    """Defaults of what may be given to a stage by --build-arg."""
    found = re.search(r"^%arguments\n((?: +\w+=.*\n)+)", stage, flags=re.MULTILINE)
    return dict(line.strip().split("=", maxsplit=1) for line in found[1].splitlines()) if found else {}


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_pins_what_is_required(lock: str) -> None:
    pinned = pins(lock)
    wanted = requirements(lock)
    assert wanted
    wrong = [
        f"{one}: {pinned.get(canonicalize_name(one.name), 'not pinned')} (make locks)"
        for one in wanted
        if not one.specifier.contains(pinned.get(canonicalize_name(one.name), "0"))
    ]
    assert wrong == []


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_holds_hashed_pins_and_nothing_else(lock: str) -> None:
    text = (CONTAINERS / lock).read_text()
    rest = re.sub(r"^ *#.*\n", "", PIN.sub("", text), flags=re.MULTILINE)
    assert rest == ""


@pytest.mark.parametrize("lock", MADE_OF)
def test_the_makefile_makes_a_lock_of_the_same(lock: str) -> None:
    made = (ROOT / "Makefile").read_text().replace("\\\n", " ")
    (line,) = (one for one in made.splitlines() if one.endswith(f"--output-file containers/{lock}"))
    extras, more = MADE_OF[lock]
    assert re.findall(r"--extra (\S+)", line) == [*extras]
    assert re.findall(r"containers/(\S+\.in)", line) == ["image.in", more]


def test_images_hold_the_same_versions() -> None:
    cpu, gpu, torch = (pins(lock) for lock in MADE_OF)
    assert {name: gpu.get(name) for name in cpu} == cpu
    assert {name.split("-")[0] for name in gpu.keys() - cpu.keys()} == {"nvidia"}
    assert {name: cpu[name] for name in torch if name in cpu} == {name: torch[name] for name in torch if name in cpu}


def test_the_image_of_pytorch_has_its_libraries_of_cuda_and_no_tensorflow() -> None:
    torch = pins("gpu-torch.lock")
    assert {
        "torch",
        "torchvision",
        "timm",
        "triton",
        "nvidia-cublas",
        "nvidia-cudnn-cu13",
        "nvidia-nccl-cu13",
    } <= torch.keys()
    assert not {"tensorflow", "jax"} & torch.keys()


@pytest.mark.parametrize("definition", DEFINITIONS[1:])
def test_definitions_do_the_same(definition: str) -> None:
    first, other = sections(DEFINITIONS[0]), sections(definition)
    for found in (first, other):
        assert {"test", "help", "runscript", "environment", "arguments", "post of the last stage"} <= found.keys()
    assert first.pop("help") != other.pop("help")
    lock = definition.replace(".def", ".lock")
    assert {name: body.replace("cpu.lock", lock) for name, body in first.items()} == other
    assert other["runscript"] == 'exec hypoxia-hpc "$@"'


@pytest.mark.parametrize("definition", DEFINITIONS)
def test_a_definition_is_built_by_its_name(definition: str) -> None:
    """By make and by the command line, which know it."""
    kind = definition.removesuffix(".def")
    assert kind in IMAGES
    (target,) = re.findall(r"^(image-.*): image-%:", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    assert f"image-{kind}" in target.split()
    text = sections(definition)["help"]
    assert f"make image-{kind}" in text and f"{kind}.sif" in text and f"containers/{definition}" in text
    assert not re.search(rf"(?<![\w-])(?!{kind}\.sif)[\w-]+\.sif", text.replace("as\n    cpu.sif does", ""))


@pytest.mark.parametrize("definition", [*DEFINITIONS, "packages.def"])
def test_the_base_can_be_chosen(definition: str) -> None:
    text = (CONTAINERS / definition).read_text()
    headers = re.findall(r"^Bootstrap: (.+)\nFrom: (.+)$", text, flags=re.MULTILINE)
    assert set(headers) == {("{{ BOOTSTRAP }}", "{{ BASE }}")}
    defaults = {(arguments(stage)["BOOTSTRAP"], arguments(stage)["BASE"]) for stage in stages(definition)}
    assert len(defaults) == 1
    bootstrap, base = defaults.pop()
    assert bootstrap == "docker"
    assert re.fullmatch(r"debian:bookworm-\d{8}-slim", base)


@pytest.mark.parametrize(("definition", "number"), [*((one, 2) for one in DEFINITIONS), ("packages.def", 1)])
def test_each_stage_has_a_default_for_what_it_uses(definition: str, number: int) -> None:
    found = stages(definition)
    assert len(found) == number
    without = [set(re.findall(r"{{ (\w+) }}", stage)) - arguments(stage).keys() for stage in found]
    assert without == [set()] * number


def test_build_makes_its_folder(tmp_path: Path) -> None:
    images, no_base = tmp_path / "build" / "images", tmp_path / "none.sif"
    done = subprocess.run(
        ["make", "--silent", "-C", ROOT, "image-cpu", f"IMAGES={images}"],
        env={**os.environ, "LC_ALL": "C", "BASE": str(no_base)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"realpath: {no_base}: No such file" in done.stderr
    assert images.is_dir()


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_no_host_is_named(path: Path) -> None:
    named = re.findall(r"\w+://\S+|\b[\w-]+\.(?:org|com|net|io|dev)\b(?!\.)", path.read_text())
    assert named == []


@pytest.mark.parametrize("script", [*CONTAINERS.glob("*.sh"), ROOT / "tests/cluster/live/apptainer.sh"], ids=str)
def test_scripts_are_shellcheck_clean(script: Path) -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("not installed: shellcheck")
    done = subprocess.run(["shellcheck", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
