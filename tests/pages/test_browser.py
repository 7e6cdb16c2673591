"""What a real browser, with no network, makes of the report's pages: they draw, they move, they fit, and they ask for
nothing."""

from __future__ import annotations

import base64
import json
import struct

import pytest

from audited import audit, entries, entry, stored
from browser import Browser, pages, run_page
from dkvb.pages.charts.palette import COLOURS
from dkvb.recipe import Recipe
from dkvb.stages import report
from fakes import Fake, workspace_at

STICKING_OUT = """[...document.querySelectorAll('body *')]
  .filter((node) => !node.closest('.scroll > *, .offstage, .skip, .vh, script, svg *'))
  .filter((node) => node.getClientRects().length && node.getBoundingClientRect().right > innerWidth + 1)
  .map((node) => node.tagName + '.' + node.className)"""
OPEN = "document.querySelectorAll('main details').forEach((part) => { part.open = true; })"


@pytest.mark.parametrize("width", [390, 1440])
def test_every_page_draws_offline_and_nothing_sticks_out(browser, made_up, true, width):
    for path in [*pages(made_up), *pages(true)]:
        browser.open(path, width)
        assert [address for address in browser.fetched() if not address.startswith(("file:", "data:"))] == [], path.name
        assert browser.complaints() == [], path.name
        browser.ask(OPEN)
        assert browser.width(width) <= width, path.name
        assert browser.ask(STICKING_OUT) == [], path.name
        plots = browser.ask("""[...document.querySelectorAll('.plot')].map((plot) => ({ id: plot.id,
          marks: plot.querySelectorAll('svg.marks .role-mark path[d], svg.marks .role-mark text').length,
          said: plot.getAttribute('role') === 'graphics-document' && plot.getAttribute('aria-label') || '',
          table: !!plot.closest('section').querySelector('table') }))""")
        assert [plot["id"] for plot in plots if plot["marks"] == 0] == [], path.name
        assert [plot["id"] for plot in plots if len(plot["said"]) < 40] == [], path.name
        if path.name.startswith(("cifar", "tiny", "bottleneck")):
            assert [plot["id"] for plot in plots if not plot["table"]] == [], path.name
            assert plots or path.name.startswith("bottleneck")


def test_links_lead_to_files_that_are_there(browser, made_up, true):
    for path in [*pages(made_up), *pages(true)]:
        browser.open(path, 1000)
        for address in browser.ask(
            "[...document.querySelectorAll('a[href]')].map((link) => link.getAttribute('href'))"
        ):
            name, _, mark = address.partition("#")
            assert (path.parent / name).exists() if name else browser.count(f'[id="{mark}"]') == 1, (path.name, address)


def state(browser: Browser) -> dict[str, str]:
    return browser.ask("""({ n: document.getElementById('dial-n').textContent,
      forget: document.getElementById('dial-forget').textContent,
      bars: document.querySelector('#chart-dial-classes svg').outerHTML,
      point: document.querySelector('#chart-dial-tradeoff svg').outerHTML,
      curve: document.querySelector('#chart-curve-votes svg').outerHTML })""")


def test_the_slider_moves_bars_point_rule_and_words_together(browser, made_up):
    browser.open(run_page(made_up), 1200)
    before = state(browser)
    assert before["n"] == "Nv = 130,000"
    # as from the keyboard: the slider has the focus
    browser.ask("document.getElementById('dial').focus()")
    for kind in ("rawKeyDown", "keyUp", "rawKeyDown", "keyUp"):
        browser.call("Input.dispatchKeyEvent", type=kind, key="ArrowLeft", code="ArrowLeft", windowsVirtualKeyCode=37)
    browser.ask("new Promise((done) => setTimeout(done, 150))")
    after = state(browser)
    assert after["n"] == "Nv = 120,000"
    assert all(after[part] != before[part] for part in before)
    assert browser.ask("document.getElementById('dial').getAttribute('aria-valuetext')").startswith(
        "N = 120000: 120,000 pairs masked"
    )
    browser.ask("document.querySelector('input[value=examples]').click()")
    browser.ask("new Promise((done) => setTimeout(done, 150))")
    assert state(browser)["n"] == "Ne = 3,200"
    assert state(browser)["bars"] != after["bars"]
    browser.ask("document.querySelectorAll('[data-dial-method=activations]')[0].click()")
    assert browser.complaints() == []


