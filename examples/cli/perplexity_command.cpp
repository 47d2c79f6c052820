#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <span>
#include <stdexcept>
#include <vector>

#include "commands.h"
#include "engine.h"
#include "errors.h"
#include "files.h"
#include "json_text.h"
#include "readable.h"
#include "status_line.h"

namespace cli {
namespace {

using Clock = std::chrono::steady_clock;

struct PerplexityOptions {
    EngineOptions engine;
    std::string text_file;
    int32_t n_ctx = 0;
    int32_t n_skip = -1;
    bool json = false;
};

constexpr const char* kDescription =
    "Measures how well a model predicts a text: the perplexity, e to the mean of -log(p) over the\n"
    "tokens of the text, where p is the probability that the model gives a token. Lower is better.";

constexpr const char* kFooter =
    "\nThe tokens of the whole text are cut into chunks of --ctx tokens, and each chunk is "
    "evaluated\nfrom an empty cache; in models that begin texts with a BOS token it takes the "
    "place "
    "of a chunk's\nfirst token. A token counts when more than --skip tokens of its chunk stand "
    "before it. An\nincomplete last chunk is left out, but a text shorter than a chunk is one. "
    "Control tokens are\nnot looked for in the text. That is how llama.cpp's programs measure, so "
    "the figures compare.\nThe error bar is one standard error of the mean. Ctrl-C ends early, "
    "with "
    "the figure so far.\n"
    "\nExample:\n  puna perplexity tinyllama.gguf -f wiki.test.raw --ctx 2048\n";

bool parse(PerplexityOptions& options, const Arguments& arguments) {
    CommandLine line("perplexity", kDescription, kFooter);
    add_model(line, options.engine.model);
    line.text("-f,--file", options.text_file, "FILE",
              "File with the text, taken byte for byte; - is\nstandard input")
        .required();
    line.number("--ctx", options.n_ctx, 0, PUNA_MAX_CTX,
                "Tokens of a chunk; 0: 512, or what the model was\ntrained for if that is less");
    line.number("--skip", options.n_skip, -1,
                "Tokens of a chunk that serve as context alone;\n-1: half of them");
    line.flag("--json", options.json, "Print one JSON document");
    add_engine_options(line, options.engine);
    if (!line.parse(arguments)) return false;
    if (options.n_ctx == 1) throw UsageError("--ctx: a chunk of one token predicts nothing");
    return true;
}

// -log(p) of the tokens so far: number, mean, and squared deviations from it.
class Surprise {
  public:
    void add(double nats) {
        ++n_;
        const double deviation = nats - mean_;
        mean_ += deviation / static_cast<double>(n_);
        squares_ += deviation * (nats - mean_);
    }
    int64_t n_tokens() const { return n_; }
    double mean() const { return mean_; }
    double perplexity() const { return std::exp(mean_); }
    // Not a number for a single token.
    double error() const {
        const auto n = static_cast<double>(n_);
        return perplexity() * std::sqrt(squares_ / n / (n - 1));
    }

  private:
    int64_t n_ = 0;
    double mean_ = 0;
    double squares_ = 0;
};

// -log of the probability that a row of logits gives to a token.
double surprise_of(std::span<const float> logits, puna::Token token) {
    const double max = *std::max_element(logits.begin(), logits.end());
    double sum = 0;
    for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - max);
    const double nats =
        std::log(sum) + max - static_cast<double>(logits[static_cast<size_t>(token)]);
    if (std::isnan(nats)) throw std::runtime_error("the model's logits are not numbers");
    return nats;
}

std::vector<puna::Token> text_tokens(const puna::Model& model, const PerplexityOptions& options,
                                     const Interrupt& interrupt) {
    const std::string text = read_file(options.text_file, interrupt);
    auto tokens = model.tokenize(text, PUNA_TOKENIZE_NO_BOS_EOS);
    const puna_model_info info = model.info();
    if (info.adds_bos != 0) tokens.insert(tokens.begin(), info.token_bos);
    if (tokens.size() < 2) {
        const bool is_stdin = options.text_file == "-";
        throw std::runtime_error((is_stdin ? "standard input" : options.text_file) + ": has " +
                                 std::to_string(tokens.size()) +
                                 " tokens, and at least two are needed: one to predict the next "
                                 "from");
    }
    return tokens;
}

class Measurement {
  public:
    Measurement(const puna::Model& model, const PerplexityOptions& options,
                const Interrupt& interrupt);

    // Scores the next chunk, or nothing of it.
    void next_chunk();

    const Surprise& surprise() const { return surprise_; }
    size_t n_chunks() const { return n_chunks_; }
    size_t n_done() const { return n_done_; }
    size_t chunk_size() const { return chunk_size_; }
    size_t n_skip() const { return n_skip_; }

  private:
    size_t skipped(int32_t wanted) const;

