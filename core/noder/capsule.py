"""A capsule: a folder with a project file and copies of the results in it, which `noder replay` makes again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from noder.atomic import output_errors, write_json
from noder.errors import InputError, OutputError
from noder.model_file import MODEL
from noder.project import SUFFIX, Project, write_project
from noder.recipe import recipe_of
from noder.store import LOG, OTHER_SEEDS, RESULT, load_result
from noder.stored_files import described_place, is_registration

NAME = f"capsule{SUFFIX}"


def project_of(folder: Path) -> Project:
    """A saved fit or registration as a project. Raises InputError for a folder that is neither."""
    if is_registration(folder):
        return Project(results=(folder,), shown="pair")
    result = load_result(folder)
    config = result.config
    return Project(result.series, config.hold_out, config.exclude, config.mask, results=(folder,))


def write_capsule(project: Project, folder: Path, files: Collection[Path] = ()) -> Path:
    """Write `project` and its results as `folder`, which must not be there yet; returns the project file in it.

    `files`: those of the project's parts that are copied too. All other images stay where they are, and their checksums
    are written. Raises InputError for a project without a result, OutputError.
    """
    if not project.results:
        raise InputError("There is no fit and no registration yet: a capsule holds one. Fit first.")
    if folder.exists():
        raise OutputError(f"{folder} is there already. Give the capsule another name.")
    for source in project.results:
        recipe_of(source, folder)  # where no command line can say it, that is told now
    with _new_folder(folder):
        copies = tuple(_copy(source, folder / name) for source, name in _named(project).items())
        parts = _with_copies(project.parts, files, folder)
        return write_project(replace(project, results=copies, parts=parts), folder / NAME)


@contextmanager
def _new_folder(folder: Path) -> Iterator[None]:
    """A folder that goes again where writing into it fails; the project, which describes it, is written last."""
    with output_errors(folder):
        folder.mkdir(parents=True)
        try:
            yield
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise


def _named(project: Project) -> dict[Path, str]:
    """Folder of a result -> its name in the capsule."""
    kinds = ["registration" if is_registration(folder) else "fit" for folder in project.results]
    names = [f"{kind}-{kinds[:k].count(kind) + 1}" for k, kind in enumerate(kinds)]
    return dict(zip(project.results, names, strict=True))


def _copy(source: Path, target: Path) -> Path:
    """The files that result.json names, whatever else lies in the folder."""
    described: dict[str, Any] = json.loads((source / RESULT).read_text(encoding="utf-8"))
    target.mkdir(parents=True)
    others = [OTHER_SEEDS.format(seed) for seed in described.get("other_seeds", [])]
    for name in described.get("files", (MODEL, LOG, *others)):
        shutil.copy2(source / name, target / name)
    write_json(target / RESULT, _seen_from(described, target))
    return target


def _with_copies(value: Any, files: Collection[Path], folder: Path) -> Any:
    """The same with those of `files` that it names copied into a folder."""
    if isinstance(value, Path):
        return Path(shutil.copy2(value, folder)) if value in files else value
    if isinstance(value, Mapping):
        return {name: _with_copies(item, files, folder) for name, item in value.items()}
    return [_with_copies(item, files, folder) for item in value] if isinstance(value, list | tuple) else value


def _seen_from(value: Any, folder: Path) -> Any:
    """The same with the relative paths of all files as seen from another folder."""
    if isinstance(value, Mapping):
        inside = {name: _seen_from(item, folder) for name, item in value.items()}
        is_file = value.get("path") is not None and "relative_path" in value
        return inside | (described_place(Path(value["path"]), folder) if is_file else {})
    return [_seen_from(item, folder) for item in value] if isinstance(value, list) else value
