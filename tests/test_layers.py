"""Who may import what: the order of the engine's files, and the owners of the big libraries."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CORE = ROOT / "core" / "noder"
APP = ROOT / "app" / "noder_viewer"

# Read top to bottom: a file imports only from above it. A new file of the engine gets its place here.
ORDER = [
    "errors",
    "kept",
    "resources",
    "ticks",
    "colours",
    "kernels",
    "grid",
    "plane",
    "spline",
    "fields",
    "formats",
    "alignment",
    "held",
    "image",
    "atomic",
    "movies",
    "itk_fields",
    "times",
    "scan_files",
    "time_sources",
    "series",
    "registration",
    "align",
    "info",
    "preprocess",
    "similarity",
    "decoder",
    "separable",
    "regularity",
    "trilinear",
    "flow",
    "flow_determinants",
    "composition",
    "places",
    "carriers",
    "intensity",
    "trajectory",
    "ensemble",
    "thinned",
    "pathlines",
    "soundness",
    "growth",
    "methods",
    "labels",
    "linearity",
    "metrics",
    "periods",
    "evaluate",
    "provenance",
    "checkpoint",
    "fit_config",
    "best",
    "fit",
    "stored_files",
    "model_file",
    "spread",
    "workers",
    "leave_one_out",
    "tables",
    "label_names",
    "regions",
    "region_tables",
    "estimate",
    "card",
    "store",
    "svg_plots",
    "report_pictures",
    "report_tables",
    "report_regions",
    "report_page",
    "predict_json",
    "export",
    "deformations",
    "linear_autoencoder",
    "pretrain",
    "synthetic",
    "pretrain_nephi",
    "training_page",
    "landmarks",
    "pair",
    "register",
    "pair_scores",
    "pair_given",
    "pair_store",
    "fsl_fields",
    "pair_files",
    "recipe",
    "file_search",
    "project",
    "capsule",
    "replay",
    "cli_options",
    "cli_progress",
    "cli_pretrain",
    "cli_pretrain_nephi",
    "cli_register",
    "cli_measure",
    "cli_capsule",
    "cli_report",
    "cli",
]

SCREEN = {"PySide6", "PyQt6", "qtpy", "superqt", "pyqtgraph", "napari", "vispy"}
WITHOUT_QT = {
    "noder_viewer/session.py",
    "noder_viewer/scene.py",
    "noder_viewer/overlays.py",
    "noder_viewer/action_search.py",
    "noder_viewer/layer_rows.py",
    "noder_viewer/layers.py",
    "noder_viewer/layouts.py",
    "noder_viewer/lightbox.py",
    "noder_viewer/palettes.py",
    "noder_viewer/window_presets.py",
}
OWNERS: dict[str, tuple[str, ...]] = {  # beginnings of the only files that import it
    "torchdiffeq": ("noder/methods/",),
    "numba": ("noder/kernels/",),
    "imageio": ("noder/movies.py", "noder/report_pictures.py"),
    "av": ("noder/movies.py",),
    "PIL": ("noder/movies.py",),
    "nibabel": ("noder/formats/",),
    "napari": ("noder_viewer/volume.py", "noder_viewer/volume_motion.py"),
    "vispy": ("noder_viewer/volume.py",),
    "pyqtgraph": (
        "noder_viewer/slices.py",
        "noder_viewer/timeline.py",
        "noder_viewer/curves.py",
        "noder_viewer/region_plot.py",
        "noder_viewer/left_out_plot.py",
        "noder_viewer/path_curves.py",
        "noder_viewer/plot_axes.py",
    ),
}

# Names that differ between an import and its distribution.
DISTRIBUTIONS = {
    "PySide6": "pyside6-essentials",
    "skimage": "scikit-image",
    "PIL": "pillow",
    "lightning_fabric": "lightning-fabric",
    "ants": "antspyx",
    "fsl": "fslpy",
    "pytestqt": "pytest-qt",
}


def sources(package: Path) -> list[Path]:
    """All Python files of a package."""
    return sorted(package.rglob("*.py"))


def label(path: Path) -> str:
    """The file as a reader names it: noder/methods/noder.py."""
    top = next(folder for folder in (CORE.parent, APP.parent, ROOT) if folder in path.parents)
    return path.relative_to(top).as_posix()


def imported(path: Path) -> set[str]:
    """Dotted names of all that a file imports, inside functions and for type checkers too."""
    package = label(path).split("/")[:-1]
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*start, *([node.module] if node.module else [])])
            # `from noder import grid` names the module in the second half
            found.update(f"{base}.{alias.name}" for alias in node.names)
    return found


def libraries(path: Path) -> set[str]:
    """Top-level names that a file imports."""
    return {name.split(".")[0] for name in imported(path)}


def place(path: Path) -> str:
    """The entry of ORDER that a file of the engine belongs to."""
    return path.relative_to(CORE).parts[0].removesuffix(".py")


def ids(path: Path) -> str:
    """Names a test after its file."""
    return label(path)


CORE_FILES = [path for path in sources(CORE) if place(path) != "__init__"]


@pytest.mark.parametrize("path", CORE_FILES, ids=ids)
def test_a_core_file_imports_only_from_above_it(path: Path) -> None:
    mine = place(path)
    assert mine in ORDER, f"{label(path)} has no place in ORDER: give it one, as high as its imports allow"
    allowed = {*ORDER[: ORDER.index(mine)], "__version__"}
    if path.parent != CORE:
        allowed.add(mine)  # files of one folder may know each other
    used = {name.split(".")[1] for name in imported(path) if name.startswith("noder.")}
    assert used <= allowed, f"{label(path)} imports from below: {sorted(used - allowed)}"


@pytest.mark.parametrize("path", sources(CORE), ids=ids)
def test_the_engine_knows_no_screen(path: Path) -> None:
    assert not libraries(path) & (SCREEN | {"noder_viewer"})


@pytest.mark.parametrize("name", sorted(WITHOUT_QT))
def test_state_and_scenes_know_no_qt(name: str) -> None:
    assert not libraries(APP.parent / name) & SCREEN


@pytest.mark.parametrize("library", sorted(OWNERS))
def test_a_big_library_has_one_home(library: str) -> None:
    users = {label(path) for path in [*sources(CORE), *sources(APP)] if library in libraries(path)}
    assert not {user for user in users if not user.startswith(OWNERS[library])}


def test_everything_imported_is_declared() -> None:
    program, extras = declared()
    assert outside([*sources(CORE), *sources(APP)]) <= program
    assert outside(sources(ROOT / "tests")) <= program | extras


def outside(paths: list[Path]) -> set[str]:
    """Distributions that the files import from, ours and Python's own left out."""
    ours = {"noder", "noder_viewer", *(path.stem for path in (ROOT / "tests").rglob("*.py"))}
    used = {name for path in paths for name in libraries(path)}
    return {DISTRIBUTIONS.get(name, name).lower() for name in used - ours - set(sys.stdlib_module_names)}


