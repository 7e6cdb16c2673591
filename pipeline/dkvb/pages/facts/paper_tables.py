"""The paper's tables, measured beside published: a row per data set and model or method."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from dkvb.metrics.intervals import Stat, stat
from dkvb.metrics.published import PAPER, TABLE_1_COLUMNS, Published
from dkvb.pages.facts import methods
from dkvb.pages.facts.paper_parts import Part
from dkvb.pages.facts.runs import MethodResult, ReportRun
from dkvb.pages.facts.setups import Setup
from dkvb.records.experiments import MembershipResult

MODELS = {"dkvb": "DKVB", "linear": "Linear head"}


@dataclass(frozen=True)
class Cell:
    """One number: measured over seeds, published, and their difference."""

    measured: Stat | None = None
    published: float | None = None

    @property
    def difference(self) -> float | None:
        return self.measured.mean - self.published if self.measured and self.published is not None else None


@dataclass(frozen=True)
class TrainedRow:
    """Table 1: accuracies of a trained model by split."""

    title: str
    model: str
    cells: dict[str, Cell]


@dataclass(frozen=True)
class ChangeRow:
    """Tables 2, 9 and 10: changes of accuracy, as shares of the accuracy before."""

    title: str
    table: str
    method: str
    label: str
    retain: Cell
    forget: Cell
    also: dict[str, float] = field(default_factory=dict)
    """The published changes of a second case of the same method."""
    n: Stat | None = None
    """The N that was used; None where there is nothing to choose."""
    first_zero: Cell = Cell()
    first_chance: Cell = Cell()
    """The first N of the test sweep at which forget accuracy is zero, and at chance."""


@dataclass(frozen=True)
class RuntimeRow:
    """Table 8: what unlearning costs, in seconds and FLOPs."""

    title: str
    method: str
    label: str
    seconds: Cell
    seconds_choose: Stat | None = None
    seconds_counts: Stat | None = None
    seconds_evaluate: Stat | None = None
    flops: Stat | None = None
    flops_counts: Stat | None = None


@dataclass(frozen=True)
class AttackRow:
    """Table 3: how often class membership inference is right."""

    title: str
    method: str
    cell: Cell
    apart: Stat | None = None
    """|attack - that on the retrained model|, seed by seed."""
    forest: Stat | None = None
    forest_apart: Stat | None = None
    n: Stat | None = None
    about: str = ""
    """Which class was attacked with which class held out."""

    @property
    def label(self) -> str:
        return methods.title(self.method)


@dataclass(frozen=True)
class PaperTables:
    """The rows of every table with numbers."""

    trained: list[TrainedRow]
    changes: list[ChangeRow]
    runtimes: list[RuntimeRow]
    attacks: list[AttackRow]


def paper_tables(parts: Sequence[Part]) -> PaperTables:
    """The paper's tables with what was measured here."""
    return PaperTables(_trained(parts), _changes(parts), _runtimes(parts), _attacks(parts))


def unmeasured(parts: Sequence[Part]) -> list[Published]:
    """The paper's data sets that were not run here; none beside one's own data alone, of which the paper says
    nothing."""
    if not any(part.published for part in parts):
        return []
    there = {part.published.recipe for part in parts if part.published and part.exact}
    return [entry for entry in PAPER.values() if entry.recipe not in there]


def _trained(parts: Sequence[Part]) -> list[TrainedRow]:
    """Table 1."""
    rows = []
    for part in parts:
        for setup in (part.setup, *part.heads):
            said = part.published.trained.get(setup.model, {}) if part.published else {}
            measured = {"train": setup.accuracy("train"), "test": setup.accuracy("test")} | _before(part.run, setup)
            cells = {split: Cell(measured.get(split), said.get(split)) for split in TABLE_1_COLUMNS}
            rows.append(TrainedRow(part.title, MODELS[setup.model], cells))
        if part.published and not part.heads and "linear" in part.published.trained:
            rows.append(_untrained(part.title, "linear", part.published))
    return rows + [_untrained(entry.name, model, entry) for entry in unmeasured(parts) for model in entry.trained]


def _untrained(title: str, model: str, published: Published) -> TrainedRow:
    cells = {split: Cell(None, published.trained[model][split]) for split in TABLE_1_COLUMNS}
    return TrainedRow(title, MODELS[model], cells)


def _before(run: ReportRun | None, setup: Setup) -> dict[str, Stat | None]:
    """Accuracies on retain and forget classes before unlearning."""
    result = next((result for result in run.methods if result.setup is setup), None) if run else None
    return {split: result.split("before", split) for split in TABLE_1_COLUMNS if "_" in split} if result else {}


def _changes(parts: Sequence[Part]) -> list[ChangeRow]:
    """Tables 2, 9 and 10, with the controls."""
    rows = []
    for part in parts:
        rows += [_change(part, result) for result in part.results]
        there = {result.method for result in part.results}
        if part.published:
            lacking = [method for method in part.published.changes if method not in there]
            rows += [_unchanged(part.title, part.published, method) for method in lacking]
    return rows + [_unchanged(entry.name, entry, method) for entry in unmeasured(parts) for method in entry.changes]


