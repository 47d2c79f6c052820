// The whole library on a small model: what the golden tests have in common.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "puna/puna.hpp"
#include "support/model_file.h"
#include "support/random_model.h"
#include "support/reference_forward.h"

namespace puna::test {

// The kernel sets that this build has and this processor runs, "scalar" first.
std::vector<std::string> machine_kernels();

Runtime make_runtime(const std::string& kernels = "", int32_t n_threads = 1);

struct ContextShape {
    int32_t n_ctx = 0;
    int32_t n_cells = 0;
    int32_t n_batch = 0;
    int32_t n_threads = 0;
    int32_t kv_type = PUNA_KV_F32;
    bool deterministic = false;
    bool disable_prefix_reuse = false;
};

// A model in memory, with the reference of it. Outlives the contexts made from it.
class Engine {
  public:
    explicit Engine(const ModelShape& shape, const std::string& kernels = "",
                    int32_t n_threads = 1);
    // A file that is there.
    explicit Engine(const std::string& path, const std::string& kernels = "",
                    int32_t n_threads = 1);

    const Model& model() const { return *model_; }
    int32_t n_vocab() const { return n_vocab_; }
    int32_t n_layer() const { return n_layer_; }
    // Read from the file when first asked for.
    const ReferenceModel& reference();
    Context context(const ContextShape& shape = {}) const;

    // Tokens of text that continues other text.
    std::vector<Token> tokens_of(std::string_view text) const;

  private:
    void learn_sizes();

    AlignedBytes bytes_;
    std::string path_;
    std::unique_ptr<Model> model_;
    std::unique_ptr<ReferenceModel> reference_;
    int32_t n_vocab_ = 0;
    int32_t n_layer_ = 0;
};

// What a generation said until it was done.
struct Told {
    std::vector<Token> tokens;
    std::string text;
    int32_t finish = PUNA_FINISH_NONE;
    int32_t stop_index = -1;

    bool operator==(const Told&) const = default;
};

// Adds an event; true when it is DONE.
bool tell(const Event& event, Told& told);
// Fetches events to the end, stepping as needed.
Told tell_all(Generation& generation);
// Fetches what is queued and steps nothing; true when the generation is done.
bool tell_queued(Generation& generation, Told& told);
// A generation from its start to its end.
Told generate(Sequence& sequence, std::span<const Token> prompt,
              const GenerationOptions& options = {});

// Options of a greedy generation of so many tokens, end tokens included.
GenerationOptions greedy(int32_t max_tokens);

std::vector<Token> random_tokens(int32_t n_vocab, size_t n, uint64_t seed);
// Evaluates the tokens and gives the logits of all: [tokens.size()][n_vocab].
std::vector<float> logits_of(Sequence& sequence, std::span<const Token> tokens, int32_t n_vocab);

// Whether each token is one of the likeliest after those before it, but for the rounding of F32:
// equally likely ones may differ. Appends them to `sequence`, whose last logits are the last row of
// `logits`.
testing::AssertionResult follows_greedily(ReferenceSequence& sequence, std::vector<double> logits,
                                          std::span<const Token> tokens, int32_t n_vocab);
// The same from the start: the prompt and what follows.
testing::AssertionResult is_greedy_text(const ReferenceModel& model, std::span<const Token> prompt,
                                        std::span<const Token> tokens);

// The status of a result, PUNA_OK included.
template <class T>
puna_status status_of(const Result<T>& result) {
    return result.ok() ? PUNA_OK : result.failure().status;
}

}  // namespace puna::test
