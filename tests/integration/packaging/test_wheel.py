"""The wheel holds the library, installs, and works away from the repository."""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

from durablegraph.new_app import PARTS

ROOT = Path(__file__).resolve().parents[3]


def files(part):
    """The files of a part of the template, as the repository has them, by their names from its root."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", part],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return listed.stdout.splitlines()


def test_the_wheel_holds_every_module_of_the_library_and_nothing_else(wheel):
    names = {name for name in zipfile.ZipFile(wheel).namelist() if not name.split("/")[0].endswith(".dist-info")}
    library = {
        str(file.relative_to(ROOT / "lib"))
        for file in (ROOT / "lib" / "durablegraph").rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    app = {f"durablegraph/template/{name}" for part in PARTS for name in files(part)}
    assert names == library | app
    assert {"durablegraph/py.typed", "durablegraph/template/function_app.py"} <= names


def test_the_source_distribution_gives_the_same_wheel(wheel, tmp_path):
    build = [sys.executable, "-m", "hatchling", "build", "-d", str(tmp_path)]
    subprocess.run([*build, "-t", "sdist"], cwd=ROOT, check=True, capture_output=True)
    (sources,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(sources) as archive:
        archive.extractall(tmp_path, filter="data")
    subprocess.run(
        [*build, "-t", "wheel"], cwd=tmp_path / sources.name[: -len(".tar.gz")], check=True, capture_output=True
    )
    (built,) = tmp_path.glob("*.whl")
    assert zipfile.ZipFile(built).namelist() == zipfile.ZipFile(wheel).namelist()


def test_what_a_new_app_begins_with_is_what_the_package_holds():
    import tomllib

    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]
    assert build["wheel"]["force-include"] == {part: f"durablegraph/template/{part}" for part in PARTS}
    assert {f"/{part}" for part in PARTS} <= set(build["sdist"]["include"])


def test_the_installed_wheel_works_away_from_the_repository(wheel, tmp_path):
    target = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target), str(wheel)]
    subprocess.run(install, check=True)
    program = (
        "import durablegraph, sys; from durablegraph import BlobCheckpointSaver, register; "
        "import durablegraph.cli, durablegraph.host.dev, durablegraph.opening; "
        f"assert durablegraph.__file__.startswith({str(target)!r}), durablegraph.__file__"
    )
    subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(target)}, check=True
    )


def test_importing_the_package_alone_loads_no_langgraph():
    program = "import sys, durablegraph; assert not any(name.startswith('langgraph') for name in sys.modules)"
    subprocess.run([sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": str(ROOT / "lib")}, check=True)


def test_what_an_orchestrator_reaches_loads_no_langgraph_and_no_storage():
    program = (
        "import sys, durablegraph.engine.run; "
        "bad = [n for n in sys.modules if n.split('.')[0] == 'langgraph' or n.startswith('durablegraph.storage')]; "
        "assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": str(ROOT / "lib")}, check=True)


def test_lib_is_a_shelf_and_not_a_package():
    assert not (ROOT / "lib" / "__init__.py").exists()


def test_the_platforms_requirements_are_those_of_the_package():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = {*project["dependencies"], *extras["models"], *extras["identity"]}
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    assert {line for line in lines if line and not line.startswith("#")} == wanted
