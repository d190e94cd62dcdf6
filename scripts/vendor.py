# ruff: noqa: INP001 - a script, not a package
"""Fetch the vendored packages again (npm) and compare them with what is committed.

`python scripts/vendor.py` exits with 1 and the names of files that differ. Needs npm.
"""

import base64
import hashlib
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from pathlib import Path

VENDOR = Path(__file__).parent.parent / "api" / "static" / "vendor"


def packed(package: str, integrity: str, folder: Path) -> tarfile.TarFile:
    """The package as npm serves it, if it is the one the manifest names."""
    npm = ["npm", "pack", "--silent", "--pack-destination", str(folder), package]
    made = subprocess.run(npm, check=True, capture_output=True, text=True)  # noqa: S603
    archive = folder / made.stdout.strip().splitlines()[-1]
    found = "sha512-" + base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if found != integrity:
        raise SystemExit(f"{package} is {found}, not {integrity}")
    return tarfile.open(archive)


def differing(name: str, wanted: dict[str, str], archive: tarfile.TarFile) -> list[str]:
    """The committed files that are not what the package holds."""
    found = []
    for ours, theirs in wanted.items():
        member = archive.extractfile(f"package/{theirs}")
        if member is None or (VENDOR / name / ours).read_bytes() != member.read():
            found.append(f"{name}/{ours}")
    return found


def main() -> int:
    """Compare every package of the manifest."""
    manifest = tomllib.loads((VENDOR / "manifest.toml").read_text())
    found: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        for name, entry in manifest.items():
            with packed(entry["package"], entry["integrity"], Path(folder)) as archive:
                found += differing(name, entry["files"], archive)
    sys.stdout.write("\n".join(f"differs: {one}" for one in found) or "as committed\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
