// Any bytes as a whole model, by the C API: load from memory and, where that works, three tokens.
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "puna/puna.h"
#include "support/model_file.h"

namespace {

void generate(puna_model* model) {
    puna_context_options context_options = PUNA_CONTEXT_OPTIONS_INIT;
    context_options.n_ctx = 8;
    puna_generation_options options = PUNA_GENERATION_OPTIONS_INIT;
    options.max_tokens = 3;
    options.ignore_end = 1;
    puna_context* context = nullptr;
    puna_sequence* sequence = nullptr;
    puna_generation* generation = nullptr;
    if (puna_context_create(model, &context_options, &context, nullptr) == PUNA_OK &&
        puna_sequence_create(context, &sequence, nullptr) == PUNA_OK) {
        const int32_t token = 0;
        if (puna_generation_start_text(sequence, "ab", 2, 0, &options, &generation, nullptr) ==
                PUNA_OK ||
            puna_generation_start(sequence, &token, 1, &options, &generation, nullptr) == PUNA_OK) {
            puna_event event = PUNA_EVENT_INIT;
            while (puna_generation_next(generation, 0, &event, nullptr) == PUNA_OK &&
                   event.kind != PUNA_EVENT_DONE) {
            }
        }
    }
    puna_generation_destroy(generation);
    puna_sequence_destroy(sequence);
    puna_context_destroy(context);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    puna_runtime_options options = PUNA_RUNTIME_OPTIONS_INIT;
    options.n_threads = 1;
    options.disable_backend_search = 1;
    puna_runtime* runtime = nullptr;
    if (puna_runtime_create(&options, &runtime, nullptr) != PUNA_OK) __builtin_trap();
    // The weights must be aligned, which a fuzzer's input is not.
    const puna::test::AlignedBytes bytes(data, data + size);
    puna_source source = PUNA_SOURCE_INIT;
    source.memory = bytes.data();
    source.length = bytes.size();
    puna_model* model = nullptr;
    if (puna_model_load(runtime, &source, 1, nullptr, &model, nullptr) == PUNA_OK) generate(model);
    puna_model_destroy(model);
    puna_runtime_destroy(runtime);
    return 0;
}
