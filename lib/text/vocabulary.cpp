#include "text/vocabulary.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>
#include <utility>

namespace puna::core {
namespace {

constexpr char kModelKey[] = "tokenizer.ggml.model";
constexpr char kTokensKey[] = "tokenizer.ggml.tokens";
constexpr char kScoresKey[] = "tokenizer.ggml.scores";
constexpr char kKindsKey[] = "tokenizer.ggml.token_type";

struct SpecialKey {
    const char* key;
    int32_t SpecialTokens::*id;
    int32_t spm_default;  // what an SPM file means when it lacks the key
};

constexpr SpecialKey kSpecialKeys[] = {
    {"tokenizer.ggml.bos_token_id", &SpecialTokens::bos, 1},
    {"tokenizer.ggml.eos_token_id", &SpecialTokens::eos, 2},
    {"tokenizer.ggml.eot_token_id", &SpecialTokens::eot, kNoToken},
    {"tokenizer.ggml.eom_token_id", &SpecialTokens::eom, kNoToken},
    {"tokenizer.ggml.unknown_token_id", &SpecialTokens::unk, 0},
    {"tokenizer.ggml.padding_token_id", &SpecialTokens::pad, kNoToken},
};

// Texts that end a generation whatever the metadata says: many files name one end token only, or
// do not mark these as control tokens.
constexpr std::string_view kEndMarkers[] = {
    "</s>",          "<|im_end|>",        "<|eot_id|>",      "<|eom_id|>", "<|end|>",
    "<end_of_turn>", "<|endoftext|>",     "<|end_of_text|>", "<EOT>",      "_<EOT>",
    "[EOT]",         "\xE2\x96\x81<EOT>", "[EOS]",           "<eos>",      "<end_of_utterance>",
};
// Those of them that end a turn, for files that do not name their end-of-turn token.
constexpr std::string_view kTurnMarkers[] = {
    "<|eot_id|>",      "<|im_end|>",         "<|end|>",
    "<EOT>",           "\xE2\x96\x81<EOT>",  "[EOT]",
    "_<EOT>",          "<end_of_turn>",      "<|endoftext|>",
    "<|end_of_text|>", "<end_of_utterance>",
};

uint64_t hash_text(std::string_view text) {
    uint64_t hash = 0xcbf29ce484222325u;  // FNV-1a, then a multiplication for the high bits
    for (const char c : text) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3u;
    return (hash ^ hash >> 32) * 0x9e3779b97f4a7c15u;
}

bool is_plain(TokenKind kind) {
    return kind == TokenKind::kNormal || kind == TokenKind::kUserDefined ||
           kind == TokenKind::kUnused;
}

int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
}

}  // namespace

