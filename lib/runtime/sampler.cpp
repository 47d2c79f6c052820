#include "runtime/sampler.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>
#include <limits>
#include <numbers>
#include <utility>

namespace puna::core {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kLargest = std::numeric_limits<float>::max();
constexpr size_t kLanes = 16;  // independent chains, so that compilers can use vector registers
constexpr size_t kBlockSize = 256;

// The defaults that puna.h gives for 0.
constexpr int32_t kPenaltyLastN = 64;
constexpr float kMirostatTau = 5;
constexpr float kMirostatEta = 0.1f;
// How many of the likeliest tokens mirostat 1 fits Zipf's law to: the number of its authors.
constexpr size_t kZipfTokens = 100;

constexpr float kLowestExponent = -87;  // below it exp() leaves the normal floats

// NaN becomes the lowest exponent.
inline float clamp_exponent(float x) {
    const float y = x > kLowestExponent ? x : kLowestExponent;
    return y < 0 ? y : 0;
}

// exp(x) to within 2 units in the last place, for a clamped x; 0 for the lowest. Of plain
// arithmetic, so that all platforms get the same bits, and without branches, so that it becomes
// vector code.
inline float exp_of_clamped(float x) {
    constexpr float kLog2High = 0x1.62e4p-1f;  // ends in zeros: its product with n is exact
    constexpr float kLog2Low = 0x1.7f7d1cp-20f;
    // exp(x) = 2^n * exp(r), |r| <= log(2) / 2, where the Taylor series converges quickly.
    const int32_t n = static_cast<int32_t>(x * std::numbers::log2e_v<float> - 0.5f);
    const float r = x - static_cast<float>(n) * kLog2High - static_cast<float>(n) * kLog2Low;
    float sum = 1.0f / 5040;
    sum = sum * r + 1.0f / 720;
    sum = sum * r + 1.0f / 120;
    sum = sum * r + 1.0f / 24;
    sum = sum * r + 1.0f / 6;
    sum = sum * r + 0.5f;
    sum = sum * r + 1;
    sum = sum * r + 1;
    const float power = std::bit_cast<float>((n + 127) << 23);
    const int32_t mask = -static_cast<int32_t>(x > kLowestExponent);
    return std::bit_cast<float>(std::bit_cast<int32_t>(sum * power) & mask);
}

// exp(x) for x <= 0; positive x counts as 0, and the result for NaN is 0.
inline float exp_of_negative(float x) {
    return exp_of_clamped(clamp_exponent(x));
}

// -infinity when there is nothing above it.
float largest(std::span<const float> logits) {
    float lanes[kLanes];
    std::fill_n(lanes, kLanes, -kInfinity);
    size_t i = 0;
    for (; i + kLanes <= logits.size(); i += kLanes) {
        for (size_t lane = 0; lane < kLanes; ++lane) {
            const float logit = logits[i + lane];
            lanes[lane] = logit > lanes[lane] ? logit : lanes[lane];
        }
    }
    float max = *std::max_element(lanes, lanes + kLanes);
    for (; i < logits.size(); ++i) max = logits[i] > max ? logits[i] : max;
    return std::min(max, kLargest);
}

// The first token with a logit of `max`; 0 when all logits are -infinity.
int32_t first_of(std::span<const float> logits, float max) {
    for (size_t i = 0; i < logits.size(); ++i) {
        if (logits[i] >= max) return static_cast<int32_t>(i);
    }
    return 0;
}

// weights[i] = exp((logits[i] - max) * scale). Returns their sum. The arrays may be the same.
double weigh(std::span<const float> logits, float max, float scale, float* weights) {
    double sums[kLanes] = {};
    size_t i = 0;
    for (; i + kLanes <= logits.size(); i += kLanes) {
        float lanes[kLanes];
        // Apart from the next loop, or GCC makes branches of the clamping.
        for (size_t lane = 0; lane < kLanes; ++lane) {
            lanes[lane] = clamp_exponent((logits[i + lane] - max) * scale);
        }
        for (size_t lane = 0; lane < kLanes; ++lane) lanes[lane] = exp_of_clamped(lanes[lane]);
        for (size_t lane = 0; lane < kLanes; ++lane) {
            weights[i + lane] = lanes[lane];
            sums[lane] += static_cast<double>(lanes[lane]);
        }
    }
    for (; i < logits.size(); ++i) {
        weights[i] = exp_of_negative((logits[i] - max) * scale);
        sums[0] += static_cast<double>(weights[i]);
    }
    double sum = 0;
    for (const double lane : sums) sum += lane;
    return sum;
}

std::span<const float> block_of(std::span<const float> values, size_t begin) {
    return values.subspan(begin, std::min(kBlockSize, values.size() - begin));
}

// The sum of exp(logit - max).
double total_weight(std::span<const float> logits, float max) {
    float weights[kBlockSize];
    double sum = 0;
    for (size_t begin = 0; begin < logits.size(); begin += kBlockSize) {
        sum += weigh(block_of(logits, begin), max, 1, weights);
    }
    return sum;
}

// The k of mirostat 1 (arXiv 2007.14966, algorithm 1): `s` is the exponent of Zipf's law over n
// tokens, mu the surprise in bits that top-k sampling shall not exceed. At least 1.
double mirostat_k(double s, double mu, double n) {
    const double epsilon = s - 1;
    const double log_n = std::log(n);
    // epsilon / (1 - n^-epsilon), which tends to 1 / log(n) as epsilon goes to 0
    const double ratio =
        std::abs(epsilon) < 1e-9 ? 1 / log_n : epsilon / -std::expm1(-epsilon * log_n);
    const double log_k = (std::log(ratio) + mu * std::numbers::ln2) / std::max(s, 1e-9);
    return std::clamp(std::round(std::exp(std::min(log_k, log_n))), 1.0, n);
}

bool is_off(float share) {
    return share == 0 || share >= 1;
}

Status check_options(const puna_generation_options& options) {
    struct FloatOption {
        const char* name;
        float value, lowest, highest;
        const char* range;
    };
    const FloatOption floats[] = {
        {"temperature", options.temperature, 0, kLargest, "finite and at least 0"},
        {"top_p", options.top_p, 0, kInfinity, "0 or more"},
        {"min_p", options.min_p, 0, 1, "0 to 1"},
        {"typical_p", options.typical_p, 0, kInfinity, "0 or more"},
        {"repeat_penalty", options.repeat_penalty, 0, kLargest, "finite and at least 0"},
        {"presence_penalty", options.presence_penalty, -kLargest, kLargest, "finite"},
        {"frequency_penalty", options.frequency_penalty, -kLargest, kLargest, "finite"},
        {"mirostat_tau", options.mirostat_tau, 0, kLargest, "finite and at least 0"},
        {"mirostat_eta", options.mirostat_eta, 0, kLargest, "finite and at least 0"},
    };
    for (const FloatOption& option : floats) {
        if (option.value >= option.lowest && option.value <= option.highest) continue;
        return make_status(PUNA_ERROR_ARGUMENT, "%s is %g, it must be %s", option.name,
                           static_cast<double>(option.value), option.range);
    }

    struct IntOption {
        const char* name;
        int32_t value, lowest, highest;
        const char* range;
    };
    constexpr int32_t kMax = std::numeric_limits<int32_t>::max();
    const IntOption ints[] = {
        {"top_k", options.top_k, 0, kMax, "0 (all tokens) or more"},
        {"penalty_last_n", options.penalty_last_n, -1, kMax, "-1 (all tokens) or more"},
        {"mirostat", options.mirostat, 0, 2, "0 (off), 1 or 2"},
    };
    for (const IntOption& option : ints) {
        if (option.value >= option.lowest && option.value <= option.highest) continue;
        return make_status(PUNA_ERROR_ARGUMENT, "%s is %d, it must be %s", option.name,
                           static_cast<int>(option.value), option.range);
    }
    return {};
}

Status check_bias(std::span<const puna_logit_bias> bias, int32_t n_vocab) {
    for (size_t i = 0; i < bias.size(); ++i) {
        const puna_logit_bias& entry = bias[i];
        if (entry.token < 0 || entry.token >= n_vocab) {
            return make_status(PUNA_ERROR_ARGUMENT,
                               "logit_bias[%zu] names token %d, the vocabulary has 0 to %d", i,
                               static_cast<int>(entry.token), static_cast<int>(n_vocab - 1));
        }
        if (!(entry.bias < kInfinity)) {
            return make_status(PUNA_ERROR_ARGUMENT,
                               "logit_bias[%zu] of token %d is %g, it must be finite or -infinity",
                               i, static_cast<int>(entry.token), static_cast<double>(entry.bias));
        }
    }
    return {};
}

}  // namespace

