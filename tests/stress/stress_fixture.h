// Handles of the C API that give themselves back, and hooks that count, for tests that break things.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <vector>

#include "puna/puna.h"
#include "support/model_file.h"
#include "support/random_model.h"
#include "support/random_numbers.h"

namespace puna::test {

template <class Handle, void (*destroy)(Handle*)>
struct Destroyer {
    void operator()(Handle* handle) const { destroy(handle); }
};
using RuntimeHandle = std::unique_ptr<puna_runtime, Destroyer<puna_runtime, puna_runtime_destroy>>;
using ModelHandle = std::unique_ptr<puna_model, Destroyer<puna_model, puna_model_destroy>>;
using ContextHandle = std::unique_ptr<puna_context, Destroyer<puna_context, puna_context_destroy>>;
using SequenceHandle =
    std::unique_ptr<puna_sequence, Destroyer<puna_sequence, puna_sequence_destroy>>;
using GenerationHandle =
    std::unique_ptr<puna_generation, Destroyer<puna_generation, puna_generation_destroy>>;
using CancelHandle = std::unique_ptr<puna_cancel, Destroyer<puna_cancel, puna_cancel_destroy>>;

// The hooks of one runtime, counted. Outlives it.
class Hooks {
  public:
    puna_runtime_options options(int32_t n_threads = 1) {
        puna_runtime_options options = PUNA_RUNTIME_OPTIONS_INIT;
        options.n_threads = n_threads;
        options.disable_backend_search = 1;
        options.alloc = alloc;
        options.free = free;
        options.alloc_user = this;
        options.alloc_release = [](void* user) { ++static_cast<Hooks*>(user)->n_alloc_released; };
        return options;
    }

    std::atomic<int64_t> n_live_blocks{0};
    std::atomic<int64_t> n_live_bytes{0};
    std::atomic<int64_t> peak_bytes{0};
    std::atomic<int64_t> n_allocations{0};
    std::atomic<int64_t> fail_at{-1};  // the allocation that fails, counted from 0
    std::atomic<int> n_alloc_released{0};

  private:
    static void* PUNA_CALL alloc(size_t size, size_t alignment, void* user) {
        auto& self = *static_cast<Hooks*>(user);
        if (self.n_allocations++ == self.fail_at) return nullptr;
        void* memory = ::operator new(size, std::align_val_t(alignment), std::nothrow);
        if (memory == nullptr) return nullptr;
        ++self.n_live_blocks;
        const int64_t live = self.n_live_bytes += static_cast<int64_t>(size);
        int64_t peak = self.peak_bytes;
        while (live > peak && !self.peak_bytes.compare_exchange_weak(peak, live)) {
        }
        return memory;
    }
    static void PUNA_CALL free(void* memory, size_t size, size_t alignment, void* user) {
        auto& self = *static_cast<Hooks*>(user);
        --self.n_live_blocks;
        self.n_live_bytes -= static_cast<int64_t>(size);
        ::operator delete(memory, std::align_val_t(alignment));
    }
};

// What a generation told until its end, or until an error.
struct Told {
    puna_status status = PUNA_OK;
    std::vector<int32_t> tokens;
    std::string text;
    int32_t finish = PUNA_FINISH_NONE;

    bool operator==(const Told&) const = default;
};

// Fetches all events, on past an error of CANCELLED.
inline Told tell_all(puna_generation* generation) {
    Told told;
    for (;;) {
        puna_event event = PUNA_EVENT_INIT;
        const puna_status status = puna_generation_next(generation, 0, &event, nullptr);
        if (status != PUNA_OK) {
            told.status = status;
            if (status != PUNA_ERROR_CANCELLED) return told;
            continue;
        }
        if (event.token >= 0) told.tokens.push_back(event.token);
        told.text.append(event.text, event.text_size);
        if (event.kind != PUNA_EVENT_DONE) continue;
        told.finish = event.finish;
        return told;
    }
}

// A small random model in memory and everything up to a context, by the C API. The failures of
// these calls are failures of the test.
class Machine {
  public:
    static ModelShape shape() {
        ModelShape shape;
        shape.n_layer = 4;
        return shape;
    }

    explicit Machine(puna_runtime_options options, const ModelShape& shape = Machine::shape())
        : bytes_(make_random_model(shape).bytes()) {
        puna_error error = PUNA_ERROR_INIT;
        puna_runtime* runtime_out = nullptr;
        EXPECT_EQ(puna_runtime_create(&options, &runtime_out, &error), PUNA_OK) << error.message;
        runtime.reset(runtime_out);
        load();
    }
    explicit Machine(int32_t n_threads = 1) : Machine(plain_options(n_threads)) {}

