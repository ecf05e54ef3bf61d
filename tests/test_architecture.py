"""The shape of the repository, held by tests rather than by good intentions."""

import ast
import importlib
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LAYERS = ("data", "reward_model", "policy", "pipeline")
MODULES = sorted(path for layer in LAYERS for path in (ROOT / layer).rglob("*.py"))


def imported_names(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_imports_only_the_layers_before_it(layer: str) -> None:
    later = LAYERS[LAYERS.index(layer) + 1 :]
    for path in (ROOT / layer).rglob("*.py"):
        wrong = [
            name for name in imported_names(path) if name.split(".")[:2] in [["prefline", other] for other in later]
        ]
        assert not wrong, f"{path.name} imports {wrong}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_our_own_packages_are_imported_by_their_full_name(path: Path) -> None:
    assert not {name.split(".")[0] for name in imported_names(path)} & set(LAYERS)


@pytest.mark.parametrize("layer", ["data", "reward_model", "policy"])
def test_only_the_pipeline_touches_processes_clocks_and_the_environment(layer: str) -> None:
    shell = {"os", "subprocess", "time", "datetime", "logging", "multiprocessing", "signal", "typer"}
    for path in (ROOT / layer).rglob("*.py"):
        assert not {name.split(".")[0] for name in imported_names(path)} & shell, path


def test_data_never_imports_torch() -> None:
    code = "import sys, prefline.data; print(sorted({'torch', 'transformers'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_every_package_folder_is_listed_for_the_build() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    found = {path.parent.relative_to(ROOT) for layer in LAYERS for path in (ROOT / layer).rglob("__init__.py")}
    assert {Path(folder) for folder in settings["package-dir"].values()} == found
    assert set(settings["packages"]) == set(settings["package-dir"])
    assert {name.removeprefix("prefline.").replace(".", "/") for name in settings["packages"]} == {
        map_.as_posix() for map_ in found
    }


def test_there_is_no_folder_that_would_shadow_the_namespace() -> None:
    assert not (ROOT / "prefline").exists()


def test_the_wheel_holds_prefline_alone_and_all_of_it(tmp_path: Path) -> None:
    # From a copy: a build leaves a folder behind, whose old modules would get into the next wheel.
    copy = tmp_path / "copy"
    for layer in LAYERS:
        shutil.copytree(ROOT / layer, copy / layer, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        tmp_path,
        copy,
    ]
    subprocess.run(command, check=True, cwd=tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert {name.split("/")[0] for name in names} == {"prefline"}
    expected = {f"prefline/{path.relative_to(ROOT).as_posix()}" for path in MODULES}
    world = {path for path in (ROOT / "pipeline" / "builtin").rglob("*") if path.suffix not in (".py", ".pyc")}
    expected |= {f"prefline/{path.relative_to(ROOT).as_posix()}" for path in world if path.is_file()}
    assert names == expected | {f"prefline/{layer}/py.typed" for layer in LAYERS}


@pytest.mark.parametrize("layer", LAYERS)
def test_all_is_sorted_and_equal_to_what_is_there(layer: str) -> None:
    package = importlib.import_module(f"prefline.{layer}")
    upper_first = sorted(package.__all__, key=lambda name: (not name.isupper(), name.lower() == name, name))
    assert package.__all__ == upper_first
    for name in package.__all__:
        assert getattr(package, name) is not None
    public = {
        name
        for name, value in vars(package).items()
        if not name.startswith("_") and getattr(value, "__module__", "").startswith(f"prefline.{layer}.")
    }
    assert public <= set(package.__all__)


def test_the_pipeline_offers_what_it_lists_and_nothing_else() -> None:
    package = importlib.import_module("prefline.pipeline")
    assert sorted(package._HOMES) == sorted(package.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Storre'"):
        package.Storre  # noqa: B018


def test_git_does_not_ignore_a_source_file() -> None:
    listed = subprocess.run(
        ["git", "check-ignore", "--no-index", *MODULES], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode == 128:
        pytest.skip("not a git checkout: nothing here can be ignored")
    assert listed.stdout == ""


def test_every_failpoint_is_named_where_it_is_reached() -> None:
    from prefline.pipeline import failpoints

    reached = {
        node.args[0].value
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", "") == "reach"
        and isinstance(node.args[0], ast.Constant)
    }
    assert reached == set(failpoints.NAMES)


def test_files_and_functions_stay_short() -> None:
    for path in MODULES:
        text = path.read_text()
        assert text.count("\n") <= 250, f"{path.name}: split it by noun"
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef) and node.end_lineno:
                assert node.end_lineno - node.lineno < 45, f"{path.name}: {node.name} is long"
