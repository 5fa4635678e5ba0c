"""The page of a recent coin proves that it is one."""

import hashlib
import re
import subprocess


def test_a_recent_coin_is_the_hash_of_its_bytes(canary, visit):
    visitor = visit(canary.url)
    visitor.until_coin()
    link = visitor.page.locator("#recent-coins a").first
    key = link.get_attribute("href").removeprefix("coins/")
    visitor.page.locator(f"#recent-coins a[href='coins/{key}']").click()
    visitor.page.wait_for_url(f"**/coins/{key}")
    text = visitor.text("body")
    hex_bytes = re.search(r"bytes:\s+([0-9a-f]{64})\b", text)[1]
    assert key.startswith("0") and key in text
    assert hashlib.sha256(bytes.fromhex(hex_bytes)).hexdigest() == key
    line = next(line for line in text.splitlines() if line.startswith("printf"))
    checked = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True).stdout
    assert checked.split()[0] == key


def test_an_unknown_coin_is_not_found(canary, visit):
    visitor = visit(canary.url, requests_may_fail=True)
    for path, status in (("coins/" + "0" * 64, 404), ("coins/0", 400), ("coins/" + "A" * 64, 400)):
        assert visitor.page.goto(canary.url + path).status == status
