#include "cpu/spec_check.h"

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
        if (size.value < 1) {
            return make_status(PUNA_ERROR_ARGUMENT, "model spec: %s is %d, must be 1 or more",
                               size.name, size.value);
        }
    }
    if (spec.n_layer < 0) {
        return make_status(PUNA_ERROR_ARGUMENT, "model spec: n_layer is %d", spec.n_layer);
    }
    if (spec.n_head % spec.n_head_kv != 0) {
        return make_status(PUNA_ERROR_ARGUMENT,
                           "model spec: n_head_kv %d does not divide n_head %d", spec.n_head_kv,
                           spec.n_head);
    }
    return {};
}

Status check_rope(const puna_model_spec& spec) {
    if (spec.rope != PUNA_ROPE_NONE && spec.rope != PUNA_ROPE_PAIRS &&
        spec.rope != PUNA_ROPE_HALVES) {
        return make_status(PUNA_ERROR_MODEL_UNSUPPORTED, "model spec: rope kind %d is not known",
                           spec.rope);
    }
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
        if (!std::isfinite(number.value)) {
            return make_status(PUNA_ERROR_ARGUMENT, "model spec: %s is not a finite number",
                               number.name);
        }
    }
    return {};
}

}  // namespace

Status check_spec(const puna_model_spec& spec, const KernelTable& kernels) {
    PUNA_TRY(check_sizes(spec));
    PUNA_TRY(check_rope(spec));
    PUNA_TRY(check_numbers(spec));
    if (spec.norm < 0 || spec.norm >= KernelTable::kNorms || !kernels.norm[spec.norm].run) {
        return make_status(PUNA_ERROR_MODEL_UNSUPPORTED, "model spec: norm kind %d is not known",
                           spec.norm);
    }
    if (spec.activation < 0 || spec.activation >= KernelTable::kActivations ||
        !kernels.activation[spec.activation].run) {
        return make_status(PUNA_ERROR_MODEL_UNSUPPORTED, "model spec: activation %d is not known",
                           spec.activation);
    }
    if (spec.qk_norm != 0 && spec.qk_norm != 1) {
        return make_status(PUNA_ERROR_MODEL_UNSUPPORTED, "model spec: qk_norm %d is not known",
                           spec.qk_norm);
    }
    if (spec.reserved != 0) {
        return make_status(PUNA_ERROR_MODEL_UNSUPPORTED, "model spec: reserved is %d, must be 0",
                           spec.reserved);
    }
    return {};
}

}  // namespace puna::core
