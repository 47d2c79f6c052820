#include "text/spm_tokenizer.h"

#include <algorithm>
#include <bit>
#include <string>

#include "base/utf8.h"

namespace puna::core {
namespace {

constexpr uint32_t kNoSymbol = UINT32_MAX;

// A piece of the text: a character at first, then what was merged from several. A symbol that was
// merged into its left neighbour has size 0.
struct Symbol {
    uint32_t prev;
    uint32_t next;
    uint32_t begin;
    uint32_t size;
    int32_t id;  // the token it was merged to; kNoToken while it is a character
};

// Two neighbours that together are a token. Out of date when their sizes no longer add up to
// `size`: symbols only grow until they vanish.
struct Merge {
    uint64_t rank;  // the greatest comes first
    uint32_t size;
    int32_t id;

    uint32_t left() const { return ~static_cast<uint32_t>(rank); }
    bool operator<(const Merge& other) const { return rank < other.rank; }
};

// Ranks by score and then from the left, in one integer: most of the time goes into comparing.
uint64_t rank_merge(float score, uint32_t left) {
    const uint32_t bits = std::bit_cast<uint32_t>(score + 0.0f);  // no negative zero
    const uint32_t ordered = bits >> 31 != 0 ? ~bits : bits | 1u << 31;
    return uint64_t{ordered} << 32 | ~left;
}

// True where a word may end before `text[i]`: a space mark that follows anything else.
bool begins_word(std::string_view text, size_t i) {
    return i > 0 && text.substr(i, kSpaceMark.size()) == kSpaceMark &&
           !text.substr(0, i).ends_with(kSpaceMark);
}

// The end of the word that begins at `begin`, with all marks before and within it.
size_t find_word_end(std::string_view text, size_t begin) {
    size_t end = begin;
    do {
        end = text.find(kSpaceMark, end + 1);
    } while (end != text.npos && !begins_word(text, end));
    return std::min(end, text.size());
}

// Merges one text after the other, keeping its memory.
class Merger {
  public:
    Merger(const Vocabulary& vocabulary, size_t longest_token)
        : vocabulary_(vocabulary), longest_token_(longest_token) {}

    // Appends the tokens of a text whose spaces are marks already.
    void append_tokens(std::string_view text, std::vector<int32_t>& out) {
        text_ = text;
        split_into_characters();
        for (uint32_t i = 0; i + 1 < symbols_.size(); ++i) queue_merge(i);
        while (!queue_.empty()) {
            std::pop_heap(queue_.begin(), queue_.end());
            const Merge merge = queue_.back();
            queue_.pop_back();
            if (is_current(merge)) apply(merge);
        }
        for (uint32_t i = 0; i != kNoSymbol; i = symbols_[i].next) {
            append_symbol(symbols_[i], out);
        }
    }

    uint64_t n_lookups() const { return n_lookups_; }

  private:
    void split_into_characters() {
        symbols_.clear();
        for (size_t begin = 0; begin < text_.size();) {
            const Utf8Char character = decode_utf8(text_.substr(begin));
            const size_t size = character.valid ? character.length : 1;
            const uint32_t i = static_cast<uint32_t>(symbols_.size());
            symbols_.push_back({.prev = i == 0 ? kNoSymbol : i - 1,
                                .next = i + 1,
                                .begin = static_cast<uint32_t>(begin),
                                .size = static_cast<uint32_t>(size),
                                .id = kNoToken});
            begin += size;
        }
        symbols_.back().next = kNoSymbol;
    }

    int32_t look_up(size_t begin, size_t size) {
        ++n_lookups_;
        return vocabulary_.find_plain(text_.substr(begin, size));
    }

    // Queues the merge of symbol `left` with the next one, if that makes a token.
    void queue_merge(uint32_t left) {
        const Symbol& symbol = symbols_[left];
        if (symbol.next == kNoSymbol) return;
        const uint32_t size = symbol.size + symbols_[symbol.next].size;
        if (size > longest_token_) return;
        const int32_t id = look_up(symbol.begin, size);
        if (id == kNoToken) return;
        queue_.push_back({rank_merge(vocabulary_.score(id), left), size, id});
        std::push_heap(queue_.begin(), queue_.end());
    }

    bool is_current(const Merge& merge) const {
        const Symbol& left = symbols_[merge.left()];
        return left.size > 0 && left.next != kNoSymbol &&
               left.size + symbols_[left.next].size == merge.size;
    }

