#include "backend/backend_registry.h"

#include <cstddef>

#include "base/error.h"
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

// Every function but the optional ones (adapters, kv_drop) must be there.
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

void BackendRegistry::search() {
    auto folder = own_directory();
    if (!folder.ok()) return note(std::string("cuda: ") + folder.status().text());
    const std::string path = *folder + "/" + kCudaPlugin;
    const Status status = load_plugin(path);
    if (status.ok()) return;
    note(std::string("cuda: ") + status.text());
    host_.log().log(PUNA_LOG_INFO, "%s", status.text());
}

Status BackendRegistry::load_plugin(const std::string& path) {
    PUNA_TRY_ASSIGN(auto library, SharedLibrary::open(path));
    PUNA_TRY_ASSIGN(const puna_backend_api* api, plugin_table(library, path));
    auto backend = Backend::open(api, std::move(library), host_, nullptr);
    if (!backend.ok()) return backend.status().within(path.c_str());
    return add(std::move(*backend));
}

int32_t BackendRegistry::n_devices() const {
    MutexLock lock(mutex_);
    return static_cast<int32_t>(devices_.size());
}

Result<Device> BackendRegistry::device(int32_t number) const {
    MutexLock lock(mutex_);
    if (number < 0 || static_cast<size_t>(number) >= devices_.size()) {
        return make_status(PUNA_ERROR_NOT_FOUND, "device %d: there are %zu, counted from 0",
                           static_cast<int>(number), devices_.size());
    }
    return devices_[static_cast<size_t>(number)];
}

Result<int32_t> BackendRegistry::first_gpu() const {
    MutexLock lock(mutex_);
    for (size_t i = 0; i < devices_.size(); ++i) {
        if (devices_[i].is_gpu) return static_cast<int32_t>(i);
    }
    return make_status(PUNA_ERROR_NO_DEVICE, "n_gpu_layers: no GPU device: %s",
                       notes_.size() > 1 ? notes_.back().c_str() : "no plugin is loaded");
}

Status BackendRegistry::device_info(int32_t number, puna_device_info* info) const {
    PUNA_TRY_ASSIGN(const Device found, device(number));
    puna_error error = PUNA_ERROR_INIT;
    const puna_backend_api& api = found.backend->api();
    const puna_status code = api.device_info(found.backend->instance(), found.index, info, &error);
    return status_from(code, error);
}

std::string BackendRegistry::report() const {
    MutexLock lock(mutex_);
    std::string text;
    for (const std::string& line : notes_) {
        if (!text.empty()) text += '\n';
        text += line;
    }
    return text;
}

}  // namespace puna::core
