#include "support/engine_fixture.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "support/random_numbers.h"
#include "support/reference_file.h"

namespace puna::test {

std::vector<std::string> machine_kernels() {
    std::vector<std::string> names;
    const char* only = std::getenv("PUNA_TEST_KERNELS");  // "neon,neon_i8mm"
    const std::string wanted = only ? "," + std::string(only) + "," : "";
    for (const char* name : {"scalar", "avx2", "avx2_vnni", "avx512", "avx512_gfni", "avx512_bf16",
                             "amx", "neon", "neon_i8mm"}) {
        if (only && wanted.find("," + std::string(name) + ",") == wanted.npos) continue;
        RuntimeOptions options;
        options.n_threads = 1;
        options.kernels = name;
        if (Runtime::try_create(options).ok()) names.emplace_back(name);
    }
    return names;
}

// For tests that are about something else, and compare with the reference: the best set that multiplies
// F32 weights as floats. `amx` rounds them.
const char* float_kernels() {
    RuntimeOptions options;
    options.n_threads = 1;
    options.kernels = "amx";
    return Runtime::try_create(options).ok() ? "avx512_bf16" : nullptr;
}

Runtime make_runtime(const std::string& kernels, int32_t n_threads) {
    RuntimeOptions options;
    options.n_threads = n_threads;
    options.kernels = kernels.empty() ? float_kernels() : kernels.c_str();
    return Runtime(options);
}

Engine::Engine(const ModelShape& shape, const std::string& kernels, int32_t n_threads)
    : bytes_(make_random_model(shape).bytes()),
      model_(std::make_unique<Model>(make_runtime(kernels, n_threads),
                                     Source(std::as_bytes(std::span(bytes_))))) {
    learn_sizes();
}

Engine::Engine(const std::string& path, const std::string& kernels, int32_t n_threads)
    : path_(path), model_(std::make_unique<Model>(make_runtime(kernels, n_threads), Source(path))) {
    learn_sizes();
}

void Engine::learn_sizes() {
    const puna_model_info info = model_->info();
    n_vocab_ = info.n_vocab;
    n_layer_ = info.n_layer;
}

const ReferenceModel& Engine::reference() {
    if (!reference_) {
        reference_ = std::make_unique<ReferenceModel>(path_.empty() ? read_reference(bytes_)
                                                                    : load_reference(path_));
    }
    return *reference_;
}

Context Engine::context(const ContextShape& shape) const {
    ContextOptions options;
    options.n_ctx = shape.n_ctx;
    options.n_cells = shape.n_cells;
    options.n_batch = shape.n_batch;
    options.n_threads = shape.n_threads;
    options.kv_type_k = shape.kv_type;
    options.kv_type_v = shape.kv_type;
    options.deterministic = shape.deterministic ? 1 : 0;
    options.disable_prefix_reuse = shape.disable_prefix_reuse ? 1 : 0;
    return Context(*model_, options);
}

std::vector<Token> Engine::tokens_of(std::string_view text) const {
    return model_->tokenize(text, PUNA_TOKENIZE_NO_BOS_EOS | PUNA_TOKENIZE_NO_SPACE_PREFIX);
}

bool tell(const Event& event, Told& told) {
    if (event.done()) {
        told.finish = event.finish;
        told.stop_index = event.stop_index;
        return true;
    }
    if (event.kind == PUNA_EVENT_TOKEN) {
        if (event.token >= 0) told.tokens.push_back(event.token);
        told.text += event.text;
    }
    return false;
}

Told tell_all(Generation& generation) {
    Told told;
    while (!tell(generation.next(), told)) {
    }
    return told;
}

bool tell_queued(Generation& generation, Told& told) {
    for (;;) {
        const Event event = generation.next(std::chrono::microseconds(0));
        if (event.pending()) return false;
        if (tell(event, told)) return true;
    }
}

Told generate(Sequence& sequence, std::span<const Token> prompt, const GenerationOptions& options) {
    Generation generation = sequence.generate(prompt, options);
    return tell_all(generation);
}

GenerationOptions greedy(int32_t max_tokens) {
    GenerationOptions options;
    options.max_tokens = max_tokens;
    options.ignore_end = 1;
    return options;
}

std::vector<Token> random_tokens(int32_t n_vocab, size_t n, uint64_t seed) {
    RandomNumbers random(seed);
    std::vector<Token> tokens(n);
    for (Token& token : tokens) {
        token = static_cast<Token>(random.below(static_cast<uint64_t>(n_vocab)));
    }
    return tokens;
}

std::vector<float> logits_of(Sequence& sequence, std::span<const Token> tokens, int32_t n_vocab) {
    std::vector<float> logits(tokens.size() * static_cast<size_t>(n_vocab));
    sequence.evaluate(tokens, logits, PUNA_OUTPUT_LOGITS_ALL);
    return logits;
}

testing::AssertionResult follows_greedily(ReferenceSequence& sequence, std::vector<double> logits,
                                          std::span<const Token> tokens, int32_t n_vocab) {
    constexpr double kRounding = 1e-4;  // logits have deviation 3
    for (size_t i = 0; i < tokens.size(); ++i) {
        const auto row = std::span(logits).last(static_cast<size_t>(n_vocab));
        const auto best = std::max_element(row.begin(), row.end());
        if (row[static_cast<size_t>(tokens[i])] < *best - kRounding) {
            return testing::AssertionFailure()
                   << "token " << i << " is " << tokens[i] << ", not " << best - row.begin();
        }
        logits = sequence.append(tokens.subspan(i, 1));
    }
    return testing::AssertionSuccess();
}

testing::AssertionResult is_greedy_text(const ReferenceModel& model, std::span<const Token> prompt,
                                        std::span<const Token> tokens) {
    ReferenceSequence sequence(model);
    std::vector<double> logits = sequence.append(prompt);
    return follows_greedily(sequence, std::move(logits), tokens,
                            static_cast<int32_t>(model.n_vocab()));
}

}  // namespace puna::test
