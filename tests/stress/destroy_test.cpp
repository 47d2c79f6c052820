// Destroying handles: in any order, from other threads in the middle of the work, and in callbacks.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <functional>
#include <thread>

#include "stress/stress_fixture.h"

namespace puna::test {
namespace {

// Threads of this process; 0 where that is not known.
int thread_count() {
    int n = 0;
    if (std::FILE* file = std::fopen("/proc/self/status", "r")) {
        char line[256];
        while (std::fgets(line, sizeof line, file) != nullptr) {
            if (std::sscanf(line, "Threads: %d", &n) == 1) break;
        }
        std::fclose(file);
    }
    return n;
}

struct Everything {
    puna_runtime* runtime = nullptr;
    puna_model* model = nullptr;
    puna_context* context = nullptr;
    puna_sequence* sequence = nullptr;
    puna_generation* generation = nullptr;
    puna_cancel* cancel = nullptr;

    void destroy(int which) {
        switch (which) {
            case 0:
                return puna_runtime_destroy(runtime);
            case 1:
                return puna_model_destroy(model);
            case 2:
                return puna_context_destroy(context);
            case 3:
                return puna_sequence_destroy(sequence);
            case 4:
                return puna_generation_destroy(generation);
            default:
                return puna_cancel_destroy(cancel);
        }
    }
};

class Maker {
  public:
    explicit Maker(int32_t n_batch = 0)
        : bytes_(make_random_model(Machine::shape()).bytes()), n_batch_(n_batch) {}

    // Everything up to a generation, with each release counted.
    Everything make(puna_runtime_options options, std::span<const int32_t> prompt) {
        n_released = 0;
        Everything all;
        options.log_user = options.parallel_user = this;
        if (options.parallel != nullptr) options.parallel_release = count;
        options.log_release = count;
        puna_source source = PUNA_SOURCE_INIT;
        source.memory = bytes_.data();
        source.length = bytes_.size();
        source.user = this;
        source.release = count;
        puna_context_options context_options = PUNA_CONTEXT_OPTIONS_INIT;
        context_options.n_ctx = 2048;
        context_options.n_batch = n_batch_;
        EXPECT_EQ(puna_runtime_create(&options, &all.runtime, nullptr), PUNA_OK);
        EXPECT_EQ(puna_model_load(all.runtime, &source, 1, nullptr, &all.model, nullptr), PUNA_OK);
        EXPECT_EQ(puna_context_create(all.model, &context_options, &all.context, nullptr), PUNA_OK);
        EXPECT_EQ(puna_sequence_create(all.context, &all.sequence, nullptr), PUNA_OK);
        EXPECT_EQ(puna_cancel_create(&all.cancel, nullptr), PUNA_OK);
        const puna_generation_options greedily = greedy(8, all.cancel);
        EXPECT_EQ(
            puna_generation_start(all.sequence, prompt.data(), static_cast<int32_t>(prompt.size()),
                                  &greedily, &all.generation, nullptr),
            PUNA_OK);
        return all;
    }

    std::atomic<int> n_released{0};
    std::function<void()> in_parallel;  // of options with run_parallel, once

    static void PUNA_CALL run_parallel(int32_t n_parts, int32_t, puna_part_fn part, void* argument,
                                       void* user) {
        for (int32_t i = 0; i < n_parts; ++i) part(i, argument);
        auto& self = *static_cast<Maker*>(user);
        if (self.in_parallel) std::exchange(self.in_parallel, nullptr)();
    }

  private:
    static void PUNA_CALL count(void* user) { ++static_cast<Maker*>(user)->n_released; }

