// Tokens back to text: the bytes of one token, of a whole sequence, and of a stream that never
// splits a character.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "base/status.h"
#include "text/vocabulary.h"

namespace puna::core {

struct DetokenizeOptions {
    // Also the texts of control tokens and the unknown token, which are nothing otherwise.
    bool control_text = false;
    // Drop the one space that tokenizing put before the text, where the vocabulary's rules do so.
    // Text that continues other text keeps it.
    bool strip_space_prefix = true;
    // Bytes as the tokens have them. Otherwise UTF-8: what is no valid character becomes U+FFFD,
    // one for each maximal subpart.
    bool raw_bytes = false;
};

// Appends the bytes of one token: spaces for space marks, its byte for a byte token. They may be a
// part of a character. PUNA_ERROR_ARGUMENT for an id outside the vocabulary,
// PUNA_ERROR_MODEL_UNSUPPORTED when the vocabulary's tokenizer is not supported.
Status append_token_bytes(const Vocabulary& vocabulary, int32_t id, bool control_text,
                          std::string& out);

// Appends the text of a sequence; on failure `out` is unchanged. Tokens of plain text, made
// without special tokens within, give this text again, but for U+2581, which reads as a space.
Status detokenize(const Vocabulary& vocabulary, std::span<const int32_t> tokens,
                  DetokenizeOptions options, std::string& out);

// Token by token, appending whole characters only; in the end all that detokenize() would.
class StreamingDetokenizer {
  public:
    // The vocabulary is borrowed.
    StreamingDetokenizer(const Vocabulary& vocabulary, DetokenizeOptions options);

    // Appends the characters that the token completes. On failure nothing changes.
    Status feed(int32_t id, std::string& out);

    // Appends what was held back: U+FFFD for a character that stayed incomplete. The next feed()
    // begins a new text.
    void finish(std::string& out);

    // Bytes held back now.
    size_t n_held() const { return pending_.size(); }

  private:
    const Vocabulary* vocabulary_;
    DetokenizeOptions options_;
    bool strip_space_;     // the next plain token loses a leading space
    std::string pending_;  // between calls the 0 to 3 bytes of an incomplete character
};

}  // namespace puna::core
