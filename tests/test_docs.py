"""Documentation that cannot rot: its code runs, and it knows every file, verb and option."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from prefline.pipeline.catalogue import STAGES
from prefline.pipeline.cli import app
from prefline.pipeline.cli_catalogue import build_command

ROOT = Path(__file__).parent.parent
PAGES = [*sorted(ROOT.glob("[A-Z]*.md")), *sorted(ROOT.glob("docs/**/*.md"))]
VERBS = typer.main.get_command(app).commands  # type: ignore[attr-defined]
# What is only a stand-in until it is typed.
VERBS |= {name: build_command(name) for name in STAGES if not VERBS[name].params}


def blocks(page: Path, *languages: str) -> list[str]:
    fenced = re.findall(r"^```(\w+)\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [code for language, code in fenced if language in languages]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder in which the paths that the documentation uses exist, and nothing is left behind."""
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    return tmp_path


def fenced_code(page: Path) -> list[tuple[str, str]]:
    return re.findall(r"^```(sh|python)\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", [*filter(fenced_code, PAGES)], ids=lambda page: page.name)
def test_the_code_of_a_page_runs_in_order(page: Path, checkout: Path) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("PREFLINE_")}
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
    for language, code in fenced_code(page):
        command = ["sh", "-euc", code] if language == "sh" else [sys.executable, "-W", "error", "-c", code]
        done = subprocess.run(command, cwd=checkout, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{page.name}:\n{code}\n{done.stdout}{done.stderr}"


def test_most_pages_have_code_that_runs() -> None:
    assert len([page for page in PAGES if fenced_code(page)]) >= 6


def test_the_demo_runs(tmp_path: Path) -> None:
    done = subprocess.run(
        ["sh", "docs/demo.sh"],
        cwd=ROOT,
        env=os.environ | {"BIN": str(Path(sys.executable).parent), "OUT": str(tmp_path / "demo")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "demo" / "lineage.svg").read_text().startswith("<svg")
    assert "Look at:" in done.stdout


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_every_verb_and_every_option_is_documented(verb: str) -> None:
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    section = re.search(rf"^## {verb}\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    assert section, f"docs/cli.md has no section {verb}"
    documented = set(re.findall(r"^- `(--[a-z0-9-]+)", section[1], re.MULTILINE))
    options = {name for param in VERBS[verb].params for name in param.opts if name.startswith("--")}
    assert documented == options - {"--help"}
    assert VERBS[verb].help, f"{verb} has no help"


def test_the_documentation_names_no_verb_that_does_not_exist() -> None:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        in_code = [
            line for code in blocks(page, "sh", "text") for line in re.findall(r"^prefline ([a-z][a-z-]*)", code, re.M)
        ]
        for verb in [*in_code, *re.findall(r"`prefline ([a-z][a-z-]*)", text)]:
            assert verb in VERBS, f"{page.name}: prefline {verb}"


def test_every_option_has_help() -> None:
    for verb, command in VERBS.items():
        for param in command.params:
            if param.opts[0].startswith("--"):
                assert param.help, f"{verb} {param.opts}"


def test_the_tree_in_the_readme_lists_every_file() -> None:
    (tree,) = (code for code in blocks(ROOT / "README.md", "text") if "data/" in code)
    listed: dict[str, set[str]] = {}
    folder = ""
    for line in tree.splitlines():
        name = line.split()[0]
        if name.endswith("/"):
            folder = name.rstrip("/")
            listed[folder] = set()
        else:
            listed[folder].add(name)
    for package in ("data", "reward_model", "policy", "pipeline", "pipeline/builtin"):
        assert listed[package] == {path.name for path in (ROOT / package).glob("*.py")} - {"__init__.py"}
    assert all((ROOT / folder).is_dir() for folder in listed)


def test_links_inside_the_repository_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
