// A runtime, a random model and a context through the C API, given back together.
#pragma once

#include <stdexcept>
#include <string>

#include "puna/puna.h"
#include "support/model_source.h"
#include "support/random_model.h"

namespace puna::test {

class SmallEngine {
  public:
    // Throws std::runtime_error with the library's text.
    explicit SmallEngine(const ModelShape& shape,
                         const puna_context_options& options = PUNA_CONTEXT_OPTIONS_INIT,
                         const char* kernels = nullptr)
        : source_(make_random_model(shape)) {
        puna_error error = PUNA_ERROR_INIT;
        puna_runtime_options runtime_options = PUNA_RUNTIME_OPTIONS_INIT;
        runtime_options.n_threads = 1;
        runtime_options.disable_backend_search = 1;
        runtime_options.kernels = kernels;
        check(puna_runtime_create(&runtime_options, &runtime_, &error), error);
        puna_source source = source_.in_place();
        check(puna_model_load(runtime_, &source, 1, nullptr, &model_, &error), error);
        check(puna_context_create(model_, &options, &context_, &error), error);
    }
    ~SmallEngine() {
        puna_context_destroy(context_);
        puna_model_destroy(model_);
        puna_runtime_destroy(runtime_);
    }
    SmallEngine(const SmallEngine&) = delete;
    SmallEngine& operator=(const SmallEngine&) = delete;

    puna_model* model() const { return model_; }
    puna_context* context() const { return context_; }
    puna_context_info info() const {
        puna_context_info info = PUNA_CONTEXT_INFO_INIT;
        puna_error error = PUNA_ERROR_INIT;
        check(puna_context_get_info(context_, &info, &error), error);
        return info;
    }

  private:
    static void check(puna_status status, const puna_error& error) {
        if (status != PUNA_OK) throw std::runtime_error(error.message);
    }

    MemorySource source_;
    puna_runtime* runtime_ = nullptr;
    puna_model* model_ = nullptr;
    puna_context* context_ = nullptr;
};

}  // namespace puna::test
