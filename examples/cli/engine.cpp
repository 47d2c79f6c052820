#include "engine.h"

#include <chrono>
#include <cstdio>
#include <stdexcept>

namespace cli {
namespace {

// A line on standard error, if that is a terminal and the load takes long enough to be noticed.
class ProgressBar {
  public:
    ~ProgressBar() {
        if (shown_percent_ >= 0) std::fputs("\r\033[K", stderr);
    }
    void show(float fraction) {
        const auto percent = static_cast<int>(fraction * 100);
        if (!is_terminal_ || percent == shown_percent_ || Clock::now() - start_ < kPatience) return;
        shown_percent_ = percent;
        constexpr int kWidth = 40;
        const int filled = percent * kWidth / 100;
        std::fprintf(stderr, "\rloading [%.*s%*s] %3d %%", filled,
                     "########################################", kWidth - filled, "", percent);
    }

  private:
    using Clock = std::chrono::steady_clock;
    static constexpr std::chrono::milliseconds kPatience{300};

    bool is_terminal_ = is_terminal(stderr);
    int shown_percent_ = -1;
    Clock::time_point start_ = Clock::now();
};

puna::Model load(const std::string& path, const puna::RuntimeOptions& runtime_options,
                 puna::ModelOptions options, const Interrupt& interrupt) {
    if (path == "demo" || path.starts_with("hf:")) {
        throw std::runtime_error(path +
                                 ": models by name are not in this version: give the path "
                                 "of a GGUF file" +
                                 (path == "demo" ? " (./demo for a file of that name)" : ""));
    }
    ProgressBar bar;
    options.cancel = interrupt.cancel().handle();
    options.on_progress = [&bar](float fraction) {
        bar.show(fraction);
        return true;
    };
    return puna::Model(puna::Runtime(runtime_options), puna::Source(path), options);
}

}  // namespace

puna::Model load_model(const EngineOptions& options, const Interrupt& interrupt) {
    puna::RuntimeOptions runtime_options;
    runtime_options.n_threads = options.n_threads;
    if (!options.kernels.empty()) runtime_options.kernels = options.kernels.c_str();
    puna::ModelOptions model_options;
    model_options.n_gpu_layers = options.n_gpu_layers;
    puna::Model model = load(options.model, runtime_options, model_options, interrupt);
    if (model.info().has_weights == 0) {
        throw std::runtime_error(options.model +
                                 ": a vocabulary without weights: good for 'puna tokenize' and "
                                 "'puna detokenize' only");
    }
    return model;
}

puna::Model load_vocabulary(const std::string& path, const Interrupt& interrupt) {
    puna::RuntimeOptions runtime_options;
    runtime_options.n_threads = 1;
    puna::ModelOptions model_options;
    model_options.vocab_only = 1;
    return load(path, runtime_options, model_options, interrupt);
}

puna::ContextOptions context_options(const EngineOptions& options, int32_t n_ctx) {
    puna::ContextOptions result;
    result.n_ctx = n_ctx;
    result.n_batch = options.n_batch;
    result.kv_type_k = options.kv_type_k;
    result.kv_type_v = options.kv_type_v;
    return result;
}

}  // namespace cli
