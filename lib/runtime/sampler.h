// From logits to a token: the sampler chain of puna_generation_options.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/status.h"
#include "runtime/random.h"

namespace puna::core {

// A logit that is NaN counts as -infinity, which is never chosen, and +infinity as the largest
// float.
class Sampler final {
  public:
    // The numeric fields of `options` count; `bias` is copied. Takes all memory that sampling will
    // need. PUNA_ERROR_ARGUMENT names an option that is out of its range.
    static Result<std::unique_ptr<Sampler>> create(const puna_generation_options& options,
                                                   std::span<const puna_logit_bias> bias,
                                                   int32_t n_vocab);

    // The seed in use: the one asked for, or the random one that took its place.
    uint32_t seed() const { return seed_; }
    // The token is simply the arg-max of logits and bias: nothing else is needed of the backend.
    bool is_plain_greedy() const;
    std::span<const puna_logit_bias> bias() const { return bias_; }

    // Chooses a token. `logits` [n_vocab] is overwritten. `history`: the tokens so far, the latest
    // last. Equal logits and history and seed give equal tokens, on every platform. When nothing is
    // left to choose from because everything is banned, the bans cannot be obeyed: it is the
    // largest logit without its bias. Allocates nothing and does not throw.
    int32_t sample(std::span<float> logits, std::span<const int32_t> history);

  private:
    struct Candidate {
        int32_t token;
        float logit;
    };
    friend void top_logprobs(std::span<const float> logits, float log_sum_exp, int32_t k,
                             std::vector<puna_logprob>& out);

    Sampler(const puna_generation_options& options, std::span<const puna_logit_bias> bias,
            int32_t n_vocab);

    static bool is_likelier(const Candidate& a, const Candidate& b);
    static size_t select_top(std::span<const float> logits, size_t k, std::span<Candidate> buffer);

    bool has_penalties() const;
    bool has_filters() const;
    void apply_bias(std::span<float> logits);
    void undo_bias(std::span<float> logits) const;
    void apply_penalties(std::span<float> logits, std::span<const int32_t> history);

    int32_t choose_of_all(std::span<float> logits, float max);
    int32_t choose_filtered(std::span<const float> logits, float max);
    int32_t choose_by_mirostat(std::span<const float> logits, float max);
    int32_t choose_candidate(float scale);

    // Each leaves at least one candidate; `cutoff` is at most the largest logit.
    void keep_top_k(std::span<const float> logits, size_t k);
    void keep_from(std::span<const float> logits, double cutoff);
    void keep_typical();
    // `total`: sum of exp(logit - max) over what is chosen from; 0: over the candidates.
    void keep_top_p(double total);
    void keep_min_p();
    template <class Before>
    void keep_mass(double mass, float max, Before before);

    float largest_candidate();
    std::span<Candidate> candidates() { return std::span(candidates_).first(n_candidates_); }

    // 0 in an option means "off" or "greedy", never "default": that was put in.
    const int32_t n_vocab_;
    const float temperature_;
    const float inverse_temperature_;
    const int32_t top_k_;
    const float top_p_;
    const float min_p_;
    const float typical_p_;
    const float repeat_penalty_;
    const float presence_penalty_;
    const float frequency_penalty_;
    const int32_t penalty_last_n_;  // -1: all
    const int32_t mirostat_;
    const double mirostat_tau_;
    const double mirostat_eta_;
    const uint32_t seed_;
    const std::vector<puna_logit_bias> bias_;

    Random random_;
    double mirostat_mu_;  // the largest surprise, in bits, that is let through

    // Scratch. What the options do not need is empty.
    std::vector<float> unbiased_;        // [n_bias]
    std::vector<int32_t> counts_;        // [n_vocab], zeros between calls
    std::vector<double> block_sums_;     // [n_vocab / kBlockSize, rounded up]
    std::vector<Candidate> candidates_;  // [n_vocab], the first n_candidates_ count
    size_t n_candidates_ = 0;
};

// log(sum(exp(logits))), computed without overflow; -infinity when all logits are.
float log_sum_exp(std::span<const float> logits);

// The k most likely tokens, likeliest first, equal ones by ascending id; k <= n_vocab.
void top_logprobs(std::span<const float> logits, float log_sum_exp, int32_t k,
                  std::vector<puna_logprob>& out);

}  // namespace puna::core
