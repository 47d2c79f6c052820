#include "cuda/devices.h"

#include <cstdio>

namespace puna::cuda {

namespace {

// Turing: the oldest for which the kernels are compiled.
constexpr int kOldestCapability = 75;

// The toolkit's own number: 12040 is CUDA 12.4. A driver serves every toolkit of its major version.
constexpr int kNeededDriver = CUDART_VERSION / 1000 * 1000;

Status check_driver() {
    int version = 0;
    const cudaError_t code = cudaDriverGetVersion(&version);
    (void)cudaGetLastError();
    if (code != cudaSuccess || version == 0) {
        return make_status(PUNA_ERROR_NO_DEVICE, "no CUDA device: no NVIDIA driver is installed");
    }
    if (version < kNeededDriver) {
        return make_status(PUNA_ERROR_BACKEND_VERSION,
                           "the NVIDIA driver serves CUDA up to %d.%d, this plugin needs %d.%d: "
                           "install a newer driver",
                           version / 1000, version % 1000 / 10, kNeededDriver / 1000,
                           kNeededDriver % 1000 / 10);
    }
    return {};
}

Result<int> count_devices() {
    int n = 0;
    const cudaError_t code = cudaGetDeviceCount(&n);
    (void)cudaGetLastError();
    if (code == cudaErrorInsufficientDriver) {
        return make_status(PUNA_ERROR_BACKEND_VERSION,
                           "the NVIDIA driver is too old for this plugin: install a newer one");
    }
    if (code == cudaErrorNoDevice || (code == cudaSuccess && n == 0)) {
        return make_status(PUNA_ERROR_NO_DEVICE, "no CUDA device: the driver finds no GPU");
    }
    if (code != cudaSuccess) {
        return make_status(PUNA_ERROR_NO_DEVICE, "no CUDA device: %s", cudaGetErrorString(code));
    }
    return n;
}

template <class Call>
Status find_call(const char* name, Call* call) {
    void* found = nullptr;
#if CUDART_VERSION >= 12050
    constexpr unsigned kSince = 4000;
    const cudaError_t code =
        cudaGetDriverEntryPointByVersion(name, &found, kSince, cudaEnableDefault);
#else
    const cudaError_t code = cudaGetDriverEntryPoint(name, &found, cudaEnableDefault);
#endif
    (void)cudaGetLastError();
    if (code != cudaSuccess || !found) {
        return make_status(PUNA_ERROR_NO_DEVICE, "no CUDA device: the NVIDIA driver has no %s: %s",
                           name, cudaGetErrorString(code));
    }
    *call = reinterpret_cast<Call>(found);
    return {};
}

Result<ContextCalls> find_context_calls() {
    ContextCalls calls;
    PUNA_TRY(find_call("cuCtxGetCurrent", &calls.get));
    PUNA_TRY(find_call("cuCtxSetCurrent", &calls.set));
    return calls;
}

// Null for one that cannot be used; `refused` then says why.
std::unique_ptr<Device> open_device(const ContextCalls& calls, int ordinal, Status* refused) {
    cudaDeviceProp properties = {};
    const cudaError_t code = cudaGetDeviceProperties(&properties, ordinal);
    if (code != cudaSuccess) {
        (void)cudaGetLastError();
        *refused = make_status(PUNA_ERROR_NO_DEVICE, "no CUDA device: GPU %d: %s", ordinal,
                               cudaGetErrorString(code));
        return nullptr;
    }
    const int capability = properties.major * 10 + properties.minor;
    if (capability < kOldestCapability) {
        *refused = make_status(PUNA_ERROR_NO_DEVICE,
                               "no CUDA device: %s has compute capability %d.%d, the oldest that "
                               "is served is %d.%d",
                               properties.name, properties.major, properties.minor,
                               kOldestCapability / 10, kOldestCapability % 10);
        return nullptr;
    }
    return std::make_unique<Device>(calls, ordinal, properties.name, capability,
                                    properties.multiProcessorCount, properties.totalGlobalMem);
}

void log_refused(const puna_host_services& services, const Status& refused) {
    char text[PUNA_ERROR_MESSAGE_SIZE + 32];
    const int size = std::snprintf(text, sizeof text, "left out: %s", refused.text());
    services.log(services.host, PUNA_LOG_WARNING, text, static_cast<size_t>(size));
}

}  // namespace

Status Device::check(cudaError_t code, const char* what) {
    if (code == cudaSuccess) return {};
    (void)cudaGetLastError();  // else it would come back from the next call that is asked for it
    if (code == cudaErrorDevicesUnavailable) {  // another process has it: no fault of this one
        return make_status(PUNA_ERROR_BACKEND, "%s: %s: the device is in use by others",
                           name_.c_str(), what);
    }
    if (code == cudaErrorMemoryAllocation) {
        return make_status(PUNA_ERROR_DEVICE_MEMORY, "%s: %s: out of device memory", name_.c_str(),
                           what);
    }
    const Status fault = make_status(PUNA_ERROR_BACKEND, "%s: %s: %s (%s)", name_.c_str(), what,
                                     cudaGetErrorString(code), cudaGetErrorName(code));
    const std::lock_guard<std::mutex> lock(mutex_);
    if (fault_.ok()) fault_ = fault;
    return fault;
}

Status Device::usable() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (fault_.ok()) return {};
    return make_status(PUNA_ERROR_BACKEND, "the device is out of use after a fault: %s",
                       fault_.text());
}

uint64_t Device::free_bytes() {
    size_t available = 0;
    size_t total = 0;
    if (cudaMemGetInfo(&available, &total) != cudaSuccess) {
        (void)cudaGetLastError();
        return 0;
    }
    return available;
}

DeviceScope::DeviceScope(Device& device) : calls_(device.context_calls()) {
    if (calls_.get(&previous_) != CUDA_SUCCESS) {
        status_ = make_status(PUNA_ERROR_BACKEND,
                              "%s: the driver does not tell the context of the thread",
                              device.name().c_str());
        return;
    }
    status_ = device.check(cudaSetDevice(device.ordinal()), "cudaSetDevice");
    changed_ = true;
}

DeviceScope::~DeviceScope() {
    if (changed_) calls_.set(previous_);
}

Result<std::vector<std::unique_ptr<Device>>> find_devices(const puna_host_services& services) {
    PUNA_TRY(check_driver());
    PUNA_TRY_ASSIGN(const int n, count_devices());
    PUNA_TRY_ASSIGN(const ContextCalls calls, find_context_calls());
    std::vector<std::unique_ptr<Device>> devices;
    Status refused;
    for (int i = 0; i < n; ++i) {
        Status reason;
        auto device = open_device(calls, i, &reason);
        if (device) {
            devices.push_back(std::move(device));
            continue;
        }
        log_refused(services, reason);
        if (refused.ok()) refused = reason;
    }
    if (devices.empty()) return refused;
    return devices;
}

}  // namespace puna::cuda
