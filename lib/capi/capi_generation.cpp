// puna.h: generations.
#include <cstdio>
#include <string>
#include <vector>

#include "capi/guard.h"
#include "capi/handles.h"

using namespace puna::core;

namespace {

// A call on a generation: keeps it alive, and its context to itself.
class GenerationCall {
  public:
    explicit GenerationCall(const puna_generation* handle)
        : generation_(handle->object),
          call_(generation_->sequence().shared_context(), generation_.get(),
                &generation_->sequence()) {}

    const Status& status() const { return call_.status(); }
    Generation* operator->() const { return generation_.get(); }
    Generation& operator*() const { return *generation_; }
    Context& context() const { return generation_->sequence().context(); }

  private:
    const std::shared_ptr<Generation> generation_;
    const ContextCall call_;
};

Status read_setup(const puna_generation_options* options, GenerationSetup* setup) {
    puna_generation_options& whole = setup->options;
    PUNA_TRY(read_options(options, "puna_generation_options", &whole));
    if (whole.reserved2 != nullptr) {
        return make_status(PUNA_ERROR_UNSUPPORTED, "puna_generation_options: reserved2 is set");
    }
    if (whole.n_stops < 0 || whole.n_logit_bias < 0) {
        return make_status(PUNA_ERROR_ARGUMENT, "n_stops or n_logit_bias is negative");
    }
    if (whole.n_stops > 0 && !whole.stops) return null_argument("stops");
    if (whole.n_logit_bias > 0 && !whole.logit_bias) return null_argument("logit_bias");
    for (int32_t i = 0; i < whole.n_stops; ++i) {
        const size_t size = whole.stop_sizes ? whole.stop_sizes[i] : PUNA_NUL_TERMINATED;
        char name[24];
        std::snprintf(name, sizeof name, "stops[%d]", static_cast<int>(i));
        PUNA_TRY_ASSIGN(const auto stop, read_text(whole.stops[i], size, name));
        setup->stops.emplace_back(stop);
    }
    setup->bias.assign(whole.logit_bias, whole.logit_bias + whole.n_logit_bias);
    if (whole.cancel != nullptr) setup->cancel = whole.cancel->object;
    return {};
}

Status start(const std::shared_ptr<Sequence>& sequence, std::span<const int32_t> prompt,
             GenerationSetup setup, puna_generation** out) {
    auto handle = std::make_unique<puna_generation>();
    PUNA_TRY_ASSIGN(handle->object, sequence->context().start(sequence, prompt, std::move(setup)));
    *out = handle.release();
    return {};
}

}  // namespace

extern "C" {

puna_status PUNA_CALL puna_generation_options_init(puna_generation_options* options, size_t size) {
    return init_struct(options, size);
}

puna_status PUNA_CALL puna_generation_start(puna_sequence* sequence, const int32_t* tokens,
                                            int32_t n_tokens,
                                            const puna_generation_options* options,
                                            puna_generation** generation, puna_error* error) {
    return guarded(error, [&]() -> Status {
        PUNA_REQUIRE(sequence);
        PUNA_REQUIRE(generation);
        if (n_tokens < 0) return make_status(PUNA_ERROR_ARGUMENT, "n_tokens is negative");
        if (n_tokens > 0) PUNA_REQUIRE(tokens);
        GenerationSetup setup;
        PUNA_TRY(read_setup(options, &setup));
        const std::shared_ptr<Sequence> object = sequence->object;
        const ContextCall call(object->shared_context(), nullptr, object.get());
        PUNA_TRY(call.status());
        return start(object, {tokens, static_cast<size_t>(n_tokens)}, std::move(setup), generation);
    });
}

puna_status PUNA_CALL puna_generation_start_text(puna_sequence* sequence, const char* text,
                                                 size_t text_size, int32_t tokenize_flags,
                                                 const puna_generation_options* options,
                                                 puna_generation** generation, puna_error* error) {
    return guarded(error, [&]() -> Status {
        PUNA_REQUIRE(sequence);
        PUNA_REQUIRE(generation);
        PUNA_TRY_ASSIGN(const auto bytes, read_text(text, text_size, "text"));
        GenerationSetup setup;
        PUNA_TRY(read_setup(options, &setup));
        const std::shared_ptr<Sequence> object = sequence->object;
        const ContextCall call(object->shared_context(), nullptr, object.get());
        PUNA_TRY(call.status());
        const bool is_behind =
            object->length() > 0 && setup.options.prompt_mode != PUNA_PROMPT_REPLACE;
        if (is_behind) tokenize_flags |= PUNA_TOKENIZE_NO_BOS_EOS;
        std::vector<int32_t> prompt;
        PUNA_TRY(object->context().model().tokenize(bytes, tokenize_flags, prompt));
        return start(object, prompt, std::move(setup), generation);
    });
}

void PUNA_CALL puna_generation_destroy(puna_generation* generation) {
    if (generation == nullptr) return;
    const auto context = generation->object->sequence().shared_context();
    if (context->model().runtime().is_forked()) return;
    context->close_generation(generation->object);
    delete generation;
}

puna_status PUNA_CALL puna_generation_pause(puna_generation* generation, int32_t paused,
                                            puna_error* error) {
    return guarded(error, [&]() -> Status {
        PUNA_REQUIRE(generation);
        const GenerationCall call(generation);
        PUNA_TRY(call.status());
        call->pause(paused != 0);
        return {};
    });
}

puna_status PUNA_CALL puna_generation_next(puna_generation* generation, int32_t budget_us,
                                           puna_event* next_event, puna_error* error) {
    return guarded(error, [&]() -> Status {
        PUNA_REQUIRE(generation);
        if (budget_us < PUNA_BUDGET_POLL) {
            return make_status(PUNA_ERROR_ARGUMENT,
                               "budget_us is %d: only PUNA_BUDGET_POLL is negative",
                               static_cast<int>(budget_us));
        }
        const GenerationCall call(generation);
        PUNA_TRY(call.status());
        return write_struct(next_event, "next_event", [&](puna_event* whole) {
            return call.context().next(*call, budget_us, whole);
        });
    });
}

puna_status PUNA_CALL puna_generation_accept(puna_generation* generation, int32_t token,
                                             puna_error* error) {
    return guarded(error, [&]() -> Status {
        PUNA_REQUIRE(generation);
        const GenerationCall call(generation);
        PUNA_TRY(call.status());
        PUNA_TRY(call.context().finish_batch());
        return call->accept(token);
    });
}

puna_status PUNA_CALL puna_generation_get_info(const puna_generation* generation,
                                               puna_generation_info* info, puna_error* error) {
    return guarded(error, [&]() -> Status {
        PUNA_REQUIRE(generation);
        const GenerationCall call(generation);
        PUNA_TRY(call.status());
        return write_struct(info, "info", [&](puna_generation_info* whole) {
            call->fill_info(whole);
            return Status();
        });
    });
}

}  // extern "C"
