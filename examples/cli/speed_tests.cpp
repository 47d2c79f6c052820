#include "speed_tests.h"

#include <algorithm>
#include <chrono>
#include <random>
#include <span>

#include "engine.h"
#include "memory_traffic.h"

namespace cli {
namespace {

int32_t deepest_of(const SpeedPlan& plan) {
    if (plan.n_generate == 0 || plan.depths.empty()) return 0;
    return *std::max_element(plan.depths.begin(), plan.depths.end());
}

puna::Context make_context_for(const SpeedPlan& plan, const puna::Model& model,
                               const EngineOptions& engine) {
    const int32_t deepest = deepest_of(plan);
    const int32_t n_deep = deepest + plan.n_generate;
    const int32_t n_ctx = std::max({n_deep, plan.n_prompt, 1});
    puna::ContextOptions options = context_options(engine, n_ctx);
    // Beside the filled cache lies what one test adds to it, and the pages in which that begins.
    options.n_cells = deepest + std::max(plan.n_generate, plan.n_prompt) + 3 * PUNA_KV_PAGE;
    options.disable_prefix_reuse = 1;  // the same prompt again is evaluated again
    return make_context(model, options,
                        n_deep < plan.n_prompt      ? "a smaller --prompt"
                        : deepest < plan.n_generate ? "a smaller --generate"
                                                    : "a smaller --depth");
}

std::vector<puna::Token> random_tokens(size_t n, int32_t n_vocab) {
    std::mt19937 random;
    std::vector<puna::Token> tokens(n);
    for (puna::Token& token : tokens) {
        token = static_cast<puna::Token>(random() % static_cast<uint32_t>(n_vocab));
    }
    return tokens;
}

}  // namespace

double SpeedTest::median() const {
    std::vector<double> sorted = rates;
    std::sort(sorted.begin(), sorted.end());
    const size_t middle = sorted.size() / 2;
    return sorted.size() % 2 != 0 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

double SpeedTest::min() const {
    return *std::min_element(rates.begin(), rates.end());
}

double SpeedTest::max() const {
    return *std::max_element(rates.begin(), rates.end());
}

SpeedTests::SpeedTests(const puna::Model& model, const EngineOptions& engine, SpeedPlan plan,
                       const puna::Cancel& cancel)
    : plan_(std::move(plan)),
      cancel_(cancel),
      deepest_(deepest_of(plan_)),
      context_(make_context_for(plan_, model, engine)),
      tokens_(random_tokens(static_cast<size_t>(std::max(plan_.n_prompt, deepest_ + 1)),
                            model.info().n_vocab)),
      logits_(static_cast<size_t>(model.info().n_vocab)),
      filled_(context_.sequence()) {
    add_tests(model);
}

void SpeedTests::add_tests(const puna::Model& model) {
    if (plan_.n_prompt > 0) {
        const std::string name = "pp" + std::to_string(plan_.n_prompt);
        tests_.push_back({name, false, 0, plan_.n_prompt, 0});
    }
    if (plan_.n_generate == 0) return;
    const MemoryTraffic traffic(model, context_);
    for (const int32_t depth : plan_.depths) {
        // The first token reads depth + 1 cells, its own among them, the last n_generate - 1 more.
        const double mean_cells = depth + (plan_.n_generate + 1) / 2.0;
        const std::string name =
            "tg" + std::to_string(plan_.n_generate) + "@" + std::to_string(depth);
        tests_.push_back(
            {name, true, depth, plan_.n_generate, traffic.bytes_per_token(mean_cells)});
    }
}

void SpeedTests::evaluate_first_token() {
    context_.sequence().evaluate(std::span(tokens_).first(1), logits_, PUNA_OUTPUT_LOGITS_LAST,
                                 &cancel_);
}

void SpeedTests::warm_up() {
    constexpr int32_t kFewTokens = 8;
    filled_.evaluate(std::span(tokens_).first(static_cast<size_t>(deepest_)), {},
                     PUNA_OUTPUT_DEFAULT, &cancel_);
    for (const SpeedTest& test : tests_) {
        if (test.generates) {
            generate(test.depth, std::min(test.n_tokens, kFewTokens));
        } else {
            evaluate_prompt();
        }
    }
}

void SpeedTests::repeat(SpeedTest& test) {
    using Clock = std::chrono::steady_clock;
    const auto start = Clock::now();
    if (test.generates) {
        generate(test.depth, test.n_tokens);
    } else {
        evaluate_prompt();
    }
    const std::chrono::duration<double> elapsed = Clock::now() - start;
    test.rates.push_back(test.n_tokens / elapsed.count());
}

void SpeedTests::evaluate_prompt() {
    context_.sequence().evaluate(std::span(tokens_).first(static_cast<size_t>(plan_.n_prompt)),
                                 logits_, PUNA_OUTPUT_LOGITS_LAST, &cancel_);
}

// Always the likeliest token, as a generation of temperature 0.
void SpeedTests::generate(int32_t depth, int32_t n_tokens) {
    puna::Sequence sequence = filled_.fork();
    sequence.truncate(depth);
    puna::Token token = tokens_[static_cast<size_t>(depth)];
    for (int32_t i = 0; i < n_tokens; ++i) {
        sequence.evaluate({&token, 1}, logits_, PUNA_OUTPUT_LOGITS_LAST, &cancel_);
        token = static_cast<puna::Token>(std::max_element(logits_.begin(), logits_.end()) -
                                         logits_.begin());
    }
}

}  // namespace cli
