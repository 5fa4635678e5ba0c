"""Checks of links between pages, and of the map of the lessons."""

import posixpath
import re
import urllib.parse

LESSONS = 88


def broken(pages, files):
    """each relative link and each anchor leads somewhere"""
    for page in pages.values():
        for line, link in page.links:
            target, anchor = resolve(page, link)
            if target is None:
                continue
            if not any(file == target or file.startswith(f"{target}/") or target == "." for file in files):
                yield f"{page.name}:{line}: {link}: no such file"
            elif anchor and target in pages and anchor not in pages[target].anchors:
                yield f"{page.name}:{line}: {link}: no such heading"


def unreachable(pages, _):
    """README.md leads to each page, and labs/README.md lists each lab"""
    reached, found = set(), ["README.md"]
    while found:
        name = found.pop()
        if name in pages and name not in reached:
            reached.add(name)
            found += targets(pages[name])
    yield from (f"{name}: no link leads to it" for name in pages if name not in reached and "/" in name)
    if "labs/README.md" in pages:
        listed = set(targets(pages["labs/README.md"]))
        yield from (f"{name}: not in labs/README.md" for name in pages if re.match(r"labs/\d", name) and name not in listed)


def targets(page):
    for _, link in page.links:
        target, _ = resolve(page, link)
        if target:
            yield from (target, f"{target}/README.md")


def resolve(page, link):
    """The file and the anchor of a relative link; no file if the link leads elsewhere."""
    url = urllib.parse.urlsplit(link)
    if url.scheme or url.netloc:
        return None, None
    path = urllib.parse.unquote(url.path)
    target = posixpath.normpath(posixpath.join(posixpath.dirname(page.name), path)) if path else page.name
    return target, urllib.parse.unquote(url.fragment)


def lessons(pages, _):
    """docs/course.md maps each of the 88 lessons to a page"""
    numbers = []
    tables = pages["docs/course.md"].tables() if "docs/course.md" in pages else []
    for header, *rows in tables:
        if header[0].content != "#":
            continue
        for number, *cells in rows:
            numbers.append(number.content)
            children = [child for cell in cells[1:] for child in cell.children or []]
            if not any(child.attrGet("href") for child in children):
                yield f"lesson {number.content}: no link"
            if any("TODO" in cell.content for cell in cells):
                yield f"lesson {number.content}: TODO"
    wanted = [str(n) for n in range(1, LESSONS + 1)]
    yield from (f"lesson {n}: {numbers.count(n)} times" for n in wanted if numbers.count(n) != 1)
    yield from (f"lesson {n}: not a number from 1 to {LESSONS}" for n in numbers if n not in wanted)


POLICIES = (broken, unreachable, lessons)
