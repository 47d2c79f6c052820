// A backend plugin that pretends to be a GPU and really computes.
//
// One device, "fake gpu". Weights are dequantised to float in its memory at load, and the host's
// are let go; hidden rows are float between layers, everything else is double, so a cut model gives
// the same bits as a whole one. It holds the host to its side of the contract: rows that break a
// rule are refused by name, and cells that hold nothing (never written, dropped, or of an abandoned
// batch) are not-a-number and may not be seen.
//
// Environment, read when the backend object is made:
//   PUNA_FAKE_GPU_BYTES       memory of the device; 256 MiB
//   PUNA_FAKE_GPU_LAYER_US    each layer takes at least so many microseconds of the host's clock
//   PUNA_FAKE_GPU_FAIL_LAYER  that `advance` of the backend object, counted from 1, fails; the
//                             executor lives on
#include <cstdlib>
#include <memory>

#include "fake_executor.h"

using fake::fail;
using fake::guarded;
using fake::require;

puna_layer_set::puna_layer_set(puna_backend& owner, fake::Plan&& checked)
    : backend(owner),
      plan(std::move(checked)),
      share(backend.memory, plan.device_bytes),
      layers(static_cast<size_t>(plan.request.n_layers)) {
    const puna_model_spec& s = plan.spec;
    const puna_layers_request& r = plan.request;
    if (s.rope != PUNA_ROPE_NONE && s.rope_dim > 0) {
        frequencies.assign(s.rope_frequencies, s.rope_frequencies + s.rope_dim / 2);
    }
    size_t n_done = 0;
    for (const auto& [key, tensor] : plan.tensors) {
        if (r.interrupted != nullptr && r.interrupted(r.progress_user) != 0) {
            fail(PUNA_ERROR_CANCELLED, "the load was interrupted");
        }
        if (!plan.is_tied || tensor.role != PUNA_TENSOR_OUTPUT) upload(tensor);
        const float share_done = static_cast<float>(++n_done) / static_cast<float>(r.n_tensors);
        if (r.progress != nullptr && r.progress(share_done, r.progress_user) != 0) {
            fail(PUNA_ERROR_CALLBACK_STOPPED, "the load was stopped");
        }
    }
    ++backend.n_children;
}

void puna_layer_set::upload(const puna_tensor& t) {
    const int32_t index = t.layer - plan.request.first_layer;
    fake::LayerWeights& target = t.layer < 0 ? model : layers[static_cast<size_t>(index)];
    fake::Weights& weights = target[static_cast<size_t>(t.role)];
    weights.resize(static_cast<size_t>(t.rows * t.columns));
    const puna_host_services& host = backend.services;
    puna_error error = PUNA_ERROR_INIT;
    const puna_status status =
        host.dequantize(host.host, t.format, t.data, t.rows * t.columns, weights.data(), &error);
    if (status != PUNA_OK) fail(status, error.message);
    if (!fake::is_matrix(t.role)) return;
    auto row = std::find_if(formats.begin(), formats.end(),
                            [&t](const auto& known) { return known.format == t.format; });
    if (row == formats.end()) {
        row = formats.insert(row, puna_layers_format{sizeof *row, t.format, 0, 0, 0, "fake f32"});
    }
    row->n_tensors += 1;
    row->size_bytes += t.size_bytes;
}

