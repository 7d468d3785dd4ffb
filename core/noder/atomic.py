"""Writing that leaves either a whole file under its name or nothing: texts, and folders of files at once."""

from __future__ import annotations

import json
import math
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from noder.errors import OutputError
from noder.image import written_atomically


@contextmanager
def output_errors(path: Path) -> Iterator[None]:
    """Turn the system's errors about `path` (full disk, no permission) into OutputError sentences."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(f"{path} cannot be written ({reason}). Choose another folder or free some space.") from error


def write_text(path: Path, text: str) -> Path:
    """Write `text` as UTF-8 under `path` at once; returns `path`. Raises OutputError."""
    with written_atomically(path) as temporary:
        temporary.write_bytes(text.encode())
    return path


def write_json(path: Path, content: Mapping[str, Any]) -> Path:
    """Write `content` as indented JSON under `path` at once; returns `path`. Raises OutputError."""
    return write_text(path, json_text(content) + "\n")


def json_text(content: Any) -> str:
    """Indented JSON that every reader takes: a score that is not finite becomes null."""
    return json.dumps(_plain(content), indent=2, ensure_ascii=False, allow_nan=False, default=str)


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


@contextmanager
def staging_folder(folder: Path) -> Iterator[Path]:
    """A hidden folder inside `folder` (made if missing) to write into before `publish`; removed at the end.

    Raises OutputError, with `folder` in the place of the hidden one in the sentences of the body's.
    """
    existed = folder.is_dir()
    with output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=".noder-", dir=folder))
    try:
        yield staging
    except OutputError as error:
        raise OutputError(str(error).replace(str(staging), str(folder))) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        if not existed and not any(folder.iterdir()):
            folder.rmdir()


def publish(names: Sequence[str], staging: Path, folder: Path, *, stale: Sequence[str] = ()) -> list[Path]:
    """Move the staged files `names` into `folder`, after removing `stale` ones; the last name describes all.

    An old description goes first and the new one comes last, so that what it says is always true.
    """
    with output_errors(folder):
        for name in [names[-1], *stale]:
            (folder / name).unlink(missing_ok=True)
        for name in names:
            (staging / name).replace(folder / name)
    return [folder / name for name in names]