Result<std::unique_ptr<Sampler>> Sampler::create(const puna_generation_options& options,
                                                 std::span<const puna_logit_bias> bias,
                                                 int32_t n_vocab) {
    assert(n_vocab > 0);
    PUNA_TRY(check_options(options));
    PUNA_TRY(check_bias(bias, n_vocab));
    return std::unique_ptr<Sampler>(new Sampler(options, bias, n_vocab));
}

Sampler::Sampler(const puna_generation_options& options, std::span<const puna_logit_bias> bias,
                 int32_t n_vocab)
    : n_vocab_(n_vocab),
      temperature_(options.temperature),
      inverse_temperature_(options.temperature > 0 ? std::min(1 / options.temperature, kLargest)
                                                   : 0),
      top_k_(options.top_k < n_vocab ? options.top_k : 0),
      top_p_(is_off(options.top_p) ? 0 : options.top_p),
      min_p_(options.min_p),
      typical_p_(is_off(options.typical_p) ? 0 : options.typical_p),
      repeat_penalty_(options.repeat_penalty == 0 ? 1 : options.repeat_penalty),
      presence_penalty_(options.presence_penalty),
      frequency_penalty_(options.frequency_penalty),
      penalty_last_n_(options.penalty_last_n == 0 ? kPenaltyLastN : options.penalty_last_n),
      mirostat_(options.mirostat),
      mirostat_tau_(
          static_cast<double>(options.mirostat_tau == 0 ? kMirostatTau : options.mirostat_tau)),
      mirostat_eta_(
          static_cast<double>(options.mirostat_eta == 0 ? kMirostatEta : options.mirostat_eta)),
      seed_(options.seed == 0 ? random_seed() : options.seed),
      bias_(bias.begin(), bias.end()),
      random_(seed_),
      mirostat_mu_(2 * mirostat_tau_),
      unbiased_(bias.size()) {
    const size_t n = static_cast<size_t>(n_vocab);
    if (has_penalties()) counts_.resize(n);
    if (mirostat_ != 0 || (temperature_ > 0 && has_filters())) {
        candidates_.resize(n);
    } else if (temperature_ > 0) {
        block_sums_.resize((n + kBlockSize - 1) / kBlockSize);
    }
}

