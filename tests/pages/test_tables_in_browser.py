"""What a real browser makes of tables and labels: nothing is cut or lies over another, and everything can be sorted and
saved."""

from __future__ import annotations

import pytest

from browser import pages, run_page
from dkvb.recipe import Recipe
from dkvb.stages import report
from fakes import Fake, workspace_at

pytestmark = pytest.mark.slow

CUT = """[...document.querySelectorAll('main .scroll:not(.matrix)')].filter((box) => !box.closest('details'))
  .filter((box) => box.scrollWidth > box.clientWidth + 1).map((box) => box.getAttribute('aria-label'))"""
HIDDEN = """[...document.querySelectorAll('main table')].filter((table) => !table.closest('details, .matrix'))
  .flatMap((table) => [...table.querySelectorAll('tbody td:not(.nothing-said)')].filter((cell) => {
    const box = cell.getBoundingClientRect();
    return cell.innerText.trim() && (!box.width || box.left < 0 || box.right > innerWidth);
  }).map((cell) => table.dataset.csv + ': ' + cell.innerText))"""


@pytest.mark.parametrize("width", [390, 1440])
def test_no_column_is_cut_or_out_of_sight(browser, made_up, true, width):
    for path in [*pages(made_up), *pages(true)]:
        browser.open(path, width)
        assert browser.ask(CUT) == [], path.name
        assert browser.ask(HIDDEN) == [], path.name
    browser.open(made_up.reports / "index.html", 390)
    spreads = (
        "[...document.querySelectorAll('.results .sd')].filter((one) => one.getBoundingClientRect().height > 0).length"
    )
    assert browser.ask(spreads) == 2 * 5  # both accuracies of five methods have their intervals on a phone


OVERLAPS = """(() => {
  const found = [];
  document.querySelectorAll('[id^="chart-curve"] svg.marks').forEach((svg) => {
    const boxes = new Map();
    svg.querySelectorAll('.mark-text.role-mark text').forEach((one) => {
      if (one.textContent) boxes.set(one.textContent, one.getBoundingClientRect());
    });
    const every = [...boxes];
    every.forEach(([a, p], i) => every.slice(i + 1).forEach(([b, q]) => {
      const across = p.left < q.right && q.left < p.right, up = p.top + 2 < q.bottom && q.top + 2 < p.bottom;
      if (across && up) found.push(a + ' over ' + b);
    }));
  });
  return found; })()"""


@pytest.mark.parametrize(
    "classes", [["a", "b"], ["cat", "a dog with a long name"], ["x", "y", "z"], list("abcdefghij")]
)
def test_no_label_of_a_curve_lies_over_another(browser, tmp_path, classes):
    """Of few classes the line of chance runs where the falling line has its name."""
    fake = Fake(workspace_at(tmp_path), classes)
    trained = fake.train()
    for method, last in (("votes", 160_000), ("activations", 2000), ("examples", 40)):
        fake.sweep(trained, method, last)
    report.run(Recipe(), fake.workspace)
    [path] = fake.workspace.reports.glob("cifar*.html")
    for width in (390, 1440):
        browser.open(path, width)
        assert browser.ask(OVERLAPS) == []
        assert browser.count('[id^="chart-curve"] svg.marks') == 3


UNSORTED = """[...document.querySelectorAll('main table')].filter((table) => table.tHead
  && table.tBodies[0].rows.length > 1 && !table.querySelector('button.sort')).length"""
UNSAVED = """[...document.querySelectorAll('.plot')].map((plot) => plot.parentElement.querySelectorAll('.save button'))
  .filter((buttons) => [...buttons].map((one) => one.textContent).join() !== 'SVG,PNG,Data').length"""


def test_every_table_can_be_sorted_and_every_chart_saved_three_ways(browser, made_up, true):
    for path in [*pages(made_up), *pages(true)]:
        browser.open(path, 1000)
        assert browser.ask(UNSORTED) == 0, path.name
        assert browser.ask(UNSAVED) == 0, path.name
    browser.open(run_page(made_up), 1000)
    csv = browser.ask("window.dkvb.rows('classes')").split("\r\n")
    assert '"before","after"' in csv[0]
    assert any(line.startswith('"0 airplane"') for line in csv[1:])


def test_sorting_knows_numbers_times_and_what_is_missing(browser, made_up):
    browser.open(run_page(made_up), 1000)
    costs = "document.querySelector('table[data-csv$=\"-costs\"]')"
    column = f"[...{costs}.tBodies[0].rows].map((row) => row.cells[1].innerText)"
    head = f"{costs}.tHead.rows[0].cells[1]"
    browser.ask(f"{head}.querySelector('button').click()")
    assert browser.ask(column) == ["20 ms", "20 ms", "0.8 s", "1.4 s", "41.2 s"]
    assert browser.ask(f"{head}.getAttribute('aria-sort')") == "ascending"
    browser.ask(f"{head}.querySelector('button').click()")
    assert browser.ask(column)[0] == "41.2 s"
    browser.ask(f"{costs}.tHead.rows[0].cells[4].querySelector('button').click()")
    operations = browser.ask(f"[...{costs}.tBodies[0].rows].map((row) => row.cells[4].innerText)")
    assert operations == ["0", "0", "0", "7.4 G", "7.4 G"]
    # rows under a heading stay there
    browser.open(made_up.reports / "paper.html", 1000)
    table = "document.querySelector('table[data-csv=\"table-2\"]')"
    first = f"[...{table}.tBodies].map((body) => body.rows[0].innerText.trim())"
    before = browser.ask(first)
    browser.ask(f"{table}.tHead.rows[0].cells[1].querySelector('button').click()")
    assert browser.ask(first) == before
    assert len(before) > 1
    saved = browser.ask(f"window.dkvbCsv({table})").split("\r\n")
    assert saved[1].startswith('"CIFAR-10, Table 2","')


def test_the_map_switches_from_before_to_after_on_both_sides(browser, true):
    path = next(path for path in pages(true) if path.name.startswith("tiny"))
    browser.open(path, 1200)
    marks = "[...document.querySelectorAll('#chart-map-test .mark-symbol path')]"
    dots = f"{marks}.map((one) => one.getAttribute('fill')).join()"
    choose = "document.querySelector('#chart-map-train').parentElement.querySelector('.choice select')"
    after = browser.ask(dots)
    assert browser.ask(f"{choose}.selectedOptions[0].textContent") == "answer after"
    browser.ask(f"""(() => {{ const select = {choose}; select.selectedIndex = 0;
      select.dispatchEvent(new Event('change')); return new Promise((done) => setTimeout(done, 150)); }})()""")
    assert browser.ask(dots) != after
    other = "document.querySelector('#chart-map-test').parentElement.querySelector('.choice select')"
    assert browser.ask(f"{other}.selectedOptions[0].textContent") == "answer before"
    assert browser.complaints() == []
