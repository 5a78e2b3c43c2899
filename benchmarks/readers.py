"""Words that the document readers find in real files, compared with those of pdftotext, pandoc and markitdown.

The files are published by other projects: test files of Python packages, and manuals of Debian packages. They are
downloaded once, by uv and apt. A share is that of a peer's words, counted as often as the peer has them, that
the reader finds too. The words that two peers agree on are the best reference: a peer alone may add its own, such as a
picture's file name, or fail.

A text file is read again with one damaged byte at each of three places. Its words must stay the same, but for the
damaged one.

usage: .venv/bin/python benchmarks/readers.py [--only .pdf] [--folder .local/readers] [--exceptions 40]

Needs Debian or Ubuntu with poppler-utils and pandoc, and uv.
"""

import gzip
import hashlib
import io
import json
import re
import subprocess
import sys
import tarfile
import time
import tomllib
import unicodedata
import urllib.request
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path, PurePosixPath
from statistics import median, quantiles
from typing import TextIO, cast

import click

from embedstack.documents import Document, ReadLimits, read_document
from embedstack.documents.limits import Allowance
from embedstack.documents.readers.encodings import decode
from embedstack.errors import DocumentRefused

# Packages of the Python Package Index whose source distribution holds files of these formats.
_PYTHON_PACKAGES = (
    "agate==1.14.2", "bayoo-docx==0.2.20", "csvkit==2.2.0", "dask==2026.8.0", "docx-revisions==0.1.5",
    "docx2html==0.2.3", "frictionless==4.40.8", "goose3==3.1.22", "html2text==2025.4.15", "justext==3.0.2",
    "kreuzberg==4.10.4", "markdown==3.11.3", "mistune==3.4.0", "newspaper3k==0.2.8", "ocrmypdf==17.13.0",
    "oletools==0.60.2", "pandas==3.1.1", "pikepdf==10.18.0", "pydocx==0.9.10", "pypdf==7.1.1", "python-docx==1.2.0",
    "reportlab==5.1.0", "tablib==3.10.0", "trafilatura==1.6.0", "unoconv==0.9.0", "visidata==3.4", "weasyprint==70.0",
)  # fmt: skip
# Packages with Office and OpenDocument files, and notebooks.
_OFFICE_PACKAGES = (
    "ezodf==0.3.2", "jupytext==1.19.6", "nbclient==0.11.0", "nbconvert==7.17.2", "nbformat==5.11.1", "odfpy==1.4.1",
    "papermill==2.7.0", "pyexcel==0.7.6", "pyexcel-xlsx==0.6.1", "python-calamine==0.9.1", "python-pptx==1.0.2",
    "relatorio==1.0.0", "xlsx2csv==0.8.6",
)  # fmt: skip
# Manuals in several languages and scripts.
_DEBIAN_PACKAGES = (
    "debian-faq-de", "debian-faq-ja", "debian-faq-ko", "debian-faq-ru", "debian-faq-zh-cn", "debian-policy",
    "debian-policy-ja",
    "debian-refcard", "developers-reference", "developers-reference-fr", "developers-reference-ja",
    "developers-reference-ru", "harden-doc", "maint-guide-ja", "maint-guide-vi", "maint-guide-zh-cn", "r-doc-pdf",
    "siscone-doc-pdf", "why3-doc-pdf",
)  # fmt: skip
# Its tests are files of many encodings, in folders that are named after the encoding.
_ENCODINGS_PACKAGE = "chardet==4.0.0"
_ENCODINGS = {"IBM855": "cp855", "TIS-620": "cp874", "GB2312": "gb18030", "SHIFT_JIS": "cp932", "EUC-KR": "cp949"}
_NO_PYTHON_ENCODING = "EUC-TW"
_PEER_PACKAGE = "markitdown[all]==0.1.9"

