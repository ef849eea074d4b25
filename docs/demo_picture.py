"""Runs `ralph demo` on a terminal and draws what its screen shows in the end, as SVG.

    python3 docs/demo_picture.py PROGRAM OUTPUT

Standard library only. The terminal knows as much as ralph uses: text, styles, going up, clearing.
"""

import fcntl
import html
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
import unicodedata
from dataclasses import dataclass, replace

COLUMNS, ROWS = 112, 60
COMMAND = "ralph demo"

INK = {
    "plain": "#d6dbe5",
    "faint": "#7f8899",
    "strong": "#ffffff",
    31: "#f7768e",
    32: "#9ece6a",
    33: "#e0af68",
}
PAPER, BAR, EDGE = "#16181f", "#20232c", "#2e323d"
LIGHTS = ("#f7768e", "#e0af68", "#9ece6a")
FONT = "ui-monospace, SFMono-Regular, 'SF Mono', Menlo, Consolas, 'DejaVu Sans Mono', 'Liberation Mono', monospace"
SIZE, ADVANCE, LINE = 13, 7.8, 19
MARGIN, HEAD = 18, 40


@dataclass(frozen=True)
class Style:
    colour: int = 0
    bold: bool = False
    faint: bool = False

    def ink(self) -> str:
        if self.colour:
            return INK[self.colour]
        return INK["faint"] if self.faint else INK["strong"] if self.bold else INK["plain"]


Line = list[tuple[str, Style]]


class Screen:
    """Every line that was ever written, as the terminal and its scrollback hold them."""

    TOKEN = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|([\r\n])|([^\x1b\r\n]+)")

    def __init__(self) -> None:
        self.lines: list[Line] = [[]]
        self.row = self.column = 0
        self.style = Style()

    def write(self, text: str) -> None:
        seen = 0
        for token in self.TOKEN.finditer(text):
            assert token.start() == seen, f"not known to this terminal: {text[seen:seen + 20]!r}"
            seen = token.end()
            arguments, command, control, plain = token.groups()
            if plain:
                for character in plain:
                    self.put(character)
            elif control == "\r":
                self.column = 0
            elif control == "\n":
                self.row += 1
                if self.row == len(self.lines):
                    self.lines.append([])
            else:
                self.obey(arguments, command)
        assert seen == len(text), f"not known to this terminal: {text[seen:seen + 20]!r}"

    def put(self, character: str) -> None:
        if self.column == COLUMNS:
            self.write("\r\n")
        line = self.lines[self.row]
        line.extend((" ", Style()) for _ in range(self.column - len(line)))
        line[self.column : self.column + 1] = [(character, self.style)]
        self.column += 1

    def obey(self, arguments: str, command: str) -> None:
        match command:
            case "A":
                self.row -= int(arguments or 1)
            case "K":
                del self.lines[self.row][self.column :]
            case "J":
                del self.lines[self.row][self.column :]
                del self.lines[self.row + 1 :]
            case "m":
                for code in map(int, (arguments or "0").split(";")):
                    self.restyle(code)
            case _:
                raise AssertionError(f"not known to this terminal: CSI {arguments} {command}")

    def restyle(self, code: int) -> None:
        if code == 0:
            self.style = Style()
        elif code == 1:
            self.style = replace(self.style, bold=True)
        elif code == 2:
            self.style = replace(self.style, faint=True)
        else:
            assert code in INK, f"a colour that is not drawn here: {code}"
            self.style = replace(self.style, colour=code)


