// A tokenizer for models that never learned a language: the bytes and made-up words.
#pragma once

#include <cstdint>

#include "format/gguf_writer.h"

namespace puna::core {

constexpr uint32_t kSmallestSyntheticVocabulary = 3 + 256;  // unknown, begin, end, and the bytes

// Sets the keys of a SentencePiece tokenizer of n_vocab tokens.
void add_synthetic_vocabulary(uint32_t n_vocab, GgufWriter& file);

}  // namespace puna::core
