"""What each command prints with `--json`: one record, its answer. docs/cli.md is made from this table."""

from __future__ import annotations

from dkvb.records.audit import AuditAbout, AuditEntry
from dkvb.records.base import Record
from dkvb.records.deletion import ExactPlan, Plan, RequestEntry
from dkvb.records.embed import EmbedPart, EmbedResult
from dkvb.records.experiments import MembershipResult, PlanStep
from dkvb.records.ledger import Ledger, ReceiptEntry
from dkvb.records.over_seeds import TrainSummary, UnlearnSummary
from dkvb.records.quantize import QuantizeResult
from dkvb.records.report import ReportResult
from dkvb.records.status import DoctorCheck, Status
from dkvb.records.train import TrainResult
from dkvb.records.unlearn import UnlearnResult
from dkvb.records.use import ExportCheck, ExportResult, Predictions
from dkvb.records.verdict import Verdict


class Run(Record):
    """The entries of all five stages."""

    embed: list[EmbedResult | EmbedPart]
    quantize: list[QuantizeResult]
    train: list[TrainResult]
    unlearn: list[UnlearnResult]
    report: list[ReportResult]


class Embed(Record):
    """One entry."""

    embed: list[EmbedResult | EmbedPart]
    """The features; with `--shard-range`, what is still missing of them."""


class Quantize(Record):
    """An entry a seed."""

    quantize: list[QuantizeResult]
    """Of each seed."""


class Train(Record):
    """An entry a seed and model."""

    train: list[TrainResult]
    """Of each seed, the bottleneck and the linear head."""
    summary: list[TrainSummary]
    """The same over all seeds."""


class Unlearn(Record):
    """An entry a seed, method and forget set."""

    unlearn: list[UnlearnResult]
    """Of each seed, method and forget set."""
    summary: list[UnlearnSummary]
    """The same over all seeds."""


class Report(Record):
    """One entry."""

    report: list[ReportResult]
    """One: the pages."""


class Forget(Record):
    """The request that was opened, or, with `--plan`, what it would do."""

    forget: list[RequestEntry | Plan | ExactPlan]
    """One; where all classes are forgotten already, the requests that forgot them. With `--plan`, the plan."""


class Restore(Record):
    """The request that was taken back."""

    restore: list[RequestEntry]
    """One: the request."""


class Purge(Record):
    """The request that was purged."""

    purge: list[RequestEntry]
    """One: the request, with what was erased."""


class Receipt(Record):
    """The receipt of a request."""

    receipt: list[ReceiptEntry]
    """One: the receipt."""


class Verify(Record):
    """A verdict a seed."""

    verify: list[Verdict]
    """Of each seed."""
    page: str
    """Path of the page that shows them."""


class Export(Record):
    """The folder that was written, or, with `--check`, what was found out about it."""

    export: list[ExportResult | ExportCheck]
    """One: the folder. With `--check`, the verdict."""


class Reproduce(Record):
    """The plan, step by step."""

    reproduce: list[PlanStep]
    """Every step, in the order in which they run."""


class Membership(Record):
    """An entry a seed, method and forget set."""

    membership: list[MembershipResult]
    """Of each seed, method and forget set."""


class Audits(Record):
    """An entry a seed, forget set, kind of model and method."""

    audit: list[AuditEntry]
    """Of each seed and forget set, the two lines of each kind and every method."""
    about: list[AuditAbout]
    """Of each seed and forget set, how many models were trained, and what so many can show."""


class RecipeWritten(Record):
    """The recipe file that was written."""

    path: str
    """The file."""
    recipe: str
    """The built-in recipe that it was copied from."""


class Init(Record):
    """The recipe file."""

    init: list[RecipeWritten]
    """One: the file."""


class Doctor(Record):
    """All checks of the machine."""

    doctor: list[DoctorCheck]
    """Each check."""


ANSWERS: dict[str, type[Record]] = {
    "run": Run,
    "embed": Embed,
    "quantize": Quantize,
    "train": Train,
    "unlearn": Unlearn,
    "report": Report,
    "forget": Forget,
    "restore": Restore,
    "purge": Purge,
    "receipt": Receipt,
    "ledger": Ledger,
    "verify": Verify,
    "predict": Predictions,
    "export": Export,
    "reproduce": Reproduce,
    "membership": Membership,
    "audit": Audits,
    "init": Init,
    "status": Status,
    "doctor": Doctor,
}
