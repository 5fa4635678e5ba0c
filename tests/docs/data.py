"""Checks the languages of blocks. tests/manifests checks the blocks of YAML."""

import json

# `documented.py` of tests/monitoring reads the queries in docs/observability.md.
QUERIES = "docs/observability.md"
LANGUAGES = {"text", "html", "promql", "sh", "yaml", "json"}


def problems(page):
    """each block is in a language that a test checks, and JSON parses"""
    for block in page.blocks:
        where = f"{page.name}:{block.line}"
        if block.language not in LANGUAGES:
            yield f"{where}: unknown language {block.language}"
        if block.language == "promql" and page.name != QUERIES:
            yield f"{where}: only queries in {QUERIES} are checked"
        if block.language == "json":
            try:
                json.loads(block.text)
            except ValueError as error:
                yield f"{where}: {error}"