    AlignedBytes bytes_;
    int32_t n_batch_;
};

// All 720 orders; the generation is asked for an event before each of them as long as it is there.
TEST(DestroyTest, EveryOrderIsRightAndTheGenerationGoesOn) {
    Maker maker;
    const std::vector<int32_t> prompt = random_tokens(12, 1);
    std::array<int, 6> order = {0, 1, 2, 3, 4, 5};
    std::vector<int32_t> expected;
    do {
        Hooks hooks;
        Everything all = maker.make(hooks.options(), prompt);
        std::vector<int32_t> tokens;
        bool is_there = true;
        for (const int which : order) {
            puna_event event = PUNA_EVENT_INIT;
            if (is_there) {
                ASSERT_EQ(puna_generation_next(all.generation, 0, &event, nullptr), PUNA_OK);
                tokens.push_back(event.token);
            }
            if (which == 4) is_there = false;
            all.destroy(which);
        }
        if (tokens.size() > expected.size()) {
            ASSERT_TRUE(std::equal(expected.begin(), expected.end(), tokens.begin()));
            expected = tokens;
        }
        ASSERT_TRUE(std::equal(tokens.begin(), tokens.end(), expected.begin()));
        ASSERT_EQ(hooks.n_live_bytes, 0);
        ASSERT_EQ(hooks.n_alloc_released, 1);
        ASSERT_EQ(maker.n_released, 2);  // log and source
    } while (std::next_permutation(order.begin(), order.end()));
    EXPECT_EQ(expected.size(), 6u);
}

class DestroyThreadTest : public testing::TestWithParam<int> {};

// Until the call is on its way: the test's own looking may have kept the context busy.
puna_status next_when_free(puna_generation* generation) {
    puna_event event = PUNA_EVENT_INIT;
    puna_status status = PUNA_ERROR_BUSY;
    while (status == PUNA_ERROR_BUSY) {
        status = puna_generation_next(generation, 0, &event, nullptr);
    }
    return status;
}

// BUSY says that another thread is inside a call. On a machine that has no time for us we may come
// when it is over.
void wait_until_busy(puna_context* context, const std::atomic<bool>& is_over) {
    puna_context_info info = PUNA_CONTEXT_INFO_INIT;
    while (!is_over && puna_context_get_info(context, &info, nullptr) == PUNA_OK) {
        std::this_thread::yield();
    }
}

// Thread A in a prompt of many batches; thread B destroys a handle that the call is on, then the
// rest.
TEST_P(DestroyThreadTest, InMidPrefillEndsTheCallOnTheOtherThread) {
    std::thread([] {}).join();  // with the first thread ThreadSanitizer starts one of its own
    const int threads_before = thread_count();
    Maker maker(8);
    const std::vector<int32_t> prompt = random_tokens(1500, 2);
    int n_cancelled = 0;
    for (int round = 0; n_cancelled < 70; ++round) {
        ASSERT_LT(round, 700);
        Hooks hooks;
        Everything all = maker.make(hooks.options(2), prompt);
        puna_status status = PUNA_OK;
        std::atomic<bool> is_over{false};
        std::thread worker([&] {
            status = next_when_free(all.generation);
            is_over = true;
        });
        wait_until_busy(all.context, is_over);
        all.destroy(GetParam());
        worker.join();
        if (status != PUNA_OK) {
            ASSERT_EQ(status, PUNA_ERROR_CANCELLED) << round;
            ++n_cancelled;
        }
        for (int which = 0; which < 6; ++which) {
            if (which != GetParam()) all.destroy(which);
        }
        ASSERT_EQ(hooks.n_live_bytes, 0) << round;
        ASSERT_EQ(hooks.n_alloc_released, 1);
        ASSERT_EQ(maker.n_released, 2);
    }
    EXPECT_EQ(thread_count(), threads_before);
}
INSTANTIATE_TEST_SUITE_P(Of, DestroyThreadTest, testing::Values(2, 3, 4), [](const auto& which) {
    return std::string(which.param == 2 ? "Context" : which.param == 3 ? "Sequence" : "Generation");
});

// A second generation of the batch is destroyed while the first is being advanced.
TEST(DestroyOtherThreadTest, OfAnotherGenerationLeavesTheRunningOneAlone) {
    const Machine machine(2);
    const std::vector<int32_t> prompt = random_tokens(150, 3);
    const Told expected = told_alone(machine, prompt, 1);
    for (int round = 0; round < 50; ++round) {
        const ContextHandle context = machine.context(256, 1024, 8);
        const SequenceHandle sequence = make_sequence(context);
        SequenceHandle other = make_sequence(context);
        const GenerationHandle generation = start(sequence, prompt, greedy(1));
        GenerationHandle doomed = start(other, random_tokens(180, 4), greedy(8));
        puna_status status = PUNA_OK;
        puna_event event = PUNA_EVENT_INIT;
        std::atomic<bool> is_over{false};
        std::thread worker([&] {
            do {
                status = puna_generation_next(generation.get(), 0, &event, nullptr);
            } while (status == PUNA_ERROR_BUSY);
            is_over = true;
        });
        wait_until_busy(context.get(), is_over);
        doomed.reset();
        other.reset();
        worker.join();
        EXPECT_EQ(status, PUNA_OK);
        EXPECT_EQ(event.token, expected.tokens[0]) << round;
        EXPECT_EQ(info_of(context).n_sequences, 1);
        EXPECT_EQ(info_of(context).n_cells_used, 160);
    }
}

// Everything goes inside a callback of the call, which ends as cancelled and gives it all back.
TEST(DestroyTest, InsideTheParallelHookOfTheCall) {
    const std::vector<int32_t> prompt = random_tokens(100, 5);
    for (const char* call : {"next", "step", "evaluate", "warm_up"}) {
        SCOPED_TRACE(call);
        Maker maker(16);
        Hooks hooks;
        puna_runtime_options options = hooks.options(2);
        options.parallel = Maker::run_parallel;
        Everything all = maker.make(options, prompt);
        maker.in_parallel = [&] {
            for (int which = 0; which < 6; ++which) all.destroy(which);
            EXPECT_EQ(hooks.n_alloc_released, 0);
            EXPECT_GT(hooks.n_live_bytes, 0);
        };
        puna_status status = PUNA_OK;
        puna_event event = PUNA_EVENT_INIT;
        int32_t n_ready = 0;
        switch (call[0]) {
            case 'n':
                status = puna_generation_next(all.generation, 0, &event, nullptr);
                break;
            case 's':
                status = puna_context_step(all.context, 0, &n_ready, &n_ready, nullptr);
                break;
            case 'w':
                status = puna_context_warm_up(all.context, nullptr);
                break;
            default: {
                puna_sequence* second = nullptr;
                ASSERT_EQ(puna_sequence_create(all.context, &second, nullptr), PUNA_OK);
                maker.in_parallel = [&, destroy_all = maker.in_parallel] {
                    puna_sequence_destroy(second);
                    destroy_all();
                };
                status =
                    puna_sequence_evaluate(second, prompt.data(), 20, nullptr, nullptr, 0, nullptr);
            }
        }
        EXPECT_EQ(status, PUNA_ERROR_CANCELLED);
        EXPECT_EQ(hooks.n_live_bytes, 0);
        EXPECT_EQ(hooks.n_alloc_released, 1);
        EXPECT_EQ(maker.n_released, 3);
    }
}

// Hooks of a load and of an estimate that destroy the runtime they were called for.
TEST(DestroyTest, OfTheRuntimeInsideCallbacksOfALoad) {
    const AlignedBytes bytes = make_random_model(Machine::shape()).bytes();
    struct State {
        const AlignedBytes& bytes;
        puna_runtime* runtime = nullptr;
        int n_released = 0;
    } state = {bytes};
    puna_source source = PUNA_SOURCE_INIT;
    source.length = bytes.size();
    source.user = &state;
    source.read = [](uint64_t offset, void* buffer, size_t size, void* user) -> int32_t {
        auto& it = *static_cast<State*>(user);
        puna_runtime_destroy(std::exchange(it.runtime, nullptr));
        std::copy_n(it.bytes.data() + offset, size, static_cast<uint8_t*>(buffer));
        return 0;
    };
    source.release = [](void* user) { ++static_cast<State*>(user)->n_released; };
    for (const bool estimates : {false, true}) {
        SCOPED_TRACE(estimates);
        state.n_released = 0;
        Hooks hooks;
        const puna_runtime_options options = hooks.options();
        ASSERT_EQ(puna_runtime_create(&options, &state.runtime, nullptr), PUNA_OK);
        puna_model* model = nullptr;
        puna_memory_estimate estimate = PUNA_MEMORY_ESTIMATE_INIT;
        puna_error error = PUNA_ERROR_INIT;
        if (estimates) {
            EXPECT_EQ(
                puna_model_estimate(state.runtime, &source, 1, nullptr, nullptr, &estimate, &error),
                PUNA_ERROR_CANCELLED)
                << error.message;
        } else {
            EXPECT_EQ(puna_model_load(state.runtime, &source, 1, nullptr, &model, &error),
                      PUNA_ERROR_CANCELLED)
                << error.message;
        }
        EXPECT_EQ(state.n_released, 1);
        EXPECT_EQ(hooks.n_live_bytes, 0);
        EXPECT_EQ(hooks.n_alloc_released, 1);
    }
}

// A load is in its progress callback when another thread destroys its runtime.
TEST(DestroyOtherThreadTest, OfTheRuntimeEndsALoadOnAnotherThread) {
    const AlignedBytes bytes = make_random_model(Machine::shape()).bytes();
    struct State {
        std::atomic<bool> is_inside{false};
        std::atomic<bool> is_destroyed{false};
    } state;
    Hooks hooks;
    const puna_runtime_options runtime_options = hooks.options(2);
    puna_runtime* runtime = nullptr;
    ASSERT_EQ(puna_runtime_create(&runtime_options, &runtime, nullptr), PUNA_OK);
    puna_source source = PUNA_SOURCE_INIT;
    source.memory = bytes.data();
    source.length = bytes.size();
    puna_model_options options = PUNA_MODEL_OPTIONS_INIT;
    options.progress_user = &state;
    options.progress = [](float, void* user) -> int32_t {
        auto& it = *static_cast<State*>(user);
        it.is_inside = true;
        // Destroying waits for the load: it cannot be over here.
        for (int i = 0; i < 20; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
        EXPECT_FALSE(it.is_destroyed);
        return 0;
    };
    puna_status status = PUNA_OK;
    puna_model* model = nullptr;
    std::thread worker(
        [&] { status = puna_model_load(runtime, &source, 1, &options, &model, nullptr); });
    while (!state.is_inside) std::this_thread::yield();
    puna_runtime_destroy(runtime);
    state.is_destroyed = true;
    worker.join();
    EXPECT_EQ(status, PUNA_ERROR_CANCELLED);
    EXPECT_EQ(hooks.n_live_bytes, 0);
    EXPECT_EQ(hooks.n_alloc_released, 1);
}

TEST(DestroyTest, NullIsNothing) {
    puna_runtime_destroy(nullptr);
    puna_model_destroy(nullptr);
    puna_context_destroy(nullptr);
    puna_sequence_destroy(nullptr);
    puna_generation_destroy(nullptr);
    puna_cancel_destroy(nullptr);
    puna_adapter_destroy(nullptr);
}

// ---- Releases in failure -----------------------------------------------------------------------

void PUNA_CALL count_release(void* user) {
    ++*static_cast<int*>(user);
}

TEST(ReleaseTest, HooksOfARuntimeThatCannotBe) {
    const auto options_with = [](int* n) {
        puna_runtime_options options = PUNA_RUNTIME_OPTIONS_INIT;
        options.n_threads = 1;
        options.disable_backend_search = 1;
        options.alloc_user = options.log_user = options.parallel_user = n;
        options.alloc_release = options.log_release = options.parallel_release = count_release;
        return options;
    };
    const std::vector<std::function<void(puna_runtime_options&)>> faults = {
        [](puna_runtime_options& o) { o.n_threads = -1; },
        [](puna_runtime_options& o) { o.n_threads = 513; },
        [](puna_runtime_options& o) { o.log_level = 9; },
        [](puna_runtime_options& o) { o.kernels = "abacus"; },
        [](puna_runtime_options& o) { o.reserved = &o; },
        [](puna_runtime_options& o) {
            o.alloc = [](size_t, size_t, void*) -> void* { return nullptr; };
        },
    };
    for (const auto& fault : faults) {
        int n = 0;
        puna_runtime_options options = options_with(&n);
        fault(options);
        puna_runtime* runtime = nullptr;
        EXPECT_NE(puna_runtime_create(&options, &runtime, nullptr), PUNA_OK);
        EXPECT_EQ(n, 3);
        EXPECT_EQ(runtime, nullptr);
    }
    int n = 0;
    puna_runtime_options options = options_with(&n);
    puna_runtime* runtime = nullptr;
    EXPECT_EQ(puna_runtime_create(&options, nullptr, nullptr), PUNA_ERROR_ARGUMENT);
    EXPECT_EQ(n, 0);  // not reached
    ASSERT_EQ(puna_runtime_create(&options, &runtime, nullptr), PUNA_OK);
    EXPECT_EQ(n, 0);
    puna_runtime_destroy(runtime);
    EXPECT_EQ(n, 3);
}

TEST(ReleaseTest, SourcesOfALoadThatFails) {
    const Machine machine;
    const AlignedBytes other = make_random_model({}).bytes();
    const auto bad_layout = [] {
        puna_model_options options = PUNA_MODEL_OPTIONS_INIT;
        options.weights_layout = 7;
        return options;
    }();
    for (int fault = 0; fault < 5; ++fault) {
        SCOPED_TRACE(fault);
        int n = 0;
        puna_source sources[3];
        for (puna_source& source : sources) {
            source = machine.source();
            source.user = &n;
            source.release = count_release;
        }
        const puna_model_options* options = nullptr;
        if (fault == 0) sources[1].length = 20;        // truncated
        if (fault == 1) sources[2].path = "both.set";  // contradictory
        if (fault == 2) options = &bad_layout;
        if (fault == 3) sources[0].reserved = 1;
        // fault 4: one whole model is not three parts
        puna_model* model = nullptr;
        EXPECT_NE(puna_model_load(machine.runtime.get(), sources, 3, options, &model, nullptr),
                  PUNA_OK);
        EXPECT_EQ(n, 3);
        n = 0;
        puna_memory_estimate estimate = PUNA_MEMORY_ESTIMATE_INIT;
        EXPECT_NE(puna_model_estimate(machine.runtime.get(), sources, 3, options, nullptr,
                                      &estimate, nullptr),
                  PUNA_OK);
        EXPECT_EQ(n, 3);
        n = 0;
        puna_adapter* adapter = nullptr;
        EXPECT_EQ(puna_adapter_load(machine.model.get(), sources, 3, &adapter, nullptr),
                  PUNA_ERROR_UNSUPPORTED);
        EXPECT_EQ(n, 3);
    }
    int n = 0;
    puna_source source = machine.source();
    source.user = &n;
    source.release = count_release;
    puna_memory_estimate estimate = PUNA_MEMORY_ESTIMATE_INIT;
    EXPECT_EQ(puna_model_estimate(machine.runtime.get(), &source, 1, nullptr, nullptr, &estimate,
                                  nullptr),
              PUNA_OK);
    EXPECT_EQ(n, 1);
}

}  // namespace
}  // namespace puna::test