bool Sampler::has_penalties() const {
    return repeat_penalty_ != 1 || presence_penalty_ != 0 || frequency_penalty_ != 0;
}

bool Sampler::has_filters() const {
    return top_k_ != 0 || top_p_ != 0 || min_p_ != 0 || typical_p_ != 0;
}

bool Sampler::is_plain_greedy() const {
    // With an entry for every token all could be banned, and sample() then ignores the bias.
    const bool may_ban_all = bias_.size() >= static_cast<size_t>(n_vocab_);
    return temperature_ == 0 && mirostat_ == 0 && !has_penalties() && !may_ban_all;
}

int32_t Sampler::sample(std::span<float> logits, std::span<const int32_t> history) {
    assert(logits.size() == static_cast<size_t>(n_vocab_));
    apply_bias(logits);
    if (has_penalties()) apply_penalties(logits, history);
    const float max = largest(logits);
    if (max == -kInfinity) {
        undo_bias(logits);
        return first_of(logits, largest(logits));
    }
    if (mirostat_ != 0) return choose_by_mirostat(logits, max);
    if (temperature_ == 0) return first_of(logits, max);
    return has_filters() ? choose_filtered(logits, max) : choose_of_all(logits, max);
}

void Sampler::apply_bias(std::span<float> logits) {
    for (size_t i = 0; i < bias_.size(); ++i) {
        float& logit = logits[static_cast<size_t>(bias_[i].token)];
        unbiased_[i] = logit;
        logit += bias_[i].bias;
    }
}

