"""Keys of the plugin that hold for every model, and ranges of RecBole's own training keys."""

from __future__ import annotations

from dataclasses import dataclass

from diffkg_recbole.settings import Settings, boolean, choice, integer, number

PROTOCOLS = ("clean", "authors", "recbole")
KG_CONTROLS = ("original", "none", "random")
SCREENS = ("table", "log")


@dataclass(frozen=True)
class GeneralSettings(Settings):
    """Checked before any data are read, whatever the model."""

    eval_protocol: str = choice(
        "Which test pairs count, what is masked and on what the epoch is chosen.",
        "clean", PROTOCOLS,
    )
    kg: str = choice(
        "Graph control: the graph as it is, no information (self loops), or random tails.",
        "original", KG_CONTROLS,
    )
    seed: int = integer("Draws everything but the split.", 2020, low=0, high=2**32 - 1)
    split_seed: int = integer("Draws the split alone.", 2020, low=0, high=2**32 - 1)
    epochs: int = integer("Training epochs.", 300, low=0)
    train_batch_size: int = integer("Interactions a step.", 2048, low=1)
    learning_rate: float = number("Step size of the optimizer.", 0.001, low=0, open_low=True)
    weight_decay: float = number("L2 penalty inside the optimizer.", 0.0, low=0)
    eval_step: int = integer("Epochs between two evaluations.", 1, low=0)
    stopping_step: int = integer("Evaluations without gain before training stops.", 10, low=0)
    eval_memory_mb: int = integer(
        "Memory for the scores of one full-sort evaluation batch, in MB.", 256, low=1
    )
    save_recommendations: bool = boolean("Keep top-K lists and per-user metrics of a run.", True)
    cache_dataset: bool = boolean("Keep the parsed atomic files for the next run.", True)
    memory_check: bool = boolean("Refuse a run that needs more memory than is free.", True)
    screen: str = choice(
        "What the command shows of a training: a row an epoch, or RecBole's log.",
        "table", SCREENS,
    )
