"""Reading a zip file that nobody vouches for: limits first, plain entries only, nothing unpacked to disk."""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path

from keshi.errors import ArtifactError

MAX_FILES = 256
MAX_BYTES = 2 << 30  # of all files together, unpacked
# An embedding's manifest says which cells were counted: some 150 KB a column. It must be refused before the budget is
# spent or not at all, so this is more than the columns that preset keshi takes need.
MAX_MANIFEST_BYTES = 256 << 20
MAX_RATIO = 200  # unpacked to packed, checked above HARMLESS_BYTES; deflate reaches 1,032 on zeros
HARMLESS_BYTES = 64 << 20


def refuse_size(sizes: dict[str, int], *, source: Path, manifest: str = "manifest.json") -> None:
    """Refuse more files or more bytes than any artefact of ours has, before reading any of them."""
    if len(sizes) > MAX_FILES:
        raise ArtifactError(f"{source} holds {len(sizes)} files; expected at most {MAX_FILES}.")
    if sum(sizes.values()) > MAX_BYTES:
        raise ArtifactError(f"{source} holds {sum(sizes.values()):,} bytes; expected at most {MAX_BYTES:,}.")
    if sizes.get(manifest, 0) > MAX_MANIFEST_BYTES:
        raise ArtifactError(f"{source} has a manifest of over {MAX_MANIFEST_BYTES:,} bytes; expected less.")


def read_zip(path: Path, *, manifest: str) -> dict[str, bytes]:
    """Name -> content of a zip file's entries, which may all lie in one folder, as `zip -r` makes them."""
    with open(path, "rb") as stream:
        if stream.read(4) != b"PK\x03\x04":
            raise ArtifactError(
                f"{path} is a file that is no zip; expected the folder of a keshi artefact, or a zip of it. "
                "Check the path: a table goes to `keshi embed` or `keshi domain`."
            )
    _refuse_directory(path)
    try:
        with zipfile.ZipFile(path) as archive:
            infos = _plain_entries(archive.infolist(), path=path, manifest=manifest)
            return {name: archive.read(info) for name, info in infos.items()}
    except ArtifactError:
        raise
    except Exception as error:  # zipfile, zlib and struct raise a dozen types on damaged input
        raise ArtifactError(f"{path} is a damaged zip file ({error}). Copy or make it again.") from error


def _refuse_directory(path: Path) -> None:
    # zipfile reads the whole list of entries into memory, so its length is checked first, at the end
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise ArtifactError(f"{path} has {size:,} bytes; expected at most {MAX_BYTES:,}.")
    with open(path, "rb") as stream:
        stream.seek(max(0, size - 65_557))  # the record has 22 bytes and a comment of up to 65,535
        tail = stream.read()
    at = (
        len(tail) - 22
        if tail[-22:-18] == b"PK\x05\x06" and tail[-2:] == b"\0\0"
        else tail.rfind(b"PK\x05\x06")
    )
    if at < 0 or len(tail) < at + 22:
        raise ArtifactError(f"{path} is a zip file that is cut short. Copy or make it again.")
    entries = int.from_bytes(tail[at + 10 : at + 12], "little")
    directory_bytes = int.from_bytes(tail[at + 12 : at + 16], "little")
    is_zip64 = tail[max(0, at - 20) : at].startswith(b"PK\x06\x07")
    if entries > MAX_FILES + 1 or directory_bytes > 1 << 20 or is_zip64:
        raise ArtifactError(f"{path} lists more entries than any keshi artefact has. Check the path.")


def _plain_entries(infos: list[zipfile.ZipInfo], *, path: Path, manifest: str) -> dict[str, zipfile.ZipInfo]:
    names = [info.filename for info in infos]
    if len({name.casefold() for name in names}) < len(names):
        raise ArtifactError(f"{path} holds an entry twice. Make the zip file again.")
    folder = ""
    if manifest not in names and names and "/" in names[0]:
        folder = names[0].split("/", 1)[0] + "/"
    entries: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        name = info.filename
        if folder and name == folder:
            continue
        inner = name[len(folder) :] if name.startswith(folder) else name
        mode = info.external_attr >> 16
        is_special = stat.S_IFMT(mode) not in (0, stat.S_IFREG)
        leaves = (
            folder in ("/", "../", "./") or "/" in inner or "\\" in name or ":" in name or inner in ("", "..")
        )
        if leaves or is_special or info.orig_filename != info.filename or (folder and inner == name):
            raise ArtifactError(
                f"{path} holds the entry {info.orig_filename!r}; expected plain files of one folder, "
                "no links and no paths. Make the zip file again from the artefact's folder."
            )
        if info.flag_bits & 0x1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ArtifactError(f"{path}: {name!r} is encrypted or packed in an unusual way. Zip it plainly.")
        entries[inner] = info
    sizes = {name: info.file_size for name, info in entries.items()}
    refuse_size(sizes, source=path, manifest=manifest)
    packed = max(1, sum(info.compress_size for info in entries.values()))
    if sum(sizes.values()) > max(HARMLESS_BYTES, MAX_RATIO * min(packed, path.stat().st_size)):
        raise ArtifactError(
            f"{path} would unpack to {sum(sizes.values()):,} bytes from {packed:,}: a zip bomb. Delete it."
        )
    return entries