    void load() {
        puna_error error = PUNA_ERROR_INIT;
        puna_model* model_out = nullptr;
        const puna_source from = source();
        EXPECT_EQ(puna_model_load(runtime.get(), &from, 1, nullptr, &model_out, &error), PUNA_OK)
            << error.message;
        model.reset(model_out);
    }
    puna_source source() const {
        puna_source source = PUNA_SOURCE_INIT;
        source.memory = bytes_.data();
        source.length = bytes_.size();
        return source;
    }
    int32_t n_vocab() const {
        puna_model_info info = PUNA_MODEL_INFO_INIT;
        EXPECT_EQ(puna_model_get_info(model.get(), &info, nullptr), PUNA_OK);
        return info.n_vocab;
    }

    ContextHandle context(const puna_context_options& options) const {
        puna_error error = PUNA_ERROR_INIT;
        puna_context* context = nullptr;
        EXPECT_EQ(puna_context_create(model.get(), &options, &context, &error), PUNA_OK)
            << error.message;
        return ContextHandle(context);
    }
    ContextHandle context(int32_t n_ctx = 256, int32_t n_cells = 0, int32_t n_batch = 0) const {
        puna_context_options options = PUNA_CONTEXT_OPTIONS_INIT;
        options.n_ctx = n_ctx;
        options.n_cells = n_cells;
        options.n_batch = n_batch;
        options.deterministic = 1;
        return context(options);
    }

    static puna_runtime_options plain_options(int32_t n_threads) {
        puna_runtime_options options = PUNA_RUNTIME_OPTIONS_INIT;
        options.n_threads = n_threads;
        options.disable_backend_search = 1;
        return options;
    }

  private:
    AlignedBytes bytes_;

  public:
    RuntimeHandle runtime;
    ModelHandle model;
};

inline SequenceHandle make_sequence(const ContextHandle& context) {
    puna_sequence* sequence = nullptr;
    EXPECT_EQ(puna_sequence_create(context.get(), &sequence, nullptr), PUNA_OK);
    return SequenceHandle(sequence);
}

inline CancelHandle make_cancel() {
    puna_cancel* cancel = nullptr;
    EXPECT_EQ(puna_cancel_create(&cancel, nullptr), PUNA_OK);
    return CancelHandle(cancel);
}

inline puna_generation_options greedy(int32_t max_tokens, puna_cancel* cancel = nullptr) {
    puna_generation_options options = PUNA_GENERATION_OPTIONS_INIT;
    options.max_tokens = max_tokens;
    options.ignore_end = 1;
    options.cancel = cancel;
    return options;
}

inline GenerationHandle start(const SequenceHandle& sequence, std::span<const int32_t> prompt,
                              const puna_generation_options& options) {
    puna_error error = PUNA_ERROR_INIT;
    puna_generation* generation = nullptr;
    EXPECT_EQ(
        puna_generation_start(sequence.get(), prompt.data(), static_cast<int32_t>(prompt.size()),
                              &options, &generation, &error),
        PUNA_OK)
        << error.message;
    return GenerationHandle(generation);
}

inline std::vector<int32_t> random_tokens(size_t n, uint64_t seed, int32_t n_vocab = 320) {
    RandomNumbers random(seed);
    std::vector<int32_t> tokens(n);
    for (int32_t& token : tokens) {
        token = static_cast<int32_t>(random.below(static_cast<uint64_t>(n_vocab)));
    }
    return tokens;
}

inline std::vector<int32_t> tokens_of(const SequenceHandle& sequence) {
    int32_t n = 0;
    EXPECT_EQ(puna_sequence_length(sequence.get(), &n, nullptr), PUNA_OK);
    std::vector<int32_t> tokens(static_cast<size_t>(n));
    EXPECT_EQ(puna_sequence_tokens(sequence.get(), tokens.data(), n, &n, nullptr), PUNA_OK);
    return tokens;
}

inline puna_context_info info_of(const ContextHandle& context) {
    puna_context_info info = PUNA_CONTEXT_INFO_INIT;
    EXPECT_EQ(puna_context_get_info(context.get(), &info, nullptr), PUNA_OK);
    return info;
}

// Logits of the last of these tokens behind the sequence.
inline std::vector<float> logits_behind(const SequenceHandle& sequence,
                                        std::span<const int32_t> tokens, int32_t n_vocab = 320) {
    std::vector<float> logits(static_cast<size_t>(n_vocab));
    puna_evaluate_options options = PUNA_EVALUATE_OPTIONS_INIT;
    options.output = PUNA_OUTPUT_LOGITS_LAST;
    puna_error error = PUNA_ERROR_INIT;
    EXPECT_EQ(
        puna_sequence_evaluate(sequence.get(), tokens.data(), static_cast<int32_t>(tokens.size()),
                               &options, logits.data(), logits.size() * sizeof(float), &error),
        PUNA_OK)
        << error.message;
    return logits;
}

// A greedy generation in a context of its own.
inline Told told_alone(const Machine& machine, std::span<const int32_t> prompt,
                       int32_t max_tokens) {
    const ContextHandle context = machine.context();
    const SequenceHandle sequence = make_sequence(context);
    const GenerationHandle generation = start(sequence, prompt, greedy(max_tokens));
    return tell_all(generation.get());
}

}  // namespace puna::test