void Sampler::undo_bias(std::span<float> logits) const {
    // Backwards: a token may have several entries.
    for (size_t i = bias_.size(); i-- > 0;) {
        logits[static_cast<size_t>(bias_[i].token)] = unbiased_[i];
    }
}

// The repetition penalty of CTRL (arXiv 1909.05858), mended for negative logits, which a division
// would make likelier; then the presence and frequency penalties as OpenAI's API defines them.
// O(window): the counts are cleared on the way, not by going over the vocabulary.
void Sampler::apply_penalties(std::span<float> logits, std::span<const int32_t> history) {
    const size_t window =
        penalty_last_n_ < 0 ? history.size() : static_cast<size_t>(penalty_last_n_);
    const std::span<const int32_t> recent = history.last(std::min(window, history.size()));
    for (const int32_t token : recent) {
        assert(token >= 0 && token < n_vocab_);
        ++counts_[static_cast<size_t>(token)];
    }
    for (const int32_t token : recent) {
        const int32_t count = std::exchange(counts_[static_cast<size_t>(token)], 0);
        float& logit = logits[static_cast<size_t>(token)];
        if (count == 0 || !(logit > -kInfinity)) continue;  // done already, or banned
        double value = static_cast<double>(logit);
        const double penalty = static_cast<double>(repeat_penalty_);
        value = value > 0 ? value / penalty : value * penalty;
        value -= static_cast<double>(presence_penalty_);
        value -= static_cast<double>(frequency_penalty_) * count;
        const double limit = static_cast<double>(kLargest);  // a penalty never bans
        logit = static_cast<float>(std::clamp(value, -limit, limit));
    }
}

// Inverts the distribution function; the sums of blocks save going over all weights once more.
int32_t Sampler::choose_of_all(std::span<float> logits, float max) {
    double total = 0;
    for (size_t block = 0; block < block_sums_.size(); ++block) {
        const size_t begin = block * kBlockSize;
        block_sums_[block] =
            weigh(block_of(logits, begin), max, inverse_temperature_, logits.data() + begin);
        total += block_sums_[block];
    }
    double rest = random_.uniform() * total;
    // The last block and token of any weight are taken when rounding leaves a rest.
    size_t chosen_block = 0;
    for (size_t block = 0; block < block_sums_.size(); ++block) {
        if (block_sums_[block] == 0) continue;
        chosen_block = block;
        if (rest < block_sums_[block]) break;
        rest -= block_sums_[block];
    }
    const size_t begin = chosen_block * kBlockSize;
    const std::span<const float> weights = block_of(logits, begin);
    size_t chosen = 0;
    for (size_t i = 0; i < weights.size(); ++i) {
        if (weights[i] == 0) continue;
        chosen = begin + i;
        rest -= static_cast<double>(weights[i]);
        if (rest < 0) break;
    }
    return static_cast<int32_t>(chosen);
}

int32_t Sampler::choose_filtered(std::span<const float> logits, float max) {
    double total = 0;  // weight of what top-p chooses from; 0: that of the candidates
    if (top_k_ != 0) {
        keep_top_k(logits, static_cast<size_t>(top_k_));
    } else if (typical_p_ != 0) {
        keep_from(logits, static_cast<double>(-kLargest));
    } else if (top_p_ != 0) {
        // The tokens below (1 - top_p) / n_vocab have less than 1 - top_p together: top-p does
        // not need them, and they are nearly all tokens.
        total = total_weight(logits, max);
        const double share = (1 - static_cast<double>(top_p_)) / n_vocab_;
        keep_from(logits, static_cast<double>(max) + std::log(share * total));
    } else {
        keep_from(logits, static_cast<double>(max) + std::log(static_cast<double>(min_p_)));
    }
    if (typical_p_ != 0) keep_typical();
    if (top_p_ != 0) keep_top_p(total);
    if (min_p_ != 0) keep_min_p();
    return choose_candidate(inverse_temperature_);
}