def test_switches_show_seeds_hide_methods_and_zoom(browser, made_up):
    browser.open(run_page(made_up), 1200)
    marks = "document.querySelectorAll('#chart-scatter .mark-symbol path').length"
    before = browser.ask(marks)
    browser.ask(
        "document.querySelector('#chart-scatter').closest('figure').querySelector('input[type=checkbox]').click()"
    )
    browser.ask("new Promise((done) => setTimeout(done, 100))")
    assert browser.ask(marks) == before + 5 * 3
    browser.ask(
        "document.querySelector('#chart-scatter').closest('figure').querySelectorAll('.legend button')[1].click()"
    )
    browser.ask("new Promise((done) => setTimeout(done, 100))")
    assert browser.ask(marks) < before + 5 * 3
    assert browser.count('.legend button[aria-pressed="false"]') == 1
    labels = (
        "[...document.querySelectorAll('#chart-scatter .role-axis-label text')].map((one) =>"
        " one.textContent).sort().join()"
    )
    first = browser.ask(labels)
    browser.ask("""document.querySelector('#chart-scatter').dispatchEvent(
          new KeyboardEvent('keydown', { key: '+', bubbles: true }))""")
    browser.ask("new Promise((done) => setTimeout(done, 100))")
    assert browser.ask(labels) != first
    browser.ask("document.querySelector('[aria-label=\"Show all\"]').click()")
    browser.ask("new Promise((done) => setTimeout(done, 100))")
    assert browser.ask(labels) == first


def test_charts_and_tables_are_saved_offline(browser, made_up):
    browser.open(run_page(made_up), 800)
    svg = browser.ask("window.dkvb.picture('scatter', 'svg')")
    assert svg.startswith("data:image/svg+xml")
    assert "Masking%20by%20activations" in svg  # the legend, which the page draws as buttons
    assert "forgetting%20automobile%20costs" in svg
    png = base64.b64decode(browser.ask("window.dkvb.picture('classes', 'png')").split(",")[1])
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", png[16:24])[0] > 1500
    table = "document.querySelector('table[data-csv$=\"-methods\"]')"
    csv = browser.ask(f"window.dkvbCsv({table})").split("\r\n")
    assert len(csv) == browser.ask(f"{table}.rows.length")
    assert csv[1].startswith('"Masking by votes')
    assert browser.count("button.csv") == browser.count("table[data-csv]") >= 8
    # every table that is no list of settings can be saved
    assert browser.ask(
        "[...document.querySelectorAll('main table:not([data-csv])')].every((one) => one.closest('.provenance'))"
    )


def test_long_commands_and_names_fit_a_phone(browser, tmp_path):
    fake = Fake(workspace_at(tmp_path), ["a" * 90, "b " * 60, "c"])
    trained = fake.train()
    fake.unlearn(trained, "activations", 5, forget=[0, 1])
    fake.unlearn(trained, "activations", 6, chosen="validation", note="word " * 40)
    report.run(Recipe(), fake.workspace)
    for path in pages(fake.workspace):
        browser.open(path, 390)
        browser.ask(OPEN)
        assert browser.width(390) <= 390, path.name


