# SPDX-License-Identifier: Apache-2.0
"""A strict reader of Zeek's tab-separated logs: whatever is not exactly as the head announces is an error.

    log = zeek_log.read(path)       # .fields, .types, .rows (dicts, escapes undone), .closed; or ValueError
"""
import ipaddress
import re

HEAD = ["#separator \\x09", "#set_separator\t,", "#empty_field\t(empty)", "#unset_field\t-", "#path\tconn"]
MOMENT = re.compile(r"[0-9]{4}(-[0-9]{2}){5}")
NS = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{9}Z"
LOSS = re.compile(rf"#flowner_loss\t[a-z_]+\t[a-z_]+\t[0-9]+\t[0-9]+\t{NS}\t{NS}")
# What must never be seen: C0 but tab and newline, DEL, C1, and what steers a terminal.
UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
                    "\ufff9-\ufffb\U000e0000-\U000e007f]")
UNSET, EMPTY = "-", "(empty)"


def unescape(text):
    """Undoes \\xHH and \\\\, byte by byte."""
    out, i, raw = bytearray(), 0, text.encode()
    while i < len(raw):
        if raw[i] != 0x5C:
            out.append(raw[i])
            i += 1
        elif raw[i + 1:i + 2] == b"\\":
            out.append(0x5C)
            i += 2
        elif re.fullmatch(rb"x[0-9a-f]{2}", raw[i + 1:i + 4]):
            out.append(int(raw[i + 2:i + 4], 16))
            i += 4
        else:
            raise ValueError(f"wrong escape in {text!r}")
    return bytes(out).decode("utf-8", "surrogateescape")


def number(pattern, make):
    def parse(text):
        if not re.fullmatch(pattern, text):
            raise ValueError(f"{text!r} is not {pattern}")
        return make(text)
    return parse


SCALARS = {
    "string": unescape,
    "enum": number(r"[a-z0-9_-]+", str),
    "count": number(r"0|[1-9][0-9]*", int),
    "port": number(r"0|[1-9][0-9]{0,4}", int),
    "time": number(r"[0-9]+\.[0-9]{6}", float),
    "interval": number(r"[0-9]+\.[0-9]+", float),
    "bool": number(r"[TF]", lambda t: t == "T"),
    "addr": lambda t: str(ipaddress.ip_address(t)),
}


def value(text, kind):
    if text == UNSET:
        return None
    if text == "":
        raise ValueError("an empty value")
    m = re.fullmatch(r"(?:set|vector)\[(\w+)\]", kind)
    if m:
        return [] if text == EMPTY else [value(x, m.group(1)) for x in text.split(",")]
    return "" if text == EMPTY and kind == "string" else SCALARS[kind](text)


class Log:
    def __init__(self, text):
        if UNSAFE.search(text):
            raise ValueError(f"a character that steers: {UNSAFE.search(text)!r}")
        lines = text.split("\n")
        if lines.pop() != "":
            raise ValueError("a torn last line")
        for want in HEAD:
            if lines.pop(0) != want:
                raise ValueError(f"head: not {want!r}")
        self._moment(lines.pop(0), "#open")
        self.fields = self._list(lines.pop(0), "#fields")
        self.types = self._list(lines.pop(0), "#types")
        if len(self.fields) != len(self.types) or len(set(self.fields)) != len(self.fields):
            raise ValueError("fields and types do not fit")
        self.closed = bool(lines) and lines[-1].startswith("#close")
        if self.closed:
            self._moment(lines.pop(), "#close")
        # Readers of these logs pass over what begins with #.
        self.losses = [LOSS.fullmatch(line) for line in lines if line.startswith("#flowner_loss\t")]
        if None in self.losses:
            raise ValueError("a loss that cannot be read")
        self.rows = [self._row(line) for line in lines if not line.startswith("#flowner_loss\t")]

    @staticmethod
    def _list(line, name):
        first, *rest = line.split("\t")
        if first != name or "" in rest:
            raise ValueError(f"no {name}: {line!r}")
        return rest

    def _moment(self, line, name):
        if not MOMENT.fullmatch(*self._list(line, name)):
            raise ValueError(line)

    def _row(self, line):
        cells = line.split("\t")
        if line.startswith("#") or len(cells) != len(self.fields):
            raise ValueError(f"{len(cells)} columns, {len(self.fields)} announced: {line!r}")
        return {f: value(c, t) for f, t, c in zip(self.fields, self.types, cells)}


def read(path):
    with open(path, encoding="utf-8", newline="") as f:
        return Log(f.read())
