#include "cpu/cpu_backend.h"

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <memory>
#include <string>

#include "base/amx_permission.h"
#include "base/cpu_features.h"
#include "base/error.h"
#include "cpu/executor.h"
#include "cpu/kernel_table.h"
#include "cpu/layer_set.h"
#include "seam/executor_functions.h"

namespace puna::core {

namespace {

struct CpuBackend {
    const puna_host_services* services;
    KernelTable kernels;
    std::string cpu_name;
};

// The opaque handles of the interface are these objects.
const CpuBackend& self(const puna_backend* backend) {
    return *reinterpret_cast<const CpuBackend*>(backend);
}
const LayerSet& self(const puna_layer_set* layers) {
    return *reinterpret_cast<const LayerSet*>(layers);
}

struct Here {
    template <class Call>
    static Status run(Executor&, const Call& call) {
        return call();
    }
};
using Functions = ExecutorFunctions<Executor, Here>;

Status check_device(int32_t device) {
    if (device == 0) return {};
    return make_status(PUNA_ERROR_NOT_FOUND, "the CPU backend has device 0 only, not %d", device);
}

Status check_services(const puna_host_services* services) {
    PUNA_TRY(check_struct(services, "puna_host_services"));
    if (!services->alloc || !services->free || !services->log || !services->parallel ||
        !services->now_ns) {
        return make_status(PUNA_ERROR_ARGUMENT, "puna_host_services: a function is NULL");
    }
    return {};
}

// As choose_kernels for this machine. The system is asked for the tile registers only if the kernels
// use them: from then on signal stacks of the process have to be larger. A refusal is logged.
Result<KernelTable> choose_usable_kernels(const puna_host_services& services, const char* forced) {
    const uint64_t features = detect_cpu_features();
    PUNA_TRY_ASSIGN(KernelTable kernels, choose_kernels(features, forced));
    if (!(kernels.features & kCpuAmxTile)) return kernels;
    const Status granted = request_amx_permission();
    if (granted.ok()) return kernels;
    if (forced && *forced) {
        return make_status(PUNA_ERROR_UNSUPPORTED, "kernels: '%s' cannot run: %s", kernels.name,
                           granted.text());
    }
    PUNA_TRY_ASSIGN(KernelTable others, choose_kernels(features & ~uint64_t{kCpuAmxTile}, nullptr));
    char line[256];
    const int size = std::snprintf(line, sizeof line, "kernels: %s instead of %s: %s", others.name,
                                   kernels.name, granted.text());
    services.log(services.host, PUNA_LOG_WARNING, line,
                 std::min(static_cast<size_t>(size), sizeof line - 1));
    return others;
}

puna_status PUNA_CALL create(const puna_host_services* services,
                             const puna_backend_options* options, puna_backend** backend,
                             puna_error* error) {
    return guarded(error, [&]() -> Status {
        PUNA_TRY(check_services(services));
        if (options) PUNA_TRY(check_struct(options, "puna_backend_options"));
        if (!backend) return null_argument("backend");
        PUNA_TRY_ASSIGN(KernelTable kernels,
                        choose_usable_kernels(*services, options ? options->kernels : nullptr));
        auto made = std::make_unique<CpuBackend>(CpuBackend{services, kernels, cpu_brand()});
        *backend = reinterpret_cast<puna_backend*>(made.release());
        return {};
    });
}

void PUNA_CALL destroy(puna_backend* backend) {
    delete reinterpret_cast<CpuBackend*>(backend);
}

int32_t PUNA_CALL n_devices(const puna_backend* backend) {
    return backend ? 1 : 0;
}

puna_status PUNA_CALL device_info(const puna_backend* backend, int32_t device,
                                  puna_device_info* info, puna_error* error) {
    return guarded(error, [&]() -> Status {
        if (!backend) return null_argument("backend");
        PUNA_TRY(check_struct(info, "puna_device_info"));
        PUNA_TRY(check_device(device));
        *info = {};
        info->struct_size = sizeof *info;
        std::snprintf(info->backend, sizeof info->backend, "cpu");
        std::snprintf(info->name, sizeof info->name, "%s", self(backend).cpu_name.c_str());
        std::snprintf(info->kernels, sizeof info->kernels, "%s", self(backend).kernels.name);
        return {};
    });
}

int32_t PUNA_CALL format_supported(const puna_backend* backend, int32_t format) {
    return backend && self(backend).kernels.linear_of(format) ? 1 : 0;
}

Status check_request(const puna_backend* backend, const puna_layers_request* request) {
    if (!backend) return null_argument("backend");
    PUNA_TRY(check_struct(request, "puna_layers_request"));
    PUNA_TRY(check_device(request->device));
    return check_struct(request->spec, "puna_model_spec");
}

puna_status PUNA_CALL estimate(puna_backend* backend, const puna_layers_request* request,
                               const puna_executor_options* options, puna_backend_estimate* out,
                               puna_error* error) {
    return guarded(error, [&]() -> Status {
        PUNA_TRY(check_request(backend, request));
        PUNA_TRY(check_struct(options, "puna_executor_options"));
        PUNA_TRY(check_struct(out, "puna_backend_estimate"));
        PUNA_TRY_ASSIGN(const auto layers,
                        resolve_layers(*self(backend).services, self(backend).kernels, *request,
                                       TensorData::kAbsent));
        PUNA_TRY_ASSIGN(const ExecutorSizes sizes, Executor::measure(*layers, *options));
        *out = {};
        out->struct_size = sizeof *out;
        out->weights_in_place = 1;
        out->kv_bytes = sizes.kv_bytes;
        out->scratch_bytes = sizes.scratch_bytes;
        return {};
    });
}

puna_status PUNA_CALL load_layers(puna_backend* backend, const puna_layers_request* request,
                                  puna_layer_set** layers, puna_error* error) {
    return guarded(error, [&]() -> Status {
        PUNA_TRY(check_request(backend, request));
        if (!layers) return null_argument("layers");
        PUNA_TRY_ASSIGN(auto made, resolve_layers(*self(backend).services, self(backend).kernels,
                                                  *request, TensorData::kPresent));
        made->owner = request->owner;
        made->release = request->release;
        *layers = reinterpret_cast<puna_layer_set*>(made.release());
        return {};
    });
}

void PUNA_CALL destroy_layers(puna_layer_set* layers) {
    delete reinterpret_cast<LayerSet*>(layers);
}

puna_status PUNA_CALL layers_info(const puna_layer_set* layers, puna_layers_info* info,
                                  puna_error* error) {
    return guarded(error, [&]() -> Status {
        if (!layers) return null_argument("layers");
        PUNA_TRY(check_struct(info, "puna_layers_info"));
        *info = {};
        info->struct_size = sizeof *info;
        info->n_formats = static_cast<int32_t>(self(layers).formats.size());
        return {};
    });
}

puna_status PUNA_CALL layers_format(const puna_layer_set* layers, int32_t index,
                                    puna_layers_format* format, puna_error* error) {
    return guarded(error, [&]() -> Status {
        if (!layers) return null_argument("layers");
        return write_layers_format(self(layers).formats, index, format);
    });
}

puna_status PUNA_CALL create_executor(puna_layer_set* layers, const puna_executor_options* options,
                                      puna_executor** executor, puna_error* error) {
    return guarded(error, [&]() -> Status {
        if (!layers) return null_argument("layers");
        PUNA_TRY(check_struct(options, "puna_executor_options"));
        if (!executor) return null_argument("executor");
        PUNA_TRY_ASSIGN(auto made, Executor::create(self(layers), *options));
        *executor = reinterpret_cast<puna_executor*>(made.release());
        return {};
    });
}

void PUNA_CALL destroy_executor(puna_executor* executor) {
    delete reinterpret_cast<Executor*>(executor);
}

void PUNA_CALL abandon(puna_executor* executor) {
    if (executor) Functions::self(executor).abandon();
}

constexpr puna_backend_api kApi = {
    sizeof(puna_backend_api),
    PUNA_BACKEND_API_VERSION,
    "cpu",
    "built into libpuna",
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
    nullptr,  // device_free_bytes
    nullptr,  // one_row_kernels
};

}  // namespace

const puna_backend_api* cpu_backend_api() {
    return &kApi;
}

}  // namespace puna::core
