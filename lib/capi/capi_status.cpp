// puna.h: versions, statuses, cancel objects.
#include "capi/guard.h"
#include "capi/handles.h"

using namespace puna::core;

#define PUNA_TEXT(x) PUNA_TEXT_(x)
#define PUNA_TEXT_(x) #x

extern "C" {

const char* PUNA_CALL puna_version(void) {
    return PUNA_TEXT(PUNA_VERSION_MAJOR) "." PUNA_TEXT(PUNA_VERSION_MINOR) "." PUNA_TEXT(
        PUNA_VERSION_PATCH);
}

int32_t PUNA_CALL puna_abi_version(void) {
    return PUNA_ABI_VERSION;
}

const char* PUNA_CALL puna_status_name(puna_status status) {
    switch (status) {
#define PUNA_NAME(code) \
    case code:          \
        return #code
        PUNA_NAME(PUNA_OK);
        PUNA_NAME(PUNA_ERROR_ARGUMENT);
        PUNA_NAME(PUNA_ERROR_UNSUPPORTED);
        PUNA_NAME(PUNA_ERROR_BUFFER);
        PUNA_NAME(PUNA_ERROR_STATE);
        PUNA_NAME(PUNA_ERROR_NOT_FOUND);
        PUNA_NAME(PUNA_ERROR_OUT_OF_MEMORY);
        PUNA_NAME(PUNA_ERROR_IO);
        PUNA_NAME(PUNA_ERROR_THREAD);
        PUNA_NAME(PUNA_ERROR_FORKED);
        PUNA_NAME(PUNA_ERROR_FORMAT);
        PUNA_NAME(PUNA_ERROR_TRUNCATED);
        PUNA_NAME(PUNA_ERROR_FORMAT_VERSION);
        PUNA_NAME(PUNA_ERROR_FOREIGN_STATE);
        PUNA_NAME(PUNA_ERROR_SYNTAX);
        PUNA_NAME(PUNA_ERROR_MODEL);
        PUNA_NAME(PUNA_ERROR_MODEL_UNSUPPORTED);
        PUNA_NAME(PUNA_ERROR_CONTEXT_FULL);
        PUNA_NAME(PUNA_ERROR_CANCELLED);
        PUNA_NAME(PUNA_ERROR_CALLBACK_STOPPED);
        PUNA_NAME(PUNA_ERROR_BUSY);
        PUNA_NAME(PUNA_ERROR_INTERNAL);
        PUNA_NAME(PUNA_ERROR_NO_CELLS);
        PUNA_NAME(PUNA_ERROR_BACKEND);
        PUNA_NAME(PUNA_ERROR_NO_DEVICE);
        PUNA_NAME(PUNA_ERROR_BACKEND_VERSION);
        PUNA_NAME(PUNA_ERROR_DEVICE_MEMORY);
#undef PUNA_NAME
        default:
            return "PUNA_ERROR_UNKNOWN";
    }
}

puna_status PUNA_CALL puna_cancel_create(puna_cancel** cancel, puna_error* error) {
    return guarded(error, [&]() -> Status {
        PUNA_REQUIRE(cancel);
        *cancel = new puna_cancel{std::make_shared<Cancel>()};
        return {};
    });
}

void PUNA_CALL puna_cancel_destroy(puna_cancel* cancel) {
    delete cancel;
}

void PUNA_CALL puna_cancel_trigger(puna_cancel* cancel) {
    if (cancel != nullptr) cancel->object->trigger();
}

void PUNA_CALL puna_cancel_reset(puna_cancel* cancel) {
    if (cancel != nullptr) cancel->object->reset();
}

int32_t PUNA_CALL puna_cancel_is_triggered(const puna_cancel* cancel) {
    return cancel != nullptr && cancel->object->is_triggered() ? 1 : 0;
}

}  // extern "C"