#: Formats by suffix, with the peers that read them. A format of prose has to keep nearly every word.
FORMATS: dict[str, tuple[str, ...]] = {
    ".pdf": ("pdftotext", "markitdown"),
    ".docx": ("pandoc", "markitdown"),
    ".html": ("pandoc", "markitdown"),
    ".md": ("pandoc", "markitdown"),
    ".txt": ("markitdown",),
    ".csv": ("pandoc", "markitdown"),
    ".tsv": ("markitdown",),
    ".jsonl": ("markitdown",),
    ".odt": ("pandoc",),
    ".rtf": ("pandoc",),
    ".epub": ("pandoc", "markitdown"),
    ".ipynb": ("pandoc", "markitdown"),
    ".xlsx": ("markitdown",),
    ".pptx": ("markitdown",),
}
# Further suffixes of a format, and those that pandoc calls differently.
_SUFFIXES = {".htm": ".html", ".xhtml": ".html", ".markdown": ".md", ".ndjson": ".jsonl"}
_PANDOC = {
    ".md": "gfm", ".docx": "docx", ".html": "html", ".csv": "csv", ".odt": "odt", ".rtf": "rtf", ".epub": "epub",
    ".ipynb": "ipynb",
}  # fmt: skip
# What markitdown adds to spreadsheets and presentations: names for columns without one, marks of empty cells, times of
# dates, numbers of slides, and its own headings.
_ADDED = {
    ".xlsx": re.compile(r"Unnamed: \d+|Na[NT]| 00:00:00|(?<=\d)\.0\b"),
    ".pptx": re.compile(r"<!--.*?-->|!\[.*?\]\(.*?\)|^### (?:Notes|Chart):?|^\| Category|(?<=\d)\.0\b", re.MULTILINE),
}

# Files of a package, fewer of formats that most packages have.
_MAX_OF_PACKAGE = 15
_MAX_OF_COMMON = 5
_COMMON = frozenset({".html", ".md", ".txt"})
_MAX_BYTES = 12_000_000
_MIN_BYTES = 40
_MAX_MEMBERS = 100_000
_PEER_SECONDS = 60
# Text that says nothing about a format.
_SKIPPED = re.compile(r"licen[cs]e|copying|requirements|sources\.txt|egg-info|top_level|authors|robots", re.IGNORECASE)
_DAMAGE = 0xE9
_PLACES = (0.2, 0.5, 0.8)
_LOW = 0.9
_ENCODED_SHARE = 0.97
_CJK = "\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = re.compile(rf"[{_CJK}]|[^\W_{_CJK}]+")


@dataclass
class Result:
    """What the reader and its peers find in a file."""

    path: Path
    suffix: str
    text: str | None
    refusal: str
    notes: tuple[str, ...]
    seconds: float
    peers: dict[str, str | None] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The package and the file's name."""
        return f"{self.path.parent.name}/{self.path.name}"

    def share(self, peer: str) -> float | None:
        """Share of a peer's words that the reader finds; None if the peer finds none."""
        return _share(words(self.peers.get(peer) or ""), words(self.text or ""))

    def agreed_share(self) -> float | None:
        """Share of the words that all peers that read the file agree on."""
        texts = [words(text) for text in self.peers.values() if text and text.strip()]
        if not texts:
            return None
        agreed = texts[0]
        for other in texts[1:]:
            agreed = agreed & other
        return _share(agreed, words(self.text or ""))

    def foreign_words(self) -> int:
        """Words with non-ASCII letters that no peer finds, and U+FFFD, which may be mojibake."""
        theirs = {word for text in self.peers.values() for word in words(text or "")}
        return sum(count for word, count in _non_ascii(self.text or "").items() if word not in theirs) if theirs else 0


@cache
def words(text: str) -> Counter[str]:
    """Words of a text, without case and ligatures; each CJK character is one."""
    return Counter(_WORD.findall(unicodedata.normalize("NFKC", text.replace("\xad", "")).casefold()))


def _share(reference: Counter[str], ours: Counter[str]) -> float | None:
    return (reference & ours).total() / reference.total() if reference else None


def collect(folder: Path) -> list[Path]:
    """Download the packages, and unpack their files of known formats."""
    corpus = folder / "corpus"
    if not (corpus / ".complete").exists():
        for name, content in (*_python_files(folder), *_debian_files(folder)):
            package, _, member = name.partition("/")
            target = corpus / package / member.replace("/", "_")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        (corpus / ".complete").touch()
    groups: dict[tuple[str, str], list[Path]] = defaultdict(list)
    digests = set()
    for path in sorted(corpus.rglob("*")):
        suffix = _suffix(path.name)
        if not path.is_file() or suffix not in FORMATS or not _MIN_BYTES <= path.stat().st_size <= _MAX_BYTES:
            continue
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if digest not in digests:
            digests.add(digest)
            groups[path.parent.name, suffix].append(path)
    return [path for (_, suffix), paths in groups.items() for path in _spread(paths, suffix)]


