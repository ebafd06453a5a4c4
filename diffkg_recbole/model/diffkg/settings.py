"""Hyper-parameters of DiffKG, with the paper's symbol and the authors' flag of each."""

from __future__ import annotations

from dataclasses import dataclass

from diffkg_recbole.settings import (
    Settings,
    boolean,
    choice,
    integer,
    integers,
    number,
)


@dataclass(frozen=True)
class DiffKGSettings(Settings):
    """Checked when the configuration is read; the defaults are the authors'."""

    # ---- representations -----------------------------------------------------------------
    embedding_size: int = integer("Size of all embeddings.", 64, low=1, symbol="d; --latdim")
    n_layers: int = integer(
        "Layers of the user-item graph convolution.", 2, low=0, symbol="L; --gnn_layer"
    )
    n_hops: int = integer(
        "Attention hops over the knowledge graph.", 1, low=0, symbol="L'; --layer_num_kg"
    )
    residual_weight: float = number(
        "Weight of the earlier hops in the read-out.", 0.5, low=0, symbol="λ_res; --res_lambda"
    )
    message_dropout: float = number(
        "Dropout of a hop's output in training.", 0.1, low=0, high=1, open_high=True,
        symbol="--mess_dropout_rate",
    )
    triplet_num: int = integer(
        "Edges drawn per head for the training graph; -1 takes all.", 10, low=1, also=(-1,),
        symbol="--triplet_num",
    )

    # ---- objective -----------------------------------------------------------------------
    train_batch_size: int = integer("Divides the ranking loss.", 1024, low=1, symbol="--batch")
    reg_weight: float = number(
        "Weight of the squared norm of all recommender parameters.", 1e-7, low=0,
        symbol="λ2; --reg",
    )
    contrastive_weight: float = number(
        "Weight of the contrastive loss; 0 leaves it out.", 0.1, low=0, symbol="λ1; --ssl_reg"
    )
    temperature: float = number(
        "Temperature of the contrastive loss.", 0.1, low=0, open_low=True, symbol="τ; --temp"
    )
    cl_pattern: int = choice(
        "Main view: 0 the denoised graph, 1 the original one.", 0, (0, 1), symbol="--cl_pattern"
    )
    contrastive_block: int = integer(
        "Anchors scored at once in the contrastive loss; null chooses by size.", None, low=1,
        also=(None,),
    )

    # ---- diffusion ------------------------------------------------------------------------
    steps: int = integer("Diffusion steps.", 5, low=1, symbol="T; --steps")
    noise_scale: float = number(
        "Scale of the noise.", 0.1, low=0, open_low=True, symbol="s; --noise_scale"
    )
    noise_min: float = number(
        "Lower end of the noise schedule.", 1e-4, low=0, open_low=True, symbol="--noise_min"
    )
    noise_max: float = number(
        "Upper end of the noise schedule.", 0.02, low=0, high=1, open_low=True,
        symbol="--noise_max",
    )
    sampling_steps: int = integer(
        "Noising steps before generation; 0 starts from the clean row.", 0, low=0,
        symbol="T'; --sampling_steps",
    )
    denoiser_hidden_sizes: list[int] = integers(
        "Hidden layers of the denoiser on the way in.", [1000], symbol="--dims"
    )
    time_embedding_size: int = integer(
        "Size of the embedded time step.", 10, low=1, symbol="--d_emb_size"
    )
    normalize_rows: bool = boolean("Divide a row by its norm first.", True, symbol="--norm")
    denoiser_dropout: float = number(
        "Dropout of the denoiser's input in training.", 0.5, low=0, high=1, open_high=True
    )
    diffusion_batch_size: int = integer("Rows in a diffusion batch.", 1024, low=1, symbol="--batch")
    diffusion_every: int = integer(
        "Diffuse and rebuild every n-th epoch (docs/performance.md: cost and effect).", 1, low=1)
    diffuse_rows: str = choice(
        "Rows that are diffused: every entity's (the program) or the items' (the figure).",
        "all", ("all", "items"),
    )
    ckgc_weight: float = number(
        "Share of the collaborative convolution in the diffusion loss; 0 leaves it out.", 0.5,
        low=0, high=1, symbol="λ0; --e_loss",
    )

    # ---- the rebuilt graph ------------------------------------------------------------------
    rebuild_k: int = integer(
        "Columns taken from each generated row.", 1, low=1, symbol="k; --rebuild_k"
    )
    keep_rate: float = number(
        "Share of the rebuilt edges that is kept.", 0.5, low=0, high=1, symbol="ρ; --keepRate"
    )
    kg_in_training: str = choice(
        "Graph of the denoised view in training: the denoised one (the paper) or the original "
        "one (the public program of 2023-12-16 to 2024-10-24).",
        "denoised", ("denoised", "released"),
    )
    denoised_graph: str = choice(
        "Where the denoised graph comes from: the diffusion, or as a control as many edges drawn "
        "at random, from the training graph (subset) or from the whole graph (random).",
        "diffusion", ("diffusion", "subset", "random"),
    )

    def variant(self) -> str | None:
        """What of the full method is replaced, in words; None for the full method."""
        notes = []
        if self.contrastive_weight == 0:
            notes.append("w/o contrastive loss")
        if self.ckgc_weight == 0:
            notes.append("w/o CKGC")
        if self.denoised_graph != "diffusion":
            notes.append({"subset": "w/o diffusion", "random": "random rebuilt graph"}[
                self.denoised_graph])
        if self.kg_in_training == "released":
            notes.append("released")
        return ", ".join(notes) or None