@pytest.mark.parametrize("width", [390, 1440])
def test_an_audit_draws_and_scrolls_in_its_own_box(browser, tmp_path, width):
    workspace = workspace_at(tmp_path)
    stored(workspace, audit())
    report.run(Recipe(), workspace)
    [path] = workspace.reports.glob("audit-*.html")
    browser.open(path, width)
    browser.ask(OPEN)
    assert browser.complaints() == []
    assert browser.width(width) <= width
    assert browser.ask(STICKING_OUT) == []
    marks = "document.querySelectorAll('#chart-picture .mark-symbol path').length"
    # two lines and two methods on values, one of each on heads; KLoM was not taken of heads
    assert browser.ask(marks) == 6
    names = "[...document.querySelectorAll('#chart-picture .mark-text.role-mark text')].map((one) => one.textContent)"
    assert sorted(set(browser.ask(names)) - {""}) == ["Masking by votes (ours)", "POUR", "activations"]
    browser.ask("""(() => { const select = document.querySelector('.choice select'); select.selectedIndex = 1;
      select.dispatchEvent(new Event('change')); return new Promise((done) => setTimeout(done, 100)); })()""")
    assert browser.ask(marks) == 4
    assert browser.complaints() == []
    # the name of a method stays where it is while its row scrolls
    left = "document.querySelector('.matrix tbody tr.line th').getBoundingClientRect().left"
    before = browser.ask(left)
    browser.ask("document.querySelector('.matrix').scrollLeft = 300")
    assert browser.ask(left) == pytest.approx(before, abs=1)
    csv = browser.ask("window.dkvbCsv(document.querySelector('.matrix table'))")
    assert '"retrained","0.1","0.97","5.0","0.04","0.99","2.5","","",""' in csv


@pytest.mark.parametrize("made", ["given", "masking"])
def test_an_audit_of_little_draws_without_complaint(browser, tmp_path, made):
    """Of somebody else's one method without a time; and of methods that are all this package's own."""
    given = entry("theirs", {"destinations, each": 0.2, "retain accuracy": 0.9}, "given", seconds=None)
    workspace, kept = workspace_at(tmp_path), [given] if made == "given" else entries()[2:3]
    stored(workspace, audit(entries=kept, kinds=[]))
    report.run(Recipe(), workspace)
    [path] = workspace.reports.glob("audit-*.html")
    browser.open(path, 800)
    assert browser.complaints() == []
    assert browser.ask("document.querySelectorAll('#chart-picture .mark-symbol path').length") == 1


def test_charts_follow_the_system_into_the_dark(browser, made_up):
    path = run_page(made_up)
    for scheme in ("light", "dark"):
        browser.open(path, 800, scheme=scheme)
        stroke = "document.querySelector('#chart-curve-activations .mark-line path[stroke]')"
        assert browser.ask(f"{stroke}.getAttribute('stroke')") in (COLOURS[scheme]["forget"], COLOURS[scheme]["retain"])
    browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "light"}])
    back = COLOURS["light"]["forget"]
    assert browser.ask(f"""new Promise((done) => {{ const until = Date.now() + 5000; const look = () => {{
      const found = document.querySelector('#chart-curve-activations .mark-line path[stroke="{back}"]') !== null;
      found || Date.now() > until ? done(found) : setTimeout(look, 50); }}; look(); }})""")


HOSTILE = [
    "<img src=x onerror=document.hacked=1><script>document.hacked=1</script>",
    "@forget",
    "</script><script>document.hacked=1</script>'\"\\",
]


def test_hostile_class_names_run_nothing_and_are_shown(browser, tmp_path):
    fake = Fake(workspace_at(tmp_path), ["a", *HOSTILE])
    fake.everything()
    report.run(Recipe(), fake.workspace)
    for path in pages(fake.workspace):
        browser.open(path, 390)
        assert browser.ask("document.hacked") is None
        assert browser.complaints() == []
        assert browser.width(390) <= 390
        if path.name.startswith(("cifar", "compare")):
            titles = "[...document.querySelectorAll('[title]')].map((one) => one.title)"
            words = browser.ask(f"[document.body.textContent, ...{titles}].join(' ')")
            assert all(name in words for name in HOSTILE[:1])
    browser.open(run_page(fake.workspace), 1200)
    names = browser.ask(
        "[...document.querySelectorAll('#chart-dial-classes .role-axis-label text')].map((one) => one.textContent)"
    )
    assert "2 @forget" in names, json.dumps(names)