def _change(part: Part, result: MethodResult) -> ChangeRow:
    published, run, method = part.published, part.run, result.method
    assert run
    retain, forget = published.changes.get(method, (None, None)) if published else (None, None)
    sweep = run.sweep(method) if method in run.masking else None
    first = (sweep.first_n(0.0), sweep.first_n(run.chance)) if sweep else (None, None)
    return ChangeRow(
        part.title,
        published.change_table if published else "as Table 2",
        method,
        result.label,
        retain=Cell(_relative(result, "retain_test"), retain),
        forget=Cell(_relative(result, "forget_test"), forget),
        also=_also(published, method),
        n=result.stat("n") if result.first.n_name else None,
        first_zero=Cell(first[0], published.first_zero.get(method) if published else None),
        first_chance=Cell(first[1]),
    )


def _unchanged(title: str, published: Published, method: str) -> ChangeRow:
    """What was not run here."""
    retain, forget = published.changes[method]
    label, also = methods.title(method), _also(published, method)
    first = Cell(None, published.first_zero.get(method))
    cells = Cell(None, retain), Cell(None, forget)
    return ChangeRow(title, published.change_table, method, label, *cells, also, first_zero=first)


def _also(published: Published | None, method: str) -> dict[str, float]:
    return dict(zip(("retain", "forget"), published.also.get(method, ()), strict=False)) if published else {}


def _relative(result: MethodResult, split: str) -> Stat | None:
    """Change of accuracy as a share of where it began: the paper's 92.61 % to 92.94 % is +0.36 %, and to nothing is
    -100 %."""
    pairs = [(getattr(one.before, split), getattr(one.after, split)) for one in result.results]
    return stat((after - before) / before for before, after in pairs if before and after is not None)


def _runtimes(parts: Sequence[Part]) -> list[RuntimeRow]:
    """Table 8, with what gathering counts costs, and FLOPs."""
    rows = []
    for part in parts:
        said = part.published.seconds if part.published else {}
        rows += [
            RuntimeRow(
                part.title,
                result.method,
                result.label,
                Cell(result.stat("seconds"), said.get(result.method)),
                seconds_choose=result.stat("seconds_choose"),
                seconds_counts=result.stat("seconds_counts"),
                seconds_evaluate=result.stat("seconds_evaluate"),
                flops=result.stat("flops"),
                flops_counts=result.stat("flops_counts"),
            )
            for result in part.results
        ]
        there = {result.method for result in part.results}
        rows += [_unrun(part.title, method, seconds) for method, seconds in said.items() if method not in there]
    return rows + [
        _unrun(entry.name, method, seconds) for entry in unmeasured(parts) for method, seconds in entry.seconds.items()
    ]


def _unrun(title: str, method: str, seconds: float) -> RuntimeRow:
    """What was not run here."""
    return RuntimeRow(title, method, methods.title(method), Cell(None, seconds))


def _attacks(parts: Sequence[Part]) -> list[AttackRow]:
    """Table 3."""
    rows = []
    for part in parts:
        said = part.published.attack if part.published else {}
        attacked = [attack.result for attack in part.attacks]
        for method in sorted(
            {attack.result.method for attack in part.attacks} | set(said),
            key=lambda method: (methods.rank(method), method),
        ):
            mine = [attack.result for attack in part.attacks if attack.result.method == method]
            names = sorted({(one.forget_names[0], one.held_out_name) for one in mine})
            rows.append(
                AttackRow(
                    part.title,
                    method,
                    Cell(stat(one.attack_test for one in mine), said.get(method)),
                    apart=stat(_apart(one, attacked, "attack_test") for one in mine),
                    forest=stat(one.forest_test for one in mine),
                    forest_apart=stat(_apart(one, attacked, "forest_test") for one in mine),
                    n=stat(one.n for one in mine if one.n_name),
                    about="; ".join(f"{forgotten} against {held_out}" for forgotten, held_out in names),
                )
            )
    return rows + [
        AttackRow(entry.name, method, Cell(None, said))
        for entry in unmeasured(parts)
        for method, said in entry.attack.items()
    ]


def _apart(one: MembershipResult, attacked: Sequence[MembershipResult], what: str) -> float | None:
    """How far an attack is from that on the model of the same kind that was retrained without the class; None where
    either is missing."""
    oracle = {"dkvb": "retrain", "linear": "retrain-linear"}[one.model]
    same = (one.seed, one.forget, one.held_out)
    for other in attacked:
        if other.method == oracle and (other.seed, other.forget, other.held_out) == same:
            mine, reference = getattr(one, what), getattr(other, what)
            return None if mine is None or reference is None else abs(mine - reference)
    return None
