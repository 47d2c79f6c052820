// A random model with some of its layers on a GPU that is none, a plugin of the tests: what their tests
// have in common.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "support/engine_fixture.h"
#include "support/environment_variable.h"
#include "support/reference_file.h"

namespace puna::test {

// A name with a folder in it is a path already.
inline std::string plugin_path(const std::string& name) {
    if (name.find('/') != std::string::npos) return name;
    return std::string(PUNA_TEST_PLUGIN_DIR "/") + name + ".plugin";
}

inline RuntimeOptions scalar_options(bool search = false) {
    RuntimeOptions options;
    options.n_threads = 1;
    options.disable_backend_search = search ? 0 : 1;
    options.kernels = "scalar";
    return options;
}

// The environment in which a plugin makes its backend object.
struct GpuPlugin {
    std::string name;
    std::vector<std::pair<const char*, std::string>> settings;
};

inline Runtime make_gpu_runtime(const GpuPlugin& plugin) {
    for (const auto& [name, value] : plugin.settings) set_environment(name, value);
    Runtime runtime(scalar_options());
    runtime.load_backend(plugin_path(plugin.name));
    for (const auto& [name, value] : plugin.settings) set_environment(name, "");
    return runtime;
}

inline ModelOptions on_gpu(int32_t n_gpu_layers) {
    ModelOptions options;
    options.n_gpu_layers = n_gpu_layers;
    return options;
}

inline ContextOptions context_options(int32_t n_ctx = 0, int32_t n_batch = 0) {
    ContextOptions options;
    options.n_ctx = n_ctx;
    options.n_batch = n_batch;
    options.kv_type_k = PUNA_KV_F32;
    options.kv_type_v = PUNA_KV_F32;
    return options;
}

inline ModelShape four_layers() {
    ModelShape shape;
    shape.n_layer = 4;
    return shape;
}

constexpr int32_t kLayers = 4;
constexpr int32_t kVocab = 320;
constexpr int32_t kSplits[] = {0, 1, 2, kLayers - 1, kLayers, kLayers + 1, PUNA_GPU_LAYERS_ALL};

inline int32_t clamped(int32_t n_gpu_layers) {
    return n_gpu_layers < 0 ? kLayers : std::min(n_gpu_layers, kLayers);
}

class SplitModelOn {
  public:
    SplitModelOn(const GpuPlugin& plugin, int32_t n_gpu_layers, const ModelShape& shape)
        : bytes_(make_random_model(shape).bytes()),
          runtime(make_gpu_runtime(plugin)),
          model(runtime, source(), on_gpu(n_gpu_layers)) {}

    Source source() const { return Source(std::as_bytes(std::span(bytes_))); }
    ReferenceModel reference() const { return read_reference(bytes_); }
    uint64_t free_bytes() const { return runtime.devices().at(1).free_bytes; }

  private:
    AlignedBytes bytes_;

  public:
    Runtime runtime;
    Model model;
};

inline std::vector<Token> prompt_of(size_t n) {
    return random_tokens(kVocab, n, 7);
}

inline std::vector<float> last_logits(Sequence& sequence, std::span<const Token> tokens) {
    std::vector<float> logits(kVocab);
    sequence.evaluate(tokens, logits, PUNA_OUTPUT_LOGITS_LAST);
    return logits;
}

inline void expect_close(const std::vector<double>& expected, const std::vector<float>& found,
                         double bound = 1e-5) {
    EXPECT_LE(kl_divergence(expected, found, kVocab).relative_error, bound);
}

// A shape that is tried in all splits.
struct SplitCase {
    const char* name;
    ModelShape shape;
};

inline void PrintTo(const SplitCase& test, std::ostream* out) {
    *out << test.name;
}

inline SplitCase split_case(const char* name, void (*change)(ModelShape&)) {
    SplitCase test{name, four_layers()};
    change(test.shape);
    return test;
}

inline std::vector<SplitCase> split_cases() {
    return {
        split_case("plain", [](ModelShape&) {}),
        split_case("tied", [](ModelShape& s) { s.tied_output = true; }),
        split_case("biases", [](ModelShape& s) { s.biases = s.ffn_biases = true; }),
        split_case("partial_rope", [](ModelShape& s) { s.rope_dim = 6; }),
        split_case("value_heads_of_their_own_size", [](ModelShape& s) { s.value_dim = 10; }),
        split_case("q8_0_tied",
                   [](ModelShape& s) {
                       s.matrix_encoding = s.embedding_encoding = Encoding::kQ8_0;
                       s.tied_output = true;
                   }),
        split_case("f16", [](ModelShape& s) { s.matrix_encoding = Encoding::kF16; }),
    };
}

}  // namespace puna::test
