"""Archives are unpacked as plain files below their folder, or refused."""

import gzip
import io
import stat
import tarfile
import tracemalloc
import zipfile

import pytest

from embedstack.models import archives
from embedstack.models.archives import ArchiveRefused, check_zip, extract_tar_gz, extract_zip

LIMIT = 1_000_000


def member(name, kind=tarfile.REGTYPE, *, size=0, link="", mode=0o644):
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname, info.mode = kind, size, link, mode
    return info


def tar_gz(*members, form=tarfile.PAX_FORMAT):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", format=form) as archive:
        for info in members:
            archive.addfile(info, io.BytesIO(b"x" * info.size) if info.isfile() else None)
    return buffer.getvalue()


def unpack(content, folder, limit=LIMIT):
    target = folder / "target"
    target.mkdir()
    extract_tar_gz(io.BytesIO(content), target, limit)
    return {path.relative_to(target).as_posix(): path.stat().st_size for path in target.rglob("*") if path.is_file()}


def written_beside(folder):
    return [path for path in folder.rglob("*") if path.is_file() and not path.is_relative_to(folder / "target")]


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_extract_tar_gz_unpacks_files_and_folders(tmp_path, form):
    names = ["a", "./b/c", "b/d" if form == tarfile.USTAR_FORMAT else "b/" + "long-name/" * 30 + "é"]
    content = tar_gz(
        member(".", tarfile.DIRTYPE), member("b", tarfile.DIRTYPE), member("./b/", tarfile.DIRTYPE),
        *(member(name, size=513 * number) for number, name in enumerate(names)), form=form,
    )  # fmt: skip
    assert unpack(content, tmp_path) == {name.removeprefix("./"): 513 * number for number, name in enumerate(names)}


def test_extract_tar_gz_applies_no_modes(tmp_path):
    unpack(tar_gz(member("a", size=1, mode=0o777)), tmp_path)
    assert not (tmp_path / "target/a").stat().st_mode & stat.S_IXUSR


REFUSED_TARS = {
    "symbolic link": [member("a", tarfile.SYMTYPE, link="../secret")],
    "link to a sibling": [member("a", size=1), member("b", tarfile.SYMTYPE, link="a")],
    "hard link": [member("a", size=1), member("b", tarfile.LNKTYPE, link="a")],
    "named pipe": [member("a", tarfile.FIFOTYPE)],
    "device": [member("a", tarfile.CHRTYPE)],
    "block device": [member("a", tarfile.BLKTYPE)],
    "sparse file": [member("a", tarfile.GNUTYPE_SPARSE)],
    "unknown kind": [member("a", b"Z")],
    "absolute": [member("/a", size=1)],
    "parent": [member("../a", size=1)],
    "parent inside": [member("b/../../a", size=1)],
    "backslash": [member("..\\a", size=1)],
    "drive": [member("C:a", size=1)],
    "control character": [member("a\nb", size=1)],
    "name too long": [member("a" * 256, size=1)],
    "no name": [member("./", size=1)],
    "twice": [member("a", size=1), member("./a", size=1)],
    "case": [member("Model.json", size=1), member("model.json", size=1)],
    "case of a folder": [member("Code/a", size=1), member("code/b", size=1)],
    "composed": [member("caf\u00e9", size=1), member("cafe\u0301", size=1)],
    "through a file": [member("a", size=1), member("a/b", size=1)],
    "file at a folder": [member("a/b", size=1), member("a", size=1)],
    "folder at a file": [member("a", size=1), member("a", tarfile.DIRTYPE)],
    "set-uid": [member("a", size=1, mode=0o4755)],
    "set-gid": [member("a", size=1, mode=0o2755)],
    "too large": [member("a", size=LIMIT), member("b", size=1)],
}  # fmt: skip


@pytest.mark.parametrize("members", REFUSED_TARS.values(), ids=REFUSED_TARS)
def test_extract_tar_gz_rejects_other_than_plain_files(tmp_path, members):
    (tmp_path / "secret").write_text("kept")
    with pytest.raises(ArchiveRefused):
        unpack(tar_gz(*members), tmp_path)
    assert [path.name for path in written_beside(tmp_path)] == ["secret"]
    assert (tmp_path / "secret").read_text() == "kept"


def test_extract_tar_gz_rejects_a_path_through_long_links(tmp_path):
    """The construction of CVE-2025-4517: links so deep that realpath gives up, and a file written through them."""
    step, deep = "d" * 247, ""
    members = []
    for letter in "abcdefghijklmnop":
        members.append(member(deep + step, tarfile.DIRTYPE))
        members.append(member(deep + letter, tarfile.SYMTYPE, link=step))
        deep += step + "/"
    links = "/".join("abcdefghijklmnop")
    members.append(member(f"{links}/{'l' * 254}", tarfile.SYMTYPE, link="../" * 16))
    members.append(member("escape", tarfile.SYMTYPE, link=f"{links}/{'l' * 254}/../secret"))
    members.append(member("secret_link", tarfile.LNKTYPE, link="escape"))
    members.append(member("secret_link", size=3))
    (tmp_path / "secret").write_text("kept")
    with pytest.raises(ArchiveRefused, match="symbolic link"):
        unpack(tar_gz(*members), tmp_path)
    assert (tmp_path / "secret").read_text() == "kept"


def header_with_size(size_field):
    """A member's header with these 12 bytes as its size, and a right checksum."""
    block = bytearray(member("a", size=1).tobuf())
    block[124:136] = size_field
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


