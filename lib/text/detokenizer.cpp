#include "text/detokenizer.h"

#include <string_view>

#include "base/utf8.h"

namespace puna::core {
namespace {

void append_unescaped(std::string_view text, std::string& out) {
    size_t begin = 0;
    for (size_t mark; (mark = text.find(kSpaceMark, begin)) != text.npos;) {
        out.append(text, begin, mark - begin);
        out += ' ';
        begin = mark + kSpaceMark.size();
    }
    out.append(text, begin);
}

// Tokens that tokenizing takes for special: the space prefix comes after them.
bool precedes_prefix(TokenKind kind) {
    return kind == TokenKind::kControl || kind == TokenKind::kUnknown ||
           kind == TokenKind::kUserDefined;
}

}  // namespace

Status append_token_bytes(const Vocabulary& vocabulary, int32_t id, bool control_text,
                          std::string& out) {
    PUNA_TRY(vocabulary.check_tokenizer());
    if (!vocabulary.contains(id)) {
        return make_status(PUNA_ERROR_ARGUMENT, "token %d is outside the vocabulary of %u tokens",
                           id, vocabulary.n_vocab());
    }
    const std::string_view text = vocabulary.text(id);
    switch (vocabulary.kind(id)) {
        case TokenKind::kControl:
        case TokenKind::kUnknown:
            if (control_text) out += text;
            break;
        case TokenKind::kUserDefined:
            out += text;
            break;
        case TokenKind::kByte:
            out += static_cast<char>(vocabulary.byte_value(id));
            break;
        case TokenKind::kNormal:
        case TokenKind::kUnused:
            append_unescaped(text, out);
            break;
    }
    return {};
}

Status detokenize(const Vocabulary& vocabulary, std::span<const int32_t> tokens,
                  DetokenizeOptions options, std::string& out) {
    std::string text;
    StreamingDetokenizer stream(vocabulary, options);
    for (const int32_t id : tokens) PUNA_TRY(stream.feed(id, text));
    stream.finish(text);
    out += text;
    return {};
}

StreamingDetokenizer::StreamingDetokenizer(const Vocabulary& vocabulary, DetokenizeOptions options)
    : vocabulary_(&vocabulary),
      options_(options),
      strip_space_(options.strip_space_prefix && vocabulary.rules().add_space_prefix) {}

Status StreamingDetokenizer::feed(int32_t id, std::string& out) {
    std::string text = pending_;
    PUNA_TRY(append_token_bytes(*vocabulary_, id, options_.control_text, text));
    const bool plain = !precedes_prefix(vocabulary_->kind(id));
    if (strip_space_ && plain && text.substr(pending_.size(), 1) == " ") {
        text.erase(pending_.size(), 1);
    }
    const size_t n_tail = options_.raw_bytes ? 0 : incomplete_utf8_tail(text);
    const std::string_view whole = std::string_view(text).substr(0, text.size() - n_tail);
    if (options_.raw_bytes || is_valid_utf8(whole)) {
        out += whole;
    } else {
        out += replace_invalid_utf8(whole);
    }
    pending_.assign(text, whole.size());
    if (plain) strip_space_ = false;
    return {};
}

void StreamingDetokenizer::finish(std::string& out) {
    out += replace_invalid_utf8(pending_);
    pending_.clear();
    strip_space_ = options_.strip_space_prefix && vocabulary_->rules().add_space_prefix;
}

}  // namespace puna::core
