// The backends of a runtime: the CPU built in, plugins found beside the library or opened by path.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "backend/host.h"
#include "base/mutex.h"
#include "base/shared_library.h"

namespace puna::core {

// An opened backend. Lives until the registry goes.
class Backend {
  public:
    // `library` holds the code of `api`; an empty one for the built-in backend.
    static Result<std::unique_ptr<Backend>> open(const puna_backend_api* api, SharedLibrary library,
                                                 const Host& host, const char* kernels);
    ~Backend();
    Backend(const Backend&) = delete;
    Backend& operator=(const Backend&) = delete;

    const puna_backend_api& api() const { return *api_; }
    puna_backend* instance() const { return instance_; }

  private:
    Backend(const puna_backend_api* api, SharedLibrary library)
        : library_(std::move(library)), api_(api) {}

    SharedLibrary library_;
    const puna_backend_api* api_;
    puna_backend* instance_ = nullptr;
};

// A device as the user counts them: 0 is the CPU.
struct Device {
    const Backend* backend = nullptr;
    int32_t index = 0;  // within the backend
    bool is_gpu = false;
};

// All functions may be called from any thread.
class BackendRegistry {
  public:
    // `host` outlives the registry. `kernels` may be null.
    static Result<std::unique_ptr<BackendRegistry>> create(const Host& host, const char* kernels);

    // From here on the first of the functions below that needs to know opens libpuna-cuda beside the
    // module that holds this code, if it is there: who uses the CPU alone does not wait for drivers.
    // What was found or why not stands in report().
    void search_when_needed() { is_searched_.store(false, std::memory_order_relaxed); }
    Status load_plugin(const std::string& path);

    int32_t n_devices();
    // The CPU, 0, is known without a search.
    Result<Device> device(int32_t number);
    // The number of the first GPU.
    Result<int32_t> first_gpu();
    Status device_info(int32_t number, puna_device_info* info);
    // A line per backend that was tried.
    std::string report();

  private:
    explicit BackendRegistry(const Host& host) : host_(host) {}
    void search_if_needed();
    void search_once(uintptr_t self);
    void search();
    Status open_plugin(const std::string& path);
    Status add(std::unique_ptr<Backend> backend);
    void note(std::string line);

    const Host& host_;
    Mutex search_mutex_;  // held while drivers start; the host is called for memory alone meanwhile
    std::atomic<bool> is_searched_{true};
    std::atomic<uintptr_t> searching_thread_{0};
    mutable Mutex mutex_;
    std::vector<std::unique_ptr<Backend>> backends_;
    std::vector<Device> devices_;
    std::vector<std::string> notes_;
};

}  // namespace puna::core
