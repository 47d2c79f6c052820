#include "model/synthetic_vocabulary.h"

#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

namespace puna::core {

namespace {

enum TokenType : int32_t { kNormal = 1, kUnknown = 2, kControl = 3, kByte = 6 };

constexpr std::string_view kSpace = "\xe2\x96\x81";  // U+2581 stands for a space
constexpr std::string_view kConsonants = "tnrslhdmkpgbfvwj";
constexpr std::string_view kVowels = "aeiou";

std::string byte_token(uint32_t byte) {
    char text[8];
    std::snprintf(text, sizeof text, "<0x%02X>", static_cast<unsigned>(byte));
    return text;
}

// Word number `index`: syllables that spell the number, so that no two words are the same. Every
// other one begins with a space.
std::string word(uint32_t index) {
    std::string text = index % 2 == 0 ? std::string(kSpace) : std::string();
    uint32_t rest = index / 2;
    do {
        text += kConsonants[rest % kConsonants.size()];
        rest /= static_cast<uint32_t>(kConsonants.size());
        text += kVowels[rest % kVowels.size()];
        rest /= static_cast<uint32_t>(kVowels.size());
    } while (rest != 0);
    return text;
}

}  // namespace

void add_synthetic_vocabulary(uint32_t n_vocab, GgufWriter& file) {
    std::vector<std::string> tokens = {"<unk>", "<s>", "</s>"};
    std::vector<int32_t> types = {kUnknown, kControl, kControl};
    for (uint32_t byte = 0; byte < 256; ++byte) tokens.push_back(byte_token(byte));
    types.resize(tokens.size(), kByte);
    std::vector<float> scores(tokens.size(), 0.0f);
    for (uint32_t i = 0; tokens.size() < n_vocab; ++i) {
        tokens.push_back(word(i));
        scores.push_back(-static_cast<float>(i));  // earlier words are preferred
    }
    types.resize(tokens.size(), kNormal);

    file.set_string("tokenizer.ggml.model", "llama");
    file.set_strings("tokenizer.ggml.tokens", tokens);
    file.set_f32s("tokenizer.ggml.scores", scores);
    file.set_i32s("tokenizer.ggml.token_type", types);
    file.set_u32("tokenizer.ggml.unknown_token_id", 0);
    file.set_u32("tokenizer.ggml.bos_token_id", 1);
    file.set_u32("tokenizer.ggml.eos_token_id", 2);
    file.set_bool("tokenizer.ggml.add_bos_token", true);
    file.set_bool("tokenizer.ggml.add_eos_token", false);
}

}  // namespace puna::core
