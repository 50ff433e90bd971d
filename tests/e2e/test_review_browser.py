"""The review page in a real browser on Airflow's real web server: by mouse, by keys, by two people, by a viewer, under attack.

Chromium is Debian's. Where it is missing, root installs it; elsewhere the tests say loudly that they did not run, and fail in CI.
POSTTRAIN_TEST_SCREENSHOTS=docs/images renews the pictures of docs/review.md.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

import pytest

from posttrain import pipeline
from posttrain.decontaminate.review.decision_log import Decision, DecisionLog
from posttrain.problems import build_problem
from posttrain.schema import Message, PreferencePair, SFTExample

CHROMIUM = "/usr/bin/chromium"
USERS = {"rita": "user", "sam": "user", "vera": "viewer"}
TAIL = " Write one line for each step and say it in full sentences."
START_SECONDS = 120.0

HOSTILE = (
    "<script>window.hacked = 1</script><img src=x onerror=\"window.hacked = 2\"><svg onload=\"window.hacked = 3\"></svg>"
    "</bdi></article><a href=\"javascript:window.hacked = 4\">a prize</a> [a prize](javascript:window.hacked=5) {{ 7 * 7 }} "
    "\u202eesrever ni\u202c zero\u200bwidth \"quoted\" 'single' & done. "
)
SHARED = "one river two bridges three boats four barges five locks six ferries"


@pytest.fixture(scope="session")
def chromium() -> str:
    if not Path(CHROMIUM).exists() and os.geteuid() == 0 and shutil.which("apt-get"):
        for command in (["update", "-qq"], ["install", "-y", "-qq", "chromium"]):
            subprocess.run(["apt-get", *command], env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"}, capture_output=True)
    if not Path(CHROMIUM).exists():
        complain = pytest.fail if os.environ.get("CI") else pytest.skip
        complain(f"BROWSER ABSENT: there is no {CHROMIUM}; on Debian: apt-get install chromium; then run this test again")
    return CHROMIUM


class Site:
    """Airflow's web server over a workspace, with a user of each kind."""

    def __init__(self, home: Path, workspace: Path, data: Path, make: Callable[..., Any]) -> None:
        self.home, self.workspace, self.data, self._make = home, workspace, data, make
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.address = f"http://127.0.0.1:{s.getsockname()[1]}"
        (home / "passwords.json").write_text(json.dumps({name: f"{name}-secret" for name in USERS}))
        environment = os.environ | {
            "AIRFLOW_HOME": str(home), "POSTTRAIN_WORKSPACE": str(workspace), "POSTTRAIN_DATA_ROOT": str(data),
            "AIRFLOW__API__HOST": "127.0.0.1", "AIRFLOW__API__PORT": self.address.rpartition(":")[2],
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{name}:{role}" for name, role in USERS.items()),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / "passwords.json"),
            "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1",
        }
        subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], env=environment, check=True, capture_output=True)
        self.log = (home / "api-server.log").open("w+")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "airflow", "api-server"], env=environment, stdin=subprocess.DEVNULL, stdout=self.log,
            stderr=subprocess.STDOUT, start_new_session=True)

    def wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(URLError, OSError):
                build_opener(ProxyHandler({})).open(f"{self.address}/api/v2/monitor/health", timeout=5).close()
                return
            time.sleep(0.5)
        self.log.seek(0)
        pytest.fail("Airflow's web server did not start:\n" + self.log.read()[-3000:])

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()

    def run(self, run_id: str, rows: list[Any], items: list[str], advice: bool = True) -> str:
        """A run whose review band is `rows`. Decisions are reused, so every test has rows of its own."""
        made = self._make(str(self.workspace), self.data / run_id, rows, items, run_id, review={"judge": "sort"})
        assert sum(made.manifest("decontaminate").written.values()) == len(rows)
        if advice:
            pipeline.review_advice(made)
        return f"{self.address}/posttrain-review/queue?run={run_id}"

    def problems(self, run_id: str, first: int, number: int) -> str:
        made = [build_problem("addition", 7 + n, 4 + n, random.Random(n), template=n % 2) for n in range(first, first + number)]
        rows = [(f"{run_id}-{n}", problem.question, problem.solution) for n, problem in enumerate(made)]
        return self.run(run_id, rows, [problem.question + TAIL for problem in made])

    def decisions(self, run_id: str) -> list[Decision]:
        return [line for line in DecisionLog(str(self.workspace)).lines() if line.run_id == run_id]


