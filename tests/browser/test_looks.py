"""The page is readable in light and dark, narrow and wide, and respects reduced motion."""

import pytest

# Colours as sRGB from 0 to 255, independent of the notation of the browser.
COLOURS = """() => {
    const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    const rgb = (colour) => {
        canvas.clearRect(0, 0, 1, 1);
        canvas.fillStyle = colour;
        canvas.fillRect(0, 0, 1, 1);
        return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
    };
    const style = (selector, property) => {
        const element = document.querySelector(selector);
        return element && rgb(getComputedStyle(element)[property]);
    };
    return {
        paper: style("body", "backgroundColor"),
        text: { body: style("body", "color"), note: style("dt", "color"), axis: style("#chart text", "fill"),
            cursor: style("#cursor", "color"), link: style("#recent-coins a", "color"), head: style("#workers th", "color") },
        graphics: Object.fromEntries([...document.querySelectorAll("#chart path.line")].map((path, i) =>
            [`curve ${i}`, rgb(getComputedStyle(path).stroke)])),
    };
}"""

# Every visible piece of text with its position.
TEXTS = """() => {
    const seen = (element) => {
        if (!element.checkVisibility({ visibilityProperty: true, opacityProperty: true })) return false;
        for (let at = element; at; at = at.parentElement) if (getComputedStyle(at).clipPath !== "none") return false;
        return true;
    };
    const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const texts = [];
    while (walk.nextNode()) {
        const node = walk.currentNode;
        if (!node.data.trim() || !seen(node.parentElement)) continue;
        const range = document.createRange();
        range.selectNodeContents(node);
        for (const box of range.getClientRects()) {
            if (box.width > 0) texts.push({ text: node.data.trim(), left: box.left, right: box.right,
                top: box.top + scrollY, bottom: box.bottom + scrollY });
        }
    }
    return texts;
}"""
CLIPPED = """() => [...document.querySelectorAll("body *:not(svg, svg *)")].filter((element) => {
    const { overflowX, overflowY, clipPath } = getComputedStyle(element);
    const cuts = (overflow) => overflow !== "visible";
    return clipPath === "none" && (cuts(overflowX) && element.scrollWidth > element.clientWidth + 1
        || cuts(overflowY) && element.scrollHeight > element.clientHeight + 1);
}).map((element) => element.outerHTML.slice(0, 80))"""


# Numbers of a fast application after a day.
LONG = """() => {
    for (const id of ["speed", "raw", "worker-capacity", "rng-capacity", "coins"]) document.getElementById(id).textContent = "12,345,678";
    document.getElementById("hashes").textContent = "1,234,567,890";
}"""


def luminance(colour):
    linear = [c / 255 / 12.92 if c / 255 <= 0.04045 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def overlaps(one, other):
    """Whether two boxes overlap, with a margin, because line boxes are higher than their letters."""
    height = min(one["bottom"] - one["top"], other["bottom"] - other["top"])
    across = min(one["right"], other["right"]) - max(one["left"], other["left"])
    down = min(one["bottom"], other["bottom"]) - max(one["top"], other["top"])
    return across > 1 and down > 0.3 * height


def settled(visitor):
    visitor.until(lambda: visitor.page.locator("#chart path.line").count() == 2, 60)
    visitor.until(lambda: visitor.page.locator("#workers tbody tr").count() == 2)
    visitor.until_coin()
    return visitor


def test_dark_and_light_differ_and_are_readable(canary, visit):
    papers = {}
    for scheme in ("light", "dark"):
        visitor = settled(visit(canary.url, color_scheme=scheme))
        colours = visitor.page.evaluate(COLOURS)
        papers[scheme] = luminance(colours["paper"])
        for name, colour in colours["text"].items():
            assert contrast(colour, colours["paper"]) >= 4.5, (scheme, name, colour)
        for name, colour in colours["graphics"].items():
            assert contrast(colour, colours["paper"]) >= 3, (scheme, name, colour)
        curves = [tuple(colour) for colour in colours["graphics"].values()]
        assert len(set(curves)) == 2, curves
        visitor.picture(scheme)
    assert papers["light"] > 0.8 and papers["dark"] < 0.05, papers


@pytest.mark.parametrize("width", [320, 360, 800, 1000, 1280, 1440, 2560])
def test_nothing_overlaps_or_is_clipped_at_a_width_of(width, canary, visit):
    visitor = settled(visit(canary.url, viewport={"width": width, "height": 800}))
    assert visitor.page.evaluate("document.scrollingElement.scrollWidth") <= width
    assert visitor.page.evaluate(CLIPPED) == []
    assert_readable(visitor.page.evaluate(TEXTS), width)
    visitor.picture(f"width-{width}")


@pytest.mark.parametrize("width", [360, 800, 1000, 1440])
def test_long_numbers_overlap_nothing_at_a_width_of(width, canary, visit):
    visitor = settled(visit(canary.url, viewport={"width": width, "height": 800}))
    # In one step, because the next event restores the real numbers.
    assert_readable(visitor.page.evaluate(f"() => {{ ({LONG})(); return ({TEXTS})(); }}"), width)


def assert_readable(texts, width):
    assert len(texts) > 50
    assert_no_collisions(texts, width)


def assert_no_collisions(texts, width):
    outside = [text for text in texts if text["left"] < 0 or text["right"] > width]
    assert outside == []
    collisions = [(one, other) for i, one in enumerate(texts) for other in texts[:i] if overlaps(one, other)]
    assert collisions == []


@pytest.mark.parametrize("width", [1000, 1280])
def test_a_number_never_wraps_at_a_width_of(width, canary, visit):
    visitor = settled(visit(canary.url, viewport={"width": width, "height": 800}))
    rows = visitor.page.evaluate(f"""() => {{ ({LONG})(); return [...document.querySelectorAll(".figures dd:not(.note)")]
        .map((number) => [number.getClientRects().length, number.getBoundingClientRect().height]); }}""")
    assert len(rows) == 7 and len({height for _, height in rows}) == 1, rows


def test_forced_colours_keep_the_legend(canary, visit):
    visitor = settled(visit(canary.url, forced_colors="active"))
    colours = visitor.page.evaluate("""() => ["figcaption .swatch", "#chart path.line", ".health i", ".bar rect"].map((selector) => {
        const style = getComputedStyle(document.querySelector(selector));
        return selector.startsWith("#chart") ? style.stroke : selector === ".bar rect" ? style.fill : style.backgroundColor;
    })""")
    paper = visitor.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert all(colour not in (paper, "rgba(0, 0, 0, 0)", "none") for colour in colours), (paper, colours)
    visitor.picture("forced-colours")


def test_nothing_moves_with_reduced_motion(canary, visit):
    visitor = visit(canary.url, reduced_motion="reduce")
    visitor.wait_for_count()
    moving = visitor.page.evaluate("""() => [...document.querySelectorAll("*")].filter((element) => {
        const style = getComputedStyle(element);
        return [style.transitionDuration, style.animationDuration].some((time) => time !== "0s" && time !== "auto")
            || style.scrollBehavior === "smooth";
    }).map((element) => element.tagName)""")
    assert moving == [] and visitor.page.evaluate("document.getAnimations().length") == 0
