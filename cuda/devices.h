// The GPUs that the driver offers, and how calls of the CUDA runtime become statuses.
#pragma once

#include <cuda.h>
#include <cuda_runtime.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/status.h"
#include "puna/puna_backend.h"

namespace puna::cuda {

using core::make_status;
using core::Result;
using core::Status;

// A thread's context is the driver's, which the host uses as well, while the device that the CUDA runtime has for a
// thread is known to this plugin alone: it has a runtime of its own, linked in. And to tell that runtime of the
// device that it had before would create a context there, from CUDA 12 on.
struct ContextCalls {
    decltype(&cuCtxGetCurrent) get = nullptr;
    decltype(&cuCtxSetCurrent) set = nullptr;
};

// One GPU. After a fault of it nothing more is asked of it, because every answer would be the same error:
// its objects can be destroyed, and other devices and the process live on.
class Device {
  public:
    Device(const ContextCalls& context_calls, int ordinal, std::string name, int capability,
           int n_processors, uint64_t total_bytes)
        : context_calls_(context_calls),
          ordinal_(ordinal),
          name_(std::move(name)),
          capability_(capability),
          n_processors_(n_processors),
          total_bytes_(total_bytes) {}
    Device(const Device&) = delete;
    Device& operator=(const Device&) = delete;

    const ContextCalls& context_calls() const { return context_calls_; }
    int ordinal() const { return ordinal_; }  // as the CUDA runtime counts
    const std::string& name() const { return name_; }
    int capability() const { return capability_; }      // 90: 9.0
    int n_processors() const { return n_processors_; }  // multiprocessors
    uint64_t total_bytes() const { return total_bytes_; }

    // What a call of the CUDA runtime said, `what` naming it. Lack of memory is DEVICE_MEMORY and leaves
    // the device usable; everything else is BACKEND and ends its use.
    Status check(cudaError_t code, const char* what);
    // BACKEND, with the first fault, once there was one.
    Status usable() const;
    // 0 if that cannot be told. This device is the current one.
    uint64_t free_bytes();

  private:
    const ContextCalls context_calls_;
    const int ordinal_;
    const std::string name_;
    const int capability_;
    const int n_processors_;
    const uint64_t total_bytes_;
    mutable std::mutex mutex_;
    Status fault_;
};

// Makes a device, by its primary context, the current one of the thread, and the context that the thread had, or
// none, again at the end: the host may use CUDA too, on another device or with a context of its own.
class DeviceScope {
  public:
    explicit DeviceScope(Device& device);
    ~DeviceScope();
    DeviceScope(const DeviceScope&) = delete;
    DeviceScope& operator=(const DeviceScope&) = delete;

    const Status& status() const { return status_; }

  private:
    const ContextCalls& calls_;
    CUcontext previous_ = nullptr;
    bool changed_ = false;
    Status status_;
};

// All devices that this backend can use, none of which gets a context by it; those that are too old are left out and,
// if there is no other, named. NO_DEVICE, BACKEND_VERSION.
Result<std::vector<std::unique_ptr<Device>>> find_devices(const puna_host_services& services);

}  // namespace puna::cuda
