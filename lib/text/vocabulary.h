// The vocabulary of a model file: the texts, scores and kinds of its tokens, the special tokens,
// and the rules of its tokenizer.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "format/gguf_header.h"

namespace puna::core {

inline constexpr int32_t kNoToken = -1;

// SentencePiece's stand-in for a space inside token texts, U+2581.
inline constexpr std::string_view kSpaceMark = "\xE2\x96\x81";

enum class TokenizerKind : uint8_t {
    kNone,   // the file has no tokenizer; only the number of tokens is known
    kSpm,    // tokenizer.ggml.model = "llama"
    kOther,  // token texts can be read, tokenizing is not supported
};

// The numbers are those of tokenizer.ggml.token_type.
enum class TokenKind : uint8_t {
    kNormal = 1,
    kUnknown = 2,
    kControl = 3,
    kUserDefined = 4,
    kUnused = 5,
    kByte = 6,
};

// Ids of tokens with a role, kNoToken where the vocabulary has none.
struct SpecialTokens {
    int32_t bos = kNoToken;
    int32_t eos = kNoToken;
    int32_t eot = kNoToken;  // end of turn
    int32_t eom = kNoToken;  // end of message
    int32_t unk = kNoToken;
    int32_t pad = kNoToken;
};

// What tokenizing adds to the text.
struct TokenizerRules {
    bool add_bos = false;
    bool add_eos = false;
    bool add_space_prefix = false;  // before text at the start and after a special token
};

class Vocabulary {
  public:
    // Some eight times the largest vocabularies there are; loading takes at most 64 MiB.
    static constexpr uint32_t kMaxTokens = 1u << 21;
    static constexpr size_t kMaxTokenBytes = 4096;
    static constexpr size_t kMaxTextBytes = 1u << 24;  // of all tokens together

    // Copies what it needs; the header may go. A file without a tokenizer is no error.
    static Result<Vocabulary> load(const GgufHeader& header);

    TokenizerKind tokenizer_kind() const { return tokenizer_kind_; }
    // PUNA_ERROR_MODEL_UNSUPPORTED, naming the key, unless the kind is kSpm.
    Status check_tokenizer() const;

    uint32_t n_vocab() const { return n_vocab_; }
    bool has_texts() const { return tokenizer_kind_ != TokenizerKind::kNone; }
    const SpecialTokens& special() const { return special_; }
    const TokenizerRules& rules() const { return rules_; }
    // Whether the token ends a generation: EOS, end of turn or message, or a known end marker.
    bool is_end(int32_t id) const;

    // A token with a text. The calls below take no other id.
    bool contains(int32_t id) const { return id >= 0 && static_cast<size_t>(id) < kinds_.size(); }
    std::string_view text(int32_t id) const;  // as in the file, with space marks; may be empty
    float score(int32_t id) const { return scores_[static_cast<size_t>(id)]; }
    TokenKind kind(int32_t id) const { return kinds_[static_cast<size_t>(id)]; }
    uint8_t byte_value(int32_t id) const;  // of a token of kind kByte

    // The token of exactly this text, or kNoToken.
    int32_t find(std::string_view text) const;
    // The same, but only a token that plain text may become: never a control, unknown or byte
    // token, so that no user's text turns into one by chance or by design.
    int32_t find_plain(std::string_view text) const;
    // The token that stands for one byte of text, or kNoToken.
    int32_t byte_token(uint8_t byte) const { return byte_tokens_[byte]; }
    // The longest token at the front of the text that tokenizing cuts out before anything else: a
    // user-defined one, with `parse_special` also a control or the unknown token. Or kNoToken.
    int32_t find_special(std::string_view text, bool parse_special) const;

  private:
    Status load_size(const GgufHeader& header);
    Status load_texts(const GgufHeader& header);
    Status load_scores(const GgufHeader& header);
    Status load_special_tokens(const GgufHeader& header);
    Status load_kinds(const GgufHeader& header);
    void infer_kinds();
    Status load_rules(const GgufHeader& header);
    Status index_texts(const GgufHeader& header);
    void mark_end_tokens();
    void map_bytes();
    void collect_specials();

    size_t bucket(std::string_view text) const;

    TokenizerKind tokenizer_kind_ = TokenizerKind::kNone;
    std::string tokenizer_model_;  // the first bytes of it, for messages
    uint32_t n_vocab_ = 0;
    SpecialTokens special_;
    TokenizerRules rules_;

    // Arrays over all tokens, empty where there are no texts; 17 to 21 bytes a token with the
    // index.
    std::vector<char> texts_;           // end to end
    std::vector<uint32_t> text_begin_;  // one more than there are tokens
    std::vector<float> scores_;
    std::vector<TokenKind> kinds_;
    std::vector<int32_t> end_tokens_;
    std::array<int32_t, 256> byte_tokens_ = {};

    // Texts hash into buckets; the ids within a bucket are sorted by text, so that a file of
    // colliding texts makes neither loading nor look-up slow.
    std::vector<int32_t> index_;
    std::vector<uint32_t> bucket_begin_;  // one more than there are buckets
    int bucket_shift_ = 0;

    // Tokens that find_special looks for, sorted by text: a trie without nodes.
    std::vector<int32_t> specials_;
    std::array<bool, 256> begins_special_ = {};
};

// The value of "<0xAB>", two hexadecimal digits between exactly these brackets; -1 for any other.
int parse_byte_token(std::string_view text);

}  // namespace puna::core
