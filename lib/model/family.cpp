#include "model/family.h"

namespace puna::core {

namespace {

// Whether a tensor may be missing.
constexpr bool kNeeded = false;
constexpr bool kOptional = true;
// Whether it stands once or in each layer.
constexpr bool kOnce = false;
constexpr bool kLayer = true;

// clang-format off
constexpr TensorRow kLlamaTensors[] = {
    {PUNA_TENSOR_TOKEN_EMBD,       "token_embd.weight",  kOnce,  kNeeded,   Dim::kVocab,   Dim::kEmbd},
    {PUNA_TENSOR_OUTPUT_NORM,      "output_norm.weight", kOnce,  kNeeded,   Dim::kOne,     Dim::kEmbd},
    {PUNA_TENSOR_OUTPUT,           "output.weight",      kOnce,  kOptional, Dim::kVocab,   Dim::kEmbd},
    {kRoleRopeFreqs,               "rope_freqs.weight",  kOnce,  kOptional, Dim::kOne,     Dim::kRopePairs},
    {PUNA_TENSOR_ATTN_NORM,        "attn_norm.weight",   kLayer, kNeeded,   Dim::kOne,     Dim::kEmbd},
    {PUNA_TENSOR_ATTN_Q,           "attn_q.weight",      kLayer, kNeeded,   Dim::kQueries, Dim::kEmbd},
    {PUNA_TENSOR_ATTN_K,           "attn_k.weight",      kLayer, kNeeded,   Dim::kKeys,    Dim::kEmbd},
    {PUNA_TENSOR_ATTN_V,           "attn_v.weight",      kLayer, kNeeded,   Dim::kValues,  Dim::kEmbd},
    {PUNA_TENSOR_ATTN_OUTPUT,      "attn_output.weight", kLayer, kNeeded,   Dim::kEmbd,    Dim::kHeadOutputs},
    {PUNA_TENSOR_FFN_NORM,         "ffn_norm.weight",    kLayer, kNeeded,   Dim::kOne,     Dim::kEmbd},
    {PUNA_TENSOR_FFN_GATE,         "ffn_gate.weight",    kLayer, kNeeded,   Dim::kFf,      Dim::kEmbd},
    {PUNA_TENSOR_FFN_UP,           "ffn_up.weight",      kLayer, kNeeded,   Dim::kFf,      Dim::kEmbd},
    {PUNA_TENSOR_FFN_DOWN,         "ffn_down.weight",    kLayer, kNeeded,   Dim::kEmbd,    Dim::kFf},
    {PUNA_TENSOR_ATTN_Q_BIAS,      "attn_q.bias",        kLayer, kOptional, Dim::kOne,     Dim::kQueries},
    {PUNA_TENSOR_ATTN_K_BIAS,      "attn_k.bias",        kLayer, kOptional, Dim::kOne,     Dim::kKeys},
    {PUNA_TENSOR_ATTN_V_BIAS,      "attn_v.bias",        kLayer, kOptional, Dim::kOne,     Dim::kValues},
    {PUNA_TENSOR_ATTN_OUTPUT_BIAS, "attn_output.bias",   kLayer, kOptional, Dim::kOne,     Dim::kEmbd},
    {PUNA_TENSOR_FFN_GATE_BIAS,    "ffn_gate.bias",      kLayer, kOptional, Dim::kOne,     Dim::kFf},
    {PUNA_TENSOR_FFN_UP_BIAS,      "ffn_up.bias",        kLayer, kOptional, Dim::kOne,     Dim::kFf},
    {PUNA_TENSOR_FFN_DOWN_BIAS,    "ffn_down.bias",      kLayer, kOptional, Dim::kOne,     Dim::kEmbd},
};
// clang-format on

// Frequencies that follow from rope.freq_base.
constexpr const char* kLlamaIgnored[] = {"attn_rot_embd", "attn_rot_embd.weight"};

constexpr Family kFamilies[] = {
    {"llama", PUNA_NORM_RMS, PUNA_ACTIVATION_SILU, PUNA_ROPE_PAIRS, kLlamaTensors, kLlamaIgnored},
};

}  // namespace

const Family* find_family(std::string_view name) {
    for (const Family& family : kFamilies) {
        if (name == family.name) return &family;
    }
    return nullptr;
}

Result<const Family*> family_of(const GgufHeader& header) {
    constexpr const char* kKey = "general.architecture";
    PUNA_TRY_ASSIGN(const std::string_view name, header.get_string(kKey));
    const Family* family = find_family(name);
    if (family != nullptr) return family;
    return header.key_error(PUNA_ERROR_MODEL_UNSUPPORTED, kKey,
                            "the family '%.*s' is not supported",
                            static_cast<int>(name.size() < 64 ? name.size() : 64), name.data());
}

}  // namespace puna::core
