// A small vocabulary and a text out of any bytes: tokenized, turned back, streamed, and searched
// for stops, each checked against a simpler way.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/utf8.h"
#include "support/model_file.h"
#include "support/vocabulary_file.h"
#include "text/detokenizer.h"
#include "text/spm_tokenizer.h"
#include "text/stop_matcher.h"

namespace {

using namespace puna::core;
using puna::test::VocabularyFile;

void require(bool condition) {
    if (!condition) __builtin_trap();
}

class Input {
  public:
    Input(const uint8_t* data, size_t size) : rest_(reinterpret_cast<const char*>(data), size) {}

    uint8_t byte() {
        const std::string_view one = take(1);
        return one.empty() ? 0 : static_cast<uint8_t>(one[0]);
    }
    std::string_view take(size_t n) {
        const std::string_view taken = rest_.substr(0, n);
        rest_.remove_prefix(taken.size());
        return taken;
    }
    std::string_view rest() { return take(rest_.size()); }

  private:
    std::string_view rest_;
};

struct Case {
    puna::test::ModelFile file;
    std::vector<std::string> texts;
    bool round_trip = true;  // plain text comes back as it was
};

// Mostly well-formed; now and then a type, a byte token or a special id that is to be refused.
Case make_case(Input& input) {
    Case made;
    const uint8_t rules = input.byte();
    VocabularyFile tokens;
    if (rules & 1) tokens.add_bytes();
    tokens.add(" ");
    made.texts = {"<unk>", "<s>", "</s>", " "};
    for (size_t n = input.byte() % 32; n > 0; --n) {
        const uint8_t kind = input.byte();
        const float score = static_cast<int8_t>(input.byte());
        std::string text(input.take(input.byte() % 8));
        if (std::find(made.texts.begin(), made.texts.end(), text) != made.texts.end()) continue;
        tokens.add(text, score, kind < 192 ? TokenKind::kNormal : TokenKind{uint8_t(kind % 9)});
        made.texts.push_back(text);
        // User-defined texts are cut out, and a space goes before what follows.
        if (kind >= 192) made.round_trip = false;
    }
    made.file = tokens.file();
    made.file.set("tokenizer.ggml.add_space_prefix", (rules & 2) != 0);
    made.file.set("tokenizer.ggml.add_eos_token", (rules & 4) != 0);
    if (rules & 8) made.file.set("tokenizer.ggml.bos_token_id", uint32_t{input.byte()});
    if (rules & 16) made.file.erase("tokenizer.ggml.token_type");
    // Without types any text of the form <0x00> is a byte, any end marker a control token.
    if ((rules & 1) == 0 || (rules & (8 | 16)) != 0) made.round_trip = false;
    return made;
}

void check_detokenizing(const Vocabulary& vocabulary, const std::vector<int32_t>& ids) {
    for (const bool raw : {false, true}) {
        const DetokenizeOptions options = {.control_text = raw, .raw_bytes = raw};
        std::string at_once;
        require(detokenize(vocabulary, ids, options, at_once).ok());
        StreamingDetokenizer stream(vocabulary, options);
        std::string streamed;
        std::string chunk;
        for (const int32_t id : ids) {
            chunk.clear();
            require(stream.feed(id, chunk).ok());
            require(raw || is_valid_utf8(chunk));
            streamed += chunk;
        }
        stream.finish(streamed);
        require(streamed == at_once);
    }
}

void check_tokenizing(const Case& made, const Vocabulary& vocabulary, std::string_view text) {
    const auto tokenizer = SpmTokenizer::create(vocabulary);
    require(tokenizer.ok());
    for (const bool add_special : {false, true}) {
        for (const bool parse_special : {false, true}) {
            std::vector<int32_t> ids;
            require(tokenizer->tokenize(text, {add_special, parse_special}, ids).ok());
            for (const int32_t id : ids) require(vocabulary.contains(id));
            check_detokenizing(vocabulary, ids);
            if (!made.round_trip || parse_special || text.find(kSpaceMark) != text.npos) continue;
            std::string back;
            require(detokenize(vocabulary, ids, {.raw_bytes = true}, back).ok());
            require(back == text);
        }
    }
}

void check_stops(const std::vector<std::string>& texts, std::string_view text, size_t step) {
    std::vector<std::string_view> stops;
    for (const std::string& stop : texts) {
        if (!stop.empty()) stops.push_back(stop);
    }
    size_t begin = text.size();
    int32_t first = StopMatcher::kNoStop;
    for (size_t i = 0; i < stops.size(); ++i) {
        const size_t found = text.find(stops[i]);
        if (found == text.npos || (first != StopMatcher::kNoStop && found >= begin)) continue;
        begin = found;
        first = static_cast<int32_t>(i);
    }
    StopMatcher matcher(stops);
    std::string out;
    for (size_t i = 0; i < text.size(); i += step) matcher.feed(text.substr(i, step), out);
    matcher.finish(out);
    require(matcher.found() == first);
    require(out == text.substr(0, begin));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    Input input(data, size);
    const size_t step = size_t{1} + input.byte() % 8;
    const Case made = make_case(input);
    const std::string_view text = input.rest();
    check_stops(made.texts, text, step);
    const auto vocabulary = puna::test::try_load_vocabulary(made.file);
    if (!vocabulary.ok()) {
        require(vocabulary.status().text()[0] != '\0');
        return 0;
    }
    check_tokenizing(made, *vocabulary, text);
    return 0;
}
