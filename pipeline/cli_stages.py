"""The verbs of stages that are written out, so that their help comes at once: the catalogue would import pydantic."""

from typing import Annotated

import typer

from prefline.pipeline.cli_options import (
    DEFAULT_STORE,
    CheckpointEveryOption,
    ForceOption,
    KeepCheckpointsOption,
    NameOption,
    SeedOption,
    StoreOption,
    TrackOption,
)

SourceArgument = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE", show_default=False, help="A file, a folder of files, or hub:organisation/name?split=train."
    ),
]
TokenizerOption = Annotated[
    str | None, typer.Option(metavar="FILE", help="A tokenizer.json, to see what truncation does.")
]
TextsOption = Annotated[str | None, typer.Option(metavar="FOLDER", help="The outputs of systems, for WMT ranks.")]
FeedbackOption = Annotated[
    str | None,
    typer.Option(metavar="WHO", help="Who chose the best: human, judge, mock, rule or synthetic. [default: human]"),
]
NegativesOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="CLASSES",
        help="Make texts that fail beside references, of these classes: last-mile, random, copied ... May be repeated.",
    ),
]
ChoicesOption = Annotated[
    str | None, typer.Option(metavar="NUMBER", help="How many responses a reference is one of. [default: 4]")
]
FormOption = Annotated[
    str | None,
    typer.Option(
        metavar="FORM",
        help="group: one comparison of all choices; pairs: one of each negative. [default: group]",
    ),
]
LabellerOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME[:NOISE]",
        help="Let a program choose in the place of people: length, copy:0.5 ... May be repeated.",
    ),
]
LayoutOption = Annotated[
    str | None, typer.Option(metavar="NAME", help="How rows are written, by name; found out if not said.")
]
MapOption = Annotated[
    list[str] | None,
    typer.Option(
        "--map",
        metavar="ROLE=COLUMN",
        help="The column of a role, or several: responses=left,right. May be repeated.",
    ),
]
FormatOption = Annotated[
    str | None,
    typer.Option("--format", metavar="FORM", help="jsonl, json, csv, tsv, parquet or dataset; found out if not said."),
]
EncodingOption = Annotated[str | None, typer.Option(metavar="NAME", help="Such as cp1252; found out if not said.")]
DelimiterOption = Annotated[
    str | None, typer.Option(metavar="CHARACTER", help="What stands between the cells of a table.")
]
QuotingOption = Annotated[
    str | None, typer.Option(metavar="YES|NO", help="Whether cells of a table may stand in quotes: yes or no.")
]
HeaderOption = Annotated[
    str | None,
    typer.Option(metavar="YES|NO", help="Whether the first row of a table names the columns: yes or no."),
]
PadOption = Annotated[
    str | None,
    typer.Option(metavar="TOKEN", help="The token id that fills up, in the layout of 2019. [default: 50259]"),
]
ViewOption = Annotated[
    str | None,
    typer.Option(
        metavar="VIEW", help="What each annotator said, or combined: each, majority or weighted. [default: each]"
    ),
]
GoldOption = Annotated[str | None, typer.Option(metavar="ANNOTATOR", help="The annotator whose word is the truth.")]
HeldOutOption = Annotated[
    str | None, typer.Option(metavar="SHARE", help="The share of prompts to keep from training. [default: 0.1]")
]
NearDuplicatesOption = Annotated[
    str | None,
    typer.Option(
        metavar="SIMILARITY", help="From which similarity on prompts stay on one side, 0.5 to 1. [default: 0.8]"
    ),
]
LengthOption = Annotated[
    str | None, typer.Option(metavar="TOKENS", help="How many tokens of prompt and response a model will see.")
]
MaxRejectedOption = Annotated[
    str | None,
    typer.Option(metavar="LIMIT", help="How many rows may be refused: a number, or a share. [default: 1%]"),
]
RequireOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="CONDITION", help="What the report must say, such as 'bias.longest.share <= 0.6'. May be repeated."
    ),
]


def ingest(
    source: SourceArgument,
    tokenizer: TokenizerOption = None,
    texts: TextsOption = None,
    feedback: FeedbackOption = None,
    negatives: NegativesOption = None,
    choices: ChoicesOption = None,
    form: FormOption = None,
    labeller: LabellerOption = None,
    layout: LayoutOption = None,
    map: MapOption = None,  # noqa: A002
    format: FormatOption = None,  # noqa: A002
    encoding: EncodingOption = None,
    delimiter: DelimiterOption = None,
    quoting: QuotingOption = None,
    header: HeaderOption = None,
    pad: PadOption = None,
    view: ViewOption = None,
    gold: GoldOption = None,
    held_out: HeldOutOption = None,
    near_duplicates: NearDuplicatesOption = None,
    length: LengthOption = None,
    max_rejected: MaxRejectedOption = None,
    require: RequireOption = None,
    seed: SeedOption = None,
    name: NameOption = None,
    force: ForceOption = False,
    checkpoint_every: CheckpointEveryOption = "10m",
    keep_checkpoints: KeepCheckpointsOption = 2,
    track: TrackOption = None,
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Take in comparisons as people have them, say what they are worth, and make them an artifact."""
    given = locals()
    from prefline.pipeline.cli_catalogue import run_verb
    from prefline.pipeline.ingest import INGEST

    run_verb(INGEST, given)
