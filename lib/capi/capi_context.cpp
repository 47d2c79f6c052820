// puna.h: contexts.
#include "capi/guard.h"
#include "capi/handles.h"

using namespace puna::core;

extern "C" {

puna_status PUNA_CALL puna_context_options_init(puna_context_options* options, size_t size) {
    return init_struct(options, size);
}

puna_status PUNA_CALL puna_context_create(puna_model* model, const puna_context_options* options,
                                          puna_context** context, puna_error* error) {
    return guarded(error, [&]() -> Status {
        PUNA_REQUIRE(model);
        PUNA_REQUIRE(context);
        PUNA_TRY(model->object->runtime().check_process());
        puna_context_options whole;
        PUNA_TRY(read_options(options, "puna_context_options", &whole));
        auto handle = std::make_unique<puna_context>();
        PUNA_TRY_ASSIGN(handle->object, Context::create(model->object, whole));
        *context = handle.release();
        return {};
    });
}

void PUNA_CALL puna_context_destroy(puna_context* context) {
    if (context == nullptr || context->object->model().runtime().is_forked()) return;
    context->object->close(context->object.get());
    delete context;
}

puna_status PUNA_CALL puna_context_step(puna_context* context, int32_t budget_us, int32_t* n_ready,
                                        int32_t* n_active, puna_error* error) {
    return guarded(error, [&]() -> Status {
        PUNA_REQUIRE(context);
        if (budget_us < 0) return make_status(PUNA_ERROR_ARGUMENT, "budget_us is negative");
        // Our own: a callback may destroy the handle.
        const std::shared_ptr<Context> object = context->object;
        const ContextCall call(object, nullptr, nullptr);
        PUNA_TRY(call.status());
        const Status status = object->step_within(budget_us);
        object->count_ready(n_ready, n_active);
        return status;
    });
}

puna_status PUNA_CALL puna_context_warm_up(puna_context* context, puna_error* error) {
    return guarded(error, [&]() -> Status {
        PUNA_REQUIRE(context);
        const ContextCall call(context->object, nullptr, nullptr);
        PUNA_TRY(call.status());
        return context->object->warm_up();
    });
}

puna_status PUNA_CALL puna_context_reset(puna_context* context, puna_error* error) {
    return guarded(error, [&]() -> Status {
        PUNA_REQUIRE(context);
        const ContextCall call(context->object, nullptr, nullptr);
        PUNA_TRY(call.status());
        context->object->reset();
        return {};
    });
}

puna_status PUNA_CALL puna_context_get_info(const puna_context* context, puna_context_info* info,
                                            puna_error* error) {
    return guarded(error, [&]() -> Status {
        PUNA_REQUIRE(context);
        const ContextCall call(context->object, nullptr, nullptr);
        PUNA_TRY(call.status());
        return write_struct(info, "info", [&](puna_context_info* whole) {
            context->object->fill_info(whole);
            return Status();
        });
    });
}

}  // extern "C"