@pytest.fixture(scope="module")
def site(chromium: str, tmp_path_factory: pytest.TempPathFactory, make_review_run: Callable[..., Any]) -> Iterator[Site]:
    folders = [tmp_path_factory.mktemp(name) for name in ("airflow", "workspace", "data")]
    started = Site(*folders, make_review_run)
    try:
        started.wait()
        yield started
    finally:
        started.stop()


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])  # root has no user namespace
        yield opened
        opened.close()


@pytest.fixture
def log_in(site: Site, browser: Any) -> Iterator[Callable[[str], Any]]:
    """A page of a browser of one's own, after Airflow's own login form. Script errors fail the test."""
    contexts, errors = [], list[str]()

    def enter(name: str) -> Any:
        context = browser.new_context(viewport={"width": 1240, "height": 860})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("dialog", lambda dialog: errors.append(f"a dialog opened: {dialog.message}"))
        page.goto(f"{site.address}/auth/login")
        page.fill("input[name=username]", name)
        page.fill("input[name=password]", f"{name}-secret")
        page.click("button[type=submit]")
        page.wait_for_url(f"{site.address}/")
        return page

    yield enter
    for context in contexts:
        context.close()
    assert errors == []


def card(place: Any, row_id: str) -> Any:
    return place.locator("article.card", has_text=row_id)


def wait_for_status(place: Any, row_id: str, status: str) -> None:
    place.locator(f'article.card[data-status="{status}"]', has_text=row_id).wait_for()


def counts(place: Any) -> str:
    return str(place.locator(".counts").inner_text())


def take_picture(page: Any, name: str) -> None:
    folder = os.environ.get("POSTTRAIN_TEST_SCREENSHOTS")
    if folder:
        page.wait_for_timeout(1000)  # a frame is painted some time after its text is there
        page.screenshot(path=str(Path(folder) / name))


def test_without_a_login_there_is_nothing_to_see(site: Site, browser: Any) -> None:
    context = browser.new_context()
    response = context.new_page().goto(f"{site.address}/posttrain-review/queue?run=any")
    assert response.status == 401
    context.close()


def test_a_reviewer_decides_by_mouse_and_by_keys_inside_airflows_own_page(site: Site, log_in: Callable[[str], Any]) -> None:
    site.problems("mouse", 0, 4)
    page = log_in("rita")
    page.get_by_role("button", name="Browse").click()
    page.get_by_role("menuitem", name="Review").click()
    frame = page.frame_locator("iframe")
    frame.get_by_role("link", name="mouse").click()
    frame.locator("article.card").first.wait_for()
    assert "0 of 4 decided" in counts(frame)
    take_picture(page, "review-queue.png")
    marks = card(frame, "mouse-0").locator("mark").all_inner_texts()
    question = build_problem("addition", 7, 4, random.Random(0), template=0).question
    assert marks == [question.rstrip(".?")] * 2, "the same words on both sides"

    card(frame, "mouse-0").get_by_role("button", name="Delete").click()
    wait_for_status(frame, "mouse-0", "delete")
    card(frame, "mouse-1").locator(".facts").first.click()
    page.keyboard.press("k")
    wait_for_status(frame, "mouse-1", "keep")
    card(frame, "mouse-2").locator(".facts").first.click()
    page.keyboard.press("d")
    wait_for_status(frame, "mouse-2", "delete")
    card(frame, "mouse-2").locator(".facts").first.click()
    page.keyboard.press("u")
    wait_for_status(frame, "mouse-2", "open")
    assert "2 of 4 decided: 1 kept, 0 paraphrased, 1 deleted" in counts(frame)
    take_picture(page, "review-decided.png")

    page.goto(f"{site.address}/posttrain-review/queue?run=mouse&status=")
    assert card(page, "mouse-0").get_attribute("data-status") == "delete"
    assert card(page, "mouse-1").locator(".decided").inner_text().startswith("kept by rita")
    assert card(page, "mouse-2").get_attribute("data-status") == "open"
    assert [(line.action, line.who, line.row_id) for line in site.decisions("mouse")] == [
        ("delete", "rita", "mouse-0"), ("keep", "rita", "mouse-1"), ("delete", "rita", "mouse-2"), ("undo", "rita", "mouse-2")]


