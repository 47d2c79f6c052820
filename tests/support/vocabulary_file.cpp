#include "support/vocabulary_file.h"

#include <fstream>
#include <iterator>
#include <span>
#include <stdexcept>
#include <utility>

#include "format/byte_source.h"
#include "format/gguf_reader.h"

namespace puna::test {
namespace {

using core::TokenKind;

core::Result<core::Vocabulary> load_bytes(std::span<const std::byte> bytes) {
    core::SpanSource source(bytes);
    PUNA_TRY_ASSIGN(const core::GgufHeader header, core::read_gguf(source, "test.gguf"));
    return core::Vocabulary::load(header);
}

core::Vocabulary require(core::Result<core::Vocabulary> vocabulary) {
    if (!vocabulary.ok()) throw std::runtime_error(vocabulary.status().text());
    return std::move(*vocabulary);
}

}  // namespace

VocabularyFile::VocabularyFile() {
    add("<unk>", 0.0f, TokenKind::kUnknown);
    add("<s>", 0.0f, TokenKind::kControl);
    add("</s>", 0.0f, TokenKind::kControl);
}

int32_t VocabularyFile::add(std::string_view text, float score, TokenKind kind) {
    std::string& marked = texts_.emplace_back();
    for (const char c : text) {
        if (c == ' ') {
            marked += core::kSpaceMark;
        } else {
            marked += c;
        }
    }
    scores_.push_back(score);
    kinds_.push_back(static_cast<int32_t>(kind));
    return static_cast<int32_t>(texts_.size()) - 1;
}

void VocabularyFile::add_bytes() {
    constexpr std::string_view kDigits = "0123456789ABCDEF";
    for (uint32_t byte = 0; byte < 256; ++byte) {
        const std::string digits = {kDigits[byte / 16], kDigits[byte % 16]};
        add("<0x" + digits + ">", 0.0f, TokenKind::kByte);
    }
}

ModelFile VocabularyFile::file() const {
    ModelFile file;
    file.set("tokenizer.ggml.model", "llama");
    file.set("tokenizer.ggml.tokens", texts_);
    file.set("tokenizer.ggml.scores", scores_);
    file.set("tokenizer.ggml.token_type", kinds_);
    return file;
}

core::Result<core::Vocabulary> try_load_vocabulary(const ModelFile& file) {
    const AlignedBytes bytes = file.bytes();
    return load_bytes(std::as_bytes(std::span(bytes)));
}

core::Vocabulary load_vocabulary(const ModelFile& file) {
    return require(try_load_vocabulary(file));
}

core::Vocabulary load_vocabulary(const std::string& path) {
    const std::string bytes = read_file(path);
    return require(load_bytes(std::as_bytes(std::span(bytes))));
}

std::string read_file(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::string bytes{std::istreambuf_iterator<char>(file), {}};
    if (!file) throw std::runtime_error("cannot read " + path);
    return bytes;
}

}  // namespace puna::test
