"""Random command lines and files, most of them wrong, for the test that no input ends in a traceback."""

import json
import string
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final

import yaml

FLEET: Final = "dynamodb://fleet?endpoint=http://127.0.0.1:9&region=eu-central-1"
_ADDRESSES: Final = (
    "kubernetes:", "kubernetes:x", "dynamodb://", "dynamodb:", "dynamodb://x?region", "dynamodb://[::1", "http://x",
    "dynamodb://p?bad=1&endpoint=http://127.0.0.1:9", "dynamodb://p?region=a&region=b", "", "://", "\x1b[31m",
    "dynamodb://fleet?endpoint=nonsense", "dynamodb://fleet?endpoint=http://[", "dynamodb://ü?scope=\u202e&endpoint=x",
)  # fmt: skip
_PLACES: Final = ("s3://", "s3:/x", "http://x", "s3://[", "s3://b?x=y", "ftp://x", "", "s3://b/p?endpoint=", "file://[")
_WORDS: Final = (
    "", " ", "-", "--", "-x", "--unknown", "%s", "{}", "fraud", "ml/fraud", "a/b/c", "../../etc", "fraud?x=1#y",
    "ml/", "/fraud", "9" * 5000, "-1", "1e9", "2.0.0", "v1.1.0", "1.0", "ünï 汉字", "\x1b[2J\x1b]0;gone\x07",
    "\u202eabc", "\U0001d4b3",
    "2026-11-01", "36h", "999999d", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00+23:59", "2026-13-45", "a" * 3000,
    "sha256:" + "0" * 64, "sha256:x", "complaints of merchants", "00000000-0000-0000-0000-000000000000", "x=y", "=",
    "models:/fraud/1", "models:/", "a:80", "a:99999", "inf", "nan", "null", "--help",
)  # fmt: skip

_JUNK: Final[tuple[object, ...]] = (
    None, True, 0, -1, 10**400, 2**63, 1.5, float("nan"), float("inf"), "", " ", "a" * 9000, "\x1b[2J", "\u202e",
    "\U0001d4b3" * 40, [], [[]], [None], {}, {"a": {}}, {1: 2}, {None: None}, "../..", "a/b", "sha256:" + "0" * 64,
    b"\xff\x00",
    "2026-11-01T00:00:00Z", "9999999h", "1e999%", "-5%", "true", "null", "{{", "$x", "1.0.0", "v0.0.0-0",
)  # fmt: skip

_BOMB: Final = b"".join(
    b"%c: &%c [*%c, *%c, *%c]\n" % (letter + 1, letter + 1, *[letter] * 3) for letter in range(98, 121)
)

BYTES: Final[tuple[bytes, ...]] = (
    b"", b"\x00", b"\xff\xfe\x00", bytes(range(256)), "a: ü".encode("utf-16"), b"\xef\xbb\xbfa: 1", b"[" * 5000,
    b"{" * 5000, b"a: &x [*x]", b"- !!int x", b"- !!float x", b"- !!bool x", b"- !!timestamp x", b"- !!binary \xc3\xa4",
    b"- !!python/object:os.system {}", b"? [a]\n: 1", b'- "\\ud800"', b"'", b"a: 1\na: 2", b"\t- x", b"%YAML 9\n--\n",
    b"--- \n...\n---", b'{"sequence": 1e400}', b'{"sequence": NaN}\n', b"9" * 5000, b"\r\n" * 50, b"a: " + b"9" * 5000,
    b"a: &a [x, x]\nb: &b [*a, *a]\n" + _BOMB,
    b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", b"null", b"[]", b"{}", b"1", b'"x"',
    b"# nothing",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sample:
    """A valid file: its documents, and how they are written."""

    documents: tuple[Any, ...]
    dump: Callable[[Sequence[Any]], bytes]


def as_yaml(documents: Sequence[Any]) -> bytes:
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    dumped: bytes = yaml.dump_all(documents, Dumper=dumper, allow_unicode=True, encoding="utf-8")
    return dumped


def as_lines(documents: Sequence[Any]) -> bytes:
    return b"".join(json.dumps(document, default=repr).encode() + b"\n" for document in documents)


@dataclass(frozen=True, slots=True)
class Inputs:
    """The source of what a test types; every choice is made by ``random``."""

    random: Random
    folder: Path
    samples: dict[str, Sample]
    junk_server: str

    def word(self) -> str:
        if self.random.random() < 0.7:
            return self.random.choice(_WORDS)
        letters = string.printable.strip() + "äß€\u200b\U0001d4b3\u0301\x07\x9b"
        return "".join(self.random.choice(letters) for _ in range(self.random.randint(1, 12)))

    def either(self, *good: str) -> str:
        """One of these mostly, so that the command gets further than its arguments."""
        return self.random.choice(good) if self.random.random() < 0.8 else self.word()

    def registry(self) -> str:
        return FLEET if self.random.random() < 0.85 else self.random.choice(_ADDRESSES)

    def place(self) -> str:
        good = ("s3://bucket/prefix?endpoint=http://127.0.0.1:9&region=eu-central-1", str(self.folder / "archive"))
        return self.random.choice(good if self.random.random() < 0.5 else _PLACES)

    def file(self, kind: str) -> str:
        """The path of a file of this kind: valid, wrong in one field, wrong as a whole, or no file at all."""
        path = self.folder / f"{kind}-{self.random.randrange(10**6)}.yaml"
        match self.random.randrange(10):
            case 0:
                return self._no_file(path)
            case 1 | 2:
                path.write_bytes(self.random.choice(BYTES))
            case 3:
                whole = self._valid(kind)
                path.write_bytes(whole[: self.random.randrange(len(whole))] + self.random.choice((b"", b"\xff", b"'")))
            case 4:
                path.write_bytes(self._valid(kind))
            case _:
                sample = self.samples[kind]
                documents = deepcopy(list(sample.documents))
                for _ in range(self.random.choice((1, 1, 1, 3))):
                    self.damage(documents)
                path.write_bytes(sample.dump(documents))
        return str(path)

    def _valid(self, kind: str) -> bytes:
        sample = self.samples[kind]
        return sample.dump(sample.documents)

    def _no_file(self, path: Path) -> str:
        loop = path.with_suffix(".loop")
        loop.symlink_to(loop)
        return self.random.choice((str(self.folder), str(path), str(loop), f"{loop}/x", "x" * 300, "", "/dev/null/x"))

    def damage(self, value: Any) -> None:
        """Change one place of a nested value, at any depth."""
        while True:
            keys = list(value) if isinstance(value, dict) else list(range(len(value)))
            if not keys:
                return
            key = self.random.choice(keys)
            if isinstance(value[key], dict | list) and value[key] and self.random.random() < 0.8:
                value = value[key]
                continue
            match self.random.randrange(6):
                case 0:
                    del value[key]
                case 1 if isinstance(value, dict):
                    value[self.random.choice(("unknown", "", "a/b", 7, None, "\x1b[2J"))] = self.random.choice(_JUNK)
                case 1:
                    value.append(deepcopy(value[key]))
                case _:
                    value[key] = deepcopy(self.random.choice(_JUNK))
            return