// Mirostat (arXiv 2007.14966), algorithms 1 and 2. The surprise of a token is that under the whole
// distribution, as in the paper, not under what the truncation leaves.
int32_t Sampler::choose_by_mirostat(std::span<const float> logits, float max) {
    const double log_total = std::log(total_weight(logits, max));
    if (mirostat_ == 1) {
        keep_top_k(logits, kZipfTokens);
        // Least squares for log(p[i] / p[i + 1]) = s * log((i + 1) / i), i from 1.
        double product = 0;
        double square = 0;
        for (size_t i = 1; i < n_candidates_; ++i) {
            const double rank_step = std::log1p(1 / static_cast<double>(i));
            const double logit_step = static_cast<double>(candidates_[i - 1].logit) -
                                      static_cast<double>(candidates_[i].logit);
            product += rank_step * logit_step;
            square += rank_step * rank_step;
        }
        if (n_candidates_ > 1) {
            const size_t k =
                static_cast<size_t>(mirostat_k(product / square, mirostat_mu_, n_vocab_));
            if (k > n_candidates_) keep_top_k(logits, k);
            n_candidates_ = std::min(n_candidates_, k);
        }
    } else {
        const double cutoff =
            static_cast<double>(max) + log_total - mirostat_mu_ * std::numbers::ln2;
        keep_from(logits, std::min(cutoff, static_cast<double>(max)));
    }
    const int32_t token = choose_candidate(1);
    const double logit = static_cast<double>(logits[static_cast<size_t>(token)]);
    const double surprise = (log_total + static_cast<double>(max) - logit) / std::numbers::ln2;
    mirostat_mu_ -= mirostat_eta_ * (surprise - mirostat_tau_);
    return token;
}

// Draws a candidate with weight exp(logit * scale). Their order must not depend on the platform.
int32_t Sampler::choose_candidate(float scale) {
    const float max = largest_candidate();
    double total = 0;
    for (Candidate& candidate : candidates()) {
        candidate.logit = exp_of_negative((candidate.logit - max) * scale);  // now its weight
        total += static_cast<double>(candidate.logit);
    }
    double rest = random_.uniform() * total;
    int32_t chosen = candidates_[0].token;
    for (const Candidate& candidate : candidates()) {
        if (candidate.logit == 0) continue;
        chosen = candidate.token;
        rest -= static_cast<double>(candidate.logit);
        if (rest < 0) break;
    }
    return chosen;
}

float Sampler::largest_candidate() {
    float max = -kInfinity;
    for (const Candidate& candidate : candidates()) max = std::max(max, candidate.logit);
    return max;
}

bool Sampler::is_likelier(const Candidate& a, const Candidate& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
}

// Writes the k likeliest tokens, likeliest first, to `buffer` and returns their number: fewer than k
// when -infinity is all there is besides. The buffer has room for more than k, or for all tokens.
// O(n + k log k): whenever it is full, the best k stay and set the bar for the rest.
size_t Sampler::select_top(std::span<const float> logits, size_t k, std::span<Candidate> buffer) {
    const size_t capacity = std::min(buffer.size(), std::max<size_t>(2 * k, 64));
    float bar = -kInfinity;
    size_t n = 0;
    for (size_t i = 0; i < logits.size(); ++i) {
        // A token that is only as likely as the k-th loses to it by its greater id.
        if (!(logits[i] > bar)) continue;
        if (n == capacity) {
            std::nth_element(buffer.begin(), buffer.begin() + (k - 1), buffer.begin() + n,
                             is_likelier);
            n = k;
            bar = buffer[k - 1].logit;
            if (!(logits[i] > bar)) continue;
        }
        buffer[n++] = {static_cast<int32_t>(i), std::min(logits[i], kLargest)};
    }
    if (n > k) {
        std::nth_element(buffer.begin(), buffer.begin() + k, buffer.begin() + n, is_likelier);
        n = k;
    }
    std::sort(buffer.begin(), buffer.begin() + n, is_likelier);
    return n;
}

void Sampler::keep_top_k(std::span<const float> logits, size_t k) {
    n_candidates_ = select_top(logits, std::min(k, logits.size()), candidates_);
}

// All tokens with a logit of `cutoff` or more, by ascending id.
void Sampler::keep_from(std::span<const float> logits, double cutoff) {
    const double bar = std::max(cutoff, static_cast<double>(-kLargest));
    n_candidates_ = 0;
    for (size_t i = 0; i < logits.size(); ++i) {
        if (!(static_cast<double>(logits[i]) >= bar)) continue;
        candidates_[n_candidates_++] = {static_cast<int32_t>(i), std::min(logits[i], kLargest)};
    }
}

