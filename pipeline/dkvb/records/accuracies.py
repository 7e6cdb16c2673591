"""Accuracies, and the words that the records of several stages share."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import SerializerFunctionWrapHandler, model_serializer

from dkvb.records.base import Record

Model = Literal["dkvb", "linear"]

Role = Literal["retain", "forget"]

Share = float | None
"""An accuracy in [0, 1]; None where there are no samples."""


class MaybeValidated(Record):
    """Accuracies on validation data are left out of the dump where the recipe keeps no validation data."""

    retain_validation: Share = None
    forget_validation: Share = None

    @model_serializer(mode="wrap")
    def _dump(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        validated = (self.retain_validation, self.forget_validation) != (None, None)
        return {name: value for name, value in dump(self).items() if validated or not name.endswith("_validation")}

    def of(self, role: Role, split: str) -> Share:
        """The accuracy on the retain or forget classes of a split ("test", "train" or "validation").

        Raises:
            AttributeError: it is not measured on this split.
        """
        return getattr(self, f"{role}_{split}")  # type: ignore[no-any-return]


class BeforeAndAfter(Record):
    """A metric before and after unlearning, None where it cannot be measured."""

    before: float | None
    """Of the trained model."""
    after: float | None
    """Of the unlearned model."""


class Accuracies(MaybeValidated):
    """Accuracy on retain and forget classes of train, test and, where it was measured, validation data.

    Of the mask (or the weights) alone: labels of forgotten classes are among the answers.
    """

    retain_test: Share
    forget_test: Share
    retain_train: Share
    forget_train: Share