def test_every_direct_dependency_is_pinned() -> None:
    pins = re.findall(r"^([\w-]+)==", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    program, extras = declared()
    assert {name.lower() for name in pins} == (program | extras) - {"noder-viewer"}


def declared() -> tuple[set[str], set[str]]:
    """Lower-case names of the distributions in pyproject.toml: those of the program, those of its extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [line for lines in project["optional-dependencies"].values() for line in lines]
    return _names(project["dependencies"]), _names(extras)


def _names(requirements: list[str]) -> set[str]:
    return {match[0].lower() for line in requirements if (match := re.match(r"[\w-]+", line))}


@pytest.mark.parametrize(
    ("program", "heavy"),
    [
        ("noder.cli", {"torch", "torchdiffeq", "numba", "nibabel", "SimpleITK", "skimage", "scipy", "PySide6"}),
        ("noder_viewer.__main__", {"torch", "torchdiffeq", "numba", "napari", "vispy", "SimpleITK", "skimage"}),
    ],
)
def test_help_loads_nothing_heavy(program: str, heavy: set[str]) -> None:
    code = (
        f"import sys; sys.argv = ['program', '--help']; from {program} import main\n"
        "try: status = main()\n"
        "except SystemExit as end: status = end.code\n"
        "print('\\nLOADED', *sys.modules, flush=True); sys.exit(status)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    shown, _, loaded = run.stdout.partition("\nLOADED ")
    assert "--help" in shown
    assert not heavy & set(loaded.split())


def test_the_engine_itself_loads_nothing() -> None:
    code = "import sys; before = set(sys.modules); import noder; print(*set(sys.modules) - before)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout.split() == ["noder"]
