#include "seam/tensor_role.h"

namespace puna::core {

namespace {

// Indexed by PUNA_TENSOR_*.
constexpr TensorRole kRoles[PUNA_N_TENSOR_ROLES] = {
    {"TOKEN_EMBD", RolePlace::kEmbedding, RoleNeed::kAlways, true},
    {"OUTPUT_NORM", RolePlace::kHead, RoleNeed::kAlways, false},
    {"OUTPUT", RolePlace::kHead, RoleNeed::kAlways, true},
    {"ATTN_NORM", RolePlace::kLayer, RoleNeed::kAlways, false},
    {"ATTN_Q", RolePlace::kLayer, RoleNeed::kAlways, true},
    {"ATTN_K", RolePlace::kLayer, RoleNeed::kAlways, true},
    {"ATTN_V", RolePlace::kLayer, RoleNeed::kAlways, true},
    {"ATTN_OUTPUT", RolePlace::kLayer, RoleNeed::kAlways, true},
    {"FFN_NORM", RolePlace::kLayer, RoleNeed::kAlways, false},
    {"FFN_GATE", RolePlace::kLayer, RoleNeed::kAlways, true},
    {"FFN_UP", RolePlace::kLayer, RoleNeed::kAlways, true},
    {"FFN_DOWN", RolePlace::kLayer, RoleNeed::kAlways, true},
    {"ATTN_Q_BIAS", RolePlace::kLayer, RoleNeed::kOptional, false},
    {"ATTN_K_BIAS", RolePlace::kLayer, RoleNeed::kOptional, false},
    {"ATTN_V_BIAS", RolePlace::kLayer, RoleNeed::kOptional, false},
    {"ATTN_OUTPUT_BIAS", RolePlace::kLayer, RoleNeed::kOptional, false},
    {"FFN_GATE_BIAS", RolePlace::kLayer, RoleNeed::kOptional, false},
    {"FFN_UP_BIAS", RolePlace::kLayer, RoleNeed::kOptional, false},
    {"FFN_DOWN_BIAS", RolePlace::kLayer, RoleNeed::kOptional, false},
    {"ATTN_Q_NORM", RolePlace::kLayer, RoleNeed::kQkNorm, false},
    {"ATTN_K_NORM", RolePlace::kLayer, RoleNeed::kQkNorm, false},
};

}  // namespace

const TensorRole& tensor_role(int32_t role) {
    return kRoles[role];
}

TensorShape tensor_shape(const puna_model_spec& spec, int32_t role) {
    const int64_t q = int64_t{spec.n_head} * spec.head_dim_k;
    const int64_t k = int64_t{spec.n_head_kv} * spec.head_dim_k;
    const int64_t v = int64_t{spec.n_head_kv} * spec.head_dim_v;
    switch (role) {
        case PUNA_TENSOR_TOKEN_EMBD:
        case PUNA_TENSOR_OUTPUT:
            return {spec.n_vocab, spec.n_embd};
        case PUNA_TENSOR_ATTN_Q:
            return {q, spec.n_embd};
        case PUNA_TENSOR_ATTN_K:
            return {k, spec.n_embd};
        case PUNA_TENSOR_ATTN_V:
            return {v, spec.n_embd};
        case PUNA_TENSOR_ATTN_OUTPUT:
            return {spec.n_embd, int64_t{spec.n_head} * spec.head_dim_v};
        case PUNA_TENSOR_FFN_GATE:
        case PUNA_TENSOR_FFN_UP:
            return {spec.n_ff, spec.n_embd};
        case PUNA_TENSOR_FFN_DOWN:
            return {spec.n_embd, spec.n_ff};
        case PUNA_TENSOR_ATTN_Q_BIAS:
            return {1, q};
        case PUNA_TENSOR_ATTN_K_BIAS:
            return {1, k};
        case PUNA_TENSOR_ATTN_V_BIAS:
            return {1, v};
        case PUNA_TENSOR_FFN_GATE_BIAS:
        case PUNA_TENSOR_FFN_UP_BIAS:
            return {1, spec.n_ff};
        case PUNA_TENSOR_ATTN_Q_NORM:
        case PUNA_TENSOR_ATTN_K_NORM:
            return {1, spec.head_dim_k};
        default:
            return {1, spec.n_embd};  // norms, biases of the two output projections
    }
}

}  // namespace puna::core
