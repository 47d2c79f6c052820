#include "engine.h"

#include <stdexcept>
#include <string_view>

#include "errors.h"
#include "model_name.h"
#include "progress_bar.h"

namespace cli {
namespace {

// Of options that the library alone can judge. The others are checked as they are read.
struct OptionName {
    std::string_view library, program;
};
constexpr OptionName kOptionNames[] = {{"kernels:", "--kernels:"},
                                       {"n_gpu_layers:", "--gpu-layers:"}};

puna::Model load(const puna::Runtime& runtime, const std::string& path, puna::ModelOptions options,
                 const Interrupt& interrupt) {
    ProgressBar bar("loading");
    options.cancel = interrupt.cancel().handle();
    options.on_progress = [&bar](float fraction) {
        bar.show(fraction);
        return true;
    };
    auto model = puna::Model::try_load(runtime, path, options);
    if (!model.ok()) throw puna::Error(in_program_words(model.failure()));
    return std::move(*model);
}

}  // namespace

// The library begins a message about an option with the name it has for it.
puna::Failure in_program_words(puna::Failure failure) {
    for (const OptionName& name : kOptionNames) {
        if (!failure.message.starts_with(name.library)) continue;
        failure.message.replace(0, name.library.size(), name.program);
    }
    return failure;
}

puna::Runtime make_runtime(const EngineOptions& options) {
    puna::RuntimeOptions runtime_options;
    runtime_options.n_threads = options.n_threads;
    if (!options.kernels.empty()) runtime_options.kernels = options.kernels.c_str();
    auto runtime = puna::Runtime::try_create(runtime_options);
    if (runtime.ok()) return std::move(*runtime);
    // Without the option it is the variable PUNA_KERNELS that names kernels.
    throw puna::Error(options.kernels.empty() ? runtime.failure()
                                              : in_program_words(runtime.failure()));
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

puna::Context make_context(const puna::Model& model, const puna::ContextOptions& options,
                           const std::string& remedy) {
    auto context = puna::Context::try_create(model, options);
    if (context.ok()) return std::move(*context);
    puna::Failure failure = context.failure();
    if (failure.status == PUNA_ERROR_OUT_OF_MEMORY || failure.status == PUNA_ERROR_DEVICE_MEMORY) {
        const bool is_smallest =
            options.kv_type_k == PUNA_KV_Q8_0 && options.kv_type_v == PUNA_KV_Q8_0;
        failure.message = "no context of " + std::to_string(options.n_ctx) +
                          " tokens: " + failure.message + ": try " + remedy +
                          (is_smallest ? "" : ", or --kv-type-k q8_0 --kv-type-v q8_0");
    }
    throw puna::Error(failure);
}

}  // namespace cli
