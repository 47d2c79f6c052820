#pragma once

#include <cstdint>

#include "support/model_file.h"

namespace puna::test {

// Writes the tokenizer of a Llama-like SPM vocabulary: <unk>, <s>, </s>, the 256 byte tokens,
// then letters, syllables and made-up words. Each word is two earlier pieces put together, so the
// merges lead to it; earlier pieces score higher. A vocabulary of fewer than 259 tokens has no
// byte tokens. n_vocab must be at least 3.
void set_random_vocabulary(uint32_t n_vocab, uint64_t seed, ModelFile& file);

}  // namespace puna::test
