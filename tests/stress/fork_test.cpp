// A child of fork() has the handles of its parent, and may use none of them.
#if defined(__unix__) || defined(__APPLE__)
#include <sys/wait.h>
#include <unistd.h>

#include "stress/stress_fixture.h"

namespace puna::test {
namespace {

struct Handles {
    puna_runtime* runtime;
    puna_model* model;
    puna_context* context;
    puna_sequence* sequence;
    puna_generation* generation;
};

// In the child: the number of the call, from 1, that gave something else than PUNA_ERROR_FORKED; 0
// when all gave that.
int use_all(const Handles& h, const Machine& machine) {
    const puna_source source = machine.source();
    const puna_generation_options greedily = greedy(1);
    puna_device_info device = PUNA_DEVICE_INFO_INIT;
    puna_memory_info memory = PUNA_MEMORY_INFO_INIT;
    puna_memory_estimate estimate = PUNA_MEMORY_ESTIMATE_INIT;
    puna_model_info model_info = PUNA_MODEL_INFO_INIT;
    puna_tensor_info tensor = PUNA_TENSOR_INFO_INIT;
    puna_format_info format = PUNA_FORMAT_INFO_INIT;
    puna_token_info token_info = PUNA_TOKEN_INFO_INIT;
    puna_context_info context_info = PUNA_CONTEXT_INFO_INIT;
    puna_generation_info generation_info = PUNA_GENERATION_INFO_INIT;
    puna_event event = PUNA_EVENT_INIT;
    puna_model* model = nullptr;
    puna_context* context = nullptr;
    puna_sequence* sequence = nullptr;
    puna_generation* generation = nullptr;
    puna_adapter* adapter = nullptr;
    int32_t n = 0;
    const int32_t token = 5;
    char text[64];
    size_t size = 0;
    const puna_status statuses[] = {
        puna_runtime_load_backend(h.runtime, "none", 4, nullptr),
        puna_runtime_device(h.runtime, 0, &device, nullptr),
        puna_runtime_report(h.runtime, text, sizeof text, &size, nullptr),
        puna_runtime_memory(h.runtime, &memory, nullptr),
        puna_model_load(h.runtime, &source, 1, nullptr, &model, nullptr),
        puna_model_estimate(h.runtime, &source, 1, nullptr, nullptr, &estimate, nullptr),
        puna_model_get_info(h.model, &model_info, nullptr),
        puna_model_metadata_key(h.model, 0, text, sizeof text, &size, nullptr),
        puna_model_metadata_value(h.model, "general.name", 12, text, sizeof text, &size, nullptr),
        puna_model_tensor(h.model, 0, &tensor, nullptr),
        puna_model_format(h.model, 0, &format, nullptr),
        puna_model_tokenize(h.model, "a", 1, 0, nullptr, 0, &n, nullptr),
        puna_model_detokenize(h.model, &token, 1, 0, text, sizeof text, &size, nullptr),
        puna_model_token(h.model, 5, &token_info, nullptr),
        puna_model_token_text(h.model, 5, text, sizeof text, &size, nullptr),
        puna_model_find_token(h.model, "<s>", 3, &n, nullptr),
        puna_model_chat_text(h.model, nullptr, 0, nullptr, text, sizeof text, &size, nullptr),
        puna_model_chat_tokens(h.model, nullptr, 0, nullptr, nullptr, 0, &n, nullptr),
        puna_adapter_load(h.model, &source, 1, &adapter, nullptr),
        puna_context_create(h.model, nullptr, &context, nullptr),
        puna_context_step(h.context, 0, nullptr, nullptr, nullptr),
        puna_context_warm_up(h.context, nullptr),
        puna_context_reset(h.context, nullptr),
        puna_context_get_info(h.context, &context_info, nullptr),
        puna_sequence_create(h.context, &sequence, nullptr),
        puna_sequence_fork(h.sequence, &sequence, nullptr),
        puna_sequence_truncate(h.sequence, 0, nullptr),
        puna_sequence_drop(h.sequence, 0, 0, nullptr),
        puna_sequence_set_adapter(h.sequence, nullptr, 1, nullptr),
        puna_sequence_length(h.sequence, &n, nullptr),
        puna_sequence_tokens(h.sequence, nullptr, 0, &n, nullptr),
        puna_sequence_evaluate(h.sequence, &token, 1, nullptr, nullptr, 0, nullptr),
        puna_sequence_save(h.sequence, nullptr, 0, &size, nullptr),
        puna_sequence_restore(h.sequence, text, 0, nullptr),
        puna_generation_start(h.sequence, &token, 1, &greedily, &generation, nullptr),
        puna_generation_start_text(h.sequence, "a", 1, 0, &greedily, &generation, nullptr),
        puna_generation_pause(h.generation, 1, nullptr),
        puna_generation_next(h.generation, 0, &event, nullptr),
        puna_generation_accept(h.generation, 5, nullptr),
        puna_generation_get_info(h.generation, &generation_info, nullptr),
    };
    int number = 0;
    for (const puna_status status : statuses) {
        ++number;
        if (status != PUNA_ERROR_FORKED) return number;
    }
    return 0;
}

TEST(ForkTest, AChildGetsAStatusAndMayExitAndTheParentGoesOn) {
    const Machine machine(3);
    const std::vector<int32_t> prompt = random_tokens(40, 1);
    const Told expected = told_alone(machine, prompt, 8);
    const ContextHandle context = machine.context(256, 0, 8);
    const SequenceHandle sequence = make_sequence(context);
    const GenerationHandle generation = start(sequence, prompt, greedy(8));
    // A batch is under way.
    ASSERT_EQ(puna_context_step(context.get(), 1, nullptr, nullptr, nullptr), PUNA_OK);
    const Handles handles = {machine.runtime.get(), machine.model.get(), context.get(),
                             sequence.get(), generation.get()};
    const pid_t child = fork();
    ASSERT_NE(child, -1);
    if (child == 0) {
        const int wrong = use_all(handles, machine);
        puna_generation_destroy(handles.generation);
        puna_sequence_destroy(handles.sequence);
        puna_context_destroy(handles.context);
        puna_model_destroy(handles.model);
        puna_runtime_destroy(handles.runtime);
        _exit(wrong);
    }
    int status = -1;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status);
    EXPECT_EQ(WEXITSTATUS(status), 0) << "the call with this number went through";
    EXPECT_EQ(tell_all(generation.get()), expected);
}

TEST(ForkTest, AChildMakesARuntimeOfItsOwn) {
    const Machine machine(3);
    const std::vector<int32_t> prompt = random_tokens(20, 2);
    const Told expected = told_alone(machine, prompt, 4);
    const pid_t child = fork();
    ASSERT_NE(child, -1);
    if (child == 0) {
        const Machine own(1);
        _exit(told_alone(own, prompt, 4) == expected ? 0 : 1);
    }
    int status = -1;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace puna::test
#endif
