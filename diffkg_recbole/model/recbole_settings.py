"""Settings of RecBole's models: what each key is, its default there, and what it may be.

DiffKG and KGCL declare theirs beside the model; RecBole's models have theirs in property files
without ranges. A model that is added gets its class here, or a ``settings_class`` of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from diffkg_recbole.errors import ConfigurationError
from diffkg_recbole.settings import Settings, boolean, choice, integer, integers, number, numbers

_MOST = 1_000_000


def _width(default: int, what: str = "Width of the embeddings.") -> Any:
    return integer(what, default, low=1, high=_MOST)


def _layers(default: int, what: str = "Layers of the propagation.", low: int = 1) -> Any:
    return integer(what, default, low=low, high=100)


def _weight(default: float, what: str = "Weight of the L2 penalty.") -> Any:
    return number(what, default, low=0)


def _dropout(default: float, what: str = "Share that is dropped in training.") -> Any:
    return number(what, default, low=0, high=1, open_high=True)


def _temperature(default: float) -> Any:
    return number("Temperature of the contrast.", default, low=0, open_low=True)


@dataclass(frozen=True)
class PopSettings(Settings):
    """Nothing to set."""


@dataclass(frozen=True)
class BPRSettings(Settings):
    embedding_size: int = _width(64)


@dataclass(frozen=True)
class NeuMFSettings(Settings):
    mf_embedding_size: int = _width(64, "Width of the embeddings of the product.")
    mlp_embedding_size: int = _width(64, "Width of the embeddings of the perceptron.")
    mlp_hidden_size: list[int] = integers("Widths of the perceptron's layers.", [128, 64])
    dropout_prob: float = _dropout(0.1)
    mf_train: bool = boolean("Train the product.", True)
    mlp_train: bool = boolean("Train the perceptron.", True)


@dataclass(frozen=True)
class EASESettings(Settings):
    reg_weight: float = number("Ridge on the diagonal.", 250.0, low=0, open_low=True)


@dataclass(frozen=True)
class SLIMElasticSettings(Settings):
    alpha: float = number("Weight of both penalties.", 0.2, low=0, open_low=True)
    l1_ratio: float = number("Share of the L1 penalty.", 0.02, low=0, high=1)
    positive_only: bool = boolean("Coefficients are not negative.", True)
    hide_item: bool = boolean("An item does not explain itself.", True)


@dataclass(frozen=True)
class ItemKNNSettings(Settings):
    k: int = integer("Neighbours of an item.", 100, low=1)
    shrink: float = number("Added to the norms of the similarity.", 0.0, low=0)
    knn_method: str = choice("Similarity of items or of users.", "item", ("item", "user"))


@dataclass(frozen=True)
class MultiVAESettings(Settings):
    mlp_hidden_size: list[int] = integers("Widths of the encoder's layers.", [600])
    latent_dimension: int = _width(128, "Width of the latent code.")
    dropout_prob: float = _dropout(0.5)
    anneal_cap: float = number("Largest weight of the KL term.", 0.2, low=0)
    total_anneal_steps: int = integer("Steps until that weight is reached.", 200_000, low=0)


@dataclass(frozen=True)
class DiffRecSettings(Settings):
    noise_schedule: str = choice("Schedule of the noise.", "linear",
                                 ("linear", "linear-var", "cosine", "binomial"))
    noise_scale: float = number("Scale of the noise.", 0.001, low=0)
    noise_min: float = number("Smallest noise.", 0.0005, low=0, high=1)
    noise_max: float = number("Largest noise.", 0.005, low=0, high=1)
    sampling_noise: bool = boolean("Noise while sampling.", False)
    sampling_steps: int = integer("Steps of the forward process before sampling.", 0, low=0)
    reweight: bool = boolean("Weight the steps of the loss.", True)
    mean_type: str = choice("What the network predicts.", "x0", ("x0", "eps"))
    steps: int = integer("Steps of the diffusion.", 5, low=1, high=100_000)
    history_num_per_term: int = integer("Losses kept for the weight of a step.", 10, low=1)
    beta_fixed: bool = boolean("Fix the variance of the first step.", True)
    dims_dnn: list[int] = integers("Widths of the network's layers.", [300])
    embedding_size: int = integer("Width of the time embedding.", 10, low=2, high=_MOST)
    mlp_act_func: str = choice("Activation.", "tanh", ("tanh", "relu", "sigmoid", "leakyrelu",
                                                       "none"))
    w_max: float = number("Largest weight of an interaction by time.", 1, low=0)
    w_min: float = number("Smallest weight of an interaction by time.", 0.1, low=0)

    def __post_init__(self) -> None:
        _ordered(self, "noise_min", "noise_max")
        _ordered(self, "w_min", "w_max")
        _ordered(self, "sampling_steps", "steps")


@dataclass(frozen=True)
class GCMCSettings(Settings):
    accum: str = choice("How the ratings' messages are joined.", "stack", ("stack", "sum"))
    gcn_output_dim: int = _width(500, "Width of the graph layer.")
    embedding_size: int = _width(64)
    dropout_prob: float = _dropout(0.3)
    sparse_feature: bool = boolean("Keep the features sparse.", True)
    class_num: int = integer("Kinds of ratings.", 2, low=1)
    num_basis_functions: int = integer("Functions of the decoder's basis.", 2, low=1)


@dataclass(frozen=True)
class LightGCNSettings(Settings):
    embedding_size: int = _width(64)
    n_layers: int = _layers(2)
    reg_weight: float = _weight(1e-5)


@dataclass(frozen=True)
class NGCFSettings(Settings):
    embedding_size: int = _width(64)
    hidden_size_list: list[int] = integers("Widths of the layers.", [64, 64, 64])
    node_dropout: float = _dropout(0.0)
    message_dropout: float = _dropout(0.1)
    reg_weight: float = _weight(1e-5)


@dataclass(frozen=True)
class SGLSettings(Settings):
    type: str = choice("How views are made: edges, nodes or walks.", "ED", ("ED", "ND", "RW"))
    n_layers: int = _layers(3)
    ssl_tau: float = _temperature(0.5)
    reg_weight: float = _weight(1e-5)
    ssl_weight: float = _weight(0.05, "Weight of the contrast.")
    drop_ratio: float = _dropout(0.1)
    embedding_size: int = _width(64)


@dataclass(frozen=True)
class CKESettings(Settings):
    embedding_size: int = _width(64)
    kg_embedding_size: int = _width(64, "Width of the relations' space.")
    reg_weights: list[float] = numbers("Weights of the L2 penalties of ranking and graph.",
                                       [1e-2, 1e-2], length=2, low=0)


@dataclass(frozen=True)
class CFKGSettings(Settings):
    embedding_size: int = _width(64)
    loss_function: str = choice("Loss.", "inner_product", ("inner_product", "transe"))
    margin: float = number("Margin of transe.", 1.0, low=0)


@dataclass(frozen=True)
class KTUPSettings(Settings):
    train_rec_step: int = integer("Steps of ranking in turn.", 5, low=0)
    train_kg_step: int = integer("Steps of the graph in turn.", 5, low=0)
    embedding_size: int = _width(64)
    use_st_gumbel: bool = boolean("Draw the preference with a Gumbel softmax.", True)
    L1_flag: bool = boolean("Distance in L1, otherwise L2.", False)
    margin: float = number("Margin of the loss.", 1.0, low=0)
    kg_weight: float = _weight(1.0, "Weight of the graph's penalty.")
    align_weight: float = _weight(1.0, "Weight of the alignment of items and entities.")

    def __post_init__(self) -> None:
        if self.train_rec_step + self.train_kg_step == 0:
            raise ConfigurationError("train_rec_step", 0, "train_rec_step and train_kg_step not "
                                     "both 0")


@dataclass(frozen=True)
class KGCNSettings(Settings):
    embedding_size: int = _width(64)
    n_iter: int = _layers(1, "Hops of the neighbourhood.")
    aggregator: str = choice("Aggregator.", "sum", ("sum", "neighbor", "concat"))
    reg_weight: float = _weight(1e-7)
    neighbor_sample_size: int = integer("Neighbours of an entity.", 4, low=1, high=10_000)


@dataclass(frozen=True)
class KGNNLSSettings(KGCNSettings):
    ls_weight: float = _weight(0.5, "Weight of the smoothness of labels.")


@dataclass(frozen=True)
class KGATSettings(Settings):
    embedding_size: int = _width(64)
    kg_embedding_size: int = _width(64, "Width of the relations' space.")
    layers: list[int] = integers("Widths of the layers.", [64])
    mess_dropout: float = _dropout(0.1)
    reg_weight: float = _weight(1e-5)
    aggregator_type: str = choice("Aggregator.", "bi", ("gcn", "graphsage", "bi"))


@dataclass(frozen=True)
class KGINSettings(Settings):
    embedding_size: int = _width(64)
    reg_weight: float = _weight(1e-5)
    node_dropout_rate: float = _dropout(0.5)
    mess_dropout_rate: float = _dropout(0.0)
    sim_regularity: float = _weight(1e-4, "Weight of the intents' independence.")
    context_hops: int = _layers(2)
    n_factors: int = integer("Intents of a user.", 4, low=1, high=10_000)
    ind: str = choice("Measure of independence.", "cosine", ("mi", "distance", "cosine"))
    temperature: float = _temperature(0.2)


@dataclass(frozen=True)
class RippleNetSettings(Settings):
    embedding_size: int = _width(64)
    n_hop: int = _layers(2, "Hops of the ripple sets.")
    n_memory: int = integer("Triples of a hop.", 16, low=1, high=_MOST)
    kg_weight: float = _weight(0.01, "Weight of the graph's loss.")
    reg_weight: float = _weight(1e-7)


@dataclass(frozen=True)
class MKRSettings(Settings):
    embedding_size: int = _width(64)
    kg_embedding_size: int = _width(64, "Width of entities and relations.")
    low_layers_num: int = _layers(1, "Cross-and-compress units.")
    high_layers_num: int = _layers(1, "Layers above them.")
    reg_weight: float = _weight(1e-6)
    use_inner_product: bool = boolean("Score by a product, otherwise by a network.", True)
    kge_interval: int = integer("Epochs between two of the graph.", 3, low=1)
    dropout_prob: float = _dropout(0.0)


@dataclass(frozen=True)
class MCCLKSettings(Settings):
    embedding_size: int = _width(64)
    reg_weight: float = _weight(1e-5)
    n_hops: int = _layers(2)
    node_dropout_rate: float = _dropout(0.5)
    mess_dropout_rate: float = _dropout(0.1)
    lightgcn_layer: int = _layers(2, "Layers on the interactions.")
    item_agg_layer: int = _layers(1, "Layers on the items' graph.")
    alpha: float = number("Share of the local contrast.", 0.2, low=0, high=1)
    beta: float = _weight(0.1, "Weight of the contrast.")
    k: int = integer("Neighbours in the items' graph.", 10, low=1)
    lambda_coeff: float = number("Share of the old items' graph.", 0.5, low=0, high=1)
    temperature: float = _temperature(0.8)
    build_graph_separately: bool = boolean("A propagation of its own for the items' graph.", True)
    loss_type: str = choice("Loss.", "BPR", ("BPR", "BCE"))


SETTINGS: dict[str, type[Settings]] = {
    name.removesuffix("Settings"): value for name, value in list(globals().items())
    if name.endswith("Settings") and name != "Settings"}
"""Declared settings by the name of the model."""


def settings_of(model: str, model_class: Any) -> type[Settings] | None:
    """Declared settings of a model: its own, RecBole's above, or none (a user's class)."""
    return getattr(model_class, "settings_class", None) or SETTINGS.get(model)


def _ordered(settings: Settings, low: str, high: str) -> None:
    """Refuse a lower bound above the upper one."""
    if getattr(settings, low) > getattr(settings, high):
        raise ConfigurationError(low, getattr(settings, low),
                                 f"at most {high}, which is {getattr(settings, high)}")
