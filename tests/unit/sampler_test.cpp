#include "runtime/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <memory>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "runtime/random.h"

namespace puna::core {
namespace {

using Bias = std::vector<puna_logit_bias>;
using Tokens = std::vector<int32_t>;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kLargest = std::numeric_limits<float>::max();

puna_generation_options options_with(uint32_t seed, float temperature = 1) {
    puna_generation_options options = PUNA_GENERATION_OPTIONS_INIT;
    options.seed = seed;
    options.temperature = temperature;
    return options;
}

std::unique_ptr<Sampler> make(const puna_generation_options& options, size_t n_vocab,
                              const Bias& bias = {}) {
    auto sampler = Sampler::create(options, bias, static_cast<int32_t>(n_vocab));
    EXPECT_TRUE(sampler.ok()) << sampler.status().text();
    return sampler.ok() ? std::move(*sampler) : nullptr;
}

std::string refusal(const puna_generation_options& options, const Bias& bias = {}) {
    const auto sampler = Sampler::create(options, bias, 10);
    EXPECT_EQ(sampler.status().code(), PUNA_ERROR_ARGUMENT);
    return sampler.status().text();
}

int32_t draw(Sampler& sampler, std::vector<float> logits, const Tokens& history = {}) {
    return sampler.sample(logits, history);
}

// The token that options at temperature 0 give.
int32_t greedy(const std::vector<float>& logits, const Bias& bias = {},
               puna_generation_options options = options_with(1, 0), const Tokens& history = {}) {
    return draw(*make(options, logits.size(), bias), logits, history);
}

std::vector<float> logits_of(const std::vector<double>& probabilities) {
    std::vector<float> logits;
    for (const double p : probabilities) logits.push_back(static_cast<float>(std::log(p)));
    return logits;
}

std::vector<double> softmax(const std::vector<double>& logits) {
    const double max = *std::max_element(logits.begin(), logits.end());
    std::vector<double> result;
    double sum = 0;
    for (const double logit : logits) sum += result.emplace_back(std::exp(logit - max));
    for (double& p : result) p /= sum;
    return result;
}

// The chain as puna.h words it, on probabilities, by sorting everything: no penalties.
std::vector<double> expected_distribution(const puna_generation_options& options,
                                          const std::vector<float>& logits) {
    std::vector<double> wide(logits.begin(), logits.end());
    std::vector<size_t> kept(logits.size());
    std::iota(kept.begin(), kept.end(), size_t{0});
    auto probabilities = [&] {
        std::vector<double> of_kept;
        for (const size_t token : kept) of_kept.push_back(wide[token]);
        of_kept = softmax(of_kept);
        std::map<size_t, double> result;
        for (size_t i = 0; i < kept.size(); ++i) result[kept[i]] = of_kept[i];
        return result;
    };
    auto sort_by = [&](auto key) {
        std::stable_sort(kept.begin(), kept.end(),
                         [&](size_t a, size_t b) { return key(a) < key(b); });
    };
    auto keep_mass = [&](std::map<size_t, double>& p, float mass) {
        double sum = 0;
        size_t n = 0;
        while (n < kept.size() && sum < static_cast<double>(mass)) sum += p[kept[n++]];
        kept.resize(n);
    };
    auto surprise = [&](size_t token) { return -wide[token]; };
    if (options.top_k > 0) {
        sort_by(surprise);
        kept.resize(std::min(kept.size(), static_cast<size_t>(options.top_k)));
    }
    if (options.typical_p > 0 && options.typical_p < 1) {
        auto p = probabilities();
        double entropy = 0;
        for (const auto& [token, share] : p) {
            if (share > 0) entropy -= share * std::log(share);
        }
        std::sort(kept.begin(), kept.end());
        sort_by([&](size_t token) { return std::abs(-std::log(p[token]) - entropy); });
        keep_mass(p, options.typical_p);
    }
    if (options.top_p > 0 && options.top_p < 1) {
        auto p = probabilities();
        std::sort(kept.begin(), kept.end());
        sort_by(surprise);
        keep_mass(p, options.top_p);
    }
    if (options.min_p > 0) {
        auto p = probabilities();
        double largest = 0;
        for (const auto& [token, share] : p) largest = std::max(largest, share);
        std::erase_if(kept, [&](size_t token) {
            return p[token] < static_cast<double>(options.min_p) * largest;
        });
    }
    for (double& logit : wide) logit /= static_cast<double>(options.temperature);
    std::vector<double> result(logits.size());
    for (const auto& [token, share] : probabilities()) result[token] = share;
    return result;
}

// Draws many times and compares with the exact distribution: a token of probability 0 never comes,
// and chi-square stays below what one in 100,000 fair samplers exceeds (Wilson and Hilferty).
void expect_distribution(Sampler& sampler, const std::vector<float>& logits,
                         const std::vector<double>& expected) {
    constexpr int kDraws = 10000;
    std::vector<int> counts(logits.size());
    for (int i = 0; i < kDraws; ++i) ++counts[static_cast<size_t>(draw(sampler, logits))];
    double chi_square = 0;
    int n_bins = 0;
    double rare = 0;  // bins that are too small for the approximation, taken together
    int rare_count = 0;
    auto add_bin = [&](double mean, int count) {
        chi_square += (count - mean) * (count - mean) / mean;
        ++n_bins;
    };
    for (size_t i = 0; i < expected.size(); ++i) {
        const double mean = expected[i] * kDraws;
        if (expected[i] == 0) {
            EXPECT_EQ(counts[i], 0) << "token " << i;
        } else if (mean < 10) {
            rare += mean;
            rare_count += counts[i];
        } else {
            add_bin(mean, counts[i]);
        }
    }
    if (rare > 10) add_bin(rare, rare_count);
    if (n_bins < 2) return;
    const double freedom = n_bins - 1;
    const double bound =
        freedom * std::pow(1 - 2 / (9 * freedom) + 4.265 * std::sqrt(2 / (9 * freedom)), 3);
    EXPECT_LT(chi_square, bound) << freedom << " degrees of freedom";
}

std::vector<float> random_logits(size_t n, double spread, uint32_t seed) {
    Random random(seed);
    std::vector<float> logits(n);
    for (float& logit : logits) {
        logit = static_cast<float>((random.uniform() + random.uniform() - 1) * spread);
    }
    return logits;
}

std::set<int32_t> tokens_seen(const puna_generation_options& options,
                              const std::vector<float>& logits, const Bias& bias = {}) {
    const auto sampler = make(options, logits.size(), bias);
    std::set<int32_t> seen;
    for (int i = 0; i < 500; ++i) seen.insert(draw(*sampler, logits));
    return seen;
}

TEST(Random, GivesTheSequenceOfItsAlgorithm) {
    // SplitMix64 of 0 begins with these words (the reference code of its authors) ...
    constexpr uint64_t kState[] = {0xe220a8397b1dcdafu, 0x6e789e6aa1b965f4u, 0x06c45d188009454fu};
    Random random(0);
    // ... and the first two results depend on the second word, and on the first three.
    EXPECT_EQ(random.next(), std::rotl(kState[1] * 5, 7) * 9);
    EXPECT_EQ(random.next(), std::rotl((kState[0] ^ kState[1] ^ kState[2]) * 5, 7) * 9);
}

TEST(Random, UniformNumbersFillTheUnitInterval) {
    Random random(7);
    double sum = 0;
    double lowest = 1;
    double highest = 0;
    for (int i = 0; i < 100000; ++i) {
        const double u = random.uniform();
        sum += u;
        lowest = std::min(lowest, u);
        highest = std::max(highest, u);
    }
    EXPECT_NEAR(sum / 100000, 0.5, 0.005);
    EXPECT_GE(lowest, 0);
    EXPECT_LT(lowest, 1e-3);
    EXPECT_LT(highest, 1);
    EXPECT_GT(highest, 1 - 1e-3);
}

TEST(Sampler, RefusesOptionsOutOfRange) {
    struct FloatCase {
        float puna_generation_options::*field;
        const char* name;
        std::vector<float> refused;
        std::vector<float> accepted;
    };
    using Options = puna_generation_options;
    const FloatCase floats[] = {
        {&Options::temperature, "temperature", {-0.1f, kNan, kInfinity}, {0, 1e-45f, kLargest}},
        {&Options::top_p, "top_p", {-0.1f, kNan, -kInfinity}, {0, 0.5f, 1, 2, kInfinity}},
        {&Options::typical_p, "typical_p", {-0.1f, kNan, -kInfinity}, {0, 0.5f, 1, 2, kInfinity}},
        {&Options::min_p, "min_p", {-0.1f, kNan, 1.1f}, {0, 0.5f, 1}},
        {&Options::repeat_penalty, "repeat_penalty", {-1, kNan, kInfinity}, {0, 0.5f, 2}},
        {&Options::presence_penalty, "presence_penalty", {kNan, kInfinity, -kInfinity}, {-2, 2}},
        {&Options::frequency_penalty, "frequency_penalty", {kNan, kInfinity, -kInfinity}, {-2, 2}},
        {&Options::mirostat_tau, "mirostat_tau", {-1, kNan, kInfinity}, {0, 5}},
        {&Options::mirostat_eta, "mirostat_eta", {-1, kNan, kInfinity}, {0, 5}},
    };
    for (const FloatCase& test : floats) {
        Options options = options_with(1);
        for (const float value : test.refused) {
            options.*test.field = value;
            EXPECT_EQ(refusal(options).rfind(std::string(test.name) + " is ", 0), 0u) << value;
        }
        for (const float value : test.accepted) {
            options.*test.field = value;
            EXPECT_NE(make(options, 10), nullptr) << test.name << " " << value;
        }
    }
    struct IntCase {
        int32_t puna_generation_options::*field;
        const char* refusal;
        int32_t refused;
        int32_t accepted;
    };
    const IntCase ints[] = {
        {&Options::top_k, "top_k is -1, it must be 0 (all tokens) or more", -1, INT32_MAX},
        {&Options::penalty_last_n, "penalty_last_n is -2, it must be -1 (all tokens) or more", -2,
         -1},
        {&Options::mirostat, "mirostat is 3, it must be 0 (off), 1 or 2", 3, 2},
        {&Options::mirostat, "mirostat is -1, it must be 0 (off), 1 or 2", -1, 1},
    };
    for (const IntCase& test : ints) {
        Options options = options_with(1);
        options.*test.field = test.refused;
        EXPECT_EQ(refusal(options), test.refusal);
        options.*test.field = test.accepted;
        EXPECT_NE(make(options, 10), nullptr) << test.refusal;
    }
}

TEST(Sampler, TellsTheRangeInItsRefusal) {
    puna_generation_options options = options_with(1);
    options.min_p = 1.5f;
    EXPECT_EQ(refusal(options), "min_p is 1.5, it must be 0 to 1");
}

TEST(Sampler, RefusesWrongBias) {
    const auto options = options_with(1);
    EXPECT_EQ(refusal(options, {{3, 1}, {10, 1}}),
              "logit_bias[1] names token 10, the vocabulary has 0 to 9");
    EXPECT_EQ(refusal(options, {{-1, 1}}),
              "logit_bias[0] names token -1, the vocabulary has 0 to 9");
    EXPECT_EQ(refusal(options, {{4, kInfinity}}),
              "logit_bias[0] of token 4 is inf, it must be finite or -infinity");
    EXPECT_NE(refusal(options, {{4, kNan}}).find("logit_bias[0] of token 4 is "),
              std::string::npos);
    EXPECT_NE(make(options, 10, {{9, -kInfinity}}), nullptr);
}

TEST(Sampler, GreedyTakesTheLikeliestAndTheSmallerIdOfEqualOnes) {
    EXPECT_EQ(greedy({1, 3, 2}), 1);
    EXPECT_EQ(greedy({-1, -3, -2}), 0);
    EXPECT_EQ(greedy({1, 3, 2, 3}), 1);
    EXPECT_EQ(greedy({-0.0f, 0.0f}), 0);
    EXPECT_EQ(greedy({5}), 0);
    // In every lane and in the tail of the search.
    for (size_t n : {1u, 15u, 16u, 17u, 33u}) {
        for (size_t at = 0; at < n; ++at) {
            std::vector<float> logits(n, -2.0f);
            logits[at] = -1;
            EXPECT_EQ(greedy(logits), static_cast<int32_t>(at));
        }
    }
}

TEST(Sampler, GreedyIgnoresTheFilters) {
    auto options = options_with(1, 0);
    options.typical_p = 0.1f;  // would drop the likeliest token
    options.top_k = 2;
    EXPECT_EQ(greedy(logits_of({0.9, 0.05, 0.05}), {}, options), 0);
}

TEST(Sampler, PlainGreedyIsTheArgMaxOfLogitsAndBias) {
    const Bias bias = {{3, 2.5f}, {7, -kInfinity}, {3, 0.5f}};
    const auto sampler = make(options_with(1, 0), 100, bias);
    EXPECT_TRUE(sampler->is_plain_greedy());
    for (uint32_t seed = 1; seed < 50; ++seed) {
        const std::vector<float> logits = random_logits(100, 4, seed);
        std::vector<float> biased = logits;
        for (const auto& [token, value] : sampler->bias()) {
            biased[static_cast<size_t>(token)] += value;
        }
        const auto expected = std::max_element(biased.begin(), biased.end()) - biased.begin();
        EXPECT_EQ(draw(*sampler, logits, {1, 2, 3}), expected);
    }
}

TEST(Sampler, IsPlainGreedyOnlyWithoutPenaltiesMirostatAndBiasOfAll) {
    auto is_plain = [](auto change) {
        auto options = options_with(1, 0);
        change(options);
        return make(options, 10)->is_plain_greedy();
    };
    EXPECT_TRUE(is_plain([](auto&) {}));
    EXPECT_TRUE(is_plain([](auto& options) { options.repeat_penalty = 1; }));
    EXPECT_TRUE(is_plain([](auto& options) { options.top_k = 5; }));
    EXPECT_FALSE(is_plain([](auto& options) { options.temperature = 0.1f; }));
    EXPECT_FALSE(is_plain([](auto& options) { options.repeat_penalty = 1.1f; }));
    EXPECT_FALSE(is_plain([](auto& options) { options.presence_penalty = 0.1f; }));
    EXPECT_FALSE(is_plain([](auto& options) { options.frequency_penalty = -0.1f; }));
    EXPECT_FALSE(is_plain([](auto& options) { options.mirostat = 2; }));
    EXPECT_TRUE(make(options_with(1, 0), 2, {{0, -kInfinity}})->is_plain_greedy());
    EXPECT_FALSE(
        make(options_with(1, 0), 2, {{0, -kInfinity}, {1, -kInfinity}})->is_plain_greedy());
}

TEST(Sampler, BiasAddsUpAndBans) {
    const std::vector<float> logits = {1, 2, 3, 0};
    EXPECT_EQ(greedy(logits, {{0, 2.5f}}), 0);
    EXPECT_EQ(greedy(logits, {{0, 1.5f}, {0, 1.0f}}), 0);
    EXPECT_EQ(greedy(logits, {{2, -kInfinity}}), 1);
    EXPECT_EQ(greedy(logits, {{2, -kInfinity}, {2, 100}}), 1);
    EXPECT_EQ(greedy({1, 2, kInfinity}, {{2, -kInfinity}}), 1);
    EXPECT_EQ(tokens_seen(options_with(1), {0, 0, 0, 0}, {{1, -kInfinity}, {3, -kInfinity}}),
              (std::set<int32_t>{0, 2}));
}

TEST(Sampler, BansHoldForEverySampler) {
    std::vector<float> logits(300, 0);
    Bias bias;
    for (int32_t token = 0; token < 300; ++token) {
        if (token != 137 && token != 270) bias.push_back({token, -kInfinity});
    }
    std::vector<puna_generation_options> chains(7, options_with(5));
    chains[1].top_k = 50;
    chains[2].top_p = 0.9f;
    chains[3].min_p = 0.1f;
    chains[4].typical_p = 0.9f;
    chains[5].mirostat = 1;
    chains[6].mirostat = 2;
    for (const auto& options : chains) {
        EXPECT_EQ(tokens_seen(options, logits, bias), (std::set<int32_t>{137, 270}));
    }
}

TEST(Sampler, GivesTheLargestUnbiasedLogitWhenAllIsBanned) {
    const Bias all = {{0, -kInfinity}, {1, 5}, {1, -kInfinity}, {2, -kInfinity}, {2, -kInfinity}};
    for (const float temperature : {0.0f, 1.0f}) {
        const auto options = options_with(1, temperature);
        EXPECT_EQ(draw(*make(options, 3, all), {1, 2, 3}), 2);
        EXPECT_EQ(draw(*make(options, 3, all), {1, 2.5f, 2}), 1);
        EXPECT_EQ(draw(*make(options, 3, all), {-kInfinity, kNan, -kInfinity}), 0);
        EXPECT_EQ(draw(*make(options, 3), {kNan, kNan, kNan}), 0);
    }
}

TEST(Sampler, CountsNanAsMinusInfinityAndInfinityAsTheLargest) {
    EXPECT_EQ(greedy({kNan, 1, kNan, 2}), 3);
    EXPECT_EQ(greedy({1, kInfinity, kLargest, kInfinity}), 1);
    EXPECT_EQ(tokens_seen(options_with(1), {kNan, 0, -kInfinity, 0}), (std::set<int32_t>{1, 3}));
    EXPECT_EQ(tokens_seen(options_with(1), {kInfinity, 0, kNan, kLargest}),
              (std::set<int32_t>{0, 3}));
}

TEST(Sampler, RepetitionPenaltyDividesPositiveAndMultipliesNegativeLogits) {
    auto options = options_with(1, 0);
    options.repeat_penalty = 2;
    EXPECT_EQ(greedy({4, 2.1f, 0}, {}, options, {0}), 1);     // 4 / 2 < 2.1
    EXPECT_EQ(greedy({4, 1.9f, 0}, {}, options, {0}), 0);     // 4 / 2 > 1.9
    EXPECT_EQ(greedy({-1, -1.9f}, {}, options, {0}), 1);      // -1 * 2 < -1.9
    EXPECT_EQ(greedy({-1, -2.1f}, {}, options, {0}), 0);      // -1 * 2 > -2.1
    EXPECT_EQ(greedy({4, 1.9f}, {}, options, {0, 0, 0}), 0);  // once, however often it occurred
    EXPECT_EQ(greedy({-kInfinity, -1e30f}, {}, options, {1}), 1);
    options.repeat_penalty = 1e38f;  // a penalty never bans
    EXPECT_EQ(greedy({-kInfinity, -1e30f}, {}, options, {1}), 1);
}

TEST(Sampler, PresenceAndFrequencyPenaltiesSubtract) {
    auto options = options_with(1, 0);
    options.presence_penalty = 1;
    EXPECT_EQ(greedy({3, 1.9f}, {}, options, {0, 0, 0}), 0);
    EXPECT_EQ(greedy({3, 2.1f}, {}, options, {0, 0, 0}), 1);
    options.presence_penalty = 0;
    options.frequency_penalty = 0.5f;
    EXPECT_EQ(greedy({3, 1.4f}, {}, options, {0, 0, 0}), 0);
    EXPECT_EQ(greedy({3, 1.6f}, {}, options, {0, 0, 0}), 1);
    options.repeat_penalty = 2;  // 3 / 2 - 1 - 3 * 0.5 = -1
    options.presence_penalty = 1;
    EXPECT_EQ(greedy({3, -1.1f}, {}, options, {0, 0, 0}), 0);
    EXPECT_EQ(greedy({3, -0.9f}, {}, options, {0, 0, 0}), 1);
    options = options_with(1, 0);
    options.presence_penalty = -1;  // a reward
    EXPECT_EQ(greedy({3, 2.1f}, {}, options, {1}), 1);
}

TEST(Sampler, PenaltiesCountWithinTheirWindowAndForgetBetweenCalls) {
    auto options = options_with(1, 0);
    options.frequency_penalty = 1;
    Tokens history(100, 1);
    history[35] = 0;  // the 65th from the end
    EXPECT_EQ(greedy({3, 0, 2.5f}, {}, options, history), 0);
    history[36] = 0;  // the 64th: the default window
    EXPECT_EQ(greedy({3, 0, 2.5f}, {}, options, history), 2);
    options.penalty_last_n = 63;
    EXPECT_EQ(greedy({3, 0, 2.5f}, {}, options, history), 0);
    options.penalty_last_n = -1;
    EXPECT_EQ(greedy({4, 0, 2.5f}, {}, options, history), 2);  // both occurrences: 4 - 2
    options.penalty_last_n = 1000;
    EXPECT_EQ(greedy({4, 0, 2.5f}, {}, options, history), 2);

    const auto sampler = make(options, 3);
    for (int i = 0; i < 5; ++i) EXPECT_EQ(draw(*sampler, {3, 0, 1.5f}, {0, 1, 1}), 0);
    EXPECT_EQ(draw(*sampler, {3, 0, 1.5f}, {}), 0);
}

TEST(Sampler, BiasComesBeforePenalties) {
    auto options = options_with(1, 0);
    options.repeat_penalty = 2;
    EXPECT_EQ(greedy({1, 2.1f}, {{0, 3}}, options, {0}), 1);  // (1 + 3) / 2
    EXPECT_EQ(greedy({1, 1.9f}, {{0, 3}}, options, {0}), 0);
}

TEST(Sampler, TopKKeepsTheLikeliestAndTheSmallerIdsOfEqualOnes) {
    auto options = options_with(1);
    options.top_k = 2;
    EXPECT_EQ(tokens_seen(options, {0, 1, 1, 0.5f}), (std::set<int32_t>{1, 2}));
    EXPECT_EQ(tokens_seen(options, {0, 1, 1, 1}), (std::set<int32_t>{1, 2}));
    EXPECT_EQ(tokens_seen(options, {1, 0, 0, 0}), (std::set<int32_t>{0, 1}));
    options.top_k = 1;
    EXPECT_EQ(tokens_seen(options, {0, 1, 1, 1}), (std::set<int32_t>{1}));
    options.top_k = 100;
    EXPECT_EQ(tokens_seen(options, {0, 1, 1, 1}), (std::set<int32_t>{0, 1, 2, 3}));
}

TEST(Sampler, TopPKeepsTheFewestTokensOfThatProbability) {
    const auto logits = logits_of({0.1, 0.5, 0.25, 0.15});
    auto seen = [&](float top_p) {
        auto options = options_with(1);
        options.top_p = top_p;
        return tokens_seen(options, logits);
    };
    EXPECT_EQ(seen(1e-6f), (std::set<int32_t>{1}));
    EXPECT_EQ(seen(0.49f), (std::set<int32_t>{1}));
    EXPECT_EQ(seen(0.51f), (std::set<int32_t>{1, 2}));
    EXPECT_EQ(seen(0.74f), (std::set<int32_t>{1, 2}));
    EXPECT_EQ(seen(0.76f), (std::set<int32_t>{1, 2, 3}));
    EXPECT_EQ(seen(0.91f), (std::set<int32_t>{0, 1, 2, 3}));
    for (const float off : {0.0f, 1.0f, 2.0f}) EXPECT_EQ(seen(off).size(), 4u);
}

TEST(Sampler, TopPOfEqualTokensKeepsTheSmallerIds) {
    auto options = options_with(1);
    options.top_p = 0.49f;
    EXPECT_EQ(tokens_seen(options, {0, 0, 0, 0}), (std::set<int32_t>{0, 1}));
}

TEST(Sampler, MinPDropsWhatIsFarBelowTheLikeliest) {
    const auto logits = logits_of({0.1, 0.5, 0.25, 0.15});
    auto seen = [&](float min_p) {
        auto options = options_with(1);
        options.min_p = min_p;
        return tokens_seen(options, logits);
    };
    EXPECT_EQ(seen(0.19f), (std::set<int32_t>{0, 1, 2, 3}));
    EXPECT_EQ(seen(0.21f), (std::set<int32_t>{1, 2, 3}));
    EXPECT_EQ(seen(0.31f), (std::set<int32_t>{1, 2}));
    EXPECT_EQ(seen(0.51f), (std::set<int32_t>{1}));
    EXPECT_EQ(seen(1), (std::set<int32_t>{1}));
}

TEST(Sampler, TypicalPTakesTheTokensNearestToTheEntropy) {
    // Entropy 1.2799; surprises 0.6931, 1.2040, 2.3026, 2.3026: distances 0.59, 0.08, 1.02, 1.02.
    const auto logits = logits_of({0.5, 0.3, 0.1, 0.1});
    auto seen = [&](float typical_p) {
        auto options = options_with(1);
        options.typical_p = typical_p;
        return tokens_seen(options, logits);
    };
    EXPECT_EQ(seen(0.29f), (std::set<int32_t>{1}));
    EXPECT_EQ(seen(0.31f), (std::set<int32_t>{0, 1}));
    EXPECT_EQ(seen(0.81f), (std::set<int32_t>{0, 1, 2}));
    EXPECT_EQ(seen(0.91f), (std::set<int32_t>{0, 1, 2, 3}));
    EXPECT_EQ(seen(1).size(), 4u);
}

TEST(Sampler, FiltersSeeWhatTheOnesBeforeThemLeft) {
    const auto logits = logits_of({0.4, 0.3, 0.2, 0.1});
    auto options = options_with(1);
    options.top_k = 2;  // leaves 4/7 and 3/7
    options.top_p = 0.56f;
    EXPECT_EQ(tokens_seen(options, logits), (std::set<int32_t>{0}));
    options.top_k = 0;
    EXPECT_EQ(tokens_seen(options, logits), (std::set<int32_t>{0, 1}));
    // Temperature comes last: at 10 the shares would be nearly equal and all within min_p.
    options = options_with(1, 10);
    options.min_p = 0.6f;
    EXPECT_EQ(tokens_seen(options, logits), (std::set<int32_t>{0, 1}));
}

TEST(Sampler, DrawsFromTheExactDistribution) {
    using Options = puna_generation_options;
    const std::vector<std::pair<const char*, void (*)(Options&)>> chains = {
        {"temperature 1", [](Options&) {}},
        {"temperature 0.5", [](Options& options) { options.temperature = 0.5f; }},
        {"temperature 3", [](Options& options) { options.temperature = 3; }},
        {"top_k", [](Options& options) { options.top_k = 12; }},
        {"top_k, temperature",
         [](Options& options) { options.top_k = 90, options.temperature = 0.7f; }},
        {"top_p", [](Options& options) { options.top_p = 0.7f; }},
        {"top_p, all but the rarest", [](Options& options) { options.top_p = 0.999f; }},
        {"min_p", [](Options& options) { options.min_p = 0.1f; }},
        {"typical_p", [](Options& options) { options.typical_p = 0.6f; }},
        {"all",
         [](Options& options) {
             options.top_k = 100;
             options.typical_p = 0.9f;
             options.top_p = 0.9f;
             options.min_p = 0.05f;
             options.temperature = 1.3f;
         }},
        {"all but top_k",
         [](Options& options) {
             options.typical_p = 0.95f;
             options.top_p = 0.9f;
             options.min_p = 0.02f;
         }},
    };
    for (const size_t n_vocab : {5u, 300u}) {
        const std::vector<float> logits = random_logits(n_vocab, 5, 11);
        for (const auto& [name, change] : chains) {
            SCOPED_TRACE(std::string(name) + ", vocabulary of " + std::to_string(n_vocab));
            Options options = options_with(17);
            change(options);
            const auto sampler = make(options, n_vocab);
            expect_distribution(*sampler, logits, expected_distribution(options, logits));
        }
    }
}

TEST(Sampler, ExtremeTemperaturesAreSane) {
    const std::vector<float> logits = {1, 3, 2.9f};
    EXPECT_EQ(tokens_seen(options_with(1, 1e-45f), logits), (std::set<int32_t>{1}));
    EXPECT_EQ(tokens_seen(options_with(1, 1e-4f), logits), (std::set<int32_t>{1}));
    const auto sampler = make(options_with(1, kLargest), 3);
    expect_distribution(*sampler, logits, {1. / 3, 1. / 3, 1. / 3});
}

TEST(Sampler, EqualSeedsGiveEqualTokens) {
    const std::vector<float> logits = random_logits(1000, 3, 2);
    auto text = [&](const puna_generation_options& options) {
        const auto sampler = make(options, logits.size());
        EXPECT_EQ(sampler->seed(), options.seed);
        Tokens tokens;
        for (int i = 0; i < 50; ++i) tokens.push_back(draw(*sampler, logits, tokens));
        return tokens;
    };
    std::vector<puna_generation_options> chains(4, options_with(42));
    chains[1].top_p = 0.9f;
    chains[2].mirostat = 2;
    chains[3].repeat_penalty = 1.2f;
    for (auto& options : chains) {
        const Tokens tokens = text(options);
        EXPECT_EQ(text(options), tokens);
        options.seed = 43;
        EXPECT_NE(text(options), tokens);
    }
}

// Changes here mean that a seed no longer gives the text it gave.
TEST(Sampler, TokensOfASeedStayTheSame) {
    const std::vector<float> logits = random_logits(1000, 3, 2);
    const auto sampler = make(options_with(42), logits.size());
    Tokens tokens;
    for (int i = 0; i < 8; ++i) tokens.push_back(draw(*sampler, logits));
    EXPECT_EQ(tokens, (Tokens{79, 388, 681, 929, 997, 766, 711, 841}));
}

TEST(Sampler, SeedZeroIsRandomAndReported) {
    const std::vector<float> logits(1000, 0);
    std::set<uint32_t> seeds;
    for (int i = 0; i < 20; ++i) {
        const auto sampler = make(options_with(0), logits.size());
        EXPECT_NE(sampler->seed(), 0u);
        seeds.insert(sampler->seed());
        const auto again = make(options_with(sampler->seed()), logits.size());
        for (int j = 0; j < 5; ++j) EXPECT_EQ(draw(*sampler, logits), draw(*again, logits));
    }
    EXPECT_EQ(seeds.size(), 20u);
}

TEST(Mirostat, LetsThroughWhatIsAtMostTheSurpriseMu) {
    // Surprises of 1, 2, 3 and 3 bits.
    const auto logits = logits_of({0.5, 0.25, 0.125, 0.125});
    auto options = options_with(1, 0);  // its temperature is 1
    options.mirostat = 2;
    options.mirostat_eta = 1e-30f;  // mu stays 2 tau
    options.mirostat_tau = 1.25f;
    EXPECT_EQ(tokens_seen(options, logits), (std::set<int32_t>{0, 1}));
    const auto sampler = make(options, 4);
    expect_distribution(*sampler, logits, {2. / 3, 1. / 3, 0, 0});
    options.mirostat_tau = 1.75f;
    EXPECT_EQ(tokens_seen(options, logits).size(), 4u);
    options.mirostat_tau = 0.1f;  // the likeliest stays
    EXPECT_EQ(tokens_seen(options, logits), (std::set<int32_t>{0}));
}

TEST(Mirostat, LearnsFromTheSurpriseOfEachToken) {
    const auto logits = logits_of({0.5, 0.25, 0.125, 0.125});
    auto options = options_with(1);
    options.mirostat = 2;
    options.mirostat_tau = 0.9f;  // mu 1.8: only token 0, of 1 bit
    options.mirostat_eta = 1;     // mu 1.7, 1.6, ...
    const auto falling = make(options, 4);
    for (int i = 0; i < 30; ++i) EXPECT_EQ(draw(*falling, logits), 0);
    // Now mu is -1.2; a token without surprise adds tau.
    const std::vector<float> certain = {0, -100, -100, -100};
    for (int i = 0; i < 3; ++i) EXPECT_EQ(draw(*falling, certain), 0);
    EXPECT_EQ(draw(*falling, logits), 0);   // mu 1.5 -> 1.4
    EXPECT_EQ(draw(*falling, certain), 0);  // mu 2.3: token 1, of 2 bits, is let through again
    std::set<int32_t> seen;
    for (int i = 0; i < 40; ++i) {
        seen.insert(draw(*falling, logits));
        draw(*falling, certain);
    }
    EXPECT_TRUE(seen.count(1));
}

TEST(Mirostat, KeepsTheMeanSurpriseAtTau) {
    // Zipf's law over 2,000 tokens: the likeliest has less than 3 bits, entropy is above 7.
    std::vector<float> logits(2000);
    for (size_t i = 0; i < logits.size(); ++i) {
        logits[(i * 1237) % logits.size()] = -1.05f * std::log(static_cast<float>(i + 1));
    }
    const double log_sum = static_cast<double>(log_sum_exp(logits));
    for (const int32_t version : {1, 2}) {
        for (const float tau : {4.0f, 0.0f, 7.0f}) {  // 0: 5
            auto options = options_with(9);
            options.mirostat = version;
            options.mirostat_tau = tau;
            const auto sampler = make(options, logits.size());
            double sum = 0;
            constexpr int kDraws = 2000;
            for (int i = 0; i < kDraws; ++i) {
                const int32_t token = draw(*sampler, logits);
                const double logit = static_cast<double>(logits[static_cast<size_t>(token)]);
                sum += (log_sum - logit) / std::log(2.0);
            }
            const double target = tau == 0 ? 5 : static_cast<double>(tau);
            EXPECT_NEAR(sum / kDraws, target, 0.1) << "version " << version;
        }
    }
}

TEST(Mirostat, FirstVersionTakesItsKFromZipfsLaw) {
    // p = 1/i^2 over 200 tokens fits with s = 2 exactly, so epsilon = 1 and
    // k = (2^mu / (1 - 1/200))^(1/2): 3 for mu = 3.17 (9.0 / 0.995)^(1/2) = 3.007.
    std::vector<float> logits(200);
    for (size_t i = 0; i < logits.size(); ++i) {
        logits[logits.size() - 1 - i] = -2 * std::log(static_cast<float>(i + 1));
    }
    auto options = options_with(3);
    options.mirostat = 1;
    options.mirostat_eta = 1e-30f;
    options.mirostat_tau = 3.17f / 2;
    EXPECT_EQ(tokens_seen(options, logits), (std::set<int32_t>{197, 198, 199}));
    options.mirostat_tau = 2;  // 16 / 0.995: k = 4.01
    EXPECT_EQ(tokens_seen(options, logits), (std::set<int32_t>{196, 197, 198, 199}));
    options.mirostat_tau = 1e-3f;
    EXPECT_EQ(tokens_seen(options, logits), (std::set<int32_t>{199}));
    options.mirostat_tau = 7;  // k = 128.3: more than the fit looks at
    const auto sampler = make(options, logits.size());
    std::vector<double> expected(logits.begin(), logits.end());
    for (size_t i = 0; i < logits.size() - 128; ++i) expected[i] = -1e9;
    expect_distribution(*sampler, logits, softmax(expected));
}

TEST(Mirostat, CopesWithFlatAndTinyVocabularies) {
    for (const int32_t version : {1, 2}) {
        auto options = options_with(3);
        options.mirostat = version;
        EXPECT_EQ(draw(*make(options, 1), {3}), 0);
        // 2 tau is far above the 3 bits of a flat distribution: all tokens.
        EXPECT_EQ(tokens_seen(options, std::vector<float>(8, 1.5f)).size(), 8u);
        EXPECT_EQ(tokens_seen(options, {0, -kInfinity, kNan}), (std::set<int32_t>{0}));
    }
}

// Whatever the options and logits: a token of the vocabulary, and a banned one only if all are.
TEST(Sampler, HostileLogitsGiveTokensThatAreNotBanned) {
    Random random(3);
    auto pick = [&](auto... values) {
        const std::common_type_t<decltype(values)...> all[] = {values...};
        return all[random.next() % sizeof...(values)];
    };
    for (int round = 0; round < 1500; ++round) {
        auto options = options_with(1 + static_cast<uint32_t>(round));
        options.temperature = pick(0.0f, 1e-45f, 0.5f, 1.0f, 100.0f, kLargest);
        options.top_k = pick(0, 1, 2, 40, INT32_MAX);
        options.top_p = pick(0.0f, 1e-45f, 0.5f, 0.9999999f, 1.0f);
        options.min_p = pick(0.0f, 1e-45f, 0.5f, 1.0f);
        options.typical_p = pick(0.0f, 1e-45f, 0.5f, 0.9999999f);
        options.repeat_penalty = pick(0.0f, 1e-45f, 1.1f, kLargest);
        options.presence_penalty = pick(0.0f, -kLargest, 1.1f, kLargest);
        options.frequency_penalty = pick(0.0f, -kLargest, 1.1f, kLargest);
        options.mirostat = pick(0, 0, 0, 1, 2);
        options.mirostat_tau = pick(0.0f, 1e-45f, kLargest);
        options.mirostat_eta = pick(0.0f, 1e-45f, kLargest);
        const size_t n_vocab = pick(1u, 2u, 17u, 300u);
        std::vector<float> logits(n_vocab);
        for (float& logit : logits) {
            logit =
                pick(kNan, kInfinity, -kInfinity, kLargest, -kLargest, 0.0f, -0.0f, 1.0f, 1e-45f);
        }
        Bias bias;
        Tokens history;
        std::set<int32_t> allowed;
        for (size_t i = 0; i < n_vocab; ++i) {
            const int32_t token = static_cast<int32_t>(i);
            const float value = pick(0.0f, 1.0f, kLargest, -kInfinity);
            if (value != 0) bias.push_back({token, value});
            if (logits[i] + value > -kInfinity) allowed.insert(token);
            if (pick(0, 1)) history.insert(history.end(), 3, token);
        }
        const auto sampler = make(options, n_vocab, bias);
        for (int i = 0; i < 3; ++i) {
            const int32_t token = draw(*sampler, logits, history);
            ASSERT_GE(token, 0);
            ASSERT_LT(token, static_cast<int32_t>(n_vocab));
            if (!allowed.empty()) {
                ASSERT_TRUE(allowed.count(token));
            }
        }
    }
}

TEST(LogSumExp, AgreesWithDoubles) {
    for (const size_t n : {1u, 3u, 16u, 255u, 256u, 257u, 32000u}) {
        for (const double spread : {0.0, 1.0, 30.0, 300.0}) {
            const std::vector<float> logits = random_logits(n, spread, 5);
            long double sum = 0;
            for (const float logit : logits) sum += std::exp(static_cast<long double>(logit));
            const double expected = static_cast<double>(std::log(sum));
            EXPECT_NEAR(static_cast<double>(log_sum_exp(logits)), expected,
                        1e-6 + 1e-7 * std::abs(expected))
                << n << " logits, spread " << spread;
        }
    }
}

TEST(LogSumExp, IsExactToAFewBits) {
    for (float x = 0; x > -100; x -= 0.0137f) {
        const double expected = std::log1p(std::exp(static_cast<double>(x)));
        EXPECT_NEAR(static_cast<double>(log_sum_exp(std::vector<float>{0, x})), expected, 1e-7);
    }
}

TEST(LogSumExp, DoesNotOverflow) {
    EXPECT_FLOAT_EQ(log_sum_exp(std::vector<float>{1000, 1000}), 1000 + std::log(2.0f));
    EXPECT_FLOAT_EQ(log_sum_exp(std::vector<float>{-1000, -1000}), -1000 + std::log(2.0f));
    EXPECT_EQ(log_sum_exp(std::vector<float>{kInfinity, 0}), kLargest);
    EXPECT_EQ(log_sum_exp(std::vector<float>{kNan, 2, -kInfinity}), 2);
    EXPECT_EQ(log_sum_exp(std::vector<float>{kNan, -kInfinity}), -kInfinity);
    EXPECT_EQ(log_sum_exp({}), -kInfinity);
}

TEST(TopLogprobs, AreSortedAndBelongToTheirTokens) {
    std::vector<float> logits = random_logits(5000, 6, 8);
    for (size_t i = 0; i < logits.size(); i += 7) logits[i] = 4;  // many equal ones
    Tokens order(logits.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
        return logits[static_cast<size_t>(a)] > logits[static_cast<size_t>(b)];
    });
    const float total = log_sum_exp(logits);
    std::vector<puna_logprob> out(3);
    for (const size_t k : {0u, 1u, 5u, 64u, 1000u, 5000u}) {
        top_logprobs(logits, total, static_cast<int32_t>(k), out);
        ASSERT_EQ(out.size(), k);
        for (size_t i = 0; i < k; ++i) {
            EXPECT_EQ(out[i].token, order[i]);
            EXPECT_FLOAT_EQ(out[i].logprob, logits[static_cast<size_t>(order[i])] - total);
        }
    }
}

TEST(TopLogprobs, EndWithTheImpossibleTokens) {
    std::vector<puna_logprob> out;
    const std::vector<float> logits = {kNan, 1, -kInfinity, 1, kNan};
    top_logprobs(logits, log_sum_exp(logits), 4, out);
    ASSERT_EQ(out.size(), 4u);
    EXPECT_EQ(out[0].token, 1);
    EXPECT_FLOAT_EQ(out[0].logprob, -std::log(2.0f));
    EXPECT_EQ(out[1].token, 3);
    EXPECT_EQ(out[2].token, 0);
    EXPECT_EQ(out[2].logprob, -kInfinity);
    EXPECT_EQ(out[3].token, 2);
    const std::vector<float> sure = {0, kInfinity};
    top_logprobs(sure, log_sum_exp(sure), 1, out);
    EXPECT_EQ(out[0].token, 1);
    EXPECT_EQ(out[0].logprob, 0);
}

}  // namespace
}  // namespace puna::core
