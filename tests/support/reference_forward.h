#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

namespace puna::test {

// The yardstick: a forward pass of the Llama family in double precision, written from the papers
// and sharing nothing with the library. Weights are the values as stored, after quantisation.

struct ReferenceLinear {
    size_t n_in = 0;
    size_t n_out = 0;
    std::vector<float> weight;  // [n_out][n_in]
    std::vector<float> bias;    // [n_out], or empty
};

struct ReferenceLayer {
    std::vector<float> attn_norm;  // [n_embd]
    ReferenceLinear q;             // n_embd -> n_head * key_dim
    ReferenceLinear k;             // n_embd -> n_head_kv * key_dim
    ReferenceLinear v;             // n_embd -> n_head_kv * value_dim
    ReferenceLinear attn_output;   // n_head * value_dim -> n_embd
    std::vector<float> ffn_norm;   // [n_embd]
    ReferenceLinear gate;          // n_embd -> n_ff
    ReferenceLinear up;            // n_embd -> n_ff
    ReferenceLinear down;          // n_ff -> n_embd
};

struct ReferenceModel {
    size_t n_embd = 0;
    size_t n_head = 0;
    size_t n_head_kv = 0;
    size_t key_dim = 0;
    size_t value_dim = 0;
    double eps = 0.0;
    // Angle per position of each rotated pair, all scaling applied: [rope_dim / 2]. Pair i is the
    // numbers 2i and 2i + 1 of a head; what lies beyond stays as it is.
    std::vector<double> rope_frequencies;
    std::vector<float> token_embedding;  // [n_vocab][n_embd]
    std::vector<ReferenceLayer> layers;
    std::vector<float> output_norm;  // [n_embd]
    ReferenceLinear output;          // n_embd -> n_vocab; a copy of the embedding when tied

    size_t n_vocab() const { return output.n_out; }
};

// One sequence with the keys (before rotation) and values of its tokens. Attention turns every
// key by its present place in the sequence, so a dropped range shifts what follows: later keys
// are as if rotated for their new positions, while keys and values stay those computed in the
// old context.
class ReferenceSequence {
  public:
    explicit ReferenceSequence(const ReferenceModel& model);

    // Logits of every token appended: [tokens.size()][n_vocab].
    std::vector<double> append(std::span<const int32_t> tokens);

    // Forgets the tokens [first, first + count).
    void drop(size_t first, size_t count);

    size_t size() const { return size_; }

  private:
    struct LayerCache {
        std::vector<double> k;  // [size][n_head_kv][key_dim], before rotation
        std::vector<double> v;  // [size][n_head_kv][value_dim]
    };

    const ReferenceModel& model_;
    std::vector<LayerCache> caches_;
    size_t size_ = 0;
};

// Logits of all rows from an empty sequence: [tokens.size()][n_vocab].
std::vector<double> reference_logits(const ReferenceModel& model, std::span<const int32_t> tokens);

struct GreedyRun {
    std::vector<int32_t> tokens;  // without the prompt
    // Between the best and the second best logit of any step. Where it is much larger than the
    // error of an implementation, that one must choose the same tokens.
    double smallest_gap = std::numeric_limits<double>::infinity();
};

// Continues the prompt by n_tokens tokens; the end-of-text token is one like any other.
GreedyRun reference_greedy(const ReferenceModel& model, std::span<const int32_t> prompt,
                           size_t n_tokens);

// The same in a context of n_ctx tokens: when one more is to be appended to a full one, the
// tokens [keep, keep + max(1, (n_ctx - keep) / 2)) are dropped first. Needs keep < n_ctx and a
// prompt of 1 to n_ctx tokens; throws std::invalid_argument otherwise.
GreedyRun reference_greedy_with_shift(const ReferenceModel& model, std::span<const int32_t> prompt,
                                      size_t n_tokens, size_t n_ctx, size_t keep);

struct LogitDifference {
    double kl_mean = 0.0;  // over rows, in nats
    double kl_max = 0.0;
    double relative_error = 0.0;  // Euclidean, over all logits
    double top1_agreement = 0.0;  // fraction of the rows
};

// How far `logits` are from the reference: both [rows][n_vocab]. A logit that is not finite makes
// the figures NaN, which no bound accepts.
LogitDifference kl_divergence(std::span<const double> reference, std::span<const float> logits,
                              size_t n_vocab);

}  // namespace puna::test
