// The CUDA backend as a plugin: the table of puna_backend.h.
#include <algorithm>
#include <cstdio>
#include <memory>

#include "base/error.h"
#include "cuda/executor.h"
#include "seam/executor_functions.h"

namespace puna::cuda {

namespace {

using core::check_struct;
using core::guarded;
using core::null_argument;

struct Backend {
    const puna_host_services& services;
    std::vector<std::unique_ptr<Device>> devices;
};

// The opaque handles of the interface are these objects.
Backend& self(const puna_backend* backend) {
    return *reinterpret_cast<Backend*>(const_cast<puna_backend*>(backend));
}
const LayerSet& self(const puna_layer_set* layers) {
    return *reinterpret_cast<const LayerSet*>(layers);
}

// Runs a call with a device as the current one of the thread.
template <class Call>
Status on_device(Device& device, const Call& call) {
    const DeviceScope scope(device);
    PUNA_TRY(scope.status());
    return call();
}

struct OnItsDevice {
    template <class Call>
    static Status run(Executor& executor, const Call& call) {
        return on_device(executor.device(), call);
    }
};
using Functions = core::ExecutorFunctions<Executor, OnItsDevice>;

Result<Device*> device_of(const puna_backend* backend, int32_t device) {
    if (!backend) return null_argument("backend");
    const auto& devices = self(backend).devices;
    if (device >= 0 && static_cast<size_t>(device) < devices.size()) {
        return devices[static_cast<size_t>(device)].get();
    }
    return make_status(PUNA_ERROR_NOT_FOUND, "device %d: the CUDA backend has %zu", device,
                       devices.size());
}

Status check_services(const puna_host_services* services) {
    PUNA_TRY(check_struct(services, "puna_host_services"));
    if (services->log && services->now_ns && services->block_size) return {};
    return make_status(PUNA_ERROR_ARGUMENT, "puna_host_services: a function is NULL");
}

puna_status PUNA_CALL create(const puna_host_services* services,
                             const puna_backend_options* options, puna_backend** backend,
                             puna_error* error) {
    return guarded(error, [&]() -> Status {
        PUNA_TRY(check_services(services));
        if (options) PUNA_TRY(check_struct(options, "puna_backend_options"));
        if (!backend) return null_argument("backend");
        if (options && options->kernels && options->kernels[0]) {
            return make_status(PUNA_ERROR_UNSUPPORTED,
                               "kernels: the CUDA backend has no set called '%s'",
                               options->kernels);
        }
        PUNA_TRY_ASSIGN(auto devices, find_devices(*services));
        std::unique_ptr<Backend> made(new Backend{*services, std::move(devices)});
        *backend = reinterpret_cast<puna_backend*>(made.release());
        return {};
    });
}

void PUNA_CALL destroy(puna_backend* backend) {
    delete reinterpret_cast<Backend*>(backend);
}

int32_t PUNA_CALL n_devices(const puna_backend* backend) {
    return backend ? static_cast<int32_t>(self(backend).devices.size()) : 0;
}

puna_status PUNA_CALL device_info(const puna_backend* backend, int32_t index,
                                  puna_device_info* info, puna_error* error) {
    return guarded(error, [&]() -> Status {
        PUNA_TRY_ASSIGN(Device * device, device_of(backend, index));
        PUNA_TRY(check_struct(info, "puna_device_info"));
        *info = {};
        info->struct_size = sizeof *info;
        info->is_gpu = 1;
        info->total_bytes = device->total_bytes();
        std::snprintf(info->backend, sizeof info->backend, "cuda");
        std::snprintf(info->name, sizeof info->name, "%s", device->name().c_str());
        std::snprintf(info->kernels, sizeof info->kernels, "sm_%d", device->capability());
        return {};
    });
}

// Creates the context of the device in the process, with hundreds of MB.
puna_status PUNA_CALL device_free_bytes(const puna_backend* backend, int32_t index,
                                        uint64_t* free_bytes, puna_error* error) {
    return guarded(error, [&]() -> Status {
        PUNA_TRY_ASSIGN(Device * device, device_of(backend, index));
        if (!free_bytes) return null_argument("free_bytes");
        *free_bytes = 0;
        if (!device->usable().ok()) return {};
        const DeviceScope scope(*device);
        if (scope.status().ok()) *free_bytes = device->free_bytes();
        return {};
    });
}

int32_t PUNA_CALL backend_format_supported(const puna_backend* backend, int32_t format) {
    return backend && format_supported(format) ? 1 : 0;
}

Result<Device*> check_request(const puna_backend* backend, const puna_layers_request* request) {
    PUNA_TRY(check_struct(request, "puna_layers_request"));
    PUNA_TRY(check_struct(request->spec, "puna_model_spec"));
    return device_of(backend, request->device);
}

puna_status PUNA_CALL estimate(puna_backend* backend, const puna_layers_request* request,
                               const puna_executor_options* options, puna_backend_estimate* out,
                               puna_error* error) {
    return guarded(error, [&]() -> Status {
        PUNA_TRY_ASSIGN(const Device* device, check_request(backend, request));
        (void)device;
        if (options) PUNA_TRY(check_struct(options, "puna_executor_options"));
        PUNA_TRY(check_struct(out, "puna_backend_estimate"));
        PUNA_TRY_ASSIGN(const LayersPlan plan,
                        plan_layers(self(backend).services, *request, core::TensorData::kAbsent));
        puna_backend_estimate estimate = {};
        estimate.struct_size = sizeof estimate;
        estimate.device_weight_bytes = plan.device_bytes;
        if (options) {
            PUNA_TRY_ASSIGN(const ExecutorSizes sizes, Executor::measure(plan.weights, *options));
            estimate.kv_bytes = sizes.kv_bytes;
            estimate.scratch_bytes = sizes.scratch_bytes;
        }
        *out = estimate;
        return {};
    });
}

puna_status PUNA_CALL load_layers(puna_backend* backend, const puna_layers_request* request,
                                  puna_layer_set** layers, puna_error* error) {
    return guarded(error, [&]() -> Status {
        PUNA_TRY_ASSIGN(Device * device, check_request(backend, request));
        if (!layers) return null_argument("layers");
        PUNA_TRY(device->usable());
        PUNA_TRY(on_device(*device, [&]() -> Status {
            PUNA_TRY_ASSIGN(auto made, LayerSet::load(self(backend).services, *device, *request));
            *layers = reinterpret_cast<puna_layer_set*>(made.release());
            return {};
        }));
        if (request->release) request->release(request->owner);
        return {};
    });
}

void PUNA_CALL destroy_layers(puna_layer_set* layers) {
    if (!layers) return;
    const DeviceScope scope(self(layers).device());
    delete reinterpret_cast<LayerSet*>(layers);
}

puna_status PUNA_CALL layers_info(const puna_layer_set* layers, puna_layers_info* info,
                                  puna_error* error) {
    return guarded(error, [&]() -> Status {
        if (!layers) return null_argument("layers");
        PUNA_TRY(check_struct(info, "puna_layers_info"));
        *info = {};
        info->struct_size = sizeof *info;
        info->n_formats = static_cast<int32_t>(self(layers).formats().size());
        info->device_bytes = self(layers).device_bytes();
        return {};
    });
}

puna_status PUNA_CALL layers_format(const puna_layer_set* layers, int32_t index,
                                    puna_layers_format* format, puna_error* error) {
    return guarded(error, [&]() -> Status {
        if (!layers) return null_argument("layers");
        return core::write_layers_format(self(layers).formats(), index, format);
    });
}

puna_status PUNA_CALL create_executor(puna_layer_set* layers, const puna_executor_options* options,
                                      puna_executor** executor, puna_error* error) {
    return guarded(error, [&]() -> Status {
        if (!layers) return null_argument("layers");
        PUNA_TRY(check_struct(options, "puna_executor_options"));
        if (!executor) return null_argument("executor");
        Device& device = self(layers).device();
        PUNA_TRY(device.usable());
        return on_device(device, [&]() -> Status {
            PUNA_TRY_ASSIGN(auto made, Executor::create(self(layers), *options));
            *executor = reinterpret_cast<puna_executor*>(made.release());
            return {};
        });
    });
}

void PUNA_CALL destroy_executor(puna_executor* executor) {
    if (!executor) return;
    const DeviceScope scope(Functions::self(executor).device());
    delete reinterpret_cast<Executor*>(executor);
}

void PUNA_CALL abandon(puna_executor* executor) {
    if (!executor) return;
    const DeviceScope scope(Functions::self(executor).device());
    Functions::self(executor).abandon();
}

const char* PUNA_CALL one_row_kernels(const puna_executor* executor) {
    return executor ? reinterpret_cast<const Executor*>(executor)->one_row_kernels() : "";
}

#define PUNA_CUDA_TEXT(x) PUNA_CUDA_TEXT_(x)
#define PUNA_CUDA_TEXT_(x) #x

constexpr puna_backend_api kApi = {
    sizeof(puna_backend_api),
    PUNA_BACKEND_API_VERSION,
    "cuda",
    "puna " PUNA_CUDA_TEXT(PUNA_VERSION_MAJOR) "." PUNA_CUDA_TEXT(
        PUNA_VERSION_MINOR) "." PUNA_CUDA_TEXT(PUNA_VERSION_PATCH) ", CUDA runtime " PUNA_CUDA_TEXT(CUDART_VERSION),
    create,
    destroy,
    n_devices,
    device_info,
    backend_format_supported,
    estimate,
    load_layers,
    destroy_layers,
    layers_info,
    layers_format,
    nullptr,  // load_adapter
    nullptr,  // destroy_adapter
    create_executor,
    destroy_executor,
    Functions::memory,
    Functions::begin,
    Functions::advance,
    abandon,
    Functions::kv_move,
    nullptr,  // kv_drop: the cache is one block, nothing can be given back
    Functions::kv_read,
    Functions::kv_write,
    device_free_bytes,
    one_row_kernels,
};

}  // namespace

}  // namespace puna::cuda

extern "C" PUNA_BACKEND_EXPORT const puna_backend_api* PUNA_CALL
puna_backend_entry(uint32_t api_version) {
    return api_version == PUNA_BACKEND_API_VERSION ? &puna::cuda::kApi : nullptr;
}
