// SpmTokenizer: text to tokens as SentencePiece's BPE models do, by merging the neighbours whose
// union has the best score.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "text/vocabulary.h"

namespace puna::core {

class SpmTokenizer {
  public:
    static constexpr size_t kMaxTextBytes = 1u << 26;

    struct Options {
        bool add_special = true;       // BOS and EOS where the vocabulary's rules add them
        bool parse_special = false;    // texts of control tokens in the text become these tokens
        bool add_space_prefix = true;  // where the rules do; false: the text continues other text
    };

    // The vocabulary is borrowed. PUNA_ERROR_MODEL_UNSUPPORTED when it is not an SPM one.
    static Result<SpmTokenizer> create(const Vocabulary& vocabulary);

    // Appends the tokens of the text, which may hold any bytes; on failure `out` is unchanged.
    // Safe from several threads.
    //
    // - BOS is not added where the text itself begins with it, so there is never a second one.
    // - Where the rules ask for it a space goes before the text, and before text after a special
    //   token.
    // - Special tokens are cut out first, leftmost and then longest.
    // - A character that no token spells becomes its byte tokens, or the unknown token when the
    //   vocabulary lacks one of those. A byte that is no valid UTF-8 counts as a character.
    //
    // `n_lookups`, where given, receives the number of vocabulary look-ups made, the unit of the
    // work done.
    Status tokenize(std::string_view text, Options options, std::vector<int32_t>& out,
                    uint64_t* n_lookups = nullptr) const;

  private:
    explicit SpmTokenizer(const Vocabulary& vocabulary);

    const Vocabulary* vocabulary_;
    size_t longest_token_ = 0;       // bytes; nothing longer is worth a look-up
    bool space_begins_word_ = true;  // no token has a space mark after another character
};

}  // namespace puna::core
