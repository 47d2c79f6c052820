// puna.h: models, their metadata and tensors, memory estimates, adapters.
#include <vector>

#include "capi/guard.h"
#include "capi/handles.h"
#include "runtime/memory_plan.h"
#include "runtime/source_duty.h"

using namespace puna::core;

namespace {

// Copies the caller's array, whose elements lie the first one's struct_size apart, into `duty`.
// Refuses all of them, without releasing any, when a struct_size is wrong, and without reading any when
// their number is: nothing says how many there are then.
Status read_sources(const puna_source* sources, int32_t n_sources, SourceDuty& duty) {
    if (n_sources < 1 || n_sources > PUNA_MAX_SOURCES) {
        return make_status(PUNA_ERROR_ARGUMENT, "n_sources is %d, not 1 .. %d",
                           static_cast<int>(n_sources), PUNA_MAX_SOURCES);
    }
    const auto* bytes = reinterpret_cast<const unsigned char*>(sources);
    const size_t stride = sources->struct_size;
    for (const bool take : {false, true}) {
        for (size_t i = 0; i < static_cast<size_t>(n_sources); ++i) {
            const auto* source = reinterpret_cast<const puna_source*>(bytes + i * stride);
            puna_source whole;
            PUNA_TRY(read_options(source, "puna_source", &whole));
            if (source->struct_size != stride) {
                return make_status(PUNA_ERROR_ARGUMENT,
                                   "sources[%zu]: struct_size is %u, that of the first is %zu", i,
                                   source->struct_size, stride);
            }
            if (take) duty.add(whole);
        }
    }
    return {};
}

}  // namespace

