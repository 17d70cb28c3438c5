"""The page at `/`, in a browser."""

import tempfile
from collections.abc import Iterator

import pytest

from support.browser import Browser
from support.stage import Stage

#: The answer is shown, or an error is.
DONE = """new Promise(done => {
  const shown = () => !document.getElementById("answer").hidden || !document.getElementById("fault").hidden;
  const look = () => shown() ? done(true) : setTimeout(look, 20);
  look();
})"""
LISTED = """new Promise(done => {
  const look = () => document.querySelectorAll("#model-rows td").length && !document.querySelector("#model-rows a")
    ? done([...document.querySelectorAll("#model-rows tr")].map(row => row.cells[0].textContent)) : setTimeout(look, 20);
  look();
})"""
RANKING = """[...document.querySelectorAll("#ranking tr")].map(row => [row.cells[1].textContent, row.cells[3].textContent])"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = Browser(profile)
        yield browser
        browser.process.terminate()
        browser.process.wait()


def visit(browser: Browser, url: str) -> list[str]:
    """Opens the page and returns the names of the models that it lists."""
    browser.seen.clear()
    browser.call("Page.navigate", url=url)
    browser.wait("Page.loadEventFired")
    return browser.evaluate(LISTED)


def ask(browser: Browser, query: str, passages: list[str], key: str = "") -> None:
    text = "\\n".join(passages)
    browser.evaluate(f"""(() => {{
      form.query.value = "{query}"; form.passages.value = "{text}"; form.key.value = "{key}";
      form.key.dispatchEvent(new Event("change"));
      form.querySelector("button").click();
    }})()""")
    browser.evaluate(DONE)


def complaints(browser: Browser) -> list[str]:
    """Whatever the browser reports as an error."""
    found = []
    for event in browser.seen:
        match event.get("method"):
            case "Log.entryAdded" if event["params"]["entry"]["level"] == "error":
                found.append(event["params"]["entry"]["text"])
            case "Runtime.exceptionThrown":
                found.append(event["params"]["exceptionDetails"]["text"])
    return found


def test_form_reranks(browser: Browser, stage: Stage) -> None:
    assert "default" in visit(browser, stage.sites["open"].url)
    ask(browser, "which is it", ["one", "<b>two</b>", "three"])
    ranking = browser.evaluate(RANKING)
    assert sorted(passage for _, passage in ranking) == ["<b>two</b>", "one", "three"]
    assert sorted(was[0] for was, _ in ranking) == ["1", "2", "3"]
    assert browser.evaluate("document.getElementById('summary').textContent").startswith("up/rerank-v3.5 ·")
    assert "-d '{" in browser.evaluate("document.getElementById('curl').textContent")
    assert complaints(browser) == []


def test_form_asks_for_the_key(browser: Browser, stage: Stage) -> None:
    site = stage.sites["guarded"]
    visit(browser, site.url)
    assert browser.evaluate("form.querySelector('.key').hidden") is False
    ask(browser, "which is it", ["one", "two"])
    assert "a key is needed" in browser.evaluate("document.getElementById('fault').textContent")
    ask(browser, "which is it", ["one", "two"], site.key)
    assert browser.evaluate("document.getElementById('fault').hidden") is True
    assert len(browser.evaluate(RANKING)) == 2