    const puna::Cancel& cancel_;
    const puna_model_info info_;
    std::vector<puna::Token> tokens_;
    const size_t chunk_size_;
    const size_t n_skip_;
    const size_t n_chunks_;
    puna::Context context_;
    const size_t n_batch_;
    std::vector<float> rows_;  // [n_batch][n_vocab]
    size_t n_done_ = 0;
    Surprise surprise_;
};

size_t chunk_size_of(const PerplexityOptions& options, int32_t n_ctx_train, size_t n_tokens) {
    const int32_t n_ctx = options.n_ctx > 0 ? options.n_ctx : std::clamp(n_ctx_train, 2, 512);
    return std::min(static_cast<size_t>(n_ctx), n_tokens);
}

Measurement::Measurement(const puna::Model& model, const PerplexityOptions& options,
                         const Interrupt& interrupt)
    : cancel_(interrupt.cancel()),
      info_(model.info()),
      tokens_(text_tokens(model, options, interrupt)),
      chunk_size_(chunk_size_of(options, info_.n_ctx_train, tokens_.size())),
      n_skip_(skipped(options.n_skip)),
      n_chunks_(tokens_.size() / chunk_size_),
      context_(make_context(model,
                            context_options(options.engine, static_cast<int32_t>(chunk_size_)),
                            "a smaller --ctx")),
      n_batch_(std::min(static_cast<size_t>(options.engine.n_batch), chunk_size_)),
      rows_(n_batch_ * static_cast<size_t>(info_.n_vocab)) {}

size_t Measurement::skipped(int32_t wanted) const {
    if (wanted < 0) return std::min(chunk_size_ / 2, chunk_size_ - 2);
    if (static_cast<size_t>(wanted) + 2 <= chunk_size_) return static_cast<size_t>(wanted);
    throw std::runtime_error("--skip " + std::to_string(wanted) + ": of a chunk of " +
                             std::to_string(chunk_size_) +
                             " tokens nothing would be left to score: make it at most " +
                             std::to_string(chunk_size_ - 2));
}

void Measurement::next_chunk() {
    std::span<puna::Token> chunk = std::span(tokens_).subspan(n_done_ * chunk_size_, chunk_size_);
    if (info_.adds_bos != 0) chunk[0] = info_.token_bos;
    puna::Sequence sequence = context_.sequence();
    sequence.evaluate(chunk.first(n_skip_), {}, PUNA_OUTPUT_DEFAULT, &cancel_);
    Surprise surprise = surprise_;
    const auto n_vocab = static_cast<size_t>(info_.n_vocab);
    // Nothing follows the last token that its row could predict.
    for (size_t begin = n_skip_; begin < chunk_size_ - 1;) {
        const size_t n = std::min(n_batch_, chunk_size_ - 1 - begin);
        const auto rows = std::span(rows_).first(n * n_vocab);
        sequence.evaluate(chunk.subspan(begin, n), rows, PUNA_OUTPUT_LOGITS_ALL, &cancel_);
        for (size_t i = 0; i < n; ++i) {
            surprise.add(surprise_of(rows.subspan(i * n_vocab, n_vocab), chunk[begin + i + 1]));
        }
        begin += n;
    }
    surprise_ = surprise;
    ++n_done_;
}

// False: Ctrl-C came before the end.
bool measure_all(Measurement& measurement) {
    StatusLine line;
    while (measurement.n_done() < measurement.n_chunks()) {
        try {
            measurement.next_chunk();
        } catch (const puna::Error& error) {
            if (error.status() != PUNA_ERROR_CANCELLED) throw;
            return false;
        }
        line.show("chunk " + std::to_string(measurement.n_done()) + "/" +
                  std::to_string(measurement.n_chunks()) + ": " +
                  fixed(measurement.surprise().perplexity(), 4));
    }
    return true;
}

std::string report(const Measurement& measurement, const PerplexityOptions& options,
                   double seconds) {
    const Surprise& surprise = measurement.surprise();
    if (options.json) {
        return json_line({{"model", options.engine.model},
                          {"perplexity", surprise.perplexity()},
                          {"error", surprise.error()},
                          {"mean_nll", surprise.mean()},
                          {"n_tokens", surprise.n_tokens()},
                          {"n_chunks", measurement.n_done()},
                          {"n_ctx", measurement.chunk_size()},
                          {"skip", measurement.n_skip()},
                          {"seconds", seconds}});
    }
    const bool has_error = surprise.n_tokens() > 1;
    return "perplexity: " + fixed(surprise.perplexity(), 4) +
           (has_error ? " +/- " + fixed(surprise.error(), 4) : "") + " (" +
           std::to_string(surprise.n_tokens()) + " tokens)\n";
}

}  // namespace

int perplexity_command(const Arguments& arguments) {
    PerplexityOptions options;
    if (!parse(options, arguments)) return kDone;
    const Interrupt interrupt;
    find_model(options.engine, interrupt);
    const puna::Model model = load_model(options.engine, interrupt);
    Measurement measurement(model, options, interrupt);

    const auto start = Clock::now();
    const bool is_whole = measure_all(measurement);
    const std::chrono::duration<double> elapsed = Clock::now() - start;
    if (measurement.n_done() > 0) write_output(report(measurement, options, elapsed.count()));
    if (is_whole) return kDone;
    std::fprintf(stderr, "puna: interrupted after %zu of %zu chunks\n", measurement.n_done(),
                 measurement.n_chunks());
    return kInterrupted;
}

}  // namespace cli