extern "C" {

puna_status PUNA_CALL puna_source_init(puna_source* source, size_t size) {
    return init_struct(source, size);
}

puna_status PUNA_CALL puna_model_options_init(puna_model_options* options, size_t size) {
    return init_struct(options, size);
}

puna_status PUNA_CALL puna_model_load(puna_runtime* runtime, const puna_source* sources,
                                      int32_t n_sources, const puna_model_options* options,
                                      puna_model** model, puna_error* error) {
    return guarded(error, [&]() -> Status {
        PUNA_REQUIRE(runtime);
        PUNA_REQUIRE(sources);
        PUNA_REQUIRE(model);
        SourceDuty duty;
        PUNA_TRY(read_sources(sources, n_sources, duty));
        // Our own: a callback may destroy the handle.
        const std::shared_ptr<Runtime> object = runtime->object;
        PUNA_TRY(object->check_process());
        const Runtime::Call call(object);
        puna_model_options whole;
        PUNA_TRY(read_options(options, "puna_model_options", &whole));
        if (whole.reserved != nullptr) {
            return make_status(PUNA_ERROR_UNSUPPORTED, "puna_model_options.reserved is not NULL");
        }
        auto handle = std::make_unique<puna_model>();
        const auto cancel = whole.cancel ? whole.cancel->object : nullptr;
        PUNA_TRY_ASSIGN(handle->object, Model::load(object, duty, whole, cancel));
        *model = handle.release();
        return {};
    });
}

void PUNA_CALL puna_model_destroy(puna_model* model) {
    if (model == nullptr || model->object->runtime().is_forked()) return;
    delete model;
}

puna_status PUNA_CALL puna_model_estimate(puna_runtime* runtime, const puna_source* sources,
                                          int32_t n_sources,
                                          const puna_model_options* model_options,
                                          const puna_context_options* context_options,
                                          puna_memory_estimate* estimate, puna_error* error) {
    return guarded(error, [&]() -> Status {
        PUNA_REQUIRE(runtime);
        PUNA_REQUIRE(sources);
        SourceDuty duty;
        PUNA_TRY(read_sources(sources, n_sources, duty));
        const std::shared_ptr<Runtime> object = runtime->object;
        PUNA_TRY(object->check_process());
        const Runtime::Call call(object);
        puna_model_options model_whole;
        PUNA_TRY(read_options(model_options, "puna_model_options", &model_whole));
        puna_context_options context_whole;
        PUNA_TRY(read_options(context_options, "puna_context_options", &context_whole));
        return write_struct(estimate, "estimate", [&](puna_memory_estimate* whole) {
            return estimate_memory(*object, duty, model_whole, context_whole, whole);
        });
    });
}

puna_status PUNA_CALL puna_model_get_info(const puna_model* model, puna_model_info* info,
                                          puna_error* error) {
    return guarded(error, [&]() -> Status {
        PUNA_REQUIRE(model);
        PUNA_TRY(model->object->runtime().check_process());
        return write_struct(
            info, "info", [&](puna_model_info* whole) { return model->object->fill_info(whole); });
    });
}

int32_t PUNA_CALL puna_model_n_metadata(const puna_model* model) {
    if (model == nullptr) return 0;
    return static_cast<int32_t>(model->object->file().metadata().entries().size());
}

puna_status PUNA_CALL puna_model_metadata_key(const puna_model* model, int32_t index, char* buffer,
                                              size_t capacity, size_t* needed, puna_error* error) {
    return guarded(error, [&]() -> Status {
        PUNA_REQUIRE(model);
        PUNA_TRY(model->object->runtime().check_process());
        const auto entries = model->object->file().metadata().entries();
        if (index < 0 || static_cast<size_t>(index) >= entries.size()) {
            return make_status(PUNA_ERROR_NOT_FOUND, "key %d: there are %zu",
                               static_cast<int>(index), entries.size());
        }
        return write_text(entries[static_cast<size_t>(index)].key, buffer, capacity, needed);
    });
}

puna_status PUNA_CALL puna_model_metadata_value(const puna_model* model, const char* key,
                                                size_t key_size, char* buffer, size_t capacity,
                                                size_t* needed, puna_error* error) {
    return guarded(error, [&]() -> Status {
        PUNA_REQUIRE(model);
        PUNA_TRY(model->object->runtime().check_process());
        PUNA_TRY_ASSIGN(const auto name, read_text(key, key_size, "key"));
        PUNA_TRY_ASSIGN(const auto text, model->object->metadata_text(name));
        return write_text(text, buffer, capacity, needed);
    });
}

int32_t PUNA_CALL puna_model_n_tensors(const puna_model* model) {
    return model == nullptr ? 0 : model->object->n_tensors();
}

puna_status PUNA_CALL puna_model_tensor(const puna_model* model, int32_t index,
                                        puna_tensor_info* info, puna_error* error) {
    return guarded(error, [&]() -> Status {
        PUNA_REQUIRE(model);
        PUNA_TRY(model->object->runtime().check_process());
        return write_struct(info, "info", [&](puna_tensor_info* whole) {
            return model->object->fill_tensor_info(index, whole);
        });
    });
}

int32_t PUNA_CALL puna_model_n_formats(const puna_model* model) {
    return model == nullptr ? 0 : model->object->n_formats();
}

puna_status PUNA_CALL puna_model_format(const puna_model* model, int32_t index,
                                        puna_format_info* info, puna_error* error) {
    return guarded(error, [&]() -> Status {
        PUNA_REQUIRE(model);
        PUNA_TRY(model->object->runtime().check_process());
        return write_struct(info, "info", [&](puna_format_info* whole) {
            return model->object->fill_format_info(index, whole);
        });
    });
}

puna_status PUNA_CALL puna_adapter_load(puna_model* model, const puna_source* sources,
                                        int32_t n_sources, puna_adapter** adapter,
                                        puna_error* error) {
    return guarded(error, [&]() -> Status {
        PUNA_REQUIRE(model);
        PUNA_REQUIRE(sources);
        PUNA_REQUIRE(adapter);
        SourceDuty duty;
        PUNA_TRY(read_sources(sources, n_sources, duty));
        PUNA_TRY(model->object->runtime().check_process());
        return make_status(PUNA_ERROR_UNSUPPORTED, "adapters are not in this version");
    });
}

void PUNA_CALL puna_adapter_destroy(puna_adapter*) {
    // No adapter exists: puna_adapter_load gives none.
}

}  // extern "C"