def run(program: str, folder: str) -> str:
    """What the demo writes to a terminal."""
    home, bin_folder, temp = (os.path.join(folder, name) for name in ("home", "bin", "tmp"))
    for made in (home, bin_folder, temp):
        os.mkdir(made)
    shutil.copy(program, os.path.join(bin_folder, "ralph"))
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    path = os.pathsep.join([bin_folder, os.environ.get("PATH", "/usr/bin:/bin")])
    environment = {"PATH": path, "HOME": home, "TMPDIR": temp, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
    demo = subprocess.Popen(
        [os.path.join(bin_folder, "ralph"), "demo"],
        stdin=theirs, stdout=theirs, stderr=subprocess.PIPE, env=environment, cwd=home, start_new_session=True,
    )
    os.close(theirs)
    written = bytearray()
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:
            break
        if not part:
            break
        written += part
    _, notes = demo.communicate()
    assert demo.returncode == 0, f"the demo exited with {demo.returncode}: {notes.decode()}"
    return written.decode()


def settled(text: str, folder: str) -> str:
    """The same text each time: what differs from run to run takes a fixed form."""
    text = re.sub(re.escape(os.path.join(folder, "tmp")) + r"/ralph-demo-\w+", "/tmp/ralph-demo-Qm3xZa", text)
    commits: dict[str, str] = {}

    def commit(found: re.Match[str]) -> str:
        return commits.setdefault(found[0], f"{0x9E3779B9 * (len(commits) + 1) & 0xFFFFFFFF:08x}")

    return re.sub(r"(?<=\x1b\[33m)[0-9a-f]{8}(?=\x1b)", commit, text)


def shortened(lines: list[Line]) -> list[Line]:
    """Without the manifest, which is long and shown elsewhere, and without empty lines at the end."""
    texts = ["".join(character for character, _ in line) for line in lines]
    first, last = texts.index("{"), texts.index("}")
    faint = [(character, Style(faint=True)) for character in "{ … about 35 lines of JSON … }"]
    lines = lines[:first] + [faint] + lines[last + 1 :]
    while lines and not any(character.strip() for character, _ in lines[-1]):
        lines.pop()
    return lines


def runs(line: Line, y: float) -> str:
    """A line as text elements, one for each run of one style. Wide gaps are left out: readers of SVG close them."""
    out = []
    start = 0
    while start < len(line):
        end = start
        while end < len(line) and line[end][1] == line[start][1]:
            end += 1
        text, style = "".join(character for character, _ in line[start:end]), line[start][1]
        for part in re.finditer(r"\S+(?: \S+)*", text):
            body = part[0]
            assert all(unicodedata.east_asian_width(c) not in "WF" for c in body), f"wide characters: {body}"
            weight = ' font-weight="600"' if style.bold else ""
            out.append(
                f'<text x="{MARGIN + (start + part.start()) * ADVANCE:.1f}" y="{y:.1f}" fill="{style.ink()}"{weight} '
                f'textLength="{len(body) * ADVANCE:.1f}" lengthAdjust="spacingAndGlyphs">{html.escape(body)}</text>'
            )
        start = end
    return "".join(out)


def drawn(lines: list[Line]) -> str:
    prompt = [("$", Style(colour=32)), (" ", Style())] + [(c, Style(bold=True)) for c in COMMAND]
    lines = [prompt, *lines]
    width = max(max(map(len, lines)), 80) * ADVANCE + 2 * MARGIN
    height = HEAD + len(lines) * LINE + MARGIN
    lights = "".join(f'<circle cx="{22 + 20 * n}" cy="16" r="6" fill="{ink}"/>' for n, ink in enumerate(LIGHTS))
    rows = "\n".join(filter(None, (runs(line, HEAD + (n + 0.75) * LINE) for n, line in enumerate(lines))))
    return f"""<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" \
viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="A terminal: {COMMAND}">
<rect x="0.5" y="0.5" width="{width - 1:.0f}" height="{height - 1:.0f}" rx="9" fill="{PAPER}" stroke="{EDGE}"/>
<path d="M1 32 V10 a9 9 0 0 1 9 -9 H{width - 10:.0f} a9 9 0 0 1 9 9 V32 Z" fill="{BAR}"/>
{lights}
<text x="{width / 2:.0f}" y="21" fill="{INK['faint']}" font-family="system-ui, sans-serif" font-size="12" \
text-anchor="middle">{COMMAND}</text>
<g font-family="{FONT}" font-size="{SIZE}">
{rows}
</g>
</svg>
"""


def main() -> None:
    program, output = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="ralph-picture-") as folder:
        text = settled(run(program, os.path.realpath(folder)), os.path.realpath(folder))
    screen = Screen()
    screen.write(text)
    with open(output, "w", encoding="utf-8") as file:
        file.write(drawn(shortened(screen.lines)))


if __name__ == "__main__":
    main()
