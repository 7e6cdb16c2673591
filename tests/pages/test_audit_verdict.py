"""What the page of an audit says at its top, whoever wins."""

from __future__ import annotations

from audited import DISTANCE, KLOM, RETAIN, audit, entry, kind, measured
from dkvb.pages.facts.audit_verdict import verdict
from dkvb.pages.facts.audited import distances, groups, names
from dkvb.records.audit import AuditEntry

KEPT = {RETAIN: 0.97}


def said(*entries: AuditEntry, **more: object) -> list[str]:
    return [str(one) for one in verdict(audit(entries=list(entries), kinds=[kind("values")], **more))]


def test_the_closest_of_each_kind_is_named_with_its_cost() -> None:
    values, linear, _ = (str(one) for one in verdict(audit()))
    assert values == (
        "On the bottleneck’s values, activations is closest to retraining, of 2 methods: 20.0% of a forgotten sample’s"
        " probability lies elsewhere than in a retrained model (10.0% between retrained models, 90.0% with nothing"
        " unlearned). By this it can still be told from retraining. It takes 0.2 s a model; retraining takes 2.5 s."
    )
    assert linear == (
        "On the linear head, POUR is closest to retraining, and the only method: 12.5% (10.0% between retrained models,"
        " 90.0% with nothing unlearned). By this it cannot be told from retraining. It takes 0.2 s a model; retraining"
        " takes 2.5 s."
    )


def test_where_votes_stands_and_loses_is_said() -> None:
    assert str(verdict(audit())[-1]) == (
        "Masking by votes (ours) is 2nd closest of 2 on the bottleneck’s values. It recognises 97.0% of the samples of"
        " the classes that stay; 98.0% were recognised before. In 2 of 5 measures it cannot be told from retraining."
        # membership does not work, and KLoM is of too few models
        " Where it loses, intervals apart, to most others: destinations, each (0.300; best, activations: 0.200); tug of"
        " war (0.900; best, activations: 0.980)."
    )


def test_enough_models_make_klom_count() -> None:
    assert "KLoM, forgotten rows (8.000; best, activations: 7.000)" in str(
        verdict(audit(oracles=100, unlearned=50))[-1]
    )


def test_votes_may_win() -> None:
    votes = entry("votes", {DISTANCE: 0.1, **KEPT}, seconds_choosing=1.5)
    closest, stands = said(votes, entry("pour", {DISTANCE: 0.2, **KEPT}))
    assert closest.startswith(
        "On the bottleneck’s values, Masking by votes (ours) is closest to retraining, of 2 methods"
    )
    assert "It takes 0.2 s a model, and 1.5 s to choose its settings; retraining takes 2.5 s." in closest
    assert stands.startswith("Masking by votes (ours) is closest of 2 on the bottleneck’s values.")
    assert stands.endswith(
        "In no measure that works is another method on the same models nearer to retraining beyond its interval."
    )


def test_a_lead_within_intervals_is_no_loss() -> None:
    votes, other = ({DISTANCE: measured(DISTANCE, value, 0.02)} for value in (0.3, 0.29))
    found = said(entry("votes", {}, measures=votes), entry("pour", {}, measures=other))
    assert "2nd closest of 2" in found[1]
    assert "Where it loses" not in found[1]


def test_others_that_cannot_be_told_from_retraining_are_named() -> None:
    near = [entry(name, {DISTANCE: 0.1 + place / 1000}) for place, name in enumerate("abcdef")]
    assert "By this it cannot be told from retraining, nor can b, c, d and 2 more." in said(*near)[0]


def test_votes_that_failed_or_was_not_run() -> None:
    other = entry("pour", {DISTANCE: 0.2})
    assert said(other)[-1] == "Masking by votes is not in this audit."
    failed = entry("votes", {}, error="there is no mask.")
    assert said(other, failed)[-1] == "Masking by votes (ours) failed on the bottleneck’s values: there is no mask."
    unranked = entry("votes", KEPT)
    assert said(other, unranked)[-1].startswith("Masking by votes (ours) is not ranked on the bottleneck’s values.")


def test_nothing_to_rank_by() -> None:
    assert (
        said(entry("votes", KEPT))[0]
        == "No distance from retrained models could be measured, so methods are not ranked."
    )
    line = entry("original", {DISTANCE: 0.9})
    assert said(line, entry("votes", KEPT)) == ["No method has the measure that ranks them (destinations, each)."]


def test_klom_ranks_where_there_are_margins_alone_and_says_that_it_is_noise() -> None:
    found = said(entry("pour", {KLOM: 7.0}, seconds=None))
    assert found[0] == (
        "On the bottleneck’s values, pour is closest to retraining, and the only method: its KLoM, forgotten rows is"
        " 7.000 (5.000 between retrained models, 10.0 with nothing unlearned). Noise: 10 models a side, and it needs"
        " about 50. By this it can still be told from retraining."
    ).replace("pour", "POUR")


def test_a_measure_without_a_null_tells_nothing() -> None:
    alone = measured(DISTANCE, 0.2, null=None, null_low=None, null_high=None, nothing=None)
    found = said(entry("pour", {}, measures={DISTANCE: alone}, seconds=None))
    assert found[0].endswith("than in a retrained model.")


def test_best_follows_the_direction_and_ties_are_all_best() -> None:
    near = {"membership": measured("membership", 0.03, direction="null")}
    far = {"membership": measured("membership", 0.08, direction="null")}
    rows = [
        entry(
            "a", {DISTANCE: 0.2, RETAIN: 0.9}, measures={**entry("a", {DISTANCE: 0.2, RETAIN: 0.9}).measures, **near}
        ),
        entry(
            "b",
            {DISTANCE: 0.2001, RETAIN: 0.95},
            measures={**entry("b", {DISTANCE: 0.2001, RETAIN: 0.95}).measures, **far},
        ),
        entry("retrained", {DISTANCE: 0.1, RETAIN: 0.99}),
    ]
    [group] = groups(audit(entries=rows))
    assert group.best(DISTANCE) == {"a-values", "b-values"}
    assert group.best(RETAIN) == {"b-values"}
    assert group.best("membership") == {"a-values"}


def test_distances_are_in_the_order_of_what_they_say_and_not_of_retained_rows() -> None:
    held = {
        name: measured(DISTANCE, 0.2).model_copy(update={"name": name})
        for name in ("KLoM, retained rows", KLOM, "tug of war", DISTANCE)
    }
    made = audit(entries=[entry("pour", {}, measures=held)])
    assert distances(made) == [DISTANCE, KLOM]
    assert names(made) == [DISTANCE, "KLoM, retained rows", KLOM, "tug of war"]