def test_a_paraphrase_is_compared_again_before_it_replaces_the_row(site: Site, log_in: Callable[[str], Any]) -> None:
    address = site.problems("new", 10, 2)
    page = log_in("rita")
    page.goto(address)
    first = card(page, "new-0")
    first.locator(".facts").first.click()
    page.keyboard.press("p")
    editor = first.locator(".editor")
    suggestion = editor.locator("textarea[name=question]").input_value()
    assert suggestion and "####" in editor.locator("textarea[name=answer]").input_value()
    take_picture(page, "review-paraphrase.png")

    problem = build_problem("addition", 17, 14, random.Random(10), template=0)
    editor.locator("textarea[name=question]").fill(problem.question + " Please.")
    page.keyboard.press("Control+Enter")
    first.locator(".problem").wait_for()
    assert "still too close: exam exam.jsonl:0" in first.locator(".problem").inner_text()
    assert first.get_attribute("data-status") == "open"

    editor.locator("textarea[name=question]").fill(suggestion)
    page.keyboard.press("Control+Enter")
    wait_for_status(page, "new-0", "paraphrase")
    assert suggestion in card(page, "new-0").locator(".decided").inner_text()
    refused, taken = site.decisions("new")
    assert (refused.action, refused.score_after > 0.3) == ("refused", True)
    assert (taken.action, taken.edits[0].question, taken.score_after) == ("paraphrase", suggestion, None)


def test_in_a_conversation_and_in_a_pair_the_turns_that_matched_are_edited(site: Site, log_in: Callable[[str], Any]) -> None:
    first, second = (build_problem("addition", 87 + n, 31 + n, random.Random(90 + n), template=0) for n in range(2))
    shared = {"source": "train", "category": "math", "skill": "addition", "language": "en", "license": "MIT"}
    talk = (Message("user", "Good morning."), Message("assistant", "Good morning!"), Message("user", first.question),
            Message("assistant", first.solution))
    asked = Message("user", second.question)
    pair = PreferencePair(id="pair-row", prompt=second.question, chosen=(asked, Message("assistant", second.solution)),
                          rejected=(asked, Message("assistant", "88 + 32 = 9\n#### 9")), **shared)
    rows = [SFTExample(id="talk-row", messages=talk, **shared), pair]
    address = site.run("turns", rows, [problem.question + TAIL for problem in (first, second)])
    page = log_in("rita")
    page.goto(address)
    card(page, "talk-row").get_by_role("button", name="Paraphrase").click()
    editor = card(page, "talk-row").locator(".editor")
    assert editor.locator("legend").inner_text() == "in place of turn 2; the other turns stay"
    assert editor.locator("textarea[name=worse]").count() == 0
    page.keyboard.press("Control+Enter")
    wait_for_status(page, "talk-row", "paraphrase")
    card(page, "pair-row").get_by_role("button", name="Paraphrase").click()
    take_picture(page, "review-pair.png")
    card(page, "pair-row").locator(".editor").get_by_role("button", name="Replace the row").click()
    wait_for_status(page, "pair-row", "paraphrase")
    after = {line.row_id: line.after or "" for line in site.decisions("turns")}
    assert after["talk-row"].startswith("user: Good morning.\nassistant: Good morning!\nuser: ")
    assert first.question not in after["talk-row"]
    assert after["pair-row"].count("user: ") == 2 and second.question not in after["pair-row"]


def test_no_open_row_is_skipped_by_going_to_the_next_page(site: Site, log_in: Callable[[str], Any]) -> None:
    """Decided rows leave the list of open ones, so that the rows behind them come up."""
    page = log_in("rita")
    page.goto(site.problems("pages", 200, 24))
    seen = set(page.locator("article.card").evaluate_all("cards => cards.map(card => card.dataset.item)"))
    assert len(seen) == 20
    for _ in range(2):
        waiting = page.locator('article.card[data-status="open"]').count()
        page.keyboard.press("d")
        page.wait_for_function("n => document.querySelectorAll('article.card[data-status=\"open\"]').length < n", arg=waiting)
    for _ in range(2):
        page.get_by_role("link", name="next page").click()
        page.wait_for_load_state()
        seen |= set(page.locator("article.card").evaluate_all("cards => cards.map(card => card.dataset.item)"))
    assert len(seen) == 24


def test_two_reviewers_at_once(site: Site, log_in: Callable[[str], Any]) -> None:
    address = site.problems("both", 20, 3)
    rita, sam = log_in("rita"), log_in("sam")
    rita.goto(address)
    sam.route("**/posttrain-review/changes**", lambda route: route.abort())  # sam has not seen it yet
    sam.goto(address)
    card(rita, "both-0").get_by_role("button", name="Keep").click()
    wait_for_status(rita, "both-0", "keep")
    card(sam, "both-0").get_by_role("button", name="Delete").click()
    card(sam, "both-0").locator(".problem").wait_for()
    assert card(sam, "both-0").locator(".problem").inner_text() == "rita has decided this row in the meantime: keep"
    assert card(sam, "both-0").get_attribute("data-status") == "keep", "sam sees what holds"

    sam.unroute("**/posttrain-review/changes**")
    card(sam, "both-1").get_by_role("button", name="Delete").click()
    wait_for_status(sam, "both-1", "delete")
    wait_for_status(rita, "both-1", "delete")  # without a reload
    assert "deleted by sam" in card(rita, "both-1").locator(".decided").inner_text()
    assert [(line.who, line.action) for line in site.decisions("both")] == [("rita", "keep"), ("sam", "delete")]


