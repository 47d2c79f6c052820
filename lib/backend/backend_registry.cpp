#include "backend/backend_registry.h"

#include <cstddef>

#include "base/error.h"
#include "base/thread.h"
#include "cpu/cpu_backend.h"

namespace puna::core {
namespace {

#if defined(_WIN32)
constexpr char kCudaPlugin[] = "puna-cuda.dll";
#elif defined(__APPLE__)
constexpr char kCudaPlugin[] = "libpuna-cuda.dylib";
#else
constexpr char kCudaPlugin[] = "libpuna-cuda.so";
#endif

// Every function but the optional ones (adapters, kv_drop, device_free_bytes, one_row_kernels) must be there.
bool is_complete(const puna_backend_api& api) {
    return api.name && api.build && api.create && api.destroy && api.n_devices && api.device_info &&
           api.format_supported && api.estimate && api.load_layers && api.destroy_layers &&
           api.layers_info && api.layers_format && api.create_executor && api.destroy_executor &&
           api.executor_memory && api.begin && api.advance && api.abandon && api.kv_move &&
           api.kv_read && api.kv_write;
}

Result<const puna_backend_api*> plugin_table(const SharedLibrary& library,
                                             const std::string& path) {
    const auto entry = reinterpret_cast<puna_backend_entry_fn>(library.symbol(PUNA_BACKEND_ENTRY));
    if (entry == nullptr) {
        return make_status(PUNA_ERROR_BACKEND_VERSION, "%s: not a puna backend: it exports no %s",
                           path.c_str(), PUNA_BACKEND_ENTRY);
    }
    const puna_backend_api* api = entry(PUNA_BACKEND_API_VERSION);
    if (api == nullptr) {
        return make_status(PUNA_ERROR_BACKEND_VERSION,
                           "%s: does not serve backend interface %u of this library (puna %s): "
                           "install the plugin of the same version",
                           path.c_str(), PUNA_BACKEND_API_VERSION, puna_version());
    }
    if (api->api_version != PUNA_BACKEND_API_VERSION) {
        return make_status(PUNA_ERROR_BACKEND_VERSION,
                           "%s: built for backend interface %u, this library has %u: install the "
                           "plugin of the same version",
                           path.c_str(), api->api_version, PUNA_BACKEND_API_VERSION);
    }
    if (api->struct_size < sizeof(puna_backend_api) || !is_complete(*api)) {
        return make_status(PUNA_ERROR_BACKEND_VERSION,
                           "%s: its table lacks functions of backend interface %u", path.c_str(),
                           PUNA_BACKEND_API_VERSION);
    }
    return api;
}

}  // namespace

Result<std::unique_ptr<Backend>> Backend::open(const puna_backend_api* api, SharedLibrary library,
                                               const Host& host, const char* kernels) {
    std::unique_ptr<Backend> backend(new Backend(api, std::move(library)));
    puna_backend_options options = {};
    options.struct_size = sizeof options;
    options.kernels = kernels;
    puna_error error = PUNA_ERROR_INIT;
    const puna_status code = api->create(&host.services(), &options, &backend->instance_, &error);
    if (code != PUNA_OK) return status_from(code, error);
    return backend;
}

Backend::~Backend() {
    if (instance_ != nullptr) api_->destroy(instance_);
}

Result<std::unique_ptr<BackendRegistry>> BackendRegistry::create(const Host& host,
                                                                 const char* kernels) {
    std::unique_ptr<BackendRegistry> registry(new BackendRegistry(host));
    PUNA_TRY_ASSIGN(auto cpu, Backend::open(cpu_backend_api(), SharedLibrary(), host, kernels));
    PUNA_TRY(registry->add(std::move(cpu)));
    return registry;
}

Status BackendRegistry::add(std::unique_ptr<Backend> backend) {
    const puna_backend_api& api = backend->api();
    std::string line = std::string(api.name) + ":";
    std::vector<Device> found;
    for (int32_t i = 0; i < api.n_devices(backend->instance()); ++i) {
        puna_device_info info = PUNA_DEVICE_INFO_INIT;
        puna_error error = PUNA_ERROR_INIT;
        const puna_status code = api.device_info(backend->instance(), i, &info, &error);
        if (code != PUNA_OK) return status_from(code, error);
        found.push_back({backend.get(), i, info.is_gpu != 0});
        line += std::string(i == 0 ? " " : ", ") + info.name + " (" + info.kernels + ")";
    }
    MutexLock lock(mutex_);
    backends_.reserve(backends_.size() + 1);
    notes_.reserve(notes_.size() + 1);
    devices_.insert(devices_.end(), found.begin(), found.end());
    backends_.push_back(std::move(backend));
    notes_.push_back(std::move(line));
    return {};
}

void BackendRegistry::note(std::string line) {
    MutexLock lock(mutex_);
    notes_.push_back(std::move(line));
}

void BackendRegistry::search_if_needed() {
    if (is_searched_.load(std::memory_order_acquire)) return;
    // An allocator that is called by the search sees what was there before it.
    const uintptr_t self = current_thread_id();
    if (searching_thread_.load(std::memory_order_relaxed) == self) return;
    // The logger may wait for a thread that waits for this search.
    LogSink::Hold lines(host_.log());
    search_once(self);
    lines.deliver();
}

void BackendRegistry::search_once(uintptr_t self) {
    const MutexLock lock(search_mutex_);
    if (is_searched_.load(std::memory_order_relaxed)) return;
    struct Search {
        explicit Search(std::atomic<uintptr_t>& place, uintptr_t thread) : thread_(place) {
            thread_.store(thread, std::memory_order_relaxed);
        }
        ~Search() { thread_.store(0, std::memory_order_relaxed); }
        std::atomic<uintptr_t>& thread_;
    };
    const Search mark(searching_thread_, self);
    search();
    is_searched_.store(true, std::memory_order_release);
}

void BackendRegistry::search() {
    auto folder = own_directory();
    if (!folder.ok()) return note(std::string("cuda: ") + folder.status().text());
    const std::string path = *folder + "/" + kCudaPlugin;
    const Status status = open_plugin(path);
    if (status.ok()) return;
    note(std::string("cuda: ") + status.text());
    host_.log().log(PUNA_LOG_INFO, "%s", status.text());
}

// What a search finds is counted first.
Status BackendRegistry::load_plugin(const std::string& path) {
    search_if_needed();
    return open_plugin(path);
}

Status BackendRegistry::open_plugin(const std::string& path) {
    PUNA_TRY_ASSIGN(auto library, SharedLibrary::open(path));
    PUNA_TRY_ASSIGN(const puna_backend_api* api, plugin_table(library, path));
    auto backend = Backend::open(api, std::move(library), host_, nullptr);
    if (!backend.ok()) return backend.status().within(path.c_str());
    return add(std::move(*backend));
}

int32_t BackendRegistry::n_devices() {
    search_if_needed();
    MutexLock lock(mutex_);
    return static_cast<int32_t>(devices_.size());
}

Result<Device> BackendRegistry::device(int32_t number) {
    if (number != 0) search_if_needed();
    MutexLock lock(mutex_);
    if (number < 0 || static_cast<size_t>(number) >= devices_.size()) {
        return make_status(PUNA_ERROR_NOT_FOUND, "device %d: there are %zu, counted from 0",
                           static_cast<int>(number), devices_.size());
    }
    return devices_[static_cast<size_t>(number)];
}

Result<int32_t> BackendRegistry::first_gpu() {
    search_if_needed();
    MutexLock lock(mutex_);
    for (size_t i = 0; i < devices_.size(); ++i) {
        if (devices_[i].is_gpu) return static_cast<int32_t>(i);
    }
    return make_status(PUNA_ERROR_NO_DEVICE, "n_gpu_layers: no GPU device: %s",
                       notes_.size() > 1 ? notes_.back().c_str() : "no plugin is loaded");
}

Status BackendRegistry::device_info(int32_t number, puna_device_info* info) {
    PUNA_TRY_ASSIGN(const Device found, device(number));
    puna_error error = PUNA_ERROR_INIT;
    const puna_backend_api& api = found.backend->api();
    puna_backend* instance = found.backend->instance();
    puna_status code = api.device_info(instance, found.index, info, &error);
    if (code == PUNA_OK && api.device_free_bytes) {
        code = api.device_free_bytes(instance, found.index, &info->free_bytes, &error);
    }
    return status_from(code, error);
}

std::string BackendRegistry::report() {
    search_if_needed();
    MutexLock lock(mutex_);
    std::string text;
    for (const std::string& line : notes_) {
        if (!text.empty()) text += '\n';
        text += line;
    }
    return text;
}

}  // namespace puna::core
