"""Files that come with the package: found beside the sources, or inside an installed wheel."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parent


def shipped_root() -> Path:
    """Folder that holds ``configs/`` and ``atomic_data/``."""
    return _PACKAGE if (_PACKAGE / "configs").is_dir() else _PACKAGE.parent


def config_folder() -> Path:
    """Folder of the shipped configurations."""
    return shipped_root() / "configs"


def find_config(name: str | Path, kind: str) -> Path:
    """A configuration file by its path, or a shipped one by its name.

    Args:
        name: a path, or without its ``.yaml`` the name of a file in ``configs/<kind>`` of the
            working directory or of the package: ``quick``, ``KGAT/ml-100k``.
        kind: ``comparisons``, ``models``, ``tuning`` or ``datasets``.

    Returns:
        The file, or ``name`` as a path where there is none (whoever reads it says so).
    """
    path = Path(name)
    if path.exists() or path.suffix or path.is_absolute() or ".." in path.parts:
        return path
    for folder in (Path("configs"), config_folder()):
        found = folder / kind / path.with_name(f"{path.name}.yaml")
        if found.is_file():
            return found
    return path


def config_names(kind: str) -> list[str]:
    """Names that :func:`find_config` finds among the shipped files of a kind."""
    folder = config_folder() / kind
    return sorted(file.relative_to(folder).with_suffix("").as_posix()
                  for file in folder.rglob("*.yaml"))