    void apply(const Merge& merge) {
        Symbol& left = symbols_[merge.left()];
        Symbol& right = symbols_[left.next];
        left.size = merge.size;
        left.id = merge.id;
        left.next = right.next;
        right.size = 0;
        if (left.next != kNoSymbol) symbols_[left.next].prev = merge.left();
        if (left.prev != kNoSymbol) queue_merge(left.prev);
        queue_merge(merge.left());
    }

    void append_symbol(const Symbol& symbol, std::vector<int32_t>& out) {
        const int32_t id = symbol.id != kNoToken ? symbol.id : look_up(symbol.begin, symbol.size);
        if (id != kNoToken) {
            out.push_back(id);
            return;
        }
        const size_t n_before = out.size();
        for (const char c : text_.substr(symbol.begin, symbol.size)) {
            const int32_t byte_token = vocabulary_.byte_token(static_cast<uint8_t>(c));
            if (byte_token == kNoToken) {  // then the unknown token, which every SPM file has
                out.resize(n_before);
                out.push_back(vocabulary_.special().unk);
                return;
            }
            out.push_back(byte_token);
        }
    }

    const Vocabulary& vocabulary_;
    size_t longest_token_;
    std::string_view text_;
    std::vector<Symbol> symbols_;
    std::vector<Merge> queue_;  // a heap
    uint64_t n_lookups_ = 0;
};

// Appends the text with marks for spaces.
void append_escaped(std::string_view text, std::string& out) {
    for (const char c : text) {
        if (c == ' ') {
            out += kSpaceMark;
        } else {
            out += c;
        }
    }
}

}  // namespace

SpmTokenizer::SpmTokenizer(const Vocabulary& vocabulary) : vocabulary_(&vocabulary) {
    for (uint32_t id = 0; id < vocabulary.n_vocab(); ++id) {
        const std::string_view text = vocabulary.text(static_cast<int32_t>(id));
        longest_token_ = std::max(longest_token_, text.size());
        for (size_t i = text.find(kSpaceMark); i != text.npos; i = text.find(kSpaceMark, i + 1)) {
            if (begins_word(text, i)) space_begins_word_ = false;
        }
    }
}

Result<SpmTokenizer> SpmTokenizer::create(const Vocabulary& vocabulary) {
    PUNA_TRY(vocabulary.check_tokenizer());
    return SpmTokenizer(vocabulary);
}

Status SpmTokenizer::tokenize(std::string_view text, Options options, std::vector<int32_t>& out,
                              uint64_t* n_lookups) const {
    if (text.size() > kMaxTextBytes) {
        return make_status(PUNA_ERROR_ARGUMENT, "the text has %zu bytes; at most %zu are tokenized",
                           text.size(), kMaxTextBytes);
    }
    const TokenizerRules& rules = vocabulary_->rules();
    const SpecialTokens& special = vocabulary_->special();
    Merger merger(*vocabulary_, longest_token_);
    std::vector<int32_t> tokens;
    std::string escaped;

    // Each run of text between special tokens, word by word where merges cannot cross words.
    const auto append_run = [&](std::string_view run) {
        if (run.empty()) return;
        const bool is_first = run.data() == text.data();
        const bool wants_space = rules.add_space_prefix && (options.add_space_prefix || !is_first);
        escaped.assign(wants_space ? kSpaceMark : "");
        append_escaped(run, escaped);
        const std::string_view whole = escaped;
        for (size_t begin = 0; begin < whole.size();) {
            const size_t end = space_begins_word_ ? find_word_end(whole, begin) : whole.size();
            merger.append_tokens(whole.substr(begin, end - begin), tokens);
            begin = end;
        }
    };

    const bool has_bos = special.bos != kNoToken &&
                         vocabulary_->find_special(text, options.parse_special) == special.bos;
    if (options.add_special && rules.add_bos && !has_bos) tokens.push_back(special.bos);
    size_t run_begin = 0;
    for (size_t i = 0; i < text.size();) {
        const int32_t id = vocabulary_->find_special(text.substr(i), options.parse_special);
        if (id == kNoToken) {
            ++i;
            continue;
        }
        append_run(text.substr(run_begin, i - run_begin));
        tokens.push_back(id);
        i += vocabulary_->text(id).size();
        run_begin = i;
    }
    append_run(text.substr(run_begin));
    if (options.add_special && rules.add_eos) tokens.push_back(special.eos);

    out.insert(out.end(), tokens.begin(), tokens.end());
    if (n_lookups != nullptr) *n_lookups = merger.n_lookups();
    return {};
}

}  // namespace puna::core
