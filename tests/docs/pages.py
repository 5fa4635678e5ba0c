"""Parses the Markdown pages of the repository."""

import functools
import pathlib
import re
import subprocess
from typing import NamedTuple

from markdown_it import MarkdownIt

ROOT = pathlib.Path(__file__).parents[2]
MARKDOWN = MarkdownIt("commonmark").enable("table")


def files():
    """The files of the repository, with those that are not committed yet."""
    command = ["git", "ls-files", "-co", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, check=True).stdout.splitlines()
    return [file for file in listed if (ROOT / file).is_file()]


def pages():
    return [Page(file, (ROOT / file).read_text()) for file in files() if file.endswith(".md")]


class Block(NamedTuple):
    line: int
    language: str
    text: str


class Page:
    def __init__(self, name, text):
        self.name, self.text = name, text
        self.tokens = MARKDOWN.parse(text)

    @functools.cached_property
    def blocks(self):
        """The code blocks. The line is that of the first line of code, counted from 1."""
        fenced = [Block(t.map[0] + 2, t.info.strip() or "none", t.content) for t in self.tokens if t.type == "fence"]
        indented = [Block(t.map[0] + 1, language(t.content), t.content) for t in self.tokens if t.type == "code_block"]
        return fenced + indented

    def code(self, language):
        return [block for block in self.blocks if block.language == language]

    def after(self, block):
        """The text after a block."""
        return "\n".join(self.text.splitlines()[block.line + block.text.count("\n") :][:3])

    @functools.cached_property
    def links(self):
        """Line and target of each link and image."""
        found = []
        for token in self.tokens:
            for child in token.children or []:
                target = child.attrGet("href") or child.attrGet("src")
                if target:
                    found.append((token.map[0] + 1, target))
        return found

    @functools.cached_property
    def anchors(self):
        """The anchors that GitHub gives to the headings."""
        found = set(re.findall(r'<a (?:id|name)="([^"]*)"', self.text))
        for before, token in zip(self.tokens, self.tokens[1:]):
            if before.type == "heading_open":
                title = "".join(child.content for child in token.children if child.type in ("text", "code_inline"))
                anchor = re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")
                copies = (f"{anchor}-{n}" if n else anchor for n in range(100))
                found.add(next(copy for copy in copies if copy not in found))
        return found

    def tables(self):
        """Each table as rows of cells, which are inline tokens."""
        for token in self.tokens:
            if token.type == "table_open":
                rows = []
            elif token.type == "tr_open":
                rows.append([])
            elif token.type == "inline" and token.level >= 3 and cell:
                rows[-1].append(token)
            elif token.type == "table_close":
                yield rows
            cell = token.type in ("th_open", "td_open")


def language(text):
    """The language of an indented block, which names none: a drawing, or else commands."""
    return "text" if re.search("[─│]", text) else "sh"
