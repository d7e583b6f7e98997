"""A package of others that offers entry points, as an installer leaves it behind."""

from pathlib import Path


def install_package(group: str, folder: Path, package: str, entries: dict[str, str]) -> None:
    """What an installer leaves in `folder` for a package's entry points of the group."""
    information = folder / f"{package}-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    lines = [f"{name} = {value}" for name, value in entries.items()]
    (information / "entry_points.txt").write_text("\n".join([f"[{group}]", *lines, ""]))
