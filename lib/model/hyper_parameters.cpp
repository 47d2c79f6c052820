#include "model/hyper_parameters.h"

#include <cinttypes>
#include <cmath>
#include <limits>
#include <numbers>
#include <string>
#include <string_view>
#include <utility>

namespace puna::core {

namespace {

// Far above any model of these families, far below what overflows.
constexpr int32_t kMaxVocab = 1 << 24;
constexpr int32_t kMaxContext = 1 << 30;
constexpr int32_t kMaxWidth = 1 << 20;
constexpr int32_t kMaxLayers = 1 << 12;
constexpr int32_t kMaxHeads = 1 << 14;
constexpr int32_t kMaxHeadDim = 1 << 14;

// Reads keys of the family ("llama." + name) and checks their ranges.
class FamilyKeys {
  public:
    FamilyKeys(const GgufHeader& header, const Family& family)
        : header_(header), prefix_(std::string(family.name) + ".") {}

    const GgufHeader& header() const { return header_; }
    std::string key(const char* name) const { return prefix_ + name; }
    bool has(const char* name) const { return header_.has(key(name)); }

    Status error(puna_status code, const char* name, const char* text) const {
        return header_.key_error(code, key(name), "%s", text);
    }

    // 1 to max.
    Result<int32_t> count(const char* name, int32_t max) const {
        PUNA_TRY_ASSIGN(const uint64_t value, header_.get_u64(key(name)));
        return checked_count(name, value, max);
    }

    Result<int32_t> count_or(const char* name, int32_t max, int32_t fallback) const {
        if (!has(name)) return fallback;
        return count(name, max);
    }

    // A count for all layers, or an array with one for each: all must be equal.
    Result<int32_t> layer_count(const char* name, int32_t max, int32_t n_layer) const {
        const GgufEntry* entry = header_.find(key(name));
        if (entry == nullptr || entry->type != GgufType::kArray) return count(name, max);
        PUNA_TRY_ASSIGN(const auto values,
                        header_.get_u32s(key(name), static_cast<uint64_t>(n_layer)));
        for (size_t i = 1; i < values.size(); ++i) {
            if (values[i] == values[0]) continue;
            return header_.key_error(PUNA_ERROR_MODEL_UNSUPPORTED, key(name),
                                     "layers differ: %" PRIu32 " in layer 0, %" PRIu32
                                     " in layer %zu",
                                     values[0], values[i], i);
        }
        return checked_count(name, values[0], max);
    }

    // Finite, above 0, at most max.
    Result<float> positive(const char* name, float max) const {
        PUNA_TRY_ASSIGN(const float value, header_.get_f32(key(name)));
        if (value > 0 && value <= max) return value;  // false for NaN
        return header_.key_error(PUNA_ERROR_MODEL, key(name),
                                 "is %g; a number above 0 and up to %g is wanted",
                                 static_cast<double>(value), static_cast<double>(max));
    }

    Result<float> positive_or(const char* name, float max, float fallback) const {
        if (!has(name)) return fallback;
        return positive(name, max);
    }

  private:
    Result<int32_t> checked_count(const char* name, uint64_t value, int32_t max) const {
        if (value >= 1 && value <= static_cast<uint64_t>(max)) return static_cast<int32_t>(value);
        return header_.key_error(PUNA_ERROR_MODEL, key(name),
                                 "is %" PRIu64 "; 1 to %" PRId32 " is wanted", value, max);
    }

