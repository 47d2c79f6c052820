#include "cuda/model_check.h"

#include <cmath>

#include "cuda/forward.h"

namespace puna::cuda {

namespace {

Status check_sizes(const puna_model_spec& spec) {
    const struct {
        const char* name;
        int32_t value;
    } sizes[] = {{"n_vocab", spec.n_vocab},
                 {"n_embd", spec.n_embd},
                 {"n_head", spec.n_head},
                 {"n_head_kv", spec.n_head_kv},
                 {"head_dim_k", spec.head_dim_k},
                 {"head_dim_v", spec.head_dim_v},
                 {"n_ff", spec.n_ff}};
    for (const auto& size : sizes) {
        if (size.value >= 1) continue;
        return make_status(PUNA_ERROR_ARGUMENT, "model spec: %s is %d, must be 1 or more",
                           size.name, size.value);
    }
    if (spec.n_layer < 0) {
        return make_status(PUNA_ERROR_ARGUMENT, "model spec: n_layer is %d", spec.n_layer);
    }
    if (spec.head_dim_k > kMostHeadDim || spec.head_dim_v > kMostHeadDim) {
        return make_status(PUNA_ERROR_MODEL_UNSUPPORTED,
                           "model spec: head_dim_k %d or head_dim_v %d is above %d",
                           spec.head_dim_k, spec.head_dim_v, kMostHeadDim);
    }
    if (spec.n_head % spec.n_head_kv != 0) {
        return make_status(PUNA_ERROR_ARGUMENT,
                           "model spec: n_head_kv %d does not divide n_head %d", spec.n_head_kv,
                           spec.n_head);
    }
    return {};
}

Status check_kinds(const puna_model_spec& spec) {
    const struct {
        const char* name;
        int32_t value;
        int32_t first;
        int32_t last;
    } kinds[] = {{"norm", spec.norm, PUNA_NORM_RMS, PUNA_NORM_LAYER},
                 {"activation", spec.activation, PUNA_ACTIVATION_SILU, PUNA_ACTIVATION_GELU_TANH},
                 {"rope", spec.rope, PUNA_ROPE_NONE, PUNA_ROPE_HALVES},
                 {"qk_norm", spec.qk_norm, 0, 1},
                 {"reserved", spec.reserved, 0, 0}};
    for (const auto& kind : kinds) {
        if (kind.value >= kind.first && kind.value <= kind.last) continue;
        return make_status(PUNA_ERROR_MODEL_UNSUPPORTED, "model spec: %s %d is not known",
                           kind.name, kind.value);
    }
    return {};
}

Status check_rope(const puna_model_spec& spec) {
    if (spec.rope == PUNA_ROPE_NONE) return {};
    if (spec.rope_dim < 0 || spec.rope_dim % 2 != 0 || spec.rope_dim > spec.head_dim_k) {
        return make_status(PUNA_ERROR_ARGUMENT,
                           "model spec: rope_dim is %d, must be even and at most head_dim_k %d",
                           spec.rope_dim, spec.head_dim_k);
    }
    if (spec.rope_dim > 0 && !spec.rope_frequencies) {
        return make_status(PUNA_ERROR_ARGUMENT, "model spec: rope_frequencies is NULL");
    }
    return {};
}

Status check_numbers(const puna_model_spec& spec) {
    const struct {
        const char* name;
        float value;
    } numbers[] = {
        {"norm_epsilon", spec.norm_epsilon},       {"rope_magnitude", spec.rope_magnitude},
        {"attention_scale", spec.attention_scale}, {"attention_softcap", spec.attention_softcap},
        {"logit_softcap", spec.logit_softcap},     {"embedding_scale", spec.embedding_scale},
        {"residual_scale", spec.residual_scale},   {"logit_scale", spec.logit_scale}};
    for (const auto& number : numbers) {
        if (std::isfinite(number.value)) continue;
        return make_status(PUNA_ERROR_ARGUMENT, "model spec: %s is not a finite number",
                           number.name);
    }
    return {};
}

}  // namespace

Status check_spec(const puna_model_spec& spec) {
    PUNA_TRY(check_sizes(spec));
    PUNA_TRY(check_kinds(spec));
    PUNA_TRY(check_rope(spec));
    return check_numbers(spec);
}

}  // namespace puna::cuda