def _spread(paths: list[Path], suffix: str) -> list[Path]:
    """Files at equal distances in the sorted list, since files next to each other are alike."""
    most = min(len(paths), _MAX_OF_COMMON if suffix in _COMMON else _MAX_OF_PACKAGE)
    return [paths[number * len(paths) // most] for number in range(most)]


def _suffix(name: str) -> str:
    suffix = PurePosixPath(name).suffix.lower()
    return _SUFFIXES.get(suffix, suffix)


def _is_wanted(name: str) -> bool:
    return _suffix(name.removesuffix(".gz")) in FORMATS and not _SKIPPED.search(name)


def _python_files(folder: Path) -> Iterator[tuple[str, bytes]]:
    for name, archive in _download(folder, _PYTHON_PACKAGES + _OFFICE_PACKAGES):
        for member, content in _members(archive):
            yield f"{name}/{member.partition('/')[2]}", content


def _download(folder: Path, packages: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    """Names and source distributions of packages."""
    folder.mkdir(parents=True, exist_ok=True)
    names = folder / "packages.in"
    names.write_text("\n".join(packages))
    lock = subprocess.run(
        ["uv", "pip", "compile", "--quiet", "--no-deps", "--format", "pylock.toml", names],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    for package in tomllib.loads(lock)["packages"]:
        source = package["sdist"]
        with urllib.request.urlopen(source["url"], timeout=300) as response:  # noqa: S310 - from uv
            content = response.read()
        if hashlib.sha256(content).hexdigest() != source["hashes"]["sha256"]:
            raise click.ClickException(f"{package['name']} was damaged on its way. Run this again.")
        yield package["name"], content


def _members(archive: bytes, is_wanted: Callable[[str], bool] = _is_wanted) -> Iterator[tuple[str, bytes]]:
    if archive.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(archive)) as package:
            for entry in package.infolist():
                if is_wanted(entry.filename) and entry.file_size <= _MAX_BYTES:
                    yield entry.filename, package.read(entry)
        return
    with tarfile.open(fileobj=io.BytesIO(archive)) as package:
        for member in package:
            if member.isfile() and is_wanted(member.name) and member.size <= _MAX_BYTES:
                file = package.extractfile(member)
                if file:
                    yield member.name, file.read()


def _debian_files(folder: Path) -> Iterator[tuple[str, bytes]]:
    packages = folder / "debian"
    packages.mkdir(exist_ok=True)
    for name in _DEBIAN_PACKAGES:
        subprocess.run(["apt-get", "download", "--quiet", name], check=False, cwd=packages, capture_output=True)
    for package in sorted(packages.glob("*.deb")):
        data = subprocess.run(["dpkg-deb", "--fsys-tarfile", package], check=True, capture_output=True).stdout
        for name, content in _members(data):
            unpacked = gzip.decompress(content) if name.endswith(".gz") else content
            yield f"{package.name.partition('_')[0]}/{name.removesuffix('.gz').removeprefix('./')}", unpacked


def read(path: Path) -> Result:
    """Read a file as an application does."""
    started = time.perf_counter()
    document, refusal = _read(path.read_bytes(), path.name)
    return Result(
        path,
        _suffix(path.name),
        _text(document) if document else None,
        refusal,
        document.notes if document else (),
        time.perf_counter() - started,
    )


def _read(content: bytes, name: str) -> tuple[Document | None, str]:
    try:
        return read_document(io.BytesIO(content), name), ""
    except DocumentRefused as error:
        return None, f"{error.reason}: {str(error).removeprefix(name)[:140]}"


def _text(document: Document) -> str:
    # The title is stored beside the text.
    return "\n\n".join([document.title or "", *(section.text for section in document.sections)])


def _pdftotext(path: Path) -> str | None:
    return _output(["pdftotext", "-q", path, "-"])


def _pandoc(path: Path) -> str | None:
    return _output(["pandoc", "--from", _PANDOC[_suffix(path.name)], "--to", "plain", "--wrap", "none", path])


def _output(command: list[str | Path]) -> str | None:
    try:
        done = subprocess.run(command, check=False, capture_output=True, timeout=_PEER_SECONDS)
    except subprocess.TimeoutExpired:
        return None
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else None


class _MarkItDown:
    """markitdown in a separate environment. One process reads all files, because it takes 2 s to start."""

    def __init__(self, folder: Path) -> None:
        environment = folder / "peers"
        python = environment / "bin" / "python"
        if not python.exists():
            subprocess.run(["uv", "venv", "--quiet", environment], check=True)
            subprocess.run(["uv", "pip", "install", "--quiet", "--python", python, _PEER_PACKAGE], check=True)
        script = Path(__file__).with_name("readers_peers.py")
        self._process = subprocess.Popen(
            [python, script, str(_PEER_SECONDS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._requests = cast("TextIO", self._process.stdin)
        self._responses = cast("TextIO", self._process.stdout)

    def __call__(self, path: Path) -> str | None:
        print(path, file=self._requests, flush=True)
        text: str | None = json.loads(self._responses.readline())
        return text

    def close(self) -> None:
        self._requests.close()
        self._process.wait()


class _Peers:
    """The peers' texts, which are kept in a folder, since they are slower than the reader."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "texts"
        self._markitdown: _MarkItDown | None = None
        self._parent = folder

    def text(self, peer: str, path: Path) -> str | None:
        digest = hashlib.sha256(path.name.encode() + path.read_bytes()).hexdigest()
        cached = self._folder / peer / f"{digest}.json"
        if not cached.exists():
            cached.parent.mkdir(parents=True, exist_ok=True)
            cached.write_text(json.dumps(self._reader(peer)(path)))
        text: str | None = json.loads(cached.read_text())
        added = _ADDED.get(_suffix(path.name))
        return added.sub("", text) if added and text else text

    def close(self) -> None:
        if self._markitdown:
            self._markitdown.close()

    def _reader(self, peer: str) -> Callable[[Path], str | None]:
        if peer == "markitdown":
            self._markitdown = self._markitdown or _MarkItDown(self._parent)
            return self._markitdown
        return {"pdftotext": _pdftotext, "pandoc": _pandoc}[peer]


def damaged_readings(path: Path) -> Iterator[str]:
    """What is wrong with the readings of a UTF-8 file that has one damaged byte; empty if nothing is."""
    content = path.read_bytes()
    whole, _ = _read(content, path.name)
    if whole is None or whole.encoding != "utf_8" or content.isascii():
        return
    expected = words(_text(whole))
    for place in _PLACES:
        position = int(len(content) * place)
        damaged = bytearray(content)
        damaged[position] = _DAMAGE
        document, refusal = _read(bytes(damaged), path.name)
        if document is None:
            yield f"refused ({refusal})"
        elif document.encoding != "utf_8":
            yield f"read as {document.encoding}"
        else:
            # The damaged word, its neighbour, and in a table the name of a column in each row.
            lost = (expected - words(_text(document))).total()
            yield f"{lost} words lost" if lost > max(3, 0.01 * expected.total()) else ""


def _non_ascii(text: str) -> Counter[str]:
    return Counter({word: count for word, count in words(text).items() if not word.isascii()})


def encoded_readings(folder: Path) -> Iterator[tuple[str, bool]]:
    """Names of files of many encodings, and whether their words are found without their declarations."""
    for _, archive in _download(folder, (_ENCODINGS_PACKAGE,)):
        for name, content in _members(archive, lambda name: "/tests/" in name):
            label = name.split("/")[-2]
            encoding = _ENCODINGS.get(label, re.sub("-[a-z]{5,}$", "", label))
            if label in ("tests", _NO_PYTHON_ENCODING) or not content:
                continue
            expected = _non_ascii(content.decode(encoding, "replace"))
            try:
                text, _ = decode(content, Allowance(name, ReadLimits()))
            except DocumentRefused:
                text = ""
            share = _share(expected, _non_ascii(text))
            yield name, share is None or share > _ENCODED_SHARE


def _print_encoded(folder: Path) -> None:
    outcomes = list(encoded_readings(folder))
    wrong = [name for name, is_right in outcomes if not is_right]
    click.echo(f"\n{len(outcomes)} files of many encodings, without their declarations: {len(wrong)} wrong")
    for name in wrong:
        click.echo(f"  {name}")


def _print_table(results: list[Result]) -> None:
    peers = ("pdftotext", "pandoc", "markitdown")
    click.echo(
        f"{'format':8} {'files':>5} {'read':>5} {'refused':>7}  "
        + " ".join(f"{peer:>10}" for peer in peers)
        + f" {'agreed':>8} {'p10':>6} {'<0.9':>5} {'seconds':>8}"
    )
    for suffix in FORMATS:
        of_format = [result for result in results if result.suffix == suffix]
        if not of_format:
            continue
        is_read = [result for result in of_format if result.text is not None]
        agreed = [share for result in is_read if (share := result.agreed_share()) is not None]
        click.echo(
            f"{suffix:8} {len(of_format):5} {len(is_read):5} {len(of_format) - len(is_read):7}  "
            + " ".join(f"{_median([result.share(peer) for result in is_read]):>10}" for peer in peers)
            + f" {_median(list(agreed)):>8} {_tenth(agreed):>6} {sum(share < _LOW for share in agreed):5} "
            f"{sum(result.seconds for result in of_format):8.1f}"
        )


def _median(shares: list[float | None]) -> str:
    measured = [share for share in shares if share is not None]
    return f"{median(measured):.4f}" if measured else "-"


def _tenth(shares: list[float]) -> str:
    return f"{quantiles(shares, n=10)[0]:.3f}" if len(shares) > 1 else "-"


def _print_exceptions(results: list[Result], most: int) -> None:
    low = [
        (share, result)
        for result in results
        if result.text is not None and (share := result.agreed_share()) is not None
    ]
    low = sorted(((share, result) for share, result in low if share < _LOW), key=lambda pair: pair[0])
    click.echo(f"\n{len(low)} files with less than {_LOW} of the words that the peers agree on:")
    for share, result in low[:most]:
        shares = ", ".join(f"{peer} {_median([result.share(peer)])}" for peer in result.peers)
        click.echo(f"  {share:.3f}  {result.name} ({shares}) {' '.join(result.notes)}")
    refused = [result for result in results if result.text is None]
    read = [result for result in refused if any(words(text or "") for text in result.peers.values())]
    click.echo(f"\n{len(refused)} files refused. In {len(read)} of them a peer finds words:")
    for result in sorted(read, key=lambda result: (result.suffix, result.name)):
        counts = ", ".join(f"{peer} {words(text or '').total()}" for peer, text in result.peers.items())
        click.echo(f"  {result.name} ({counts}) {result.refusal}")
    foreign = [(result.foreign_words(), result) for result in results if result.text]
    foreign = sorted(((count, result) for count, result in foreign if count > 2), key=lambda pair: -pair[0])
    click.echo(f"\n{len(foreign)} files with non-ASCII words that no peer finds:")
    for count, result in foreign[:most]:
        click.echo(f"  {count:6}  {result.name}")


def _print_damaged(paths: list[Path]) -> None:
    outcomes = [(path, outcome) for path in paths for outcome in damaged_readings(path)]
    wrong = [(path, outcome) for path, outcome in outcomes if outcome]
    files = len({path for path, _ in outcomes})
    click.echo(
        f"\n{files} UTF-8 files with one damaged byte at {len(_PLACES)} places: {len(wrong)} of {len(outcomes)} wrong"
    )
    for path, outcome in wrong:
        click.echo(f"  {path.parent.name}/{path.name}: {outcome}")


@click.command()
@click.option("--folder", type=click.Path(path_type=Path), default=Path(".local/readers"), show_default=True)
@click.option("--only", default="", help="Only files of this suffix, such as .pdf.")
@click.option("--exceptions", default=40, show_default=True, help="Lines of each list of exceptions.")
def main(folder: Path, only: str, exceptions: int) -> None:
    """Print the shares by format, and the files in which the reader finds less than its peers."""
    paths = [path for path in collect(folder) if not only or _suffix(path.name) == only]
    click.echo(f"{len(paths)} files of {len({path.parent for path in paths})} packages")
    with ThreadPoolExecutor(2) as executor:
        results = list(executor.map(read, paths))
    peers = _Peers(folder)
    for result in results:
        result.peers = {peer: peers.text(peer, result.path) for peer in FORMATS[result.suffix]}
    peers.close()
    _print_table(results)
    _print_exceptions(results, exceptions)
    _print_encoded(folder)
    _print_damaged([path for path in paths if _suffix(path.name) in {".txt", ".md", ".html", ".csv", ".tsv"}])


if __name__ == "__main__":
    sys.exit(main())