    const GgufHeader& header_;
    std::string prefix_;
};

// Rows of the logits: as many as the tokenizer knows tokens, or what the file says without one.
Result<int32_t> read_vocabulary_size(const FamilyKeys& keys, std::span<const GgufHeader> headers) {
    constexpr const char* kTokens = "tokenizer.ggml.tokens";
    uint64_t n_vocab = 0;
    if (keys.header().has(kTokens)) {
        PUNA_TRY_ASSIGN(const GgufStrings tokens, keys.header().get_strings(kTokens));
        n_vocab = tokens.size();
    } else if (keys.has("vocab_size")) {
        return keys.count("vocab_size", kMaxVocab);
    } else {
        const GgufTensor* embedding = nullptr;
        for (const GgufHeader& header : headers) {
            if (embedding == nullptr) embedding = header.find_tensor("token_embd.weight");
        }
        if (embedding == nullptr) {
            return make_status(PUNA_ERROR_MODEL, "%s: tensor 'token_embd.weight' is missing",
                               keys.header().name().c_str());
        }
        n_vocab = embedding->ne[1];
    }
    if (n_vocab >= 1 && n_vocab <= kMaxVocab) return static_cast<int32_t>(n_vocab);
    return make_status(PUNA_ERROR_MODEL,
                       "%s: a vocabulary of %" PRIu64 " tokens; 1 to %" PRId32 " are wanted",
                       keys.header().name().c_str(), n_vocab, kMaxVocab);
}

Status read_heads(const FamilyKeys& keys, HyperParameters* h) {
    PUNA_TRY_ASSIGN(h->n_head, keys.layer_count("attention.head_count", kMaxHeads, h->n_layer));
    h->n_head_kv = h->n_head;
    if (keys.has("attention.head_count_kv")) {
        PUNA_TRY_ASSIGN(h->n_head_kv,
                        keys.layer_count("attention.head_count_kv", kMaxHeads, h->n_layer));
    }
    if (h->n_head % h->n_head_kv != 0) {
        return keys.header().key_error(PUNA_ERROR_MODEL, keys.key("attention.head_count_kv"),
                                       "%" PRId32 " does not divide the head count %" PRId32,
                                       h->n_head_kv, h->n_head);
    }

    for (const auto& [name, size] : {std::pair{"attention.key_length", &h->head_dim_k},
                                     std::pair{"attention.value_length", &h->head_dim_v}}) {
        if (keys.has(name)) {
            PUNA_TRY_ASSIGN(*size, keys.count(name, kMaxHeadDim));
        } else if (h->n_embd % h->n_head == 0 && h->n_embd / h->n_head <= kMaxHeadDim) {
            *size = h->n_embd / h->n_head;
        } else {
            return keys.header().key_error(PUNA_ERROR_MODEL, keys.key(name),
                                           "is missing, and %" PRId32 " heads do not share %" PRId32
                                           " dimensions",
                                           h->n_head, h->n_embd);
        }
    }
    return {};
}

Status read_llama3_scaling(const FamilyKeys& keys, HyperParameters* h) {
    PUNA_TRY_ASSIGN(h->rope_low_freq_factor, keys.positive("rope.scaling.low_freq_factor", 1e6f));
    PUNA_TRY_ASSIGN(h->rope_high_freq_factor, keys.positive("rope.scaling.high_freq_factor", 1e6f));
    PUNA_TRY_ASSIGN(h->rope_original_ctx,
                    keys.count("rope.scaling.original_context_length", kMaxContext));
    if (h->rope_high_freq_factor > h->rope_low_freq_factor) return {};
    return keys.error(PUNA_ERROR_MODEL, "rope.scaling.high_freq_factor",
                      "is not above rope.scaling.low_freq_factor");
}

Status read_rope_scaling(const FamilyKeys& keys, HyperParameters* h) {
    constexpr const char* kType = "rope.scaling.type";
    constexpr const char* kFactor = "rope.scaling.factor";
    // Files without a type have the factor alone, or the name that it had before.
    const char* factor_key = keys.has(kFactor) ? kFactor : "rope.scale_linear";
    const char* implied = keys.has(factor_key) ? "linear" : "none";
    PUNA_TRY_ASSIGN(const std::string_view type,
                    keys.header().get_string_or(keys.key(kType), implied));
    if (type == "none") return {};
    if (type != "linear" && type != "llama3") {
        return keys.header().key_error(
            PUNA_ERROR_MODEL_UNSUPPORTED, keys.key(kType), "the scaling '%.*s' is not supported",
            static_cast<int>(type.size() < 64 ? type.size() : 64), type.data());
    }
    if (type == "llama3") {
        h->rope_scaling = RopeScaling::kLlama3;
        PUNA_TRY_ASSIGN(h->rope_factor, keys.positive(kFactor, 1e6f));
        return read_llama3_scaling(keys, h);
    }
    // 0 stands for "none" in files of old converters.
    PUNA_TRY_ASSIGN(const float stored, keys.header().get_f32_or(keys.key(factor_key), 0));
    if (stored == 0) return {};
    h->rope_scaling = RopeScaling::kLinear;
    PUNA_TRY_ASSIGN(h->rope_factor, keys.positive(factor_key, 1e6f));
    return {};
}

Status read_rope(const FamilyKeys& keys, HyperParameters* h) {
    constexpr const char* kDim = "rope.dimension_count";
    PUNA_TRY_ASSIGN(h->rope_dim, keys.count_or(kDim, kMaxHeadDim, h->head_dim_k));
    if (h->rope_dim % 2 != 0 || h->rope_dim > h->head_dim_k) {
        return keys.header().key_error(PUNA_ERROR_MODEL, keys.key(kDim),
                                       "is %" PRId32 "; an even number up to the head size %" PRId32
                                       " is wanted",
                                       h->rope_dim, h->head_dim_k);
    }
    PUNA_TRY_ASSIGN(h->rope_base, keys.positive_or("rope.freq_base", 1e15f, 10000));
    PUNA_TRY_ASSIGN(h->rope_magnitude, keys.positive_or("rope.scaling.attn_factor", 1e6f, 1));
    return read_rope_scaling(keys, h);
}

// Keys that change what the family computes in a way that is not implemented.
Status refuse_unsupported(const FamilyKeys& keys, const HyperParameters& h) {
    PUNA_TRY_ASSIGN(const uint32_t n_experts,
                    keys.header().get_u32_or(keys.key("expert_count"), 0));
    if (n_experts != 0) {
        return keys.header().key_error(PUNA_ERROR_MODEL_UNSUPPORTED, keys.key("expert_count"),
                                       "%" PRIu32 " experts: mixtures are not supported",
                                       n_experts);
    }
    PUNA_TRY_ASSIGN(const bool causal,
                    keys.header().get_bool_or(keys.key("attention.causal"), true));
    if (!causal) {
        return keys.error(PUNA_ERROR_MODEL_UNSUPPORTED, "attention.causal",
                          "attention to later tokens is not supported");
    }
    constexpr const char* kWindow = "attention.sliding_window";
    PUNA_TRY_ASSIGN(const uint64_t window, keys.header().get_u64_or(keys.key(kWindow), 0));
    if (window != 0 && window < static_cast<uint64_t>(h.n_ctx_train)) {
        return keys.error(PUNA_ERROR_MODEL_UNSUPPORTED, kWindow,
                          "a window below the context length is not supported");
    }
    return {};
}

}  // namespace

Result<HyperParameters> read_hyper_parameters(std::span<const GgufHeader> headers,
                                              const Family& family) {
    const FamilyKeys keys(headers.front(), family);
    HyperParameters h;
    PUNA_TRY_ASSIGN(h.n_ctx_train, keys.count("context_length", kMaxContext));
    PUNA_TRY_ASSIGN(h.n_embd, keys.count("embedding_length", kMaxWidth));
    PUNA_TRY_ASSIGN(h.n_layer, keys.count("block_count", kMaxLayers));
    PUNA_TRY_ASSIGN(h.n_ff, keys.layer_count("feed_forward_length", kMaxWidth, h.n_layer));
    PUNA_TRY_ASSIGN(h.norm_epsilon, keys.positive("attention.layer_norm_rms_epsilon", 1));
    PUNA_TRY(read_heads(keys, &h));
    PUNA_TRY(read_rope(keys, &h));
    PUNA_TRY(refuse_unsupported(keys, h));
    PUNA_TRY_ASSIGN(h.n_vocab, read_vocabulary_size(keys, headers));
    return h;
}

int64_t dim_size(const HyperParameters& h, Dim dim) {
    switch (dim) {
        case Dim::kVocab:
            return h.n_vocab;
        case Dim::kEmbd:
            return h.n_embd;
        case Dim::kFf:
            return h.n_ff;
        case Dim::kQueries:
            return int64_t{h.n_head} * h.head_dim_k;
        case Dim::kKeys:
            return int64_t{h.n_head_kv} * h.head_dim_k;
        case Dim::kValues:
            return int64_t{h.n_head_kv} * h.head_dim_v;
        case Dim::kHeadOutputs:
            return int64_t{h.n_head} * h.head_dim_v;
        case Dim::kRopePairs:
            return h.rope_dim / 2;
        case Dim::kOne:
            break;
    }
    return 1;
}

// How much slower than unscaled a frequency turns.
static double scaling_divisor(const HyperParameters& h, double frequency) {
    if (h.rope_scaling == RopeScaling::kNone) return 1;
    if (h.rope_scaling == RopeScaling::kLinear) return h.rope_factor;
    // How often the pair turns round within the context that the model was first trained for.
    const double turns = h.rope_original_ctx * frequency / (2 * std::numbers::pi);
    if (turns <= h.rope_low_freq_factor) return h.rope_factor;
    if (turns >= h.rope_high_freq_factor) return 1;
    const double smooth =
        (turns - h.rope_low_freq_factor) / (h.rope_high_freq_factor - h.rope_low_freq_factor);
    return 1 / ((1 - smooth) / h.rope_factor + smooth);
}

std::vector<double> rope_frequencies(const HyperParameters& hyper,
                                     std::span<const float> divisors) {
    std::vector<double> frequencies(static_cast<size_t>(hyper.rope_dim / 2));
    const bool scaled_already = !divisors.empty() && hyper.rope_scaling == RopeScaling::kLlama3;
    for (size_t i = 0; i < frequencies.size(); ++i) {
        const double exponent = -2.0 * static_cast<double>(i) / hyper.rope_dim;
        double frequency = std::pow(hyper.rope_base, exponent);
        if (!scaled_already) frequency /= scaling_divisor(hyper, frequency);
        if (!divisors.empty()) frequency /= static_cast<double>(divisors[i]);
        frequencies[i] = frequency;
    }
    return frequencies;
}

}  // namespace puna::core
