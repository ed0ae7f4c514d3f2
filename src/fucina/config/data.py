"""Which rows are read."""

from typing import Annotated, Literal

from pydantic import Field

from fucina.config.settings import Settings

__all__ = ["DataConfig"]


class DataConfig(Settings):
    """What to read, and which rows are kept away from training."""

    train: Annotated[str, Field(description="File of labelled rows, relative to the recipe.")]
    validation: Annotated[
        str | None, Field(description="Rows to choose the best epoch on; else a share of train.")
    ] = None
    test: Annotated[
        str | None, Field(description="Held-out rows, never trained on; else a share of train.")
    ] = None
    format: Annotated[
        Literal[
            "auto",
            "csv",
            "tsv",
            "jsonl",
            "json",
            "parquet",
            "messages",
            "sharegpt",
            "alpaca",
            "conll",
        ],
        Field(description="How the files are written; auto looks at suffix and first row."),
    ] = "auto"
    encoding: Annotated[str, Field(description="Text encoding of the files.")] = "utf-8"
    text: Annotated[str, Field(description="Column that holds the text.")] = "text"
    label: Annotated[str, Field(description="Column that holds the label.")] = "label"
    columns: Annotated[
        dict[str, str],
        Field(
            default_factory=dict,
            description="Other fields of the task and the columns that hold them: field: column.",
        ),
    ]
    group: Annotated[
        str | None,
        Field(description="Column of groups; rows of one group never straddle a split."),
    ] = None
    test_share: Annotated[
        float, Field(gt=0, lt=1, description="Share of rows for test when no file is given.")
    ] = 0.2
    validation_share: Annotated[
        float, Field(gt=0, lt=1, description="Share of the rest for validation without folds.")
    ] = 0.15
    allow_duplicates: Annotated[
        bool, Field(description="Go on although the same text is in train and test.")
    ] = False

    @property
    def named(self) -> dict[str, str]:
        """Fields to the columns that hold them; a field that is not here is called like it."""
        return {"text": self.text, "label": self.label, **self.columns}
