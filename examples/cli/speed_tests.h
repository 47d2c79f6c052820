// How fast a model evaluates prompts and generates text at given depths.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "options.h"
#include "puna/puna.hpp"

namespace cli {

struct SpeedPlan {
    int32_t n_prompt = 512;                // 0: no prompt is timed
    int32_t n_generate = 128;              // 0: no generation is timed
    std::vector<int32_t> depths{0, 1800};  // tokens in the cache before the generation
};

struct SpeedTest {
    std::string name;  // "pp512", "tg128@1800"
    bool generates;
    int32_t depth;
    int32_t n_tokens;             // evaluated in each repeat
    double bytes_per_token;       // read from memory when generating: weights and cache; else 0
    std::vector<double> rates{};  // tokens per second of each repeat

    double median() const;
    double min() const;
    double max() const;
    // Bytes per second, at a number of tokens per second.
    double read_rate(double tokens_per_second) const { return bytes_per_token * tokens_per_second; }
};

class SpeedTests {
  public:
    // Makes a context in which all of them fit. Throws an error that names the option at fault.
    SpeedTests(const puna::Model& model, const EngineOptions& engine, SpeedPlan plan,
               const puna::Cancel& cancel);

    // The logits that follow a single token.
    void evaluate_first_token();
    // Fills the cache for the deepest test, and runs the code and touches the memory of all.
    void warm_up();
    // Runs a test once more. What was evaluated is forgotten.
    void repeat(SpeedTest& test);

    std::vector<SpeedTest>& tests() { return tests_; }
    puna_context_info context_info() const { return context_.info(); }

  private:
    void add_tests(const puna::Model& model);
    void evaluate_prompt();
    void generate(int32_t depth, int32_t n_tokens);

    const SpeedPlan plan_;
    const puna::Cancel& cancel_;
    const int32_t deepest_;
    puna::Context context_;
    std::vector<puna::Token> tokens_;  // a text without sense
    std::vector<float> logits_;        // [n_vocab]
    puna::Sequence filled_;            // the first `deepest_` of them
    std::vector<SpeedTest> tests_;
};

}  // namespace cli
