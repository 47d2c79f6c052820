#include "model/format_mix.h"

#include <algorithm>
#include <iterator>
#include <string>

namespace puna::core {

namespace {

using enum BlockFormat;
using enum MatrixKind;

constexpr MixRule kRulesQ2K[] = {
    {kV, MixRule::kSharedKv4, kQ4_K},
    {kV, MixRule::kAll, kQ3_K},
    {kAttentionOutput, MixRule::kAll, kQ3_K},
    {kDown, MixRule::kAll, kQ3_K},
};
constexpr MixRule kRulesQ3KM[] = {
    {kV, MixRule::kFirst2, kQ5_K},
    {kV, MixRule::kAll, kQ4_K},
    {kAttentionOutput, MixRule::kAll, kQ4_K},
    {kDown, MixRule::kFirst16th, kQ5_K},
    {kDown, MixRule::kAll, kQ4_K},
};
constexpr MixRule kRulesQ3KL[] = {
    {kV, MixRule::kAll, kQ5_K},
    {kAttentionOutput, MixRule::kAll, kQ5_K},
    {kDown, MixRule::kAll, kQ5_K},
};
constexpr MixRule kRulesQ4KS[] = {
    {kV, MixRule::kFirst4, kQ5_K},
    {kDown, MixRule::kFirst8th, kQ5_K},
};
// Of Q4_K_M and Q5_K_M.
constexpr MixRule kRulesMoreBits[] = {
    {kV, MixRule::kMoreBits, kQ6_K},
    {kDown, MixRule::kMoreBits, kQ6_K},
};

struct Mix {
    const char* name;
    uint32_t file_type;  // general.file_type of the GGUF specification
    BlockFormat base;
    std::span<const MixRule> rules;
};
constexpr Mix kMixes[] = {
    {"Q2_K", 10, kQ2_K, kRulesQ2K},
    {"Q3_K_S", 11, kQ3_K, {}},
    {"Q3_K_M", 12, kQ3_K, kRulesQ3KM},
    {"Q3_K_L", 13, kQ3_K, kRulesQ3KL},
    {"Q4_0", 2, kQ4_0, {}},
    {"Q4_1", 3, kQ4_1, {}},
    {"Q4_K_S", 14, kQ4_K, kRulesQ4KS},
    {"Q4_K_M", 15, kQ4_K, kRulesMoreBits},
    {"Q5_0", 8, kQ5_0, {}},
    {"Q5_1", 9, kQ5_1, {}},
    {"Q5_K_S", 16, kQ5_K, {}},
    {"Q5_K_M", 17, kQ5_K, kRulesMoreBits},
    {"Q6_K", 18, kQ6_K, {}},
    {"Q8_0", 7, kQ8_0, {}},
};

// Of files in one format.
uint32_t file_type_of(BlockFormat format) {
    switch (format) {
        case kF32:
            return 0;
        case kF16:
            return 1;
        case kBF16:
            return 32;
        case kTQ1_0:
            return 36;
        case kTQ2_0:
            return 37;
        default:
            return FormatMix::kNoFileType;
    }
}

bool same_name(std::string_view a, std::string_view b) {
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [&](char x, char y) { return lower(x) == lower(y); });
}

bool covers(MixRule::Layers layers, uint32_t layer, const MixedModel& model) {
    const uint32_t n = model.n_layer;
    switch (layers) {
        case MixRule::kAll:
            return true;
        case MixRule::kFirst2:
            return layer < 2;
        case MixRule::kFirst4:
            return layer < 4;
        case MixRule::kFirst16th:
            return layer < n / 16;
        case MixRule::kFirst8th:
            return layer < n / 8;
        case MixRule::kMoreBits:
            return layer < n / 8 || layer >= 7 * n / 8 || (layer - n / 8) % 3 == 2;
        case MixRule::kSharedKv4:
            return model.n_head_per_kv >= 4;
    }
    return false;
}

bool divides(uint64_t row_length, BlockFormat format) {
    return row_length % block_format_info(format).block_length == 0;
}

BlockFormat fallback(BlockFormat format) {
    switch (format) {
        case kQ2_K:
        case kQ3_K:
        case kTQ1_0:
        case kTQ2_0:
            return kQ4_0;
        case kQ4_K:
            return kQ5_0;
        case kQ5_K:
            return kQ5_1;
        case kQ6_K:
            return kQ8_0;
        default:
            return block_format_info(format).block_length > 32 ? kIQ4_NL : kF16;
    }
}

}  // namespace

Result<FormatMix> FormatMix::named(std::string_view name, bool pure) {
    for (const Mix& mix : kMixes) {
        const bool is_format = same_name(mix.name, block_format_name(mix.base));
        if (!same_name(mix.name, name) || (pure && is_format)) continue;
        if (pure) {
            return make_status(PUNA_ERROR_ARGUMENT,
                               "type '%s' is a mix of formats and cannot be pure", mix.name);
        }
        return FormatMix(mix.name, mix.file_type, mix.base, mix.rules, true);
    }
    for (const BlockFormatInfo& info : block_formats()) {
        if (!same_name(info.name, name) || !is_supported(info.format)) continue;
        return FormatMix(info.name, file_type_of(info.format), info.format, {}, false);
    }
    std::string names;
    for (const Mix& mix : kMixes) names += std::string(names.empty() ? "" : ", ") + mix.name;
    return make_status(PUNA_ERROR_ARGUMENT, "type '%.*s' is no block format and none of %s",
                       static_cast<int>(std::min<size_t>(name.size(), 32)), name.data(),
                       names.c_str());
}

BlockFormat FormatMix::format_of(const MixedMatrix& matrix, const MixedModel& model) const {
    const bool is_head = matrix.kind == kOutput || (matrix.kind == kEmbedding && matrix.is_tied);
    BlockFormat format = base_;
    if (is_head && has_head_) {
        format = base_ == kQ8_0 || !divides(matrix.row_length, base_) ? kQ8_0 : kQ6_K;
    } else {
        const auto rule = std::find_if(rules_.begin(), rules_.end(), [&](const MixRule& r) {
            return r.kind == matrix.kind && covers(r.layers, matrix.layer, model);
        });
        if (rule != rules_.end()) format = rule->format;
    }
    if (!divides(matrix.row_length, format)) format = fallback(format);
    return divides(matrix.row_length, format) ? format : kF16;
}

}  // namespace puna::core
