"""What every configuration key does to a run: makes its result, is attached to it, or only shows.

The tables name every key that RecBole, its models and this package read; a test fails when a key
stands in none of them, or in two. A key that stands in none makes results: a run too many is
cheaper than a wrong reuse.
"""

from __future__ import annotations

ATTACHED = frozenset({"label", "save_recommendations"})
"""Kept with a run and open to change when it is finished: its name, its lists."""

DISPLAYED = frozenset("""
    data_path checkpoint_dir config_file config_files cache_dataset
    save_dataset save_dataloaders memory_check
    gpu_id use_gpu device local_rank offset ip port single_spec
    state screen show_progress verbose log_wandb wandb_project loss_decimal_place
""".split())  # noqa: SIM905  (a table to be read)
"""Say where files lie, where it runs, and what is shown and kept besides the result.

The data count through their fingerprint, not through their path. The kind of device counts, as
masks and noise are drawn on it, but not which one (:func:`diffkg_recbole.store.run_id`).
"""

MAKES_RESULTS = frozenset("""
    model dataset seed split_seed eval_protocol kg reproducibility shuffle nproc world_size worker

    epochs train_batch_size learner learning_rate weight_decay clip_grad_norm
    train_neg_sample_args eval_step stopping_step enable_amp enable_scaler transform
    train_rec_step train_kg_step pretrain_epochs save_step require_pow loss_type

    eval_args repeatable metrics topk valid_metric eval_batch_size eval_memory_mb
    metric_decimal_place valid_metric_bigger valid_neg_sample_args test_neg_sample_args eval_type
    MODEL_TYPE MODEL_INPUT_TYPE

    USER_ID_FIELD ITEM_ID_FIELD RATING_FIELD TIME_FIELD LABEL_FIELD NEG_PREFIX
    ITEM_LIST_LENGTH_FIELD LIST_SUFFIX MAX_ITEM_LIST_LENGTH POSITION_FIELD HEAD_ENTITY_ID_FIELD
    TAIL_ENTITY_ID_FIELD RELATION_ID_FIELD ENTITY_ID_FIELD
    field_separator seq_separator seq_len encoding threshold numerical_features discretization
    load_col unload_col unused_col additional_feat_suffix rm_dup_inter val_interval
    filter_inter_by_user_or_item user_inter_num_interval item_inter_num_interval
    entity_kg_num_interval relation_kg_num_interval kg_reverse_r
    alias_of_user_id alias_of_item_id alias_of_entity_id alias_of_relation_id
    preload_weight normalize_field normalize_all benchmark_filename
    dataset_save_path dataloaders_save_path
""".split())  # noqa: SIM905  (a table to be read)
"""Keys of every model that make results; those of one model follow in :data:`MODEL_KEYS`.

Some look as if they did not: ``worker`` draws negatives in processes of their own,
``metric_decimal_place`` rounds before the best epoch is chosen, ``eval_memory_mb`` and
``eval_batch_size`` set the batches in which some models draw while they score (DiffRec), and
``dataset_save_path`` and ``dataloaders_save_path`` name data that stand in for the files.
"""

MODEL_KEYS = frozenset("""
    L1_flag accum aggregator aggregator_type align_weight alpha anneal_cap beta beta_fixed
    build_graph_separately ckgc_weight cl_pattern class_num context_hops contrastive_block
    contrastive_weight denoised_graph denoiser_dropout denoiser_hidden_sizes diffuse_rows
    diffusion_batch_size diffusion_every dims_dnn double_tower drop_ratio dropout_prob
    edge_dropout embedding_size gcn_output_dim hidden_size_list hide_item high_layers_num
    history_num_per_term ind item_agg_layer k keep_rate kg_embedding_size kg_in_training
    kg_weight kge_interval knn_method l1_ratio lambda_coeff latent_dimension layers
    lightgcn_layer loss_function low_layers_num ls_weight margin mean_keep_rate mean_type
    mess_dropout mess_dropout_rate message_dropout mf_embedding_size mf_pretrain_path mf_train
    mlp_act_func mlp_embedding_size mlp_hidden_size mlp_pretrain_path mlp_train n_factors n_hop
    n_hops n_iter n_layers n_memory neighbor_sample_size node_dropout node_dropout_rate
    noise_max noise_min noise_scale noise_schedule norm normalize_rows num_basis_functions
    positive_only rebuild_k reg_weight reg_weights residual_weight reweight sampling_noise
    sampling_steps shrink sim_regularity sparse_feature ssl_tau ssl_weight steps subset_share
    temperature time-aware time_embedding_size total_anneal_steps translation_reg_weight
    triplet_num type use_inner_product use_pretrain use_st_gumbel w_max w_min
""".split())  # noqa: SIM905  (a table to be read)
"""Keys of single models, all of which make results."""


def makes_result(key: str) -> bool:
    """Whether the value of a key can change a run's result, and so names the run."""
    return key not in DISPLAYED and key not in ATTACHED
