// Small tokenizers written by hand, and vocabularies out of files.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "support/model_file.h"
#include "text/vocabulary.h"

namespace puna::test {

// The tokens of an SPM tokenizer. A space in a text stands for a space mark.
class VocabularyFile {
  public:
    // Starts with <unk>, <s> and </s>.
    VocabularyFile();
    struct Empty {};
    explicit VocabularyFile(Empty) {}

    // Returns the id.
    int32_t add(std::string_view text, float score = 0.0f,
                core::TokenKind kind = core::TokenKind::kNormal);
    void add_bytes();  // <0x00> to <0xFF>

    // With the tokens, and no other key than tokenizer.ggml.model.
    ModelFile file() const;

  private:
    std::vector<std::string> texts_;
    std::vector<float> scores_;
    std::vector<int32_t> kinds_;
};

core::Result<core::Vocabulary> try_load_vocabulary(const ModelFile& file);
// These throw std::runtime_error when the file cannot be read or is refused.
core::Vocabulary load_vocabulary(const ModelFile& file);
core::Vocabulary load_vocabulary(const std::string& path);

// Throws std::runtime_error.
std::string read_file(const std::string& path);

}  // namespace puna::test