@pytest.mark.parametrize(
    "size_field",
    [b"\xff" * 12, b"\x80" + b"\xff" * 11, b"\x80\x00\x00\x00\x00\x00\x00\xff\xff\xff\xff\xff", b"00000002000\x00"],
    ids=["negative", "enormous", "terabyte", "cut short"],
)
def test_extract_tar_gz_rejects_false_sizes(tmp_path, size_field):
    content = gzip.compress(header_with_size(size_field) + b"x" * 512)
    with pytest.raises(ArchiveRefused):
        unpack(content, tmp_path, limit=2**50)


def test_extract_tar_gz_rejects_a_large_extended_header(tmp_path):
    with pytest.raises(ArchiveRefused, match=r"too large|too long"):  # Python 3.14 reads it in parts
        unpack(tar_gz(member("a/" * 600_000 + "b")), tmp_path)


def test_archive_with_a_long_name_is_rejected_in_little_memory(tmp_path):
    name = "a/" * 30_000 + "b"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, b"x")
    tracemalloc.start()
    try:
        with zipfile.ZipFile(buffer) as archive, pytest.raises(ArchiveRefused, match="too long"):
            check_zip(archive, LIMIT)
        with pytest.raises(ArchiveRefused, match="too long"):
            unpack(tar_gz(member(name)), tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()


def test_extract_tar_gz_rejects_too_many_members(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MAX_MEMBERS", 10)
    with pytest.raises(ArchiveRefused, match="over 10"):
        unpack(tar_gz(*(member(f"{number}/a") for number in range(11))), tmp_path)


def test_extract_tar_gz_finds_any_damage(tmp_path):
    """Every cut, and one flipped bit in every part of the archive, is an error."""
    content = tar_gz(*(member(f"folder/{number}", size=700) for number in range(6)))
    for number, cut in enumerate(range(0, len(content), 5)):
        (tmp_path / f"cut{number}").mkdir()
        with pytest.raises(ArchiveRefused):
            unpack(content[:cut], tmp_path / f"cut{number}")
    for number, place in enumerate(range(10, len(content), 2)):  # after the header, whose time and system nobody reads
        (tmp_path / f"flip{number}").mkdir()
        flipped = bytearray(content)
        flipped[place] ^= 1 << number % 8
        with pytest.raises(ArchiveRefused):
            unpack(bytes(flipped), tmp_path / f"flip{number}")


def test_extract_tar_gz_does_not_stop_at_a_damaged_header(tmp_path):
    content = bytearray(gzip.decompress(tar_gz(member("a", size=1), member("b", size=1))))
    content[1024 + 10] ^= 1  # in the second header
    with pytest.raises(ArchiveRefused, match="does not end"):
        unpack(gzip.compress(content), tmp_path)


def zip_of(**entries):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, (mode, content) in entries.items():
            info = zipfile.ZipInfo(name)
            info.create_system, info.external_attr = 3, mode << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    return buffer


def unzip(buffer, folder, limit=LIMIT):
    target = folder / "target"
    target.mkdir()
    with zipfile.ZipFile(buffer) as archive:
        extract_zip(archive, target, limit)
    return {path.relative_to(target).as_posix(): path.read_bytes() for path in target.rglob("*") if path.is_file()}


PLAIN = stat.S_IFREG | 0o644


def test_extract_zip_unpacks_files_and_folders(tmp_path):
    entries = {"a": (PLAIN, b"1"), "b/": (stat.S_IFDIR | 0o755, b""), "b/c": (0, b"2"), "./d/é": (PLAIN, b"3")}
    assert unzip(zip_of(**entries), tmp_path) == {"a": b"1", "b/c": b"2", "d/é": b"3"}


REFUSED_ZIPS = {
    "symbolic link": {"a": (stat.S_IFLNK | 0o777, b"../secret")},
    "link, then through it": {"a": (stat.S_IFLNK | 0o777, b".."), "a/secret": (PLAIN, b"x")},
    "device": {"a": (stat.S_IFCHR | 0o644, b"")},
    "absolute": {"/a": (PLAIN, b"x")},
    "parent": {"../secret": (PLAIN, b"x")},
    "backslash": {"..\\secret": (PLAIN, b"x")},
    "drive": {"C:/a": (PLAIN, b"x")},
    "case": {"A/b": (PLAIN, b"x"), "a/c": (PLAIN, b"x")},
    "through a file": {"a": (PLAIN, b"x"), "a/b": (PLAIN, b"x")},
    "bomb": {"a": (PLAIN, b"0" * (LIMIT + 1))},
    "bomb in parts": {f"a{number}": (PLAIN, b"0" * (LIMIT // 4)) for number in range(5)},
}


@pytest.mark.parametrize("entries", REFUSED_ZIPS.values(), ids=REFUSED_ZIPS)
def test_extract_zip_rejects_other_than_plain_files(tmp_path, entries):
    (tmp_path / "secret").write_text("kept")
    with pytest.raises(ArchiveRefused):
        unzip(zip_of(**entries), tmp_path)
    assert not list((tmp_path / "target").rglob("*")), "nothing is written of a refused archive"
    assert (tmp_path / "secret").read_text() == "kept"


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_extract_zip_rejects_a_name_twice(tmp_path):
    buffer = zip_of(a=(PLAIN, b"1"))
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr("a", b"2")
    with pytest.raises(ArchiveRefused, match="twice"):
        unzip(buffer, tmp_path)


def test_extract_zip_rejects_a_false_size_or_checksum(tmp_path):
    content = bytearray(zip_of(a=(PLAIN, b"hello" * 100)).getvalue())
    directory = content.rindex(b"PK\x01\x02")
    for place, name in ((directory + 16, "checksum"), (directory + 24, "size"), (directory + 42, "offset")):
        (tmp_path / name).mkdir()
        damaged = bytearray(content)
        damaged[place] ^= 1
        with pytest.raises(ArchiveRefused):
            unzip(io.BytesIO(damaged), tmp_path / name)
