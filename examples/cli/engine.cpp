#include "engine.h"

#include <stdexcept>

#include "model_name.h"
#include "progress_bar.h"

namespace cli {
namespace {

puna::Model load(const puna::Runtime& runtime, const std::string& path, puna::ModelOptions options,
                 const Interrupt& interrupt) {
    ProgressBar bar("loading");
    options.cancel = interrupt.cancel().handle();
    options.on_progress = [&bar](float fraction) {
        bar.show(fraction);
        return true;
    };
    return puna::Model(runtime, path, options);
}

}  // namespace

puna::Runtime make_runtime(const EngineOptions& options) {
    puna::RuntimeOptions runtime_options;
    runtime_options.n_threads = options.n_threads;
    if (!options.kernels.empty()) runtime_options.kernels = options.kernels.c_str();
    return puna::Runtime(runtime_options);
}

void find_model(EngineOptions& options, const Interrupt& interrupt) {
    options.path = model_path(options.model, interrupt);
}

puna::ModelOptions model_options(const EngineOptions& options) {
    puna::ModelOptions result;
    result.n_gpu_layers = options.n_gpu_layers;
    result.disable_mmap = options.no_mmap ? 1 : 0;
    return result;
}

puna::Model load_model(const puna::Runtime& runtime, const EngineOptions& options,
                       const Interrupt& interrupt) {
    puna::Model model = load(runtime, options.path, model_options(options), interrupt);
    if (model.info().has_weights == 0) {
        throw std::runtime_error(options.path +
                                 ": a vocabulary without weights: good for 'puna tokenize' and "
                                 "'puna detokenize' only");
    }
    return model;
}

puna::Model load_model(const EngineOptions& options, const Interrupt& interrupt) {
    return load_model(make_runtime(options), options, interrupt);
}

puna::Model load_vocabulary(const std::string& path, const Interrupt& interrupt) {
    puna::RuntimeOptions runtime_options;
    runtime_options.n_threads = 1;
    puna::ModelOptions options;
    options.vocab_only = 1;
    return load(puna::Runtime(runtime_options), path, options, interrupt);
}

puna::ContextOptions context_options(const EngineOptions& options, int32_t n_ctx) {
    puna::ContextOptions result;
    result.n_ctx = n_ctx;
    result.n_batch = options.n_batch;
    result.deterministic = options.deterministic ? 1 : 0;
    result.kv_type_k = options.kv_type_k;
    result.kv_type_v = options.kv_type_v;
    return result;
}

}  // namespace cli
