#include "seam/spec_check.h"

#include <cmath>

namespace puna::core {

namespace {

Status check_sizes(const puna_model_spec& spec) {
    const struct {
        const char* name;
        int32_t value;
    } sizes[] = {
        {"n_vocab", spec.n_vocab},
        {"n_embd", spec.n_embd},
        {"n_head", spec.n_head},
        {"n_head_kv", spec.n_head_kv},
        {"head_dim_k", spec.head_dim_k},
        {"head_dim_v", spec.head_dim_v},
        {"n_ff", spec.n_ff},
    };
    for (const auto& size : sizes) {
        if (size.value >= 1) continue;
        return make_status(PUNA_ERROR_ARGUMENT, "model spec: %s is %d, must be 1 or more",
                           size.name, size.value);
    }
    if (spec.n_layer < 0) {
        return make_status(PUNA_ERROR_ARGUMENT, "model spec: n_layer is %d, must be 0 or more",
                           spec.n_layer);
    }
    if (spec.n_head % spec.n_head_kv != 0) {
        return make_status(PUNA_ERROR_ARGUMENT,
                           "model spec: n_head_kv %d does not divide n_head %d", spec.n_head_kv,
                           spec.n_head);
    }
    return {};
}

Status check_head_dim(const BackendLimits& limits, const char* name, int32_t value) {
    if (value <= limits.most_head_dim) return {};
    return make_status(PUNA_ERROR_MODEL_UNSUPPORTED,
                       "model spec: %s is %d, must be at most the %s backend's %d", name, value,
                       limits.name, limits.most_head_dim);
}

Status check_kinds(const BackendLimits& limits, const puna_model_spec& spec) {
    constexpr uint32_t kRopes =
        1u << PUNA_ROPE_NONE | 1u << PUNA_ROPE_PAIRS | 1u << PUNA_ROPE_HALVES;
    const struct {
        const char* name;
        int32_t value;
        uint32_t known;
    } kinds[] = {
        {"norm", spec.norm, limits.norms},
        {"activation", spec.activation, limits.activations},
        {"rope", spec.rope, kRopes},
        {"qk_norm", spec.qk_norm, 1u << 0 | 1u << 1},
    };
    for (const auto& kind : kinds) {
        if (has_kind(kind.known, kind.value)) continue;
        return make_status(PUNA_ERROR_MODEL_UNSUPPORTED,
                           "model spec: %s %d is not known to the %s backend", kind.name,
                           kind.value, limits.name);
    }
    if (spec.reserved != 0) {
        return make_status(PUNA_ERROR_MODEL_UNSUPPORTED, "model spec: reserved is %d, must be 0",
                           spec.reserved);
    }
    PUNA_TRY(check_head_dim(limits, "head_dim_k", spec.head_dim_k));
    return check_head_dim(limits, "head_dim_v", spec.head_dim_v);
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
        {"residual_scale", spec.residual_scale},   {"logit_scale", spec.logit_scale},
    };
    for (const auto& number : numbers) {
        if (std::isfinite(number.value)) continue;
        return make_status(PUNA_ERROR_ARGUMENT, "model spec: %s is not a finite number",
                           number.name);
    }
    return {};
}

}  // namespace

Status check_spec(const BackendLimits& limits, const puna_model_spec& spec) {
    PUNA_TRY(check_sizes(spec));
    PUNA_TRY(check_kinds(limits, spec));
    PUNA_TRY(check_rope(spec));
    return check_numbers(spec);
}

}  // namespace puna::core
