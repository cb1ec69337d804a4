"""What stages show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hypoxia_hpc.cli.text.metrics import metrics_text
from hypoxia_hpc.cli.text.survival import survival_text
from hypoxia_hpc.cli.text.words import first_line, grouped, spaced
from hypoxia_hpc.errors import some_names

if TYPE_CHECKING:
    from hypoxia_hpc.records import Receipt
    from hypoxia_hpc.workers.slide_stage import StageOutcome

REMEDY = "remedy: "


def result_text(stage: str, found: Any) -> str:
    """What a stage that sees the whole cohort did."""
    match stage:
        case "train":
            made, before = (", ".join(names) or "nothing" for names in (found.made, found.found))
            return f"train: {made} trained now, {before} trained before"
        case "evaluate":
            return spaced(metrics_text(found.metrics))
        case "phenotypes":
            return spaced("\n".join(phenotypes_lines(found.facts)))
        case "survival":
            return spaced(survival_text(found.content))
    return f"{stage}: {found}"


def phenotypes_lines(facts: Mapping[str, Any]) -> Iterator[str]:
    """What phenotypes found, and what to be careful with."""
    stable = facts["stability"]["rand"].values()
    yield f"phenotypes: {facts['clusters']} clusters of {sum(facts['sizes']):,} tiles by {facts['clustering']}"
    if stable:
        yield f"found again with other seeds and folds: adjusted Rand index {min(stable):.2f} to {max(stable):.2f}"
    if facts["near_empty"]:
        yield f"near-empty clusters: {some_names([str(number) for number in facts['near_empty']])}"
    for number, site in facts["one_hospital"].items():
        yield f"warning: cluster {number} is one hospital: nearly all of its tiles are from {site}"
    if facts["score"] is not None:
        follow = (
            "the tumour more than the hospital" if facts["score"] > 0 else "the hospital at least as much as the tumour"
        )
        yield f"clusters follow {follow}: score {facts['score']:+.2f}"
    yield "shares of every patient: phenotypes/patients.csv"


def outcome_line(outcome: StageOutcome) -> str:
    """What a per-slide stage did, in one line."""
    parts = [f"{len(outcome.made)} done now", f"{len(outcome.found)} done before"]
    if outcome.quarantined:
        parts.append(f"{len(outcome.quarantined)} quarantined ({reasons(outcome.quarantined)})")
    if outcome.not_ready:
        parts.append(f"{len(outcome.not_ready)} not ready")
    return f"{outcome.stage}: {', '.join(parts)}"


def remarks_text(remarks: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """``note: slides whose file has several images: the largest counts: 2 (a, b)``: what is odd about slides that are
    used all the same, with the slides of each sentence."""
    from hypoxia_hpc.tiling.remarks import LEFT_OUT

    for sentence, names in remarks.items():
        yield f"note: {sentence}: {len(names):,} ({some_names(names)})"
    if any(sentence.startswith(LEFT_OUT) for sentence in remarks):
        yield "each image left out: report/figures/left_out_images.csv, which hypoxia-hpc report writes"


def quarantined_text(
    quarantined: Iterable[tuple[str, Receipt]], *, told: Collection[str] = (), all_of_them: str = "--json has all"
) -> Iterator[str]:
    """Each reason once, with what to do and the slides under it. ``quarantined``: stage and receipt of each slide;
    ``told``: ids of slides whose details the user has read."""
    rows = [
        (
            f"quarantined in {stage}, {receipt.reason}",
            _remedy(receipt),
            (receipt.name, str(receipt.attempts), first_line(receipt.detail)),
        )
        for stage, receipt in quarantined
    ]
    return grouped(["slide", "attempts", ""], rows, told=told, all_of_them=all_of_them)


def _remedy(receipt: Receipt) -> str:
    """What the last line of its detail says, where that is a remedy."""
    last = receipt.detail.rpartition("\n")[2]
    return last.removeprefix(REMEDY) if last.startswith(REMEDY) else ""


def reasons(receipts: Iterable[Receipt]) -> str:
    """``no-tissue 3, no-mpp 1``: most frequent first."""
    counts = Counter(receipt.reason for receipt in receipts)
    return ", ".join(f"{reason} {n}" for reason, n in sorted(counts.items(), key=lambda item: (-item[1], item[0])))