namespace {

int64_t environment(const char* name, int64_t standard) {
    const char* text = std::getenv(name);
    return text == nullptr || *text == 0 ? standard : std::strtoll(text, nullptr, 10);
}

// What still has children stays: they would be left with dangling references.
template <typename T>
void destroy_childless(T* object, const puna_host_services& services) {
    if (object->n_children == 0) {
        delete object;
        return;
    }
    constexpr char kText[] = "fake gpu: destroyed before its children";
    services.log(services.host, PUNA_LOG_ERROR, kText, sizeof kText - 1);
}

puna_status PUNA_CALL create(const puna_host_services* services,
                             const puna_backend_options* options, puna_backend** backend,
                             puna_error* error) {
    return guarded(error, [&] {
        const puna_host_services& host = fake::sized(services, "services");
        const puna_backend_options& given = fake::sized(options, "backend options");
        require(host.alloc && host.free && host.log && host.parallel && host.now_ns &&
                    host.dequantize && host.block_size,
                "a host service is NULL");
        require(given.reserved == 0 && given.reserved2 == nullptr, "a reserved backend option");
        if (given.kernels != nullptr) fail(PUNA_ERROR_UNSUPPORTED, "kernels: there are none");
        const int64_t bytes = environment("PUNA_FAKE_GPU_BYTES", int64_t{256} << 20);
        auto made = std::make_unique<puna_backend>(host, static_cast<uint64_t>(bytes));
        made->layer_us = environment("PUNA_FAKE_GPU_LAYER_US", 0);
        made->fail_advance = environment("PUNA_FAKE_GPU_FAIL_LAYER", 0);
        *backend = made.release();
    });
}

void PUNA_CALL destroy(puna_backend* backend) {
    if (backend != nullptr) destroy_childless(backend, backend->services);
}

int32_t PUNA_CALL n_devices(const puna_backend*) {
    return 1;
}

puna_status PUNA_CALL device_info(const puna_backend* backend, int32_t device,
                                  puna_device_info* info, puna_error* error) {
    return guarded(error, [&] {
        if (device != 0) fail(PUNA_ERROR_NOT_FOUND, "there is no device but 0");
        fake::sized(info, "info") = {
            sizeof *info, 1,     backend->memory.total(), backend->memory.available(), "fake",
            "fake gpu",   "fake"};
    });
}

int32_t PUNA_CALL format_supported(const puna_backend* backend, int32_t format) {
    int32_t n_elements = 0;
    int32_t n_bytes = 0;
    const puna_host_services& host = backend->services;
    return host.block_size(host.host, format, &n_elements, &n_bytes, nullptr) == PUNA_OK ? 1 : 0;
}

// Does not look at what is free: that is for the host to compare.
puna_status PUNA_CALL estimate(puna_backend* backend, const puna_layers_request* request,
                               const puna_executor_options* options, puna_backend_estimate* out,
                               puna_error* error) {
    return guarded(error, [&] {
        const fake::Plan plan(request, backend->services, true);
        puna_backend_estimate filled{};
        filled.struct_size = sizeof filled;
        filled.device_weight_bytes = plan.device_bytes;
        if (options != nullptr) {
            const puna_executor_options checked = puna_executor::checked(options);
            filled.kv_bytes = puna_executor::kv_bytes(plan, checked);
            filled.scratch_bytes = puna_executor::scratch_bytes(plan, checked);
        }
        fake::sized(out, "estimate") = filled;
    });
}

puna_status PUNA_CALL load_layers(puna_backend* backend, const puna_layers_request* request,
                                  puna_layer_set** layers, puna_error* error) {
    return guarded(error, [&] {
        fake::Plan plan(request, backend->services, false);
        *layers = std::make_unique<puna_layer_set>(*backend, std::move(plan)).release();
        if (request->release != nullptr) request->release(request->owner);
    });
}

void PUNA_CALL destroy_layers(puna_layer_set* layers) {
    if (layers != nullptr) destroy_childless(layers, layers->backend.services);
}

puna_status PUNA_CALL layers_info(const puna_layer_set* layers, puna_layers_info* info,
                                  puna_error* error) {
    return guarded(error, [&] {
        fake::sized(info, "info") = {sizeof *info, static_cast<int32_t>(layers->formats.size()), 0,
                                     layers->share.bytes()};
    });
}

puna_status PUNA_CALL layers_format(const puna_layer_set* layers, int32_t index,
                                    puna_layers_format* format, puna_error* error) {
    return guarded(error, [&] {
        if (index < 0 || static_cast<size_t>(index) >= layers->formats.size()) {
            fail(PUNA_ERROR_NOT_FOUND, "there is no such format");
        }
        fake::sized(format, "format") = layers->formats[static_cast<size_t>(index)];
    });
}

puna_status PUNA_CALL create_executor(puna_layer_set* layers, const puna_executor_options* options,
                                      puna_executor** executor, puna_error* error) {
    return guarded(error, [&] {
        const puna_executor_options checked = puna_executor::checked(options);
        *executor = std::make_unique<puna_executor>(*layers, checked).release();
    });
}

void PUNA_CALL destroy_executor(puna_executor* executor) {
    delete executor;
}

puna_status PUNA_CALL executor_memory(const puna_executor* executor, uint64_t* kv_bytes,
                                      uint64_t* scratch_bytes, puna_error* error) {
    return guarded(error, [&] {
        *kv_bytes = executor->kv_share.bytes();
        *scratch_bytes = executor->scratch_share.bytes();
    });
}

puna_status PUNA_CALL begin(puna_executor* executor, const puna_batch* batch, puna_error* error) {
    return guarded(error, [&] { executor->begin(fake::sized(batch, "batch")); });
}

puna_status PUNA_CALL advance(puna_executor* executor, int64_t deadline_ns,
                              puna_interrupted_fn interrupted, void* user, puna_progress* progress,
                              puna_error* error) {
    return guarded(error, [&] {
        fake::sized(progress, "progress") = {sizeof *progress, 0, 0, 0};
        try {
            executor->advance(deadline_ns, interrupted, user, *progress);
        } catch (...) {
            executor->abandon();
            throw;
        }
    });
}

void PUNA_CALL abandon(puna_executor* executor) {
    executor->abandon();
}

puna_status PUNA_CALL kv_move(puna_executor* executor, const puna_kv_move* moves, int32_t n_moves,
                              puna_error* error) {
    return guarded(error, [&] { executor->move(moves, n_moves); });
}

void PUNA_CALL kv_drop(puna_executor* executor, int32_t first_cell, int32_t n_cells) {
    executor->drop(first_cell, n_cells);
}

puna_status PUNA_CALL kv_read(puna_executor* executor, int32_t layer, int32_t keys_or_values,
                              const int32_t* cells, int32_t n_cells, void* out, size_t size,
                              puna_error* error) {
    return guarded(error, [&] {
        executor->transfer(layer, keys_or_values, cells, n_cells, nullptr, out, size);
    });
}

puna_status PUNA_CALL kv_write(puna_executor* executor, int32_t layer, int32_t keys_or_values,
                               const int32_t* cells, int32_t n_cells, const void* data, size_t size,
                               puna_error* error) {
    return guarded(error, [&] {
        executor->transfer(layer, keys_or_values, cells, n_cells, data, nullptr, size);
    });
}

constexpr puna_backend_api kApi = {sizeof(puna_backend_api),
                                   PUNA_BACKEND_API_VERSION,
                                   "fake",
                                   "test double, on one thread",
                                   create,
                                   destroy,
                                   n_devices,
                                   device_info,
                                   format_supported,
                                   estimate,
                                   load_layers,
                                   destroy_layers,
                                   layers_info,
                                   layers_format,
                                   nullptr,
                                   nullptr,
                                   create_executor,
                                   destroy_executor,
                                   executor_memory,
                                   begin,
                                   advance,
                                   abandon,
                                   kv_move,
                                   kv_drop,
                                   kv_read,
                                   kv_write,
                                   nullptr,
                                   nullptr};

}  // namespace

extern "C" PUNA_BACKEND_EXPORT const puna_backend_api* PUNA_CALL
puna_backend_entry(uint32_t api_version) {
    return api_version == PUNA_BACKEND_API_VERSION ? &kApi : nullptr;
}
