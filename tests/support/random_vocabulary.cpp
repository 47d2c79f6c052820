#include "support/random_vocabulary.h"

#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "support/random_numbers.h"

namespace puna::test {
namespace {

constexpr uint32_t kSpecials = 3;
constexpr uint32_t kBytes = 256;
constexpr std::string_view kSpace = "\xe2\x96\x81";  // U+2581 stands for a space

enum TokenType : int32_t { kNormal = 1, kUnknown = 2, kControl = 3, kByte = 6 };

// The space and everything that syllables are made of, with some punctuation.
std::vector<std::string> letters() {
    std::vector<std::string> pieces = {std::string(kSpace)};
    for (const char letter : std::string_view("eaoiutnrslhdmcpgbfywvkjxqz.,!?'-")) {
        pieces.emplace_back(1, letter);
    }
    return pieces;
}

std::vector<std::string> syllables() {
    std::vector<std::string> pieces;
    for (const char vowel : std::string_view("aeiou")) {
        for (const char consonant : std::string_view("tnrslhdmkpgbfvw")) {
            pieces.push_back({consonant, vowel});
        }
    }
    return pieces;
}

// `n_pieces` distinct pieces. Words are joined from syllables and words; a space only begins one.
std::vector<std::string> make_pieces(size_t n_pieces, RandomNumbers random) {
    constexpr size_t kLongestWord = 16;
    std::vector<std::string> pieces = letters();
    std::vector<std::string> words = syllables();
    pieces.insert(pieces.end(), words.begin(), words.end());
    std::unordered_set<std::string> seen(pieces.begin(), pieces.end());
    const auto any_word = [&] { return words[static_cast<size_t>(random.below(words.size()))]; };
    while (pieces.size() < n_pieces) {
        const std::string left = random.below(2) == 0 ? std::string(kSpace) : any_word();
        const std::string right = any_word();
        std::string word = left + right;
        if (right.starts_with(kSpace) || word.size() > kLongestWord) continue;
        if (!seen.insert(word).second) continue;
        pieces.push_back(word);
        words.push_back(std::move(word));
    }
    pieces.resize(n_pieces);
    return pieces;
}

std::string byte_token(uint32_t byte) {
    constexpr std::string_view kDigits = "0123456789ABCDEF";
    return std::string("<0x") + kDigits[byte / 16] + kDigits[byte % 16] + ">";
}

}  // namespace

void set_random_vocabulary(uint32_t n_vocab, uint64_t seed, ModelFile& file) {
    const uint32_t n_bytes = n_vocab >= kSpecials + kBytes ? kBytes : 0;
    std::vector<std::string> tokens = {"<unk>", "<s>", "</s>"};
    std::vector<int32_t> types = {kUnknown, kControl, kControl};
    for (uint32_t byte = 0; byte < n_bytes; ++byte) tokens.push_back(byte_token(byte));
    types.resize(tokens.size(), kByte);
    std::vector<float> scores(tokens.size(), 0.0f);
    const RandomNumbers random(seed);
    for (std::string& piece : make_pieces(n_vocab - kSpecials - n_bytes, random)) {
        tokens.push_back(std::move(piece));
        scores.push_back(static_cast<float>(types.size()) - static_cast<float>(tokens.size()));
    }
    types.resize(tokens.size(), kNormal);

    file.set("tokenizer.ggml.model", "llama");
    file.set("tokenizer.ggml.tokens", tokens);
    file.set("tokenizer.ggml.scores", scores);
    file.set("tokenizer.ggml.token_type", types);
    file.set("tokenizer.ggml.unknown_token_id", uint32_t{0});
    file.set("tokenizer.ggml.bos_token_id", uint32_t{1});
    file.set("tokenizer.ggml.eos_token_id", uint32_t{2});
    file.set("tokenizer.ggml.add_bos_token", true);
    file.set("tokenizer.ggml.add_eos_token", false);
}

}  // namespace puna::test
