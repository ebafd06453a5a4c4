"""Hyper-parameters of KGCL, checked before anything is built."""

from __future__ import annotations

from dataclasses import dataclass

from diffkg_recbole.settings import Settings, integer, number


@dataclass(frozen=True)
class KGCLSettings(Settings):
    """KGCL's own keys; defaults are the values of the authors' later implementation.

    ``seed``, ``learning_rate``, ``train_batch_size`` and ``epochs`` are RecBole's keys and hold
    for every model; ``properties/model/KGCL.yaml`` gives the authors' values of these.
    """

    embedding_size: int = integer("Size of all embeddings.", 64, low=1, symbol="d")
    """RecBole's key; users, entities and relations share it."""

    n_hops: int = integer("Attention hops over the knowledge graph.", 2, low=0)
    """Two hops; only the last hop's output is read out."""

    n_layers: int = integer("Propagation layers over the interactions.", 2, low=0)
    """Two layers; all layers, layer 0 included, are summed."""

    message_dropout: float = number(
        "Dropout on an attention hop's output.", 0.1, low=0, high=1, open_high=True
    )
    """Acts in training only, in the main pass and in both views."""

    edge_dropout: float = number(
        "Share of edges hidden from the main pass in a training step.",
        0.5, low=0, high=1, open_high=True,
    )
    """Hides edges of the knowledge graph and of the interaction graph, drawn anew every step."""

    subset_share: float = number(
        "Share of knowledge-graph edges that a view keeps.", 0.5, low=0, high=1, open_low=True
    )
    """The two random subsets of an epoch have exactly this size."""

    mean_keep_rate: float = number(
        "Share of interactions that a view keeps on average over the items.",
        0.7, low=0, high=1, open_low=True, symbol="μ",
    )
    """The share is spread over the items by their stability, no item above 0.95."""

    temperature: float = number(
        "Temperature of the contrastive loss.", 0.2, low=0, open_low=True, symbol="τ"
    )
    """Divides the cosine similarities."""

    contrastive_weight: float = number("Weight of the contrastive loss.", 0.1, low=0)
    """The InfoNCE terms are sums over the batch, as is the ranking loss."""

    reg_weight: float = number("Weight of the L2 term of the ranking loss.", 1e-5, low=0)
    """RecBole's key; acts on the propagated embeddings of the batch."""

    translation_reg_weight: float = number(
        "Weight of the L2 term of the TransE loss.", 1e-3, low=0
    )
    """Acts on the embeddings of the batch's triples."""