int parse_byte_token(std::string_view text) {
    if (text.size() != 6 || text.substr(0, 3) != "<0x" || text[5] != '>') return -1;
    const int high = hex_digit(text[3]);
    const int low = hex_digit(text[4]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

Result<Vocabulary> Vocabulary::load(const GgufHeader& header) {
    Vocabulary vocabulary;
    vocabulary.byte_tokens_.fill(kNoToken);
    PUNA_TRY_ASSIGN(const std::string_view model, header.get_string_or(kModelKey, "none"));
    vocabulary.tokenizer_model_ = model.substr(0, 64);
    if (model == "none" || model == "no_vocab") {
        PUNA_TRY(vocabulary.load_size(header));
        return vocabulary;
    }
    vocabulary.tokenizer_kind_ = model == "llama" ? TokenizerKind::kSpm : TokenizerKind::kOther;
    PUNA_TRY(vocabulary.load_texts(header));
    PUNA_TRY(vocabulary.load_scores(header));
    PUNA_TRY(vocabulary.index_texts(header));
    PUNA_TRY(vocabulary.load_special_tokens(header));
    PUNA_TRY(vocabulary.load_kinds(header));
    PUNA_TRY(vocabulary.load_rules(header));
    vocabulary.mark_end_tokens();
    vocabulary.map_bytes();
    vocabulary.collect_specials();
    return vocabulary;
}

Status Vocabulary::check_tokenizer() const {
    if (tokenizer_kind_ == TokenizerKind::kSpm) return {};
    if (tokenizer_kind_ == TokenizerKind::kNone) {
        return make_status(PUNA_ERROR_MODEL_UNSUPPORTED,
                           "the model file has no tokenizer (%s is '%s' or missing): "
                           "give and take token ids",
                           kModelKey, tokenizer_model_.c_str());
    }
    return make_status(PUNA_ERROR_MODEL_UNSUPPORTED,
                       "%s is '%s', a tokenizer that is not supported; 'llama' is", kModelKey,
                       tokenizer_model_.c_str());
}

std::string_view Vocabulary::text(int32_t id) const {
    assert(contains(id));
    const size_t begin = text_begin_[static_cast<size_t>(id)];
    const size_t end = text_begin_[static_cast<size_t>(id) + 1];
    return {texts_.data() + begin, end - begin};
}

uint8_t Vocabulary::byte_value(int32_t id) const {
    assert(kind(id) == TokenKind::kByte);
    return static_cast<uint8_t>(parse_byte_token(text(id)));
}

bool Vocabulary::is_end(int32_t id) const {
    return std::find(end_tokens_.begin(), end_tokens_.end(), id) != end_tokens_.end();
}

size_t Vocabulary::bucket(std::string_view wanted) const {
    return static_cast<size_t>(hash_text(wanted) >> bucket_shift_);
}

int32_t Vocabulary::find(std::string_view wanted) const {
    if (index_.empty() || wanted.empty()) return kNoToken;
    const size_t b = bucket(wanted);
    const auto end = index_.begin() + bucket_begin_[b + 1];
    const auto found = std::partition_point(index_.begin() + bucket_begin_[b], end,
                                            [&](int32_t id) { return text(id) < wanted; });
    return found != end && text(*found) == wanted ? *found : kNoToken;
}

int32_t Vocabulary::find_plain(std::string_view wanted) const {
    const int32_t id = find(wanted);
    return id != kNoToken && is_plain(kind(id)) ? id : kNoToken;
}

int32_t Vocabulary::find_special(std::string_view front, bool parse_special) const {
    if (front.empty() || !begins_special_[static_cast<uint8_t>(front[0])]) return kNoToken;
    int32_t longest = kNoToken;
    auto first = specials_.begin();
    auto last = specials_.end();
    // All in [first, last) begin with the first `depth` bytes; one that ends there sorts first.
    for (size_t depth = 0; first != last; ++depth) {
        if (text(*first).size() == depth) {
            if (parse_special || kind(*first) == TokenKind::kUserDefined) longest = *first;
            ++first;
        }
        if (depth == front.size()) break;
        const auto byte_at = [&](int32_t id) { return static_cast<uint8_t>(text(id)[depth]); };
        const uint8_t byte = static_cast<uint8_t>(front[depth]);
        first = std::partition_point(first, last, [&](int32_t id) { return byte_at(id) < byte; });
        last = std::partition_point(first, last, [&](int32_t id) { return byte_at(id) == byte; });
    }
    return longest;
}

Status Vocabulary::load_size(const GgufHeader& header) {
    PUNA_TRY_ASSIGN(const std::string_view family,
                    header.get_string_or("general.architecture", ""));
    const std::string key = std::string(family) + ".vocab_size";
    PUNA_TRY_ASSIGN(n_vocab_, header.get_u32_or(key, 0));
    if (n_vocab_ > kMaxTokens) {
        return header.key_error(PUNA_ERROR_MODEL_UNSUPPORTED, key,
                                "is %u; at most %u are supported", n_vocab_, kMaxTokens);
    }
    return {};
}

Status Vocabulary::load_texts(const GgufHeader& header) {
    PUNA_TRY_ASSIGN(const GgufStrings strings, header.get_strings(kTokensKey));
    if (strings.empty() || strings.size() > kMaxTokens) {
        return header.key_error(PUNA_ERROR_MODEL, kTokensKey, "has %zu tokens; 1 to %u are allowed",
                                strings.size(), kMaxTokens);
    }
    size_t n_bytes = 0;
    for (const std::string_view token : strings) {
        if (token.size() > kMaxTokenBytes || n_bytes + token.size() > kMaxTextBytes) {
            return header.key_error(
                PUNA_ERROR_MODEL, kTokensKey,
                "has a token of %zu bytes after %zu bytes of others; a token may have %zu, all %zu",
                token.size(), n_bytes, kMaxTokenBytes, kMaxTextBytes);
        }
        n_bytes += token.size();
    }
    n_vocab_ = static_cast<uint32_t>(strings.size());
    texts_.reserve(n_bytes);
    text_begin_.reserve(n_vocab_ + 1);
    for (const std::string_view token : strings) {
        text_begin_.push_back(static_cast<uint32_t>(texts_.size()));
        texts_.insert(texts_.end(), token.begin(), token.end());
    }
    text_begin_.push_back(static_cast<uint32_t>(texts_.size()));
    kinds_.assign(n_vocab_, TokenKind::kNormal);
    return {};
}

Status Vocabulary::load_scores(const GgufHeader& header) {
    scores_.assign(n_vocab_, 0.0f);
    // Without scores no SPM text can be tokenized as the model was trained; others do not need
    // them.
    if (tokenizer_kind_ == TokenizerKind::kOther && !header.has(kScoresKey)) return {};
    PUNA_TRY_ASSIGN(const auto scores, header.get_f32s(kScoresKey, n_vocab_));
    for (size_t i = 0; i < scores.size(); ++i) {
        scores_[i] = scores[i];
        if (!std::isfinite(scores[i])) {
            return header.key_error(PUNA_ERROR_MODEL, kScoresKey,
                                    "gives token %zu a score that is no finite number", i);
        }
    }
    return {};
}

Status Vocabulary::load_special_tokens(const GgufHeader& header) {
    for (const SpecialKey& special : kSpecialKeys) {
        int32_t& id = special_.*special.id;
        if (header.has(special.key)) {
            PUNA_TRY_ASSIGN(const uint32_t value, header.get_u32(special.key));
            if (value >= n_vocab_) {
                return header.key_error(PUNA_ERROR_MODEL, special.key,
                                        "is %u, but the vocabulary has %u tokens", value, n_vocab_);
            }
            id = static_cast<int32_t>(value);
        } else if (tokenizer_kind_ == TokenizerKind::kSpm && contains(special.spm_default)) {
            id = special.spm_default;
        }
    }
    return {};
}

Status Vocabulary::load_kinds(const GgufHeader& header) {
    if (!header.has(kKindsKey)) {
        infer_kinds();
        return {};
    }
    PUNA_TRY_ASSIGN(const auto kinds, header.get_i32s(kKindsKey, n_vocab_));
    for (size_t i = 0; i < kinds.size(); ++i) {
        const int32_t kind = kinds[i];
        if (kind < 0 || kind > static_cast<int32_t>(TokenKind::kByte)) {
            return header.key_error(PUNA_ERROR_MODEL, kKindsKey,
                                    "gives token %zu the type %d; 0 to 6 are known", i, kind);
        }
        if (kind == 0) continue;  // "undefined": some converters leave ordinary tokens so
        kinds_[i] = static_cast<TokenKind>(kind);
        if (kinds_[i] != TokenKind::kByte) continue;
        const std::string_view token = text(static_cast<int32_t>(i));
        if (parse_byte_token(token) < 0) {
            return header.key_error(
                PUNA_ERROR_MODEL, kKindsKey,
                "makes token %zu a byte, but its text '%.*s' is not two hexadecimal digits in <0x>",
                i, static_cast<int>(std::min<size_t>(token.size(), 32)), token.data());
        }
    }
    return {};
}

// Files of the first converters have no types; their texts and special ids say as much.
void Vocabulary::infer_kinds() {
    if (tokenizer_kind_ != TokenizerKind::kSpm) return;
    for (size_t i = 0; i < kinds_.size(); ++i) {
        if (parse_byte_token(text(static_cast<int32_t>(i))) >= 0) kinds_[i] = TokenKind::kByte;
    }
    const auto mark = [&](int32_t id, TokenKind kind) {
        if (id != kNoToken) kinds_[static_cast<size_t>(id)] = kind;
    };
    mark(special_.bos, TokenKind::kControl);
    mark(special_.eos, TokenKind::kControl);
    mark(special_.unk, TokenKind::kUnknown);
}

Status Vocabulary::load_rules(const GgufHeader& header) {
    constexpr char kAddBos[] = "tokenizer.ggml.add_bos_token";
    constexpr char kAddEos[] = "tokenizer.ggml.add_eos_token";
    const bool spm = tokenizer_kind_ == TokenizerKind::kSpm;
    PUNA_TRY_ASSIGN(rules_.add_bos, header.get_bool_or(kAddBos, spm));
    PUNA_TRY_ASSIGN(rules_.add_eos, header.get_bool_or(kAddEos, false));
    PUNA_TRY_ASSIGN(rules_.add_space_prefix,
                    header.get_bool_or("tokenizer.ggml.add_space_prefix", spm));
    if (rules_.add_bos && special_.bos == kNoToken) {
        return make_status(PUNA_ERROR_MODEL,
                           "%s: %s is true (or missing), but there is no BOS token to add",
                           header.name().c_str(), kAddBos);
    }
    if (rules_.add_eos && special_.eos == kNoToken) {
        return header.key_error(PUNA_ERROR_MODEL, kAddEos,
                                "is true, but there is no EOS token to add");
    }
    return {};
}

Status Vocabulary::index_texts(const GgufHeader& header) {
    const int bucket_bits = std::max(1, static_cast<int>(std::bit_width(n_vocab_ / 2)));
    bucket_shift_ = 64 - bucket_bits;
    bucket_begin_.assign((size_t{1} << bucket_bits) + 1, 0);
    index_.resize(n_vocab_);
    const int32_t n_tokens = static_cast<int32_t>(n_vocab_);
    for (int32_t id = 0; id < n_tokens; ++id) ++bucket_begin_[bucket(text(id))];
    // Sums make each the end of its bucket; filling the buckets from the end makes it the begin.
    for (size_t b = 1; b < bucket_begin_.size(); ++b) bucket_begin_[b] += bucket_begin_[b - 1];
    for (int32_t id = 0; id < n_tokens; ++id) index_[--bucket_begin_[bucket(text(id))]] = id;

    for (size_t b = 0; b + 1 < bucket_begin_.size(); ++b) {
        const auto begin = index_.begin() + bucket_begin_[b];
        const auto end = index_.begin() + bucket_begin_[b + 1];
        std::sort(begin, end, [&](int32_t x, int32_t y) { return text(x) < text(y); });
        const auto twin = std::adjacent_find(begin, end, [&](int32_t x, int32_t y) {
            return text(x) == text(y) && !text(x).empty();  // empty ones are never looked up
        });
        if (twin == end) continue;
        const auto [low, high] = std::minmax(twin[0], twin[1]);
        return header.key_error(PUNA_ERROR_MODEL, kTokensKey,
                                "has one text for two tokens, %d and %d", low, high);
    }
    return {};
}

void Vocabulary::mark_end_tokens() {
    const auto add = [&](int32_t id) {
        if (id != kNoToken && !is_end(id)) end_tokens_.push_back(id);
    };
    for (const std::string_view marker : kEndMarkers) {
        const int32_t id = find(marker);
        if (id == kNoToken) continue;
        kinds_[static_cast<size_t>(id)] = TokenKind::kControl;
        add(id);
    }
    for (const std::string_view marker : kTurnMarkers) {
        if (special_.eot == kNoToken) special_.eot = find(marker);
    }
    if (special_.eom == kNoToken) special_.eom = find("<|eom_id|>");
    add(special_.eos);
    add(special_.eot);
    add(special_.eom);
}

// A byte is written as its byte token, or as a token of just this byte.
void Vocabulary::map_bytes() {
    for (int32_t id = static_cast<int32_t>(kinds_.size()) - 1; id >= 0; --id) {
        if (kind(id) == TokenKind::kByte) byte_tokens_[byte_value(id)] = id;
    }
    for (size_t byte = 0; byte < byte_tokens_.size(); ++byte) {
        const char c = static_cast<char>(byte);
        if (byte_tokens_[byte] == kNoToken) byte_tokens_[byte] = find_plain({&c, 1});
    }
}

void Vocabulary::collect_specials() {
    for (int32_t id = 0; contains(id); ++id) {
        const bool special = kind(id) == TokenKind::kUserDefined ||
                             kind(id) == TokenKind::kControl || kind(id) == TokenKind::kUnknown;
        if (!special || text(id).empty()) continue;
        specials_.push_back(id);
        begins_special_[static_cast<uint8_t>(text(id)[0])] = true;
    }
    std::sort(specials_.begin(), specials_.end(),
              [&](int32_t a, int32_t b) { return text(a) < text(b); });
}

}  // namespace puna::core