def test_a_viewer_may_look_and_not_decide(site: Site, log_in: Callable[[str], Any]) -> None:
    address = site.problems("look", 30, 1)
    page = log_in("vera")
    page.goto(address)
    assert card(page, "look-0").locator("mark").count() == 2
    assert page.locator("[data-do], [data-bulk]").count() == 0
    assert "may look and not decide" in page.locator("header").inner_text()
    page.keyboard.press("d")
    status = page.evaluate("""async () => {
        const card = document.querySelector("article.card");
        const body = {run: document.body.dataset.run, item: card.dataset.item, action: "delete", seen: ""};
        const headers = {"Content-Type": "application/json", "X-Review-Token": document.body.dataset.token};
        return (await fetch("decide", {method: "POST", headers, body: JSON.stringify(body)})).status;
    }""")
    assert status == 403
    assert site.decisions("look") == []


def test_hostile_text_is_text(site: Site, log_in: Callable[[str], Any]) -> None:
    rows = [
        ("evil<b>row</b>", HOSTILE + SHARED, "<script>window.hacked = 6</script>"),
        ("long", SHARED + " then" + " something else entirely" * 40_000, "word " * 100_000),
    ]
    tail = " seven tunnels eight harbours nine piers ten anchors eleven sails"
    address = site.run("evil", rows, [SHARED + tail + " <script>window.hacked = 7</script>"], advice=False)
    page = log_in("rita")
    requests = list[str]()
    page.on("request", lambda request: requests.append(request.url))
    page.goto(address)
    evil = card(page, "evil<b>row</b>")
    text = evil.locator(".turn.matched").first.inner_text()
    assert "<script>window.hacked = 1</script>" in text and "{{ 7 * 7 }}" in text, "shown as it is"
    assert evil.locator(".hidden").all_inner_texts() == ["U+202E", "U+202C", "U+200B"], "invisible characters are shown"
    assert page.locator("article.card").count() == 2 and page.locator("article script, article img, article svg").count() == 0
    assert page.evaluate("[...document.querySelectorAll('a')].filter((a) => a.protocol === 'javascript:').length") == 0
    assert len(card(page, "row long").inner_text()) < 40_000 and "characters …" in card(page, "row long").inner_text()
    evil.get_by_role("button", name="Keep").click()
    wait_for_status(page, "evil<b>row</b>", "keep")
    evil.get_by_role("link", name="whole text").click()
    page.locator("article.card").wait_for()
    page.evaluate("location.hash = ''")
    assert page.evaluate("window.hacked") is None
    assert {"/".join(url.split("/")[:3]) for url in requests} == {site.address}, "nothing is fetched from elsewhere"


def test_filters_bulk_decisions_and_their_undo(site: Site, log_in: Callable[[str], Any]) -> None:
    address = site.problems("bulk", 40, 25)
    page = log_in("sam")
    page.goto(address)
    assert page.locator("article.card").count() == 20 and "page 1 of 2, 25 rows" in page.locator(".pages").inner_text()
    page.locator("input[name=low]").fill("0.42")
    page.get_by_role("button", name="Filter").click()
    page.wait_for_url("**low=0.42**")
    high = int(page.locator("#bulk").get_attribute("data-open"))
    assert high == 13, "every other template has 10 words, the others 8: 10/22 and 8/20"
    page.get_by_role("button", name="paraphrase", exact=True).click()
    assert page.locator("#bulk-ask strong").inner_text() == "Really paraphrase 13 rows?"
    page.get_by_role("button", name="Yes").click()
    page.get_by_text("13 rows decided.").wait_for()
    assert "13 of 25 decided: 0 kept, 13 paraphrased, 0 deleted" in counts(page)
    lines = site.decisions("bulk")
    assert {(line.action, line.who) for line in lines} == {("paraphrase", "sam")} and len({line.batch for line in lines}) == 1
    page.get_by_role("button", name="undo all of that").click()
    page.get_by_text("13 decisions taken back.").wait_for()
    assert "0 of 25 decided" in counts(page)
    page.reload()
    assert int(page.locator("#bulk").get_attribute("data-open")) == 13