// Locally typical sampling (arXiv 2202.00666): the tokens whose surprise is nearest to the entropy,
// until they have the probability typical_p. As surprise = c - logit and entropy = c - mean logit
// with the same c, that is the distance of the logit from the mean logit.
void Sampler::keep_typical() {
    const float max = largest_candidate();
    double total = 0;
    double weighted = 0;
    for (const Candidate& candidate : candidates()) {
        const double distance = static_cast<double>(candidate.logit) - static_cast<double>(max);
        const double weight = static_cast<double>(exp_of_negative(candidate.logit - max));
        total += weight;
        weighted += weight * distance;
    }
    const double mean = static_cast<double>(max) + weighted / total;
    keep_mass(static_cast<double>(typical_p_) * total, max,
              [mean](const Candidate& a, const Candidate& b) {
                  const double distance_a = std::abs(static_cast<double>(a.logit) - mean);
                  const double distance_b = std::abs(static_cast<double>(b.logit) - mean);
                  return distance_a != distance_b ? distance_a < distance_b : a.token < b.token;
              });
}

// Nucleus sampling (arXiv 1904.09751): the fewest tokens with a probability of top_p or more.
void Sampler::keep_top_p(double total) {
    const float max = largest_candidate();
    if (total == 0) {
        for (const Candidate& candidate : candidates()) {
            total += static_cast<double>(exp_of_negative(candidate.logit - max));
        }
    }
    keep_mass(static_cast<double>(top_p_) * total, max, is_likelier);
}

// arXiv 2407.01082: the tokens that have at least min_p times the probability of the likeliest.
void Sampler::keep_min_p() {
    const float max = largest_candidate();
    const double cutoff = static_cast<double>(max) + std::log(static_cast<double>(min_p_));
    const auto end = std::remove_if(candidates().begin(), candidates().end(),
                                    [cutoff](const Candidate& candidate) {
                                        return static_cast<double>(candidate.logit) < cutoff;
                                    });
    n_candidates_ = static_cast<size_t>(end - candidates().begin());
}

// Keeps the fewest candidates, taken in the order of `before`, whose weights exp(logit - max) sum up
// to `mass`. Sorts no more of them than a few times what it keeps.
template <class Before>
void Sampler::keep_mass(double mass, float max, Before before) {
    const std::span<Candidate> all = candidates();
    size_t chunk = 64;
    double sum = 0;
    for (size_t begin = 0; begin < all.size(); begin += chunk, chunk *= 4) {
        const size_t end = begin + std::min(chunk, all.size() - begin);
        if (end < all.size()) {
            std::nth_element(all.begin() + begin, all.begin() + end, all.end(), before);
        }
        std::sort(all.begin() + begin, all.begin() + end, before);
        for (size_t i = begin; i < end; ++i) {
            sum += static_cast<double>(exp_of_negative(all[i].logit - max));
            if (sum < mass) continue;
            n_candidates_ = i + 1;
            return;
        }
    }
}

float log_sum_exp(std::span<const float> logits) {
    const float max = largest(logits);
    if (max == -kInfinity) return max;
    return static_cast<float>(static_cast<double>(max) + std::log(total_weight(logits, max)));
}

void top_logprobs(std::span<const float> logits, float log_sum_exp, int32_t k,
                  std::vector<puna_logprob>& out) {
    assert(k >= 0 && static_cast<size_t>(k) <= logits.size());
    out.clear();
    if (k == 0) return;
    const size_t n_wanted = static_cast<size_t>(k);
    std::vector<Sampler::Candidate> buffer(2 * n_wanted);
    const size_t n = Sampler::select_top(logits, n_wanted, buffer);
    out.reserve(n_wanted);
    for (const Sampler::Candidate& candidate : std::span(buffer).first(n)) {
        out.push_back({candidate.token, std::min(candidate.logit - log_sum_exp, 0.0f)});
    }
    for (size_t i = 0; out.size() < n_wanted; ++i) {
        if (logits[i] > -kInfinity) continue;  // it is among those above
        out.push_back({static_cast<int32_t>(i), -kInfinity});
    }
}

}  // namespace puna::core
